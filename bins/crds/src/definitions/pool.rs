use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::selector;
use super::kind::{CILIUM, Kind, version};
use super::schema::{Schema, boolean, cidr, integer, list, object};

/// CiliumPodIPPool.
pub(super) fn pod_ip_pool() -> CustomResourceDefinition {
    let end = |name: &str, which: &str| {
        boolean()
            .by_default(false)
            .immutable(name)
            .about(&format!("Whether a CIDR's {which} address is a pod's."))
    };
    let spec = object([
        ("allowFirstIP", end("allowFirstIP", "first")),
        ("allowLastIP", end("allowLastIP", "last")),
        ("ipv4", family(32).about("IPv4 CIDRs.")),
        ("ipv6", family(128).about("IPv6 CIDRs.")),
        ("namespaceSelector", selector().about("The namespaces of pods that use it without asking.")),
        ("podSelector", selector().about("The pods that use it without asking.")),
    ]);
    let schema = object([("spec", spec.about("The pool."))])
        .required(&["spec"])
        .about("A pool that nodes get pod CIDRs from.");
    Kind {
        kind: "CiliumPodIPPool",
        plural: "ciliumpodippools",
        short: &["cpip"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![version("v2alpha1", schema)])
}

fn family(bits: i32) -> Schema {
    let size =
        integer().min(1).max(bits).immutable("maskSize").about("The prefix length of what one node gets.");
    object([("cidrs", list(cidr()).min_items(1).about("What it consists of.")), ("maskSize", size)])
        .required(&["cidrs", "maskSize"])
}
