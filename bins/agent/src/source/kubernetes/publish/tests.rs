//! What is due, without an API.

use crds::types::node::CNI_READY_ANNOTATION;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;
use kube::core::Status;
use kubernetes::watch::{Event, Key};
use policy::Label;
use serde_json::{Value, from_value, json};

use super::super::kind::Kind;
use super::super::watches::Told;
use super::*;
use crate::source::Change;

struct Scene {
    picture: Picture,
    publisher: Publisher,
    now: Instant,
    _state: tempfile::TempDir,
}

fn scene(allocates: bool) -> Scene {
    let state = tempfile::tempdir().unwrap();
    let kinds: Vec<Kind> = Kind::COMMON.into_iter().chain([Kind::CiliumEndpoint]).collect();
    let terms =
        Terms { node: "n1".into(), boot_id: "b".into(), ranges_of_node: false, allocates, slices: false };
    let mut scene = Scene {
        picture: Picture::open("n1", kinds, state.path().join("policies"), state.path().join("ranges.json"))
            .unwrap(),
        publisher: Publisher::new(terms),
        now: Instant::now(),
        _state: state,
    };
    scene.node("u");
    for kind in Kind::COMMON {
        scene.tell(match kind {
            Kind::Node => Told::Node(Event::Synced),
            Kind::CiliumNode => Told::CiliumNode(Event::Synced),
            Kind::CiliumIdentity => Told::Identity(Event::Synced),
            kind => Told::Stored(kind, Event::Synced),
        });
    }
    scene
}

fn labels(app: &str) -> LabelSet {
    [Label::k8s("app", app)].into_iter().collect()
}

fn pod(name: &str) -> PodRef {
    PodRef { namespace: "shop".into(), name: name.into() }
}

fn attachment(id: &str) -> Attachment {
    Attachment { container_id: id.into(), ifname: "eth0".into() }
}

fn published(name: &str, container: &str, identity: u32) -> Report {
    Report::Endpoint(Box::new(Published {
        pod: pod(name),
        attachment: attachment(container),
        id: 1,
        identity: Identity(identity),
        labels: labels(name),
        addresses: vec!["10.0.0.7".parse().unwrap()],
        ingress_enforced: false,
        egress_enforced: false,
    }))
}

fn error(code: u16) -> kube::Result<()> {
    let mut status = Status::failure("no", "Fault");
    status.code = code;
    Err(kube::Error::Api(status.boxed()))
}

impl Scene {
    fn tell(&mut self, told: Told) {
        let mut changes: Vec<Change> = Vec::new();
        self.picture.take(told, &mut changes);
    }

    /// The API has this node's Node.
    fn node(&mut self, uid: &str) {
        let node: Node = from_value(json!({
            "metadata": {"name": "n1", "uid": uid},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
        }))
        .unwrap();
        self.tell(Told::Node(Event::Set(Box::new(node))));
    }

    /// All has been told.
    fn complete(&mut self) {
        self.tell(Told::Endpoint(Event::Synced));
        let node = self.due().into_iter().find(|(subject, _)| *subject == Subject::Node).unwrap();
        let Call::CreateNode(object) = &node.1 else { panic!("{node:?}") };
        self.tell(Told::CiliumNode(Event::Set(object.clone())));
        self.publisher.done(&node.0, &node.1, &Ok(()), self.now);
        self.now += SETTLES;
    }

    fn report(&mut self, report: Report) {
        self.publisher.report(report, self.now);
    }

    fn due(&mut self) -> Vec<(Subject, Call)> {
        self.publisher.due(&self.picture, self.now).0
    }

    /// The one call that is due.
    fn one(&mut self) -> (Subject, Call) {
        let mut due = self.due();
        assert_eq!(due.len(), 1, "{due:?}");
        due.remove(0)
    }

    fn done(&mut self, call: &(Subject, Call), outcome: &kube::Result<()>) {
        self.publisher.done(&call.0, &call.1, outcome, self.now);
    }

    fn pod_object(&mut self, name: &str, uid: &str) {
        let object: DynamicObject = from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": uid},
            "spec": {"nodeName": "n1", "containers": []},
        }))
        .unwrap();
        self.tell(Told::Stored(Kind::Pod, Event::Set(Box::new(object))));
    }

    /// The API has an endpoint.
    fn endpoint(&mut self, status: &Value) {
        let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "status": status});
        self.tell(Told::Endpoint(Event::Set(Box::new(from_value(object).unwrap()))));
    }

    fn identity(&mut self, number: u32, app: &str) {
        let object = json!({"metadata": {"name": number.to_string()}, "security-labels": {"k8s:app": app}});
        self.tell(Told::Identity(Event::Set(Box::new(from_value(object).unwrap()))));
    }
}

#[test]
fn nothing_is_written_before_everything_was_told() {
    let mut scene = scene(true);
    scene.report(Report::IdentityWanted(labels("web")));
    scene.report(Report::Ready(true));
    assert!(scene.due().is_empty());
    scene.tell(Told::Endpoint(Event::Synced));
    assert_eq!(scene.due().len(), 2, "the node, and a number");
}

fn number(call: &(Subject, Call)) -> u32 {
    let Call::CreateIdentity(number, _) = &call.1 else { panic!("{call:?}") };
    number.0
}

#[test]
fn a_number_is_asked_for_until_there_is_one() {
    let mut scene = scene(true);
    scene.complete();
    scene.report(Report::IdentityWanted(labels("web")));
    let first = scene.one();
    assert!(scene.due().is_empty(), "one at a time");
    scene.done(&first, &error(500));
    assert!(scene.due().is_empty(), "not at once");
    scene.now += Duration::from_secs(31);
    let second = scene.one();
    assert_eq!(first, second);
    scene.done(&second, &Ok(()));
    assert!(scene.due().is_empty(), "the watch will tell");
    scene.identity(number(&first), "web");
    scene.now += Duration::from_secs(31);
    assert!(scene.due().is_empty());
}

#[test]
fn nodes_that_want_the_same_ask_for_the_same_number() {
    let [mut one, mut other] = [scene(true), scene(true)];
    for (scene, apps) in [(&mut one, ["web", "db"]), (&mut other, ["db", "web"])] {
        scene.complete();
        for app in apps {
            scene.report(Report::IdentityWanted(labels(app)));
        }
    }
    assert_eq!(one.due(), other.due());
}

#[test]
fn the_number_that_pods_have_is_asked_for_first() {
    let mut scene = scene(true);
    scene.complete();
    scene.report(published("web", "c1", 4321));
    assert_eq!(number(&scene.one()), 4321);
}

#[test]
fn who_was_slower_waits_for_the_watch() {
    let mut scene = scene(true);
    scene.complete();
    scene.report(Report::IdentityWanted(labels("web")));
    let first = scene.one();
    scene.done(&first, &error(409));
    assert!(scene.due().is_empty(), "it may be the same labels'");
    // It is another's: the next one, at once.
    scene.identity(number(&first), "db");
    let second = scene.one();
    assert_eq!(number(&second), number(&first) + 1);
    // The watch says nothing: not for ever.
    scene.done(&second, &error(409));
    assert!(scene.due().is_empty());
    scene.now += SETTLES;
    assert_eq!(number(&scene.one()), number(&second) + 1);
}

#[test]
fn where_the_operator_gives_numbers_the_agent_waits() {
    let mut scene = scene(false);
    scene.complete();
    scene.report(Report::IdentityWanted(labels("web")));
    assert!(scene.due().is_empty());
}

#[test]
fn an_endpoint_is_written_when_it_is_another_or_was_lost() {
    let mut scene = scene(true);
    scene.complete();
    scene.identity(300, "web");
    scene.report(published("web", "c1", 300));
    assert!(scene.due().is_empty(), "whose it is is not known yet");
    scene.pod_object("web", "u1");
    let call = scene.one();
    scene.done(&call, &Ok(()));
    let status = json!({
        "identity": {"id": 300},
        "networking": {"node": "192.0.2.1", "addressing": [{"ipv4": "10.0.0.7"}]},
    });
    scene.endpoint(&status);
    scene.now += Duration::from_secs(60);
    assert!(scene.due().is_empty());

    // A pod of the same name.
    scene.pod_object("web", "u2");
    let call = scene.one();
    let Call::ApplyEndpoint { object, .. } = &call.1 else { panic!("{call:?}") };
    assert_eq!(object.metadata.owner_references.as_ref().unwrap()[0].uid, "u2");
    scene.done(&call, &Ok(()));
    assert!(scene.due().is_empty());

    // Somebody removes it.
    scene.now += Duration::from_secs(60);
    scene.tell(Told::Endpoint(Event::Gone(Key::new("shop", "web"))));
    assert!(matches!(scene.one().1, Call::ApplyEndpoint { .. }));
}

#[test]
fn no_number_is_asked_for_labels_that_are_not_known() {
    let mut scene = scene(true);
    scene.complete();
    let Report::Endpoint(mut unknown) = published("web", "c1", Identity::INIT.0) else { unreachable!() };
    unknown.labels = reserved_labels(Identity::INIT);
    scene.report(Report::Endpoint(unknown));
    assert!(scene.due().is_empty());
    scene.report(published("web", "c1", Identity::INIT.0));
    assert!(matches!(scene.one().1, Call::CreateIdentity(..)), "they are");
}

#[test]
fn a_pod_without_a_number_is_told_only_if_it_stays_so() {
    let mut scene = scene(false);
    scene.complete();
    scene.pod_object("web", "u1");
    scene.report(published("web", "c1", Identity::INIT.0));
    let (due, wake) = scene.publisher.due(&scene.picture, scene.now);
    assert!(due.is_empty());
    scene.now = wake.unwrap();
    let call = scene.one();
    let Call::ApplyEndpoint { object, .. } = &call.1 else { panic!("{call:?}") };
    assert_eq!(object.status.as_ref().unwrap().state.as_deref(), Some("waiting-for-identity"));
}

#[test]
fn what_is_gone_is_removed_and_who_came_after_it_stays() {
    let mut scene = scene(true);
    scene.complete();
    scene.identity(300, "web");
    scene.pod_object("web", "u1");
    scene.report(published("web", "c1", 300));
    scene.report(published("web", "c2", 300));
    scene.report(Report::EndpointGone(pod("web"), attachment("c1")));
    assert!(matches!(scene.one().1, Call::ApplyEndpoint { .. }), "the new container's");

    let mut scene = self::scene(true);
    scene.complete();
    scene.report(Report::EndpointGone(pod("web"), attachment("c1")));
    let call = scene.one();
    assert!(
        matches!(&call.1, Call::DeleteEndpoint { attachment: Some(id), .. } if id == "c1:eth0"),
        "{call:?}"
    );
    scene.done(&call, &error(409));
    let call = scene.one();
    scene.done(&call, &Ok(()));
    scene.now += Duration::from_secs(60);
    assert!(scene.due().is_empty());
}

#[test]
fn what_an_earlier_agent_left_goes_once_all_pods_are_known() {
    let mut scene = scene(true);
    scene.complete();
    scene.endpoint(&json!({"networking": {"node": "192.0.2.1", "addressing": []}}));
    assert!(scene.due().is_empty());
    scene.report(Report::Ready(true));
    let due = scene.due();
    assert!(
        due.iter().any(|(_, call)| matches!(call, Call::DeleteEndpoint { attachment: None, .. })),
        "{due:?}"
    );
}

#[test]
fn a_busy_node_is_still_ready_for_a_while() {
    let mut scene = scene(true);
    scene.complete();
    scene.report(Report::Ready(true));
    let call = scene.one();
    assert_eq!(
        call.1,
        Call::PatchNode("n1".into(), json!({"metadata": {"annotations": {CNI_READY_ANNOTATION: "true"}}}))
    );
    let Some(mut object) = scene.picture.nodes.published.clone() else { panic!() };
    object.metadata.annotations = Some([(CNI_READY_ANNOTATION.to_owned(), "true".to_owned())].into());
    scene.tell(Told::CiliumNode(Event::Set(Box::new(object))));
    scene.done(&call, &Ok(()));
    scene.now += Duration::from_secs(60);
    scene.report(Report::Ready(false));
    assert!(scene.due().is_empty());
    scene.now += BUSY;
    assert!(matches!(scene.one().1, Call::PatchNode(..)));
}

#[test]
fn a_node_that_was_deleted_is_not_made_again_and_again() {
    let mut scene = scene(true);
    scene.complete();
    scene.tell(Told::Node(Event::Gone(Key::new("", "n1"))));
    // Collected, as it was the Node's.
    scene.tell(Told::CiliumNode(Event::Gone(Key::new("", "n1"))));
    scene.now += Duration::from_secs(60);
    assert!(scene.due().is_empty());
    scene.node("u2");
    let call = scene.one();
    let Call::CreateNode(object) = &call.1 else { panic!("{call:?}") };
    assert_eq!(object.metadata.owner_references.as_ref().unwrap()[0].uid, "u2");
}

#[test]
fn a_policy_that_was_lost_stays_while_a_pod_that_was_lost_is_connected() {
    let mut scene = scene(true);
    scene.complete();
    scene.identity(300, "web");
    let kind = Kind::CiliumNetworkPolicy;
    let key = || Key::new("shop", "p");
    let policy = || {
        let object = json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "shop"},
            "spec": {"endpointSelector": {}, "ingress": [{}]},
        });
        Told::Stored(kind, Event::Set(Box::new(from_value(object).unwrap())))
    };
    let mut changes = Vec::new();
    let mut tell = |scene: &mut Scene, told| {
        changes.clear();
        scene.picture.take(told, &mut changes);
        changes.iter().filter(|change| matches!(change, Change::Removed(_))).count()
    };
    tell(&mut scene, policy());
    scene.pod_object("web", "u1");
    scene.report(published("web", "c1", 300));
    assert!(!scene.publisher.has_orphans(&scene.picture));

    // Nobody deleted it.
    assert_eq!(tell(&mut scene, Told::Stored(kind, Event::Lost(key()))), 0);
    assert!(scene.picture.take_stirred() && scene.picture.lost.next().is_some());
    assert_eq!(tell(&mut scene, Told::Stored(Kind::Pod, Event::Lost(Key::new("shop", "web")))), 1);
    assert!(scene.publisher.has_orphans(&scene.picture), "the pod is connected");
    scene.report(Report::EndpointGone(pod("web"), attachment("c1")));
    assert!(!scene.publisher.has_orphans(&scene.picture));

    // Not before all watches had the time to notice.
    let mut given_up = Vec::new();
    let due = scene.picture.lost.next().unwrap();
    scene.picture.give_up_lost(due - Duration::from_millis(1), &mut given_up);
    assert!(given_up.is_empty());
    scene.picture.give_up_lost(due, &mut given_up);
    assert!(matches!(&given_up[..], [Change::Removed(_)]), "{given_up:?}");
    assert_eq!(scene.picture.lost.next(), None);

    // What is told again, or deleted by somebody, is not lost any more.
    for end in [policy(), Told::Stored(kind, Event::Gone(key()))] {
        tell(&mut scene, policy());
        tell(&mut scene, Told::Stored(kind, Event::Lost(key())));
        let is_deleted = matches!(end, Told::Stored(_, Event::Gone(_)));
        assert_eq!(tell(&mut scene, end), usize::from(is_deleted));
        assert_eq!(scene.picture.lost.next(), None);
    }
}
