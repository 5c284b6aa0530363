//! The control plane's benchmark with a small cluster: its times mean nothing, but everything in it must happen.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::programs;

#[test]
fn an_agent_follows_a_cluster_that_does_not_exist() {
    let Some(programs) = programs() else { return };
    let room = tempfile::tempdir().unwrap();
    let sizes = "--nodes 5 --pods 60 --identities 20 --policies 14 --local-pods 4 --churn 20 --seconds 2";
    let output = Command::new(programs.join("netloom"))
        .env("NETLOOM_BIN_DIR", &programs)
        .env("TMPDIR", room.path())
        .args(["bench", "control-plane", "--output", "json"])
        .args(sizes.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["policy_changes_missed"], 0, "{report}");
    assert!(report["policy_changes"].as_u64().unwrap() > 0, "{report}");
    assert!(report["churned_pods"].as_u64().unwrap() > 0, "{report}");
    for kind in ["list ciliumendpoints", "watch ciliumidentities"] {
        assert!(report["requests_of_list"][kind]["requests"].as_u64().unwrap() > 0, "{kind} in {report}");
    }
    assert!(
        report["requests_of_churn"]["watch ciliumendpoints"]["bytes"].as_u64().unwrap() > 0,
        "nobody told the agent of the pods: {report}"
    );
    // It leaves nothing behind.
    let left: Vec<_> = std::fs::read_dir(room.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(Path::new(room.path()).to_str().unwrap()), "{mounts}");
}
