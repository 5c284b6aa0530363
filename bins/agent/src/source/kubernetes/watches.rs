//! One watch for each kind, as one stream.

use std::fmt;

use crds::{CiliumEndpoint, CiliumEndpointSlice, CiliumIdentity, CiliumNode};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;
use kube::{Api, Client, Resource};
use kubernetes::watch::{Event, Options, watch};
use serde::de::DeserializeOwned;

use super::kind::Kind;

/// What one of the watches tells.
#[derive(Debug)]
pub(super) enum Told {
    Stored(Kind, Event<DynamicObject>),
    Node(Event<Node>),
    CiliumNode(Event<CiliumNode>),
    Identity(Event<CiliumIdentity>),
    Endpoint(Event<CiliumEndpoint>),
    Slice(Event<CiliumEndpointSlice>),
}

impl Told {
    /// What kind it is about.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Stored(kind, _) => *kind,
            Self::Node(_) => Kind::Node,
            Self::CiliumNode(_) => Kind::CiliumNode,
            Self::Identity(_) => Kind::CiliumIdentity,
            Self::Endpoint(_) => Kind::CiliumEndpoint,
            Self::Slice(_) => Kind::CiliumEndpointSlice,
        }
    }

    /// What happened, in a word.
    pub(super) const fn action(&self) -> &'static str {
        const fn of<K>(event: &Event<K>) -> &'static str {
            match event {
                Event::Set(_) => "set",
                Event::Gone(_) => "gone",
                Event::Lost(_) => "lost",
                Event::Listing => "listing",
                Event::Synced => "synced",
                Event::Failed(_) => "failed",
            }
        }
        match self {
            Self::Stored(_, event) => of(event),
            Self::Node(event) => of(event),
            Self::CiliumNode(event) => of(event),
            Self::Identity(event) => of(event),
            Self::Endpoint(event) => of(event),
            Self::Slice(event) => of(event),
        }
    }
}

/// Follows the objects of a kind.
pub(super) fn open(client: Client, kind: Kind, node: &str) -> BoxStream<'static, Told> {
    let (labels, fields) = kind.selectors(node);
    let options = Options { labels, fields, ..Options::default() };
    match kind {
        Kind::Node => typed(client, options, Told::Node),
        Kind::CiliumNode => typed(client, options, Told::CiliumNode),
        Kind::CiliumIdentity => typed(client, options, Told::Identity),
        // The rest of the agent has the names of the cluster's pods.
        Kind::CiliumEndpoint => typed(client, options.without_names(), Told::Endpoint),
        Kind::CiliumEndpointSlice => typed(client, options, Told::Slice),
        kind => {
            let api = Api::<DynamicObject>::all_with(client, &kind.resource());
            watch(api, options).map(move |event| Told::Stored(kind, event)).boxed()
        }
    }
}

fn typed<K>(client: Client, options: Options, tell: fn(Event<K>) -> Told) -> BoxStream<'static, Told>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watch(Api::<K>::all(client), options).map(tell).boxed()
}
