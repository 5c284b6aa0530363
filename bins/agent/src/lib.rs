//! Netloom's node agent.
