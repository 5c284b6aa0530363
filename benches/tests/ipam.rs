//! Calls, fragmentation and rest, as the report has them.

use netloom_benches::ipam::{Fragmentation, Options, Planner, run};

/// What the goals name, and what no change may take away.
#[test]
fn the_small_report_says_all_that_is_asked_of_it() {
    let report = run(&Options { quick: true }).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for key in
        ["name", "planner", "instance_type", "new_enis", "mutating_calls", "minimum_calls", "virtual_seconds"]
    {
        assert!(!json["scenarios"][0][key].is_null(), "{key}");
    }
    for one in report.scenarios.iter().filter(|one| one.planner == Planner::Netloom) {
        assert!(one.mutating_calls * 5 <= one.minimum_calls * 6, "{one:?}");
    }

    let of = |planner| -> Vec<&Fragmentation> {
        report.fragmentation.iter().filter(|one| one.planner == planner).collect()
    };
    let (ours, cilium, vpc_cni) = (of(Planner::Netloom), of(Planner::CiliumModel), of(Planner::VpcCniModel));
    let cases: Vec<(u32, u32)> =
        ours.iter().map(|one| (one.occupied_subnets, one.occupied_percent)).collect();
    let expected = [1, 2].map(|subnets| [0, 25, 50, 75, 90].map(|percent| (subnets, percent)));
    assert_eq!(cases, expected.concat());
    for ((ours, cilium), vpc_cni) in ours.iter().zip(&cilium).zip(&vpc_cni) {
        // Of 2,048 addresses less what others have enough is left, but for the very last case.
        assert!(
            (ours.occupied_subnets, ours.occupied_percent) == (2, 90) || ours.pods_placed == ours.pods,
            "{ours:?}"
        );
        // Each interface has one of the addresses itself, and not all planners make as many.
        assert!(ours.pods_placed + 10 >= cilium.pods_placed, "{ours:?} {cilium:?}");
        // A sibling that has prefixes is found: by ours, and by whoever tries the subnets in turn. Without any
        // prefix the one that asks for nothing else has nothing.
        assert!(ours.occupied_subnets == 2 || ours.prefixes_obtained >= ours.prefixes_wanted, "{ours:?}");
        let has_prefixes = vpc_cni.occupied_subnets == 1 || vpc_cni.occupied_percent == 0;
        let expected = if has_prefixes { vpc_cni.pods } else { 0 };
        assert_eq!(vpc_cni.pods_placed, expected, "{vpc_cni:?}");
    }
    let last = ours[9];
    assert!(
        last.pods_placed > 120 && last.pods_placed < 206,
        "some hundred addresses are left of each: {last:?}"
    );

    let rest = report.idle.iter().find(|one| one.planner == Planner::Netloom).unwrap();
    assert_eq!((rest.nodes, rest.mutations_per_hour), (10, 0));
    assert_eq!(rest.reads_per_hour, 36, "three lists each five minutes");

    let page = report.page().unwrap().to_string();
    assert_eq!(page.matches("<figure").count(), 6);
    assert!(page.contains("cilium-model") && page.contains("90 %"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    report.page().unwrap().write(&file).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), page);
    // The same again, figure by figure: lots have a seed, and time is virtual.
    assert_eq!(run(&Options { quick: true }).unwrap(), report);
}
