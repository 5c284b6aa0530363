//! Replays every input that is kept under `fuzz/regressions/<target>/`.

use std::fs;
use std::path::Path;

use netloom_fuzz_cases::TARGETS;

#[test]
fn what_was_found_once_stays_found() {
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../regressions");
    let mut folders: Vec<String> = fs::read_dir(&regressions)
        .expect("fuzz/regressions")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(folders, names, "one folder for each target, and no other");

    for (name, target) in TARGETS {
        let mut replayed = 0;
        for entry in fs::read_dir(regressions.join(name)).expect("a target's folder") {
            let path = entry.expect("an entry").path();
            // A panic's message comes after this line.
            println!("{}", path.display());
            target(&fs::read(&path).expect("an input"));
            replayed += 1;
        }
        assert!(replayed > 0, "fuzz/regressions/{name} is empty");
    }
}

#[test]
fn each_target_has_a_fuzzer() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "fuzz/Cargo.toml has no target {name}"
        );
    }
}
