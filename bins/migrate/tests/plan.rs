//! Plans, from surveys.

use migrate::{
    Agent, AwsNode, Eviction, Kept, NodeFacts, Note, Options, Plan, PodFacts, Refusal, Survey, plan,
};

fn pod(name: &str, eviction: Eviction) -> PodFacts {
    PodFacts { name: name.to_owned(), eviction, own_interface: false, foreign: true }
}

/// Two nodes with a pod each, and agents that keep away from what is `aws-node`'s.
fn survey() -> Survey {
    let node = |pod| NodeFacts { aws_node: true, pods: vec![pod], ..NodeFacts::default() };
    Survey {
        aws_node: Some(AwsNode::default()),
        agent: Some(Agent { keeps_away: true }),
        nodes: [
            ("a".to_owned(), node(pod("default/web", Eviction::Evicted))),
            ("b".to_owned(), node(pod("kube-system/dns", Eviction::Evicted))),
        ]
        .into(),
    }
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn labels_come_before_the_confinement_and_one_node_after_the_other() {
    let plan = plan(&survey(), Options::default());
    assert_eq!(plan.refusals, []);
    assert_eq!(
        steps(&plan),
        [
            "label node a: io.cilium/aws-node-enabled=true",
            "label node b: io.cilium/aws-node-enabled=true",
            "confine DaemonSet kube-system/aws-node to nodes with io.cilium/aws-node-enabled=true",
            "cordon node a",
            "drain node a",
            "hand over node a: remove its label io.cilium/aws-node-enabled",
            "wait until Netloom can connect pods on node a",
            "uncordon node a",
            "cordon node b",
            "drain node b",
            "hand over node b: remove its label io.cilium/aws-node-enabled",
            "wait until Netloom can connect pods on node b",
            "uncordon node b",
            "delete DaemonSet kube-system/aws-node",
        ]
    );
}

#[test]
fn nothing_is_emptied_before_netloom_is_there() {
    let plan = plan(&Survey { agent: None, ..survey() }, Options::default());
    let steps = steps(&plan);
    let install = steps.iter().position(|step| step.starts_with("wait for you")).unwrap();
    assert!(steps[..install].iter().all(|step| step.starts_with("label") || step.starts_with("confine")));
}

#[test]
fn what_was_begun_is_finished_first() {
    let mut survey = survey();
    survey.aws_node = Some(AwsNode { confined: true, ..AwsNode::default() });
    survey.nodes.get_mut("a").unwrap().labelled = true;
    let begun = survey.nodes.get_mut("b").unwrap();
    *begun = NodeFacts { cordoned: true, cordoned_here: true, ..NodeFacts::default() };
    let steps = steps(&plan(&survey, Options::default()));
    assert_eq!(steps[..2], ["wait until Netloom can connect pods on node b", "uncordon node b"]);
    assert_eq!(steps[2], "cordon node a");
}

#[test]
fn a_node_that_somebody_cordoned_stays_so() {
    let mut survey = survey();
    survey.aws_node = Some(AwsNode { confined: true, ..AwsNode::default() });
    survey.nodes.remove("b");
    survey.nodes.get_mut("a").unwrap().labelled = true;
    survey.nodes.get_mut("a").unwrap().cordoned = true;
    let steps = steps(&plan(&survey, Options::default()));
    assert!(steps.iter().all(|step| !step.contains("cordon")), "{steps:?}");
    assert!(steps.contains(&"wait until Netloom can connect pods on node a".to_owned()));
}

#[test]
fn pods_that_stay_on_their_node_get_the_new_network() {
    let mut survey = survey();
    survey.nodes.get_mut("a").unwrap().pods = vec![pod("default/log", Eviction::Stays)];
    let steps = steps(&plan(&survey, Options::default()));
    let of_a: Vec<_> = steps.iter().filter(|step| step.contains("node a")).collect();
    assert!(!of_a.contains(&&"drain node a".to_owned()));
    assert_eq!(of_a[of_a.len() - 2], "end the pods on node a that still have the old network");
}

#[test]
fn what_is_unsafe_is_refused_until_somebody_answers_for_it() {
    let mut survey = survey();
    survey.aws_node = Some(AwsNode { addon: true, ipv6: true, ..AwsNode::default() });
    survey.agent = Some(Agent { keeps_away: false });
    let pods = &mut survey.nodes.get_mut("a").unwrap().pods;
    pods.push(pod("default/alone", Eviction::Kept(Kept::Alone)));
    pods.push(pod("default/files", Eviction::Kept(Kept::Files)));
    pods.push(PodFacts { own_interface: true, ..pod("default/secure", Eviction::Evicted) });
    survey.nodes.get_mut("b").unwrap().cordoned = true;
    let refused = |options| -> Vec<&'static str> {
        plan(&survey, options)
            .refusals
            .iter()
            .map(|refusal| match refusal {
                Refusal::Addon => "add-on",
                Refusal::Ipv6 => "ipv6",
                Refusal::AgentEverywhere => "agent",
                Refusal::OwnInterface { .. } => "interface",
                Refusal::Kept { pod, .. } if pod == "default/alone" => "alone",
                Refusal::Kept { .. } => "files",
                Refusal::OnlyNode { .. } => "only node",
            })
            .collect()
    };
    assert_eq!(
        refused(Options::default()),
        ["add-on", "ipv6", "agent", "interface", "alone", "files", "only node"]
    );
    let answered = Options {
        force: true,
        delete_emptydir_data: true,
        addon_removed: true,
        allow_downtime: true,
        ..Options::default()
    };
    assert_eq!(refused(answered), ["ipv6", "agent", "interface"]);
    let prepare = Options { prepare: true, addon_removed: true, ..Options::default() };
    assert_eq!(refused(prepare), ["ipv6", "agent", "interface"]);
}

#[test]
fn a_cluster_without_pods_loses_the_daemonset_and_no_more() {
    let mut survey = survey();
    survey.nodes.values_mut().for_each(|node| node.pods.clear());
    assert_eq!(steps(&plan(&survey, Options::default())), ["delete DaemonSet kube-system/aws-node"]);
    let parked = plan(&survey, Options { park: true, ..Options::default() });
    assert!(steps(&parked)[0].starts_with("confine"));
}

/// The policy lets an operator change interfaces by their tag: those of another network have none.
#[test]
fn interfaces_that_nobody_may_change_are_named() {
    let mut survey = survey();
    survey.nodes.get_mut("b").unwrap().untagged = vec!["eni-1".to_owned(), "eni-2".to_owned()];
    let plan = plan(&survey, Options::default());
    let [note @ Note::Untagged { node, .. }] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    assert_eq!(node, "b");
    assert!(note.to_string().contains("eni-1, eni-2 lack the tag io.cilium/cluster-name"), "{note}");
    assert_eq!(plan.refusals, []);
}

#[test]
fn done_is_done() {
    let done = Survey {
        aws_node: None,
        agent: Some(Agent { keeps_away: true }),
        nodes: [("a".to_owned(), NodeFacts { ready: true, ..NodeFacts::default() })].into(),
    };
    assert_eq!(plan(&done, Options::default()), Plan::default());
}
