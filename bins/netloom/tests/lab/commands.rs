//! `netloom lab`'s commands.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Lab;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node1
  containers: [{name: c, image: any, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: infra}
spec:
  nodeName: node2
  containers: [{name: c, image: any, ports: [{containerPort: 53, protocol: UDP}]}]
";

#[test]
fn a_lab_from_up_to_down() {
    let Some(lab) = Lab::named("all") else { return };
    let directory = std::env::temp_dir().join(&lab.name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("pods.yaml"), PODS).unwrap();
    let up = lab.json("up", &["--nodes", "2", "--apply", directory.to_str().unwrap()]);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(up["nodes"].as_array().unwrap().len(), 2);
    assert!(up["pods"].as_array().unwrap().iter().all(|pod| pod["phase"] == "Running"), "{up}");

    for family in ["4", "6"] {
        let probe = lab.json("probe", &["web", "infra/dns", "53/UDP", "--family", family]);
        assert_eq!(
            (&probe["outcome"], &probe["answer"]),
            (&"connected".into(), &"infra/dns".into()),
            "{probe}"
        );
        let probe = lab.json("probe", &["infra/dns", "web", "80", "--family", family]);
        assert_eq!(
            (&probe["verdict"], &probe["answer"]),
            (&"ALLOW".into(), &"default/web".into()),
            "{probe}"
        );
    }
    assert_eq!(lab.json("probe", &["infra/dns", "world", "443"])["answer"], "world");
    assert_eq!(lab.json("probe", &["node/node1", "web", "80"])["answer"], "default/web");

    let exec = lab.run("exec", &["infra/dns", "--", "sh", "-c", "ip -o link show eth0; exit 7"]);
    assert_eq!(exec.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&exec.stdout).contains("eth0"));

    let new = PODS.replace("name: web", "name: web2");
    let bad = format!(
        "{new}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}, ingres: []}}\n"
    );
    let refused = lab.apply(&bad);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("ingres"));
    assert_eq!(
        lab.json("status", &[])["pods"].as_array().unwrap().len(),
        2,
        "nothing of a bad batch is applied"
    );
    assert!(lab.apply(&new).status.success());
    assert_eq!(lab.json("status", &[])["pods"].as_array().unwrap().len(), 3);
    lab.json("delete", &["pod", "default/web2"]);
    assert_eq!(lab.namespaces(), 5);

    assert!(lab.run("down", &[]).status.success());
    assert_eq!(lab.namespaces(), 0);
    assert!(!Path::new("/run/netloom/lab").join(&lab.name).exists());
    assert!(lab.run("down", &[]).status.success(), "down twice");
}

#[test]
fn the_daemons_hold_nothing_of_the_callers() {
    let Some(lab) = Lab::named("fds") else { return };
    let script = format!(
        "exec 7>&1; NETLOOM_BIN_DIR={} {} lab up --nodes 1 --name {}",
        lab.programs.display(),
        env!("CARGO_BIN_EXE_netloom"),
        lab.name
    );
    let mut up = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let mut said = String::new();
    // Ends only when every holder of the pipe has closed it, descriptor 7 included.
    up.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(up.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(30) && said.contains(&lab.name), "{said}");
}

#[test]
fn a_killed_daemon_leaves_nothing_after_down() {
    let Some(lab) = Lab::named("kill") else { return };
    let up = lab.json("up", &["--nodes", "1"]);
    let daemon = up["daemon"].as_i64().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &daemon]).status().unwrap().success());
    assert!(lab.run("down", &[]).status.success());
    assert_eq!(lab.namespaces(), 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&lab.name), "{mounts}");
}

#[test]
fn two_labs_side_by_side() {
    let (Some(one), Some(two)) = (Lab::named("one"), Lab::named("two")) else { return };
    one.json("up", &["--nodes", "1"]);
    two.json("up", &["--nodes", "1"]);
    assert!(one.run("down", &[]).status.success());
    assert!(two.json("status", &[])["daemon"].is_i64());
}

#[test]
fn the_world_calls_a_pod_and_hears_its_answer() {
    let Some(lab) = Lab::named("world") else { return };
    lab.json("up", &["--nodes", "1"]);
    assert!(lab.apply(PODS.split("---").next().unwrap()).status.success());
    for family in ["4", "6"] {
        // The answer must not leave with the node's address, although what the pod begins does.
        let probe = lab.json("probe", &["world", "web", "80", "--family", family]);
        assert_eq!(probe["answer"], "default/web", "{probe}");
        let probe = lab.json("probe", &["web", "world", "80", "--family", family]);
        assert_eq!(probe["answer"], "world", "{probe}");
    }
}
