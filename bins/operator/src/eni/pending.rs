//! Which nodes have pods without an address.

use std::collections::{BTreeSet, HashMap};

use kubernetes::watch::Key;

use crate::view::PodView;

/// Pods that wait for an address, and how many of them each node has.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pods: HashMap<Key, String>,
    counts: HashMap<String, u32>,
}

impl Pending {
    /// A pod changed, or is gone; the nodes whose count is another are added to `nodes`.
    pub(super) fn set(&mut self, key: &Key, pod: Option<&PodView>, nodes: &mut BTreeSet<String>) {
        let node = pod.filter(|pod| pod.waits_for_address()).map(|pod| pod.node.clone());
        if node.as_ref() == self.pods.get(key) {
            return;
        }
        if let Some(before) = self.pods.remove(key) {
            if let Some(count) = self.counts.get_mut(&before) {
                *count = count.saturating_sub(1);
            }
            self.counts.retain(|_, count| *count > 0);
            nodes.insert(before);
        }
        if let Some(node) = node {
            *self.counts.entry(node.clone()).or_default() += 1;
            nodes.insert(node.clone());
            self.pods.insert(key.clone(), node);
        }
    }

    pub(super) fn of(&self, node: &str) -> u32 {
        self.counts.get(node).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(node: &str, address: Option<&str>, host_network: bool) -> PodView {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "x"},
            "spec": {"nodeName": node, "hostNetwork": host_network, "containers": []},
            "status": {"phase": "Pending", "podIPs": address.map(|ip| [json!({"ip": ip})])},
        }))
        .unwrap();
        PodView::of(pod, false, |_| false)
    }

    #[test]
    fn pods_are_counted_once_and_until_they_have_an_address() {
        let mut pending = Pending::default();
        let mut set = |name: &str, pod: Option<PodView>| {
            let mut nodes = BTreeSet::new();
            pending.set(&Key::new("ns", name), pod.as_ref(), &mut nodes);
            (nodes.into_iter().collect::<Vec<_>>(), pending.of("n1"))
        };
        assert_eq!(set("unbound", Some(pod("", None, false))), (vec![], 0));
        assert_eq!(set("host", Some(pod("n1", None, true))), (vec![], 0));
        assert_eq!(set("a", Some(pod("n1", None, false))), (vec!["n1".to_owned()], 1));
        assert_eq!(set("a", Some(pod("n1", None, false))), (vec![], 1), "nothing new");
        assert_eq!(set("b", Some(pod("n1", None, false))), (vec!["n1".to_owned()], 2));
        assert_eq!(set("a", Some(pod("n1", Some("10.0.0.9"), false))), (vec!["n1".to_owned()], 1));
        assert_eq!(set("b", Some(pod("n2", None, false))), (vec!["n1".to_owned(), "n2".to_owned()], 0));
        assert_eq!(set("b", None), (vec!["n2".to_owned()], 0));
    }
}
