//! What the instance metadata service says of the instance. It is asked once, for what never changes.

/// What an instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `i-…`.
    pub instance_id: String,
    /// `m5.large`.
    pub instance_type: String,
    /// `eu-central-1a`.
    pub availability_zone: String,
    /// The VPC of its primary interface.
    pub vpc_id: String,
    /// The subnet of its primary interface.
    pub subnet_id: String,
}
