//! What both servers have to do alike.

mod apply;
mod command;
mod custom;
mod objects;
mod pods;
mod rules;
mod watching;

use futures_util::future::LocalBoxFuture;
pub(crate) use objects::config_map;

use crate::target::Target;

/// A case.
pub(crate) type Case = for<'a> fn(&'a Target) -> LocalBoxFuture<'a, ()>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        /// All cases by name.
        pub(crate) fn all() -> Vec<(&'static str, Case)> {
            vec![$((concat!(stringify!($module), "::", stringify!($name)), |target| Box::pin($module::$name(target)))),*]
        }
    };
}

cases! {
    objects::from_create_to_delete,
    objects::what_is_refused,
    objects::who_is_later_loses,
    objects::selectors,
    objects::pages,
    objects::nothing_is_written_in_a_dry_run,
    objects::shapes,
    objects::collections,
    objects::leases,
    objects::events,
    objects::documents,
    objects::discovery,
    pods::defaults_and_binding,
    pods::deletion_takes_its_time,
    pods::finalizers_hold,
    pods::strategic_patches,
    pods::scale,
    rules::names,
    rules::namespaces_that_stay,
    rules::empty_metadata,
    rules::addresses_of_services,
    rules::network_policies,
    rules::fields,
    rules::who_asks,
    apply::owners,
    apply::pods,
    apply::what_an_update_owns,
    custom::life,
    custom::apply_to_lists,
    custom::versions,
    watching::events_in_order,
    watching::selection,
    watching::bookmarks,
    watching::too_old,
    watching::the_end,
    watching::kubes_watcher,
    watching::streaming_lists,
    command::create_apply_delete,
    command::custom_kinds,
    command::strict_fields,
}
