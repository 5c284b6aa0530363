//! One kind of object, followed for ever.
//!
//! [`watch`] lists, then watches, and goes on whatever happens: a connection that breaks is resumed where it was; a
//! server that no longer knows that place (410) is listed again. What was told stays true until the new list is
//! complete; then what it no longer has is told to be gone. Objects are not kept, only their names, and not even those
//! where whoever listens has them anyway ([`Options::keeps_names`]); who wants them all at hand has a [`copy`] kept.
//!
//! A server that comes back without its data counts from the beginning again, and would tell nothing to whoever asks to
//! go on from where it was. So after failures, and after a watch that ended before its time, it is asked where it is, and
//! listed again if that is earlier than the last object or bookmark. What such a
//! list lacks is told apart from what was deleted: [`Event::Lost`].
//!
//! ```no_run
//! # async fn example(client: kube::Client) {
//! use futures_util::StreamExt as _;
//! use k8s_openapi::api::core::v1::Namespace;
//! use kubernetes::watch::{Event, Options, watch};
//!
//! let mut events = watch(kube::Api::<Namespace>::all(client), Options::default());
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Set(namespace) => println!("{:?}", namespace.metadata.labels),
//!         Event::Gone(key) | Event::Lost(key) => println!("{} is gone", key.name()),
//!         Event::Listing => {}
//!         Event::Synced => println!("that is all for now"),
//!         Event::Failed(error) => println!("tried again by itself: {error}"),
//!     }
//! }
//! # }
//! ```

mod copy;
mod follower;
mod key;
mod known;
mod options;
mod source;

use std::fmt;

use futures_util::FutureExt as _;
use futures_util::stream::{BoxStream, StreamExt as _};
use kube::api::ListParams;
use kube::runtime::watcher::Error;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

pub use copy::copy;
pub use key::Key;
use known::Known;
pub use options::Options;

/// What a watch tells.
#[derive(Debug)]
pub enum Event<K> {
    /// An object is there, or is another now. After a list it may be told again as it was.
    Set(Box<K>),
    /// An object is gone: somebody deleted it.
    Gone(Key),
    /// An object is gone, and nobody deleted it: the server is behind what it told, as one is that was restored from a
    /// backup. Where names are not kept, [`Event::Listing`] does not say so.
    Lost(Key),
    /// A list begins. It is told only where names are not kept: what was told before and is not told again until
    /// [`Event::Synced`] is gone then. A list that breaks off begins anew.
    Listing,
    /// All objects of a list have been told, and all that it no longer has: what was told is what there is. It comes
    /// after each list, the first one and later ones.
    Synced,
    /// Something failed, and is tried again by itself after a pause. What was told stays in force.
    Failed(Error),
}

/// Follows the objects of `api`. The stream does not end.
pub fn watch<K>(api: Api<K>, options: Options) -> BoxStream<'static, Event<K>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let (longest, known) = (options.longest_pause, options.keeps_names.then(Known::default));
    let asked = api.clone();
    let start = move || source::source(api.clone(), options.clone());
    let ask = move || {
        let api = asked.clone();
        async move {
            let list = api.list_metadata(&ListParams::default().limit(1)).await?;
            Ok(list.metadata.resource_version.and_then(|version| version.parse().ok()))
        }
        .boxed()
    };
    follower::follow(start, ask, longest, known).boxed()
}
