//! What a person is told who made a mistake, or whose lab has died.

use std::time::{Duration, Instant};

use crate::support::{Lab, eventually, kill};

/// Well below what a lab may take to come up.
const SOON: Duration = Duration::from_secs(15);

/// A pod of a node, or of none.
fn pod(name: &str, node: Option<&str>) -> String {
    let node = node.map(|node| format!("nodeName: {node}, ")).unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
         spec: {{{node}containers: [{{name: c, image: x}}]}}\n---\n"
    )
}

#[test]
fn values_that_a_program_would_refuse_are_refused_before_anything_is_made() {
    let Some(lab) = Lab::named("values") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netconf.json");
    let netconf = r#"{"name": "n", "plugins": [{"type": "cilium-cni", "eni": {"subnet-ids": "subnet-1"}}]}"#;
    std::fs::write(&file, netconf).unwrap();
    let read = format!("read-cni-conf={}", file.display());
    for (arguments, said) in [
        (&["--mode", "eni", "--config", &read][..], "plugins[0].eni.subnet-ids: a list is expected"),
        (&["--config", &read], "plugins[0].eni.subnet-ids: a list is expected"),
        (
            &["--config", "unmanaged-pod-watcher-interval=soon"],
            "unmanaged-pod-watcher-interval: invalid value",
        ),
        (&["--config", "cluster-pool-ipv4-mask-size=8"], "cannot be cut into blocks of /8"),
        (
            &["--config", "leader-election-renew-deadline=15s"],
            "leader-election-lease-duration must be longer",
        ),
        (&["--config", "enable-wireguard=true"], "asks for encryption between nodes"),
        (&["--config", "address-capacity=0"], "address-capacity: invalid value"),
    ] {
        let start = Instant::now();
        let text = lab.refused("up", arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(!text.contains("could not be made") && text.lines().count() == 1, "{arguments:?}: {text}");
        assert!(start.elapsed() < SOON, "{arguments:?}");
    }
    assert_eq!(lab.namespaces(), 0);
}

#[test]
fn misspelt_keys_are_told_with_what_was_meant() {
    let Some(lab) = Lab::named("odd") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netconf.json");
    let netconf =
        r#"{"cniVersion": "0.3.1", "name": "n", "plugins": [{"type": "cilium-cni", "enable_debug": true}]}"#;
    std::fs::write(&file, netconf).unwrap();
    let read = format!("read-cni-conf={}", file.display());
    let output = lab.run("up", &["--nodes", "1", "--config", "enable-polcy=always", "--config", &read]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    assert!(
        warnings[0].ends_with(r#"plugins[0].enable_debug: unknown key (did you mean "enable-debug"?)"#),
        "{said}"
    );
    assert_eq!(warnings[1], r#"warning: enable-polcy: unknown key (did you mean "enable-policy"?)"#);
    // The programs' own logs say the same, and what has no effect is one line.
    let log = std::fs::read_to_string(lab.files("node1").agent_log()).unwrap();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    let found = ["enable-polcy", "enable_debug", "without effect"].map(lines);
    assert_eq!(found, [1, 1, 1], "{log}");
    // With a configuration of one's own, pods find the agent of their node all the same.
    lab.applied(&pod("web", Some("node1")));
    let log = std::fs::read_to_string(lab.files("node1").cni_log()).unwrap();
    assert!(log.contains(r#"enable_debug: unknown key (did you mean "enable-debug"?)"#), "{log}");
}

#[test]
fn a_program_that_ends_at_its_start_ends_the_wait() {
    let Some(lab) = Lab::named("ends") else { return };
    let start = Instant::now();
    // What the kernel refuses is not known beforehand.
    let capacity = ["--nodes", "1", "--timeout", "60", "--config", "connection-capacity=4294967295"];
    let text = lab.refused("up", &capacity);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}: {text}", start.elapsed());
    let last = text.lines().last().unwrap();
    let told = "could not be made: the agent of node1 ends as soon as it is started (exit status: 1): loading the datapath";
    assert!(last.contains(told), "{text}");
    assert!(text.contains("agent.log"), "the ends of the logs come before: {text}");
    assert_eq!(lab.namespaces(), 0);
}

#[test]
fn a_lab_without_its_daemon_says_so_everywhere() {
    let Some(lab) = Lab::up("dead", 2, &pod("web", Some("node1"))) else { return };
    let alive = lab.look();
    assert!(alive["problem"].is_null() && alive["operators"][0]["leads"] == true, "{alive}");
    kill(u32::try_from(alive["daemon"].as_u64().unwrap()).unwrap(), "KILL");
    eventually("the daemon is gone", || lab.look()["daemon"].is_null().then_some(()));
    let told =
        format!("the daemon of lab {0} is dead: netloom lab resume --name {0} starts it again", lab.name);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pod.yaml");
    std::fs::write(&file, pod("more", None)).unwrap();
    let file = file.display().to_string();
    for (command, arguments) in [
        ("apply", &["-f", &file][..]),
        ("delete", &["pod", "web"]),
        ("probe", &["web", "world", "80"]),
        ("status", &[]),
    ] {
        let text = lab.refused(command, arguments);
        assert!(text.trim_end().ends_with(&told), "{command}: {text}");
    }
    let dead = lab.look();
    assert_eq!(dead["problem"], told.as_str(), "{dead}");
    assert!(dead["operators"][0]["leads"].is_null() && dead["apiProblem"].is_string(), "{dead}");
    assert_eq!(dead["nodes"][0]["agent"]["ready"], true, "what agents say does not depend on it: {dead}");
    let path = lab.run("kubeconfig", &[]);
    assert!(path.status.success() && String::from_utf8_lossy(&path.stderr).contains(&told), "{path:?}");
    lab.json("resume", &[]);
    lab.applied(&pod("more", None));
}

#[test]
fn operators_are_shown_and_who_leads() {
    let Some(lab) = Lab::up_with("lead", &["--nodes", "2", "--operators", "2"], "") else { return };
    let leader = || {
        let operators = lab.look()["operators"].as_array().cloned().unwrap_or_default();
        assert_eq!(operators.len(), 2);
        let leads: Vec<_> = operators.iter().filter(|operator| operator["leads"] == true).cloned().collect();
        (leads.len() == 1).then(|| leads[0].clone())
    };
    let first = eventually("one leads", leader);
    assert!(first["since"].as_str().unwrap().ends_with('Z') && first["problem"].is_null(), "{first}");
    let name = first["name"].as_str().unwrap();
    assert_eq!(first["pid"], lab.pid(name), "{first}");
    assert_eq!(
        first["node"],
        name.replace("operator", "node").as_str(),
        "each is on a node of its own: {first}"
    );
    // One that ends gives the lease back, and whoever is first takes it: perhaps the next one of the same name.
    kill(lab.pid(name), "TERM");
    let second =
        eventually("another process leads", || leader().filter(|leader| leader["pid"] != first["pid"]));
    let text = lab.run("status", &[]).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(&format!("operator {} leads since ", second["pid"])), "{text}");
}

#[test]
fn a_node_takes_no_more_pods_than_a_kubelet_would() {
    let eni = ["--mode", "eni", "--nodes", "1", "--max-pods", "3"];
    let Some(lab) = Lab::up_with("full", &eni, "") else { return };
    assert_eq!(lab.look()["nodes"][0]["maxPods"], 3);
    let full: String = ["a", "b", "c"].map(|name| pod(name, Some("node1"))).concat();
    lab.applied(&full);
    let start = Instant::now();
    let output = lab.apply(&pod("d", Some("node1")));
    let text = String::from_utf8_lossy(&output.stderr);
    let told = "Pod default/d does not run on node1, and will not: Pod was rejected: Node didn't have enough resource: \
                pods, requested: 1, used: 3, capacity: 3";
    assert!(!output.status.success() && text.contains(told) && start.elapsed() < SOON, "{text}");
    let status = lab.look();
    let phases: Vec<_> = status["pods"].as_array().unwrap().iter().map(|pod| pod["phase"].clone()).collect();
    assert_eq!(phases, ["Running", "Running", "Running", "Failed"], "{status}");
    // The scheduler looks before it binds, and what was refused takes nobody's place.
    lab.announce(&pod("e", None));
    eventually("the scheduler says why", || {
        let pods = lab.look()["pods"].clone();
        let of = pods.as_array()?.iter().find(|pod| pod["name"] == "e")?.clone();
        of["message"].as_str()?.contains("1 node(s) had too many pods").then_some(())
    });
    lab.deleted(&pod("a", None));
    eventually("there is room now", || {
        let pods = lab.look()["pods"].clone();
        let of = pods.as_array()?.iter().find(|pod| pod["name"] == "e")?.clone();
        (of["phase"] == "Running").then_some(())
    });
}
