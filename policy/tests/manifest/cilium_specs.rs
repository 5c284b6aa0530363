//! Subjects, defaults and what stands beside rules in Cilium's policies.

use crate::{Kind, one};

#[test]
fn accepted() {
    Kind::Cilium.accepts(&[
        "endpointSelector: {}\ningress: [{}]",
        "endpointSelector: {matchLabels: {\"k8s:app\": a, \"any:b\": c, d: \"\"}}\negressDeny: [{}]",
        // Another namespace is overruled by the policy's own.
        "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": other}}\ningress: [{}]",
        "endpointSelector: {matchExpressions: [{key: \"reserved:init\", operator: Exists}]}\ningress: [{}]",
        "endpointSelector: {}\ningress: []\negress: [{}]",
        "endpointSelector: {}\nenableDefaultDeny: {}\ningress: [{}]",
        "endpointSelector: {}\nenableDefaultDeny: {ingress: false, egress: true}\ningress: [{}]",
        "endpointSelector: {}\nlabels: [{key: a, value: b, source: k8s}, {key: c}]\ndescription: x\ningress: [{}]",
        "endpointSelector: {}\nlog: {value: \"zuständig: team-a\"}\ningress: [{}]",
        "endpointSelector: {}\nlog: {}\ningress: [{authentication: {mode: required}}]",
        "endpointSelector: {}\negress: [{authentication: {mode: test-always-fail}}, {authentication: {mode: disabled}}]",
    ]);
    Kind::Clusterwide.accepts(&[
        "endpointSelector: {}\ningress: [{}]",
        "nodeSelector: {matchLabels: {role: db}}\ningress: [{fromEntities: [world]}]",
        "nodeSelector: {}\negressDeny: [{toEntities: [world]}]",
    ]);
    let both = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {}, ingress: [{}]}\nspecs: [{endpointSelector: {}, egress: [{}]}]\nstatus: {whatever: 1}";
    let policy = one(both).unwrap().policy().unwrap();
    let paths: Vec<_> = policy.specs.iter().map(|spec| spec.origin.path.as_str()).collect();
    assert_eq!(paths, ["spec", "specs[0]"]);
}

#[test]
fn refused() {
    Kind::Cilium.refuses(&[
        (
            "endpointSelector: {}\nnodeSelectr: {}\ningress: [{}]",
            "6:3: spec: unknown field \"nodeSelectr\" (did you mean \"nodeSelector\"?)",
        ),
        (
            "ingress: [{}]",
            "5:3: spec: \"endpointSelector\" is missing (endpointSelector: {} selects every pod)",
        ),
        (
            "nodeSelector: {}\ningress: [{}]",
            "5:17: spec.nodeSelector: a namespaced policy has no nodeSelector (CiliumClusterwideNetworkPolicy has)",
        ),
        (
            "endpointSelector: {}",
            "5:3: spec: has no rules (at least one of ingress, ingressDeny, egress, egressDeny)",
        ),
        (
            "endpointSelector: {}\ningress: []\nenableDefaultDeny: {ingress: true}",
            "5:3: spec: has no rules (at least one of ingress, ingressDeny, egress, egressDeny)",
        ),
        (
            "endpointSelector: {}\ningress: [{}]\nenableDefaultDeny: {ingres: true, egress: 1}",
            "7:45: spec.enableDefaultDeny.egress: must be a boolean, not a number
             7:23: spec.enableDefaultDeny: unknown field \"ingres\" (did you mean \"ingress\"?)",
        ),
        (
            "endpointSelector: {matchLabels: {\"dog:a\": b}}\ningress: [{}]",
            "5:45: spec.endpointSelector.matchLabels.dog:a: \"dog:a\" does not begin with a label source (k8s:, any: or reserved:, or no source)",
        ),
        (
            "endpointSelector: {matchExpressions: [{key: a, operator: asdf, values: [b]}]}\ningress: [{}]",
            "5:60: spec.endpointSelector.matchExpressions[0].operator: \"asdf\" is not an operator (In, NotIn, Exists or DoesNotExist)",
        ),
        (
            "endpointSelector: {}\ningress: [{}]\nlog: {value: \"a very long value that has more than 32\"}",
            "7:16: spec.log.value: has 39 characters (at most 32 printable characters)",
        ),
        (
            "endpointSelector: {}\ningress: [{}]\nlog: {value: \"a\\tb\"}",
            "7:16: spec.log.value: has '\\t', which cannot be printed (at most 32 printable characters)",
        ),
        (
            "endpointSelector: {}\ningress: [{}]\nlabels: [{value: b}, a]\ndescription: 7",
            "7:12: spec.labels[0]: \"key\" is missing (the label's key)
             7:24: spec.labels[1]: must be an object, not a string
             8:16: spec.description: must be a string, not a number (quote it: \"7\")",
        ),
        (
            "endpointSelector: {}\ningress: [{authentication: {}}, {authentication: {mode: always}}]\ningressDeny: [{authentication: {mode: disabled}}]",
            "6:30: spec.ingress[0].authentication: \"mode\" is missing (disabled, required or test-always-fail)
             6:59: spec.ingress[1].authentication.mode: \"always\" is not a mode of authentication (disabled, required, test-always-fail)
             7:18: spec.ingressDeny[0]: unknown field \"authentication\" (known fields: fromEndpoints, fromEntities, fromCIDR, fromCIDRSet, fromNodes, fromGroups, fromRequires, toPorts, icmps)",
        ),
    ]);
    Kind::Clusterwide.refuses(&[(
        "endpointSelector: {}\nnodeSelector: {}\ningress: [{}]",
        "6:17: spec.nodeSelector: nodeSelector stands beside endpointSelector (a spec is about pods or about nodes)",
    )]);
    let without = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}";
    assert_eq!(
        one(without).unwrap_err().to_string(),
        "f.yaml:1:1: \"spec\" is missing (spec, or specs for several)"
    );
    let version = "apiVersion: cilium.io/v1\nkind: CiliumNetworkPolicy\nmetadata: {name: p}";
    assert_eq!(
        one(version).unwrap_err().to_string(),
        "f.yaml:1:1: apiVersion \"cilium.io/v1\" has no CiliumNetworkPolicy (apiVersion: cilium.io/v2)"
    );
}
