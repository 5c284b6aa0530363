//! Every pod against every pod.

use super::place::Place;
use super::probe::Wanted;
use crate::cluster::Cluster;
use crate::port::Protocol;

/// The questions of a whole cluster: from each pod to each port that a pod's containers declare. Pods that have
/// finished are left out.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The pods that open connections.
    pub sources: Vec<Place>,
    /// The pods and ports that they go to.
    pub targets: Vec<(Place, Wanted)>,
    /// The pods that declare no port, so that nothing is asked about them.
    pub without_ports: Vec<String>,
}

impl Matrix {
    /// The questions of a cluster; those of one pod alone where `from` is one.
    #[must_use]
    pub fn new(cluster: &Cluster, from: Option<usize>) -> Self {
        let mut matrix = Self { sources: Vec::new(), targets: Vec::new(), without_ports: Vec::new() };
        for index in 0..cluster.pods().len() {
            let Some(pod) = cluster.pod_object(index).filter(|pod| !pod.is_finished()) else { continue };
            let name = format!("{}/{}", pod.meta.namespace(), pod.meta.name);
            let place = Place::of(name.clone(), cluster.party_of_pod(index));
            let mut ports: Vec<(u16, Protocol)> =
                pod.ports.iter().map(|port| (port.port, port.protocol)).collect();
            ports.sort_unstable();
            ports.dedup();
            if ports.is_empty() {
                matrix.without_ports.push(name);
            }
            let targets =
                ports.iter().map(|(port, protocol)| (place.clone(), Wanted::port(*protocol, *port)));
            matrix.targets.extend(targets);
            if from.is_none_or(|from| from == index) {
                matrix.sources.push(place);
            }
        }
        matrix
    }

    /// The questions: sources in their order, and for each the targets.
    pub fn questions(&self) -> impl Iterator<Item = (&Place, &Place, &Wanted)> {
        self.sources.iter().flat_map(|from| self.targets.iter().map(move |(to, wanted)| (from, to, wanted)))
    }
}
