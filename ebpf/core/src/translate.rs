//! Service translation: the stage before conntrack and policy where a service's address becomes a
//! backend's.

use crate::parse::Headers;

/// Replaces a service's address by a backend's. There are no services yet, so nothing is replaced; what
/// comes later happens here, before the destination is looked up, so that conntrack and policy always see
/// the backend.
#[inline(always)]
pub(crate) fn translate(_headers: &mut Headers) {}
