//! Security identities: numbers for label sets.

mod local;
mod pool;
mod reserved;

use abi::Identity;

use crate::label::LabelSet;

pub use local::{IdentitiesExhausted, LocalIdentities};
pub use reserved::reserved_labels;

/// Gives every label set a number, the same one each time.
pub trait IdentityAllocator {
    /// Why there is none.
    type Error;

    /// The identity of these labels.
    ///
    /// # Errors
    /// When no number is left, or the allocator cannot be reached.
    fn allocate(&mut self, labels: &LabelSet) -> Result<Identity, Self::Error>;
}
