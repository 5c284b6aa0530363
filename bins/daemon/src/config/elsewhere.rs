//! Keys that mean something to another program: to Cilium's, or to the one that the same ConfigMap is mounted in. So a
//! ConfigMap that was written for Cilium, or for agent and operator alike, says what is left out and what is a mistake.

/// Whether Cilium or one of our programs has this key.
#[must_use]
pub fn is_known(key: &str) -> bool {
    KEYS.iter().any(|keys| keys.lines().any(|known| known == key))
}

/// One a line, in order: the keys of Cilium's ConfigMap, and those that only our programs have. Those that a program here
/// has are read before anyone looks here.
pub(super) const KEYS: [&str; 2] = [include_str!("cilium-keys.txt"), include_str!("own-keys.txt")];
