//! Network interfaces of EC2 for pods.
pub mod handshake;
