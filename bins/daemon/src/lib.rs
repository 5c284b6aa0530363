//! What Netloom's long-running programs share: configuration, health, metrics and logs.
