//! Keys of Cilium's that mean nothing here, so that a ConfigMap written for it says what is left out and what is a
//! mistake.

/// Whether Cilium has this key.
pub(super) fn is_cilium(key: &str) -> bool {
    KEYS.lines().any(|known| known == key)
}

/// Keys of Cilium's ConfigMap, one a line, in order. Those that a program here has are read before anyone looks here.
pub(super) const KEYS: &str = include_str!("cilium-keys.txt");
