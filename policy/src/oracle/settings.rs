//! What holds for all policies.

/// What holds for all policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When policies are enforced.
    pub enforcement: Enforcement,
    /// Whether CIDRs of Cilium's policies match nodes too (`policy-cidr-match-mode=nodes`).
    pub cidrs_match_nodes: bool,
    /// Whether the datapath lets through, and reports, what policies deny. Verdicts stay as they are.
    pub audit: bool,
}

/// When policies are enforced (Cilium's `enable-policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Where one closes a direction.
    #[default]
    Default,
    /// Everywhere: what no rule allows is denied.
    Always,
    /// Nowhere.
    Never,
}
