//! The CNI verbs: pods come and go.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use api::{Attachment, ErrorCode, ErrorReply, InterfaceReply, PodRef};
use ipnetwork::IpNetwork;
use netcore::Netns;
use netcore::pod::{GATEWAY_V4, GATEWAY_V6, unwire};

use super::{Engine, JOURNAL, broken, refuse};
use crate::addresses::{AddressBook, NoAddress};
use crate::endpoint::{Endpoint, HOST_PREFIX, host_ifname, pod_mac};

impl Engine {
    /// Finds what an earlier agent left: its allocations, and the links of its pods. What has no link any more
    /// is released; a link of ours that nobody remembers is removed.
    pub(super) async fn settle(&mut self) -> Result<()> {
        if self.eni.is_some() {
            if !self.follow_interfaces().await? {
                return Ok(());
            }
            return self.settle_links().await;
        }
        let Some(node) = self.cluster.own_node() else { return Ok(()) };
        if node.pod_cidrs.is_empty() {
            return Ok(());
        }
        if self.addresses.is_none() {
            let journal = self.args.state_dir.join(JOURNAL);
            self.addresses = Some(AddressBook::open(&journal, &node.pod_cidrs, self.clock.now())?);
        }

        self.settle_links().await
    }

    async fn settle_links(&mut self) -> Result<()> {
        let links = self.net.links().await.context("listing links")?;
        for endpoint in self.endpoints.iter_mut() {
            let link = links.iter().find(|link| link.name == endpoint.host_ifname);
            endpoint.ifindex = link.map_or(0, |link| link.index.0);
            // All of them, before the datapath is touched for those that are gone: whom it is not told of, it
            // would forget.
            self.cluster.set_local(endpoint.pod.as_ref(), &endpoint.addresses);
        }
        self.collect_gone().await;
        let known: BTreeSet<String> =
            self.endpoints.iter().map(|endpoint| endpoint.host_ifname.clone()).collect();
        for link in &known {
            self.datapath.attach_pod(link).with_context(|| format!("attaching to {link}"))?;
        }
        for link in links {
            if link.name.starts_with(HOST_PREFIX) && !known.contains(&link.name) {
                tracing::warn!(link = link.name, "removing a link that no endpoint has");
                unwire(&self.net, &link.name).await?;
            }
        }
        Ok(())
    }

    /// Connects a pod. The same attachment gets the same answer, and the same addresses, each time.
    pub(super) async fn add(
        &mut self,
        attachment: Attachment,
        pod: Option<PodRef>,
        path: String,
        mtu: Option<u32>,
        netns: Netns,
    ) -> Result<InterfaceReply, ErrorReply> {
        let own = self.cluster.own_addresses();
        let eni_before = self.endpoints.get(&attachment).and_then(|known| known.eni);
        if let Some(known) = self.endpoints.get(&attachment) {
            let intact = known.wiring(&own).verify(&self.net, &netns).await;
            if known.pod == pod && intact.is_ok_and(|differences| differences.is_empty()) {
                return Ok(reply(known));
            }
            // A new sandbox under an old name, or one that was damaged: made anew, with the same addresses.
            self.disconnect(&attachment, false)
                .await
                .map_err(|error| broken("disconnecting what was there", &error))?;
        }
        let book = self
            .addresses
            .as_mut()
            .ok_or_else(|| refuse(ErrorCode::NotReady, "no range of addresses yet"))?;
        let addresses =
            book.allocate(&attachment, pod.as_ref(), self.clock.now()).map_err(|error| match error {
                NoAddress::Exhausted(why) => refuse(ErrorCode::Exhausted, &self.no_address(&why)),
                NoAddress::Broken(error) => broken("allocating addresses", &error),
            })?;
        let eni = self.eni_of(&addresses).or(eni_before);
        let mut endpoint = Endpoint {
            eni,
            id: self.endpoints.next_id().map_err(|error| broken("numbering the endpoint", &error))?,
            host_ifname: host_ifname(&attachment),
            mac: pod_mac(&addresses),
            mtu: mtu.unwrap_or(self.uplink.mtu),
            netns: path,
            ifindex: 0,
            attachment,
            pod,
            addresses,
        };
        // What fails from here on keeps its addresses: the runtime asks again, or disconnects.
        let wired = endpoint
            .wiring(&own)
            .wire(&self.net, &netns)
            .await
            .map_err(|error| broken("wiring the pod", &error.into()))?;
        endpoint.ifindex = wired.host.index.0;
        if let Err(error) = self.connect(&endpoint) {
            let _ = unwire(&self.net, &endpoint.host_ifname).await;
            return Err(broken("connecting the pod", &error));
        }
        if let Err(error) = self.plumb_interfaces().await {
            if let Err(other) = self.disconnect(&endpoint.attachment, false).await {
                tracing::error!(
                    error = format!("{other:#}"),
                    "a pod that was half connected could not be disconnected"
                );
            }
            return Err(broken("leading the pod's packets to their network interface", &error));
        }
        tracing::info!(
            attachment = %endpoint.attachment, pod = endpoint.pod.as_ref().map(ToString::to_string),
            addresses = ?endpoint.addresses, endpoint = endpoint.id, "connected"
        );
        Ok(reply(&endpoint))
    }

    /// Makes a wired endpoint part of the datapath.
    fn connect(&mut self, endpoint: &Endpoint) -> Result<()> {
        self.datapath.attach_pod(&endpoint.host_ifname)?;
        self.endpoints.insert(endpoint.clone())?;
        self.cluster.set_local(endpoint.pod.as_ref(), &endpoint.addresses);
        self.enforce_datapath()
    }

    /// Disconnects a pod, and gives its addresses back. An unknown attachment is no error.
    pub(super) async fn delete(&mut self, attachment: &Attachment) -> Result<(), ErrorReply> {
        self.disconnect(attachment, true).await.map_err(|error| broken("disconnecting the pod", &error))
    }

    /// Takes a pod out of the datapath first, so that nothing reaches whoever gets its addresses next; the link
    /// goes afterwards, without anybody waiting for it.
    async fn disconnect(&mut self, attachment: &Attachment, release: bool) -> Result<()> {
        let gone = self.endpoints.remove(attachment)?;
        if let Some(endpoint) = &gone {
            self.reports.gone(attachment, endpoint.pod.as_ref());
            self.ended(endpoint.pod.as_ref(), &endpoint.addresses);
            self.answer_disconnected(attachment);
            self.datapath.endpoints.remove(&endpoint.link())?;
            self.cluster.remove_local(endpoint.pod.as_ref(), &endpoint.addresses);
            self.enforce_datapath()?;
            self.datapath.forget_link(&endpoint.host_ifname)?;
            self.plumb_interfaces().await?;
            tracing::info!(%attachment, endpoint = endpoint.id, "disconnected");
        }
        if release && let Some(book) = &mut self.addresses {
            book.release(attachment, self.clock.now())?;
        }
        match gone {
            // By its number: the same attachment may have another link by then, of the same name.
            Some(endpoint) if release && endpoint.ifindex != 0 => {
                let net = self.net.clone();
                tokio::spawn(async move {
                    match net.delete_link(netcore::IfIndex(endpoint.ifindex)).await {
                        Err(error) if !error.is_not_found() => {
                            let link = endpoint.host_ifname;
                            tracing::warn!(link, %error, "the link of a disconnected pod could not be removed");
                        }
                        _ => {}
                    }
                });
            }
            _ => drop(unwire(&self.net, &host_ifname(attachment)).await?),
        }
        Ok(())
    }

    /// Whether a pod is connected as it was told.
    pub(super) async fn check(&mut self, attachment: &Attachment, netns: &Netns) -> Result<(), ErrorReply> {
        let Some(endpoint) = self.endpoints.get(attachment) else {
            return Err(refuse(ErrorCode::Unknown, &format!("the attachment {attachment} is not known")));
        };
        let differences = endpoint
            .wiring(&self.cluster.own_addresses())
            .verify(&self.net, netns)
            .await
            .map_err(|error| broken("examining the pod", &error.into()))?;
        if !differences.is_empty() {
            let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let message = format!("the attachment {attachment} is not as it was made: {}", all.join("; "));
            return Err(refuse(ErrorCode::Unhealthy, &message));
        }
        if self.datapath.endpoints.get(&endpoint.link()).is_none() {
            let message = format!("the attachment {attachment} is not in the datapath");
            return Err(refuse(ErrorCode::Unhealthy, &message));
        }
        Ok(())
    }

    /// Disconnects all attachments but these.
    pub(super) async fn keep_only(&mut self, valid: &[Attachment]) -> Result<(), ErrorReply> {
        let mut stale: BTreeSet<Attachment> =
            self.endpoints.iter().map(|endpoint| endpoint.attachment.clone()).collect();
        stale.extend(self.addresses.iter().flat_map(AddressBook::owners));
        let mut failures = Vec::new();
        for attachment in stale.into_iter().filter(|attachment| !valid.contains(attachment)) {
            if let Err(error) = self.delete(&attachment).await {
                failures.push(format!("{attachment}: {error}"));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(refuse(ErrorCode::Internal, &failures.join("; "))) }
    }

    /// Releases the pods whose links are gone: without its link a pod cannot come back.
    pub(super) async fn collect_gone(&mut self) {
        let links = match self.net.link_names().await {
            Ok(links) => links,
            Err(error) => return tracing::warn!(%error, "links cannot be listed"),
        };
        let gone: Vec<Attachment> = self
            .endpoints
            .iter()
            .filter(|endpoint| links.get(&netcore::IfIndex(endpoint.ifindex)) != Some(&endpoint.host_ifname))
            .map(|endpoint| endpoint.attachment.clone())
            .collect();
        for attachment in gone {
            tracing::info!(%attachment, "its link is gone");
            let _ = self.delete(&attachment).await;
        }
    }

    /// Does what was asked while the agent was away.
    pub(super) async fn drain_queue(&mut self) {
        let mut waiting = Vec::new();
        // Each leaves the queue once it is done: an agent that dies in between has it still to do.
        let drained = self.queue.drain(|attachment| {
            waiting.push(attachment.clone());
            false
        });
        match drained {
            Ok(drained) => {
                for path in drained.unreadable {
                    tracing::error!(file = %path.display(), "a queued disconnection cannot be read");
                }
            }
            Err(error) => tracing::error!(%error, "queued disconnections cannot be read"),
        }
        for attachment in waiting {
            if self.delete(&attachment).await.is_ok()
                && let Err(error) = self.queue.remove(&attachment)
            {
                tracing::error!(%attachment, %error, "a disconnection that is done cannot be taken from the queue");
            }
        }
    }
}

/// How an endpoint is connected.
fn reply(endpoint: &Endpoint) -> InterfaceReply {
    InterfaceReply {
        mac: endpoint.mac.to_string(),
        host_ifname: endpoint.host_ifname.clone(),
        host_mac: netcore::MacAddr(abi::Config::GATEWAY_MAC).to_string(),
        addresses: endpoint.addresses.iter().copied().map(IpNetwork::from).collect(),
        gateways: endpoint
            .addresses
            .iter()
            .map(|address| if address.is_ipv4() { GATEWAY_V4.into() } else { GATEWAY_V6.into() })
            .collect(),
        mtu: endpoint.mtu,
    }
}
