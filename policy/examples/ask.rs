//! How long the steps of `netloom policy matrix` take.
//!
//! `cargo run --release -p netloom-policy --example ask DIR [NAMESPACE/POD | PROBES] [tables]`, where DIR and PROBES are
//! those that the example `cluster` writes. With `tables`, every answer comes from tables.

use std::time::{Duration, Instant};
use std::{env, fs, io};

use netloom_policy::cluster::Cluster;
use netloom_policy::judge::{Explaining, Judge, Matrix, Peers, TablesEngine};
use netloom_policy::{Settings, manifest};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let directory =
        args.next().ok_or_else(|| io::Error::other("usage: ask DIR [NAMESPACE/POD | PROBES] [tables]"))?;
    let asked = args.next().unwrap_or_else(|| "ns-0/app-0-00000".to_owned());
    let explaining = if args.next().is_some() { Explaining::ByTables } else { Explaining::Cheapest };
    let mut clock = Clock(Instant::now(), Duration::ZERO);
    let mut objects = Vec::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        objects.extend(
            manifest::parse(&text, &path.display().to_string(), 1).into_iter().filter_map(Result::ok),
        );
    }
    clock.lap("read and parse");
    let cluster = Cluster::new(objects);
    clock.lap("facts");
    let peers = Peers::new(&cluster, Settings::default())?;
    clock.lap("policies and peers");
    let mut judge = Judge::new(&cluster, TablesEngine::new(&cluster, &peers, explaining));
    let (mut answers, mut denied) = (0, 0);
    if let Some((namespace, name)) = asked.split_once('/').filter(|_| !asked.ends_with(".json")) {
        let matrix = Matrix::new(&cluster, cluster.pod(namespace, name));
        for (from, to, wanted) in matrix.questions() {
            let answer = judge.between(from, to, wanted)?;
            answers += 1;
            denied += usize::from(answer.verdict == netloom_policy::Verdict::Deny);
        }
    } else {
        let probes: Vec<Value> = serde_json::from_str(&fs::read_to_string(&asked)?)?;
        clock.lap("read probes");
        for probe in &probes {
            let answer = judge.answer(probe);
            answers += 1;
            denied += usize::from(answer["verdict"] == "DENY");
        }
    }
    clock.lap("answer");
    println!("{answers} answers, {denied} denied, {:?} in all", clock.1);
    Ok(())
}

struct Clock(Instant, Duration);

impl Clock {
    fn lap(&mut self, what: &str) {
        let passed = self.0.elapsed();
        println!("{what}: {passed:?}");
        self.1 += passed;
        self.0 = Instant::now();
    }
}
