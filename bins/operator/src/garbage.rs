//! Which objects have outlived what they were about.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use kubernetes::watch::Key;

use crate::view::{EndpointView, PodView, Version};

/// CiliumEndpoints whose pod is gone, has ended, or is another by now.
pub(crate) fn endpoints(
    endpoints: &HashMap<Key, Arc<EndpointView>>,
    pods: &HashMap<Key, Arc<PodView>>,
) -> Vec<(Key, Version)> {
    let dead = |(key, endpoint): (&Key, &Arc<EndpointView>)| {
        let alive = pods
            .get(key)
            .is_some_and(|pod| pod.live && endpoint.pod_uid.as_ref().is_none_or(|uid| *uid == pod.uid));
        (!alive).then(|| (key.clone(), endpoint.version.clone()))
    };
    endpoints.iter().filter_map(dead).collect()
}

/// Whether the pod that owns an endpoint is this one, and has ended.
pub(crate) fn has_ended(pod: &PodView, owner: Option<&str>) -> bool {
    !pod.live && owner == Some(pod.uid.as_str())
}

/// CiliumNodes without a Node. One that is seen so for the first time is given another interval: its Node may be
/// about to come.
#[derive(Default)]
pub(crate) struct Nodes {
    suspects: BTreeSet<String>,
}

impl Nodes {
    /// The names of CiliumNodes, and of them those to be deleted.
    pub(crate) fn collect<'a>(
        &mut self,
        cilium_nodes: impl Iterator<Item = &'a str>,
        exists: impl Fn(&str) -> bool,
    ) -> Vec<&'a str> {
        let orphans: Vec<&str> = cilium_nodes.filter(|name| !exists(name)).collect();
        let dead = orphans.iter().copied().filter(|name| self.suspects.contains(*name)).collect();
        self.suspects = orphans.into_iter().map(ToOwned::to_owned).collect();
        dead
    }
}

/// A pod is given so long to be connected before it is restarted.
const MINIMAL_AGE: std::time::Duration = std::time::Duration::from_secs(30);
/// A pod of the same name is not restarted again so soon.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(300);

/// Pods that run on the pod network and that no agent has connected: another network did, before this one came.
#[derive(Default)]
pub(crate) struct Unmanaged {
    restarted: HashMap<Key, Timestamp>,
}

impl Unmanaged {
    /// The pods to restart, those that run longest first. Whoever restarts one says so with [`Self::restarted`].
    pub(crate) fn collect(
        &mut self,
        pods: &HashMap<Key, Arc<PodView>>,
        selected: impl Fn(&PodView) -> bool,
        managed: impl Fn(&Key) -> bool,
        now: Timestamp,
    ) -> Vec<(Key, String)> {
        let since =
            |time: Timestamp| std::time::Duration::try_from(now.duration_since(time)).unwrap_or_default();
        self.restarted.retain(|_, time| since(*time) < PAUSE);
        let mut found = Vec::new();
        for (key, pod) in pods {
            let old = pod.started.is_some_and(|started| since(started) >= MINIMAL_AGE);
            let candidate = pod.running && !pod.deleted && !pod.host_network && old && selected(pod);
            if candidate && !managed(key) && !self.restarted.contains_key(key) {
                found.push((pod.started, key.clone(), pod.uid.clone()));
            }
        }
        found.sort();
        found.into_iter().map(|(_, key, uid)| (key, uid)).collect()
    }

    /// Notes that a pod was restarted.
    pub(crate) fn restarted(&mut self, key: Key, now: Timestamp) {
        self.restarted.insert(key, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> PodView {
        PodView {
            has_address: true,
            uid: uid.to_owned(),
            node: "n".to_owned(),
            host_network: false,
            live: true,
            running: true,
            ready: true,
            deleted: false,
            started: Timestamp::from_second(0).ok(),
            labels: [("k8s-app".to_owned(), "kube-dns".to_owned())].into(),
            parsed: None,
        }
    }

    fn endpoint(pod_uid: Option<&str>) -> Arc<EndpointView> {
        let version = Version { uid: "e".to_owned(), resource: "7".to_owned() };
        let pod_uid = pod_uid.map(ToOwned::to_owned);
        Arc::new(EndpointView {
            version,
            pod_uid,
            identity: 300,
            addresses: [].into(),
            node: None,
            core: None,
        })
    }

    fn key(name: &str) -> Key {
        Key::new("a", name)
    }

    #[test]
    fn endpoints_of_dead_pods() {
        let ended = PodView { live: false, ..pod("3") };
        let pods =
            HashMap::from([("same", pod("1")), ("anew", pod("2")), ("ended", ended), ("unowned", pod("4"))]);
        let pods = pods.into_iter().map(|(name, pod)| (key(name), Arc::new(pod))).collect();
        let all = [
            ("same", Some("1")),
            ("anew", Some("1")),
            ("ended", Some("3")),
            ("gone", Some("9")),
            ("unowned", None),
        ];
        let all = all.map(|(name, uid)| (key(name), endpoint(uid))).into();
        let mut dead: Vec<_> =
            endpoints(&all, &pods).into_iter().map(|(key, _)| key.name().to_owned()).collect();
        dead.sort();
        assert_eq!(dead, ["anew", "ended", "gone"]);
    }

    #[test]
    fn another_pod_of_that_name_has_ended() {
        let ended = PodView { live: false, ..pod("before") };
        assert!(has_ended(&ended, Some("before")));
        assert!(!has_ended(&ended, Some("now")), "the watch of pods is behind");
        assert!(!has_ended(&ended, None));
        assert!(!has_ended(&pod("now"), Some("now")));
    }

    #[test]
    fn nodes_at_the_second_look() {
        let mut nodes = Nodes::default();
        let names = || ["a", "b"].into_iter();
        assert!(nodes.collect(names(), |name| name == "a").is_empty());
        assert_eq!(nodes.collect(names(), |name| name == "a"), ["b"]);
        // It came back in between: it starts over.
        assert!(nodes.collect(names(), |_| true).is_empty());
        assert!(nodes.collect(names(), |_| false).is_empty());
        assert_eq!(nodes.collect(names(), |_| false), ["a", "b"]);
    }

    #[test]
    fn unmanaged_pods_that_are_selected_and_old_enough() {
        let pods: HashMap<Key, Arc<PodView>> = HashMap::from([
            (key("older"), Arc::new(PodView { started: Timestamp::from_second(-5).ok(), ..pod("5") })),
            (key("dns"), Arc::new(pod("1"))),
            (key("connected"), Arc::new(pod("2"))),
            (key("of-the-node"), Arc::new(PodView { host_network: true, ..pod("3") })),
            (key("other"), Arc::new(PodView { labels: [].into(), ..pod("4") })),
        ]);
        let mut unmanaged = Unmanaged::default();
        let collect = |unmanaged: &mut Unmanaged, second| {
            let selected = |pod: &PodView| pod.labels.contains_key("k8s-app");
            let managed = |other: &Key| *other == key("connected");
            unmanaged.collect(&pods, selected, managed, Timestamp::from_second(second).unwrap())
        };
        assert!(collect(&mut unmanaged, 24).is_empty());
        let both = [(key("older"), "5".to_owned()), (key("dns"), "1".to_owned())];
        assert_eq!(collect(&mut unmanaged, 30), both);
        // One that could not be restarted is tried again; one that was is left alone.
        assert_eq!(collect(&mut unmanaged, 45), both);
        unmanaged.restarted(key("older"), Timestamp::from_second(45).unwrap());
        assert_eq!(collect(&mut unmanaged, 60), both[1..]);
        assert_eq!(collect(&mut unmanaged, 345), both);
    }
}
