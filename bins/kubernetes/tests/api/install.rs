//! Definitions are brought into a cluster, once, and never downgraded.

use crds::schema_version::LABEL;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use kubernetes::install::{InstallError, Outcome, install};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_made_brought_up_to_date_and_left_alone() {
    for server in envtest::servers("install").await.expect("servers") {
        let client = server.client().await.expect("a client");
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        for definition in crds::definitions() {
            // A server that is not our own may have them.
            let _ = api.delete(&definition.name_any(), &DeleteParams::default()).await;
        }
        let ours = crds::definitions();
        let outcomes = |installed: Vec<kubernetes::install::Installed>| {
            installed.into_iter().map(|one| one.outcome).collect::<Vec<_>>()
        };

        // Three replicas at once: each of them ends well, and each definition was made by one of them.
        let (a, b, c) =
            tokio::join!(install(&client, &ours), install(&client, &ours), install(&client, &ours));
        let all = [a, b, c].map(|installed| outcomes(installed.expect("they are installed")));
        for (number, definition) in ours.iter().enumerate() {
            let made = all.iter().filter(|outcomes| outcomes[number] == Outcome::Created).count();
            assert_eq!(made, 1, "{}", definition.name_any());
        }
        let again = outcomes(install(&client, &ours).await.expect("again"));
        assert!(again.iter().all(|outcome| *outcome == Outcome::Unchanged), "{again:?}");

        // An older one is replaced, with its stranger's annotation; a newer one is left as it is.
        let nodes: Vec<_> = ours.into_iter().filter(|d| d.name_any() == "ciliumnodes.cilium.io").collect();
        let change = |version: &str| {
            json!({"metadata": {"labels": {LABEL: version, "theirs": "yes"}, "annotations": {"theirs": "yes"}},
                   "spec": {"names": {"shortNames": ["theirs"]}}})
        };
        for (version, outcome) in [("1.2.3", Outcome::Updated), ("99.0", Outcome::Newer)] {
            api.patch("ciliumnodes.cilium.io", &PatchParams::default(), &Patch::Merge(change(version)))
                .await
                .expect("it is changed");
            assert_eq!(outcomes(install(&client, &nodes).await.expect("it is installed")), [outcome]);
            let now = api.get("ciliumnodes.cilium.io").await.expect("it is there");
            assert_eq!(now.annotations()["theirs"], "yes");
            assert_eq!(now.labels()["theirs"], "yes");
            let short = now.spec.names.short_names.clone().expect("short names");
            assert_eq!(
                short == nodes[0].spec.names.short_names.clone().unwrap_or_default(),
                outcome == Outcome::Updated
            );
        }

        // What the server refuses is an error with its name.
        let mut wrong = nodes.clone();
        wrong[0].metadata.name = Some("wrong.cilium.io".to_owned());
        let error = install(&client, &wrong).await.expect_err("a wrong name");
        assert!(matches!(&error, InstallError::Refused { name, .. } if name == "wrong.cilium.io"), "{error}");
        api.delete("ciliumnodes.cilium.io", &DeleteParams::default()).await.expect("it is deleted");
    }
}
