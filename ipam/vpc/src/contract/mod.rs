//! What every client of EC2 has to show against the emulator: the same behaviours in process, over the Query
//! protocol, and through Amazon's SDK.
//!
//! Each case has a region of its own, of which the clock stands still. A client is made by the caller's
//! function; see the tests of this crate, of `netloom-ec2-query` and of `netloom-ec2-sdk`.
//!
//! What a client makes of answers that no EC2 gives is in [`wire`].

mod addresses;
mod attachments;
mod faults;
mod interfaces;
mod listings;
mod served;
pub mod wire;
mod world;

use ipam::ec2::Ec2;

use crate::Cloud;
pub use served::Served;
pub use world::{Broken, World};

macro_rules! cases {
    ($($module:ident::$name:ident,)*) => {
        /// The names of all cases.
        pub const CASES: &[&str] = &[$(concat!(stringify!($module), "::", stringify!($name)),)*];

        /// Runs every case with a client of its own, and returns those that were not as they should.
        pub async fn run<E: Ec2>(connect: impl AsyncFn(Cloud) -> E) -> Vec<(&'static str, Broken)> {
            let mut broken = Vec::new();
            $({
                let case = concat!(stringify!($module), "::", stringify!($name));
                let result = match World::build(&connect).await {
                    Ok(world) => match $module::$name(&world).await {
                        Ok(()) => world.is_sound(),
                        error => error,
                    },
                    Err(error) => Err(error),
                };
                if let Err(error) = result {
                    broken.push((case, error));
                }
            })*
            broken
        }
    };
}

cases! {
    addresses::assign_by_count,
    addresses::assign_by_name,
    addresses::assign_what_is_taken,
    addresses::assign_beyond_the_limit,
    addresses::assign_in_a_full_subnet,
    addresses::assign_prefixes_without_nitro,
    addresses::unassign,
    addresses::unassign_what_is_not_there,
    addresses::a_reservation_is_used_first,
    attachments::attach,
    attachments::attach_too_much,
    attachments::attach_where_it_cannot_be,
    attachments::attach_to_what_is_gone,
    attachments::detach,
    attachments::detach_what_cannot_be,
    attachments::what_goes_with_an_instance,
    interfaces::create,
    interfaces::create_with_each_kind_of_addresses,
    interfaces::create_is_idempotent,
    interfaces::create_without_room,
    interfaces::create_beyond_the_quota,
    interfaces::create_with_wrong_names,
    interfaces::delete,
    interfaces::modify,
    interfaces::tags,
    interfaces::somebody_elses,
    listings::vpcs,
    listings::subnets,
    listings::security_groups,
    listings::instance_types,
    listings::instance_types_by_page,
    listings::interfaces_by_filter,
    listings::interfaces_by_page,
    listings::interfaces_that_are_not_there,
    faults::throttles,
    faults::replies_are_lost,
    faults::servers_fail,
    faults::reads_are_stale,
    faults::new_ids_are_unknown,
    faults::requests_are_late,
}
