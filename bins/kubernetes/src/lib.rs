//! What Netloom's programs share as clients of the Kubernetes API.
