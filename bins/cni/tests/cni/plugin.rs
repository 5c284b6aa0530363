//! The built plugin, called as a runtime calls it, against an agent that speaks the real protocol.

use std::time::Duration;

use api::{Attachment, ErrorCode, Reply, Request};
use serde_json::{Value, json};

use crate::support::{Netns, Runtime, added, agent, agent_of_version, refused};

fn attachment() -> Attachment {
    Attachment { container_id: "c1".into(), ifname: "eth0".into() }
}

#[test]
fn add_hands_over_the_namespace_and_prints_the_result() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    let seen = agent(&runtime.socket(), |_| Some(added()));
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let outcome = runtime.call("ADD", &runtime.config(version));
        assert!(outcome.success, "{outcome:?}");
        let result = outcome.json();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["interfaces"][0]["name"], "nl12345678");
        assert_eq!(result["interfaces"][1]["name"], "eth0");
        assert_eq!(result["interfaces"][1]["sandbox"], runtime.netns.to_str().unwrap());
        assert_eq!(result["ips"][1]["address"], "fd00:10:244:1::5/128");
        assert_eq!(result["ips"][0]["interface"], 1);
        assert_eq!(result["routes"][0], json!({"dst": "0.0.0.0/0", "gw": "169.254.1.1"}));

        let seen = seen.recv().unwrap();
        assert_eq!(seen.inode, Some(netns.inode()), "the descriptor is the pod's namespace");
        let Request::Add { attachment: asked, pod, mtu, .. } = seen.request else { panic!("{seen:?}") };
        assert_eq!((asked, mtu), (attachment(), Some(1400)));
        assert_eq!(pod.unwrap().to_string(), "ns/p");
    }
    assert!(runtime.log().contains("debug ADD c1"), "{}", runtime.log());
}

#[test]
fn keys_that_nobody_knows_are_in_the_log_once_an_add() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    let _seen = agent(&runtime.socket(), |_| Some(added()));
    let mut config = runtime.config("1.0.0");
    config["eni"] = json!({"subnetTags": {"a": "b"}, "first-interface-index": 1});
    config["capabilities"] = json!({"portMappings": true});
    assert!(runtime.call("ADD", &config).success);
    let log = runtime.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let told = r#"warning ADD c1: eni.subnetTags: unknown key (did you mean "subnet-tags"?)"#;
    assert!(warnings[0].ends_with(told), "{log}");
}

#[test]
fn add_refuses_what_is_no_namespace() {
    let mut runtime = Runtime::new();
    assert_eq!(runtime.call("ADD", &runtime.config("1.0.0")).code(), 8, "the plugin's own namespace");
    runtime.netns = "/dev/null".into();
    assert_eq!(runtime.call("ADD", &runtime.config("1.0.0")).code(), 8);
    runtime.netns = "/nonexistent".into();
    assert_eq!(runtime.call("ADD", &runtime.config("1.0.0")).code(), 8);
}

#[test]
fn add_waits_for_an_agent_that_is_starting() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    let socket = runtime.socket();
    let starting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(600));
        agent(&socket, |_| Some(added()))
    });
    let outcome = runtime.call("ADD", &runtime.config("1.0.0"));
    assert!(outcome.success, "{outcome:?}");
    starting.join().unwrap();
}

#[test]
fn add_gives_up_after_a_while() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    let outcome = runtime.call("ADD", &runtime.config("1.0.0"));
    assert_eq!(outcome.code(), 11);
    assert!(outcome.elapsed > Duration::from_secs(4), "{outcome:?}");
    assert!(outcome.json()["msg"].as_str().unwrap().contains("agent.sock"), "{outcome:?}");
}

#[test]
fn refusals_have_codes_of_the_specification() {
    let Some(netns) = Netns::new() else { return };
    for (command, refusal, code) in [
        ("ADD", ErrorCode::NotReady, 11),
        ("ADD", ErrorCode::Exhausted, 100),
        ("ADD", ErrorCode::Version, 100),
        ("CHECK", ErrorCode::Unhealthy, 101),
        ("CHECK", ErrorCode::Unknown, 3),
        ("STATUS", ErrorCode::NotReady, 50),
        ("DEL", ErrorCode::Internal, 100),
    ] {
        let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
        let _seen = agent(&runtime.socket(), move |_| Some(refused(refusal)));
        let outcome = runtime.call(command, &runtime.config("1.1.0"));
        assert_eq!(outcome.code(), code, "{command} {refusal:?}");
        assert!(outcome.json()["msg"].as_str().unwrap().contains("refused"), "{outcome:?}");
    }
}

#[test]
fn another_protocol_version_is_named() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    let _seen = agent_of_version(&runtime.socket(), 99, |_| Some(Reply::EndOfFlows));
    let outcome = runtime.call("CHECK", &runtime.config("1.0.0"));
    assert_eq!(outcome.code(), 100);
    assert!(outcome.stdout.contains("protocol version"), "{outcome:?}");
}

#[test]
fn del_is_idempotent_and_needs_no_namespace() {
    let runtime = Runtime { netns: "/nonexistent".into(), ..Runtime::new() };
    let seen = agent(&runtime.socket(), |_| Some(Reply::Done));
    for _ in 0..2 {
        let outcome = runtime.call_with("DEL", &runtime.config("0.3.1"), &[("CNI_NETNS", "")]);
        assert!(outcome.success && outcome.stdout.is_empty(), "{outcome:?}");
        assert!(
            matches!(seen.recv().unwrap().request, Request::Del { attachment: asked } if asked == attachment())
        );
    }
}

#[test]
fn del_is_queued_while_the_agent_is_away() {
    let runtime = Runtime::new();
    for _ in 0..2 {
        assert!(runtime.call("DEL", &runtime.config("1.0.0")).success);
    }
    let mut queued = Vec::new();
    runtime
        .queue()
        .drain(|attachment| {
            queued.push(attachment.clone());
            true
        })
        .unwrap();
    assert_eq!(queued, [attachment()]);
}

#[test]
fn del_is_queued_when_the_agent_does_not_answer() {
    let runtime = Runtime::new();
    let _seen = agent(&runtime.socket(), |_| {
        std::thread::sleep(Duration::from_secs(4));
        None
    });
    let outcome = runtime.call("DEL", &runtime.config("1.0.0"));
    assert!(outcome.success && outcome.elapsed < Duration::from_secs(3), "{outcome:?}");
    assert!(runtime.queue().contains(&attachment()).unwrap());
}

#[test]
fn del_fails_when_the_queue_is_full() {
    let runtime = Runtime::new();
    for i in 0..api::DelQueue::CAPACITY {
        runtime.queue().write(&Attachment { container_id: format!("x{i}"), ifname: "eth0".into() }).unwrap();
    }
    assert_eq!(runtime.call("DEL", &runtime.config("1.0.0")).code(), 5);
}

#[test]
fn a_queued_del_does_not_undo_a_later_add() {
    let Some(netns) = Netns::new() else { return };
    let runtime = Runtime { netns: netns.path(), ..Runtime::new() };
    assert!(runtime.call("DEL", &runtime.config("1.0.0")).success);
    let seen = agent(&runtime.socket(), |request| match request {
        Request::Del { .. } => Some(Reply::Done),
        _ => Some(added()),
    });
    assert!(runtime.call("ADD", &runtime.config("1.0.0")).success);
    assert!(matches!(seen.recv().unwrap().request, Request::Del { .. }));
    assert!(matches!(seen.recv().unwrap().request, Request::Add { .. }));
    assert!(!runtime.queue().contains(&attachment()).unwrap());
}

#[test]
fn gc_passes_on_what_is_valid() {
    let runtime = Runtime::new();
    let seen = agent(&runtime.socket(), |_| Some(Reply::Done));
    let mut config = runtime.config("1.1.0");
    assert_eq!(runtime.call("GC", &config).code(), 7, "not saying what is valid is no reason to collect all");
    config["cni.dev/valid-attachments"] = json!([{"containerID": "c1", "ifname": "eth0"}]);
    assert!(runtime.call("GC", &config).success);
    assert!(matches!(seen.recv().unwrap().request, Request::Gc { valid } if valid == [attachment()]));
}

#[test]
fn commands_that_the_version_does_not_have() {
    let runtime = Runtime::new();
    for (command, version) in [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0"), ("ADD", "9.9.9")] {
        let outcome = runtime.call(command, &runtime.config(version));
        assert_eq!(outcome.code(), 1, "{command} {version}");
        assert!(outcome.stdout.contains(version), "{outcome:?}");
    }
}

#[test]
fn status_needs_a_ready_agent() {
    let runtime = Runtime::new();
    assert_eq!(runtime.call("STATUS", &runtime.config("1.1.0")).code(), 50);
    let _seen = agent(&runtime.socket(), |_| Some(Reply::Done));
    assert!(runtime.call("STATUS", &runtime.config("1.1.0")).success);
}

#[test]
fn version_needs_nothing() {
    let runtime = Runtime::new();
    let nothing = [("CNI_CONTAINERID", ""), ("CNI_NETNS", ""), ("CNI_IFNAME", ""), ("CNI_ARGS", "")];
    let outcome = runtime.call_with("VERSION", &json!({"cniVersion": "1.0.0"}), &nothing);
    assert!(outcome.success);
    assert_eq!(outcome.json()["supportedVersions"], json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    assert!(runtime.call_with("VERSION", &Value::Null, &nothing).success);
}

#[test]
fn wrong_environments() {
    let runtime = Runtime::new();
    let config = runtime.config("1.0.0");
    for (variable, value) in [
        ("CNI_COMMAND", "FETCH"),
        ("CNI_COMMAND", ""),
        ("CNI_CONTAINERID", ""),
        ("CNI_CONTAINERID", "a/b"),
        ("CNI_IFNAME", "a-name-that-is-too-long"),
        ("CNI_NETNS", ""),
        ("CNI_ARGS", "nonsense"),
    ] {
        let outcome = runtime.call_with("ADD", &config, &[(variable, value)]);
        assert_eq!(outcome.code(), 4, "{variable}={value}");
        assert!(outcome.stdout.contains(variable), "{outcome:?}");
    }
    assert_eq!(runtime.call("ADD", &json!("text")).code(), 6);
}
