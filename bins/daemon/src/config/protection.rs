//! Keys of Cilium's that ask for protection which there is not here. To pass them over would leave open what somebody
//! wanted closed.

/// What is asked for, by the key. Authentication is not among them: policies that want it let nothing through.
const PROTECTIONS: [(&str, &str); 9] = [
    ("allow-localhost", "policy for what comes from the pod's own node"),
    ("enable-encryption-strict-mode", "encryption between nodes"),
    ("enable-encryption-strict-mode-egress", "encryption between nodes"),
    ("enable-encryption-strict-mode-ingress", "encryption between nodes"),
    ("enable-host-firewall", "policy for the nodes themselves"),
    ("enable-ipsec", "encryption between nodes"),
    ("enable-wireguard", "encryption between nodes"),
    ("enable-ztunnel", "encryption between pods"),
    ("encrypt-node", "encryption between nodes"),
];

/// What a key with this value asks for, if that is protection.
pub(super) fn wanted(key: &str, value: &str) -> Option<&'static str> {
    let (_, what) = PROTECTIONS.iter().find(|(known, _)| *known == key)?;
    let is_off = match key {
        "allow-localhost" => value != "policy",
        // What cannot be read as "no" is no "no".
        _ => matches!(value, "" | "0" | "f" | "F" | "false" | "FALSE" | "False"),
    };
    (!is_off).then_some(*what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_is_wanted() {
        for off in ["", "0", "false", "False"] {
            assert_eq!(wanted("enable-wireguard", off), None, "{off:?}");
        }
        for on in ["1", "true", "yes", "perhaps"] {
            assert_eq!(wanted("enable-wireguard", on), Some("encryption between nodes"), "{on}");
        }
        assert_eq!(wanted("allow-localhost", "auto"), None);
        assert!(wanted("allow-localhost", "policy").is_some());
        assert_eq!(wanted("enable-hubble", "true"), None);
    }
}
