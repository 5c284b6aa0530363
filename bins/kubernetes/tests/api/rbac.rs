//! Agent and operator may do what they need, and nothing else.

use std::collections::BTreeSet;

use envtest::{Ability, Server};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, ServiceAccount};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use kubernetes::rbac::{Manifest, Program, Rule, Verb, manifests};
use serde_json::{Value, json};

const NAMESPACE: &str = "kube-system";

#[tokio::test(flavor = "multi_thread")]
async fn programs_may_do_what_they_need_and_nothing_else() {
    // Those that the environment names may have what is made here.
    for server in envtest::servers("rights").await.expect("servers").into_iter().filter(Server::is_own) {
        let client = server.client().await.expect("a client");
        let refuses = !server.lacks(Ability::Authorization, "what agent and operator must not do is refused");
        for program in Program::ALL {
            for manifest in manifests(program, NAMESPACE) {
                apply(&client, &manifest).await;
            }
            if refuses {
                every_verb_of_every_resource(&client, program).await;
            }
        }
        // Who asks for no token may do everything.
        let (operator, agent) = if refuses {
            (as_program(&server, Program::Operator).await, as_program(&server, Program::Agent).await)
        } else {
            (client.clone(), client.clone())
        };
        kubernetes::install::install(&operator, &crds::definitions())
            .await
            .expect("the operator brings the definitions");
        calls_of_the_agent(&client, &agent).await;
        if refuses {
            calls_that_nobody_makes(&agent).await;
        }
    }
}

async fn apply(client: &Client, manifest: &Manifest) {
    let value = serde_json::to_value(manifest).expect("it is written");
    let (group, kind) = match manifest {
        Manifest::ServiceAccount(_) => ("", "ServiceAccount"),
        Manifest::ClusterRole(_) => ("rbac.authorization.k8s.io", "ClusterRole"),
        Manifest::ClusterRoleBinding(_) => ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        Manifest::Role(_) => ("rbac.authorization.k8s.io", "Role"),
        Manifest::RoleBinding(_) => ("rbac.authorization.k8s.io", "RoleBinding"),
    };
    assert_eq!(value["kind"], kind);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    let api: Api<DynamicObject> = match value["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = value["metadata"]["name"].as_str().expect("a name");
    api.patch(name, &PatchParams::apply("test"), &Patch::Apply(&value)).await.expect("it is applied");
}

/// Asks the server about each verb of each resource that a rule names, and of some that none names.
async fn every_verb_of_every_resource(client: &Client, program: Program) {
    let all = || {
        Program::ALL.into_iter().flat_map(|program| program.cluster_rules().iter().chain(program.own_rules()))
    };
    let mut resources: BTreeSet<(&str, &str)> =
        all().flat_map(|rule| rule.resources.iter().map(|resource| (rule.group, *resource))).collect();
    resources.extend([
        ("", "secrets"),
        ("", "configmaps"),
        ("", "pods/status"),
        ("", "pods/exec"),
        ("", "nodes/proxy"),
    ]);
    resources.extend([
        ("apps", "daemonsets"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("", "serviceaccounts/token"),
    ]);
    for (group, resource) in resources {
        for verb in Verb::ALL {
            let grants = |rule: &&Rule| {
                rule.group == group && rule.resources.contains(&resource) && rule.verbs.contains(&verb)
            };
            let named = program.cluster_rules().iter().find(grants);
            let name = named.and_then(|rule| rule.names.first());
            let at_home = program.own_rules().iter().any(|rule| grants(&rule));
            for (namespace, granted) in [(NAMESPACE, named.is_some() || at_home), ("other", named.is_some())]
            {
                let may = may(client, program, (group, resource, verb), namespace, name.copied()).await;
                assert_eq!(
                    may,
                    granted,
                    "{} may {} {group}/{resource} in {namespace}",
                    program.name(),
                    verb.name()
                );
            }
            if let Some(rule) = named.filter(|rule| !rule.names.is_empty()) {
                let other = may(client, program, (group, resource, verb), "other", Some("other")).await;
                assert!(!other, "{rule:?} holds for other names too");
            }
        }
    }
}

async fn may(
    client: &Client,
    program: Program,
    (group, resource, verb): (&str, &str, Verb),
    namespace: &str,
    name: Option<&str>,
) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{NAMESPACE}:{}", program.name())),
            groups: Some(vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                verb: Some(verb.name().to_owned()),
                namespace: Some(namespace.to_owned()),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api = Api::all(client.clone());
    api.create(&PostParams::default(), &review).await.expect("a review").status.expect("an answer").allowed
}

/// A client with the token of the program's ServiceAccount.
async fn as_program(server: &Server, program: Program) -> Client {
    let accounts = Api::<ServiceAccount>::namespaced(server.client().await.expect("a client"), NAMESPACE);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec!["https://kubernetes.default.svc".to_owned()],
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let request = accounts
        .create_token_request(program.name(), &PostParams::default(), &request)
        .await
        .expect("a token");
    let mut config = server.config().await.expect("a configuration");
    config.auth_info.token = Some(request.status.expect("a status").token.into());
    Client::try_from(config).expect("a client")
}

/// What the agent does, as real calls.
async fn calls_of_the_agent(admin: &Client, agent: &Client) {
    let create = |kind: &str, value: Value| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
        let object: DynamicObject = serde_json::from_value(value).expect("an object");
        let api: Api<DynamicObject> = match object.metadata.namespace.as_deref() {
            Some(namespace) => Api::namespaced_with(admin.clone(), namespace, &resource),
            None => Api::all_with(admin.clone(), &resource),
        };
        async move { api.create(&PostParams::default(), &object).await.expect("it is made") }
    };
    create("Node", json!({"metadata": {"name": "n1"}})).await;
    let pod = json!({"metadata": {"name": "web", "namespace": "default"},
                     "spec": {"containers": [{"name": "c", "image": "i"}]}});
    create("Pod", pod).await;
    create("Secret", json!({"metadata": {"name": "s", "namespace": "default"}})).await;

    let list = Default::default();
    Api::<Pod>::all(agent.clone()).list(&list).await.expect("pods");
    Api::<Namespace>::all(agent.clone()).list(&list).await.expect("namespaces");
    let apply = PatchParams::apply("netloom-agent").force();
    let endpoint = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint", "metadata": {"name": "web"},
                          "status": {"state": "ready"}});
    let endpoints = Api::<crds::CiliumEndpoint>::namespaced(agent.clone(), "default");
    endpoints.patch("web", &apply, &Patch::Apply(&endpoint)).await.expect("its endpoint");
    endpoints.delete("web", &Default::default()).await.expect("its endpoint is withdrawn");
    let identity = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumIdentity", "metadata": {"name": "300"},
                          "security-labels": {"k8s:app": "web"}});
    let identities = Api::<crds::CiliumIdentity>::all(agent.clone());
    let identity: crds::CiliumIdentity = serde_json::from_value(identity).expect("an identity");
    identities.create(&PostParams::default(), &identity).await.expect("a number");
}

/// What the agent must not be able to do, with what was made above.
async fn calls_that_nobody_makes(agent: &Client) {
    let list = Default::default();
    let identities = Api::<crds::CiliumIdentity>::all(agent.clone());
    let refused = |result: Result<(), kube::Error>, what: &str| match result {
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        other => panic!("the agent {what}: {other:?}"),
    };
    let note = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let plain = PatchParams::default();
    let (pods, nodes) = (Api::<Pod>::namespaced(agent.clone(), "default"), Api::<Node>::all(agent.clone()));
    refused(pods.patch("web", &plain, &note).await.map(drop), "writes pods");
    refused(pods.patch_status("web", &plain, &note).await.map(drop), "writes the status of pods");
    refused(pods.delete("web", &Default::default()).await.map(drop), "deletes pods");
    refused(nodes.patch("n1", &plain, &note).await.map(drop), "writes nodes");
    refused(nodes.patch_status("n1", &plain, &note).await.map(drop), "writes the status of nodes");
    let secrets = Api::<Secret>::namespaced(agent.clone(), "default");
    refused(secrets.get("s").await.map(drop), "reads secrets");
    refused(secrets.list(&list).await.map(drop), "lists secrets");
    refused(identities.delete("300", &Default::default()).await.map(drop), "deletes numbers");
}
