use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::{conditions, selector};
use super::kind::{CILIUM, Column, Kind, Version, version};
use super::schema::{boolean, cidr, list, object, one_of, string};

/// CiliumLoadBalancerIPPool.
pub(super) fn ip_pool() -> CustomResourceDefinition {
    let block = object([
        ("cidr", cidr().about("A prefix.")),
        ("start", string().about("The first address of a range.")),
        ("stop", string().about("The last address of a range.")),
    ]);
    let spec = object([
        (
            "allowFirstLastIPs",
            one_of(&["Yes", "No"])
                .about("Whether the first and last address of a prefix are given; Yes by default."),
        ),
        ("blocks", list(block).about("What it consists of.")),
        ("disabled", boolean().by_default(false).about("Whether it gives no more addresses.")),
        ("serviceSelector", selector().about("The Services it is for; all by default.")),
    ]);
    let schema = object([("spec", spec.about("The pool.")), ("status", conditions().about("How it is."))])
        .required(&["metadata", "spec"])
        .about("A pool that Services of type LoadBalancer get addresses from.");
    let current = version("v2", schema)
        .columns([
            Column::new("Disabled", "boolean", ".spec.disabled"),
            Column::new(
                "Conflicting",
                "string",
                r#".status.conditions[?(@.type=="cilium.io/PoolConflict")].status"#,
            ),
            Column::new(
                "IPs Available",
                "string",
                r#".status.conditions[?(@.type=="cilium.io/IPsAvailable")].message"#,
            ),
            Column::age(),
        ])
        .with_status();
    let old = current.deprecated_as("v2alpha1");
    Kind {
        kind: "CiliumLoadBalancerIPPool",
        plural: "ciliumloadbalancerippools",
        short: &["ippools", "ippool", "lbippool", "lbippools"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![current, old])
}

/// CiliumL2AnnouncementPolicy.
pub(super) fn l2_announcement_policy() -> CustomResourceDefinition {
    let spec = object([
        ("externalIPs", boolean().about("Whether external addresses of Services are announced.")),
        ("interfaces", list(string()).about("Regular expressions for the interfaces; all by default.")),
        ("loadBalancerIPs", boolean().about("Whether load balancer addresses of Services are announced.")),
        ("nodeSelector", selector().about("The nodes that announce; all by default.")),
        ("serviceSelector", selector().about("The Services; all by default.")),
    ]);
    let schema = object([("spec", spec.about("What, where.")), ("status", conditions().about("How it is."))])
        .required(&["metadata"])
        .about("Which nodes answer ARP and neighbour discovery for the addresses of which Services.");
    Kind {
        kind: "CiliumL2AnnouncementPolicy",
        plural: "ciliuml2announcementpolicies",
        short: &["l2announcement"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![version("v2alpha1", schema).columns([Column::age()]).with_status()])
}
