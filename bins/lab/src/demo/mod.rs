//! `netloom lab demo`: what netloom does, shown on a lab of its own.

mod matrix;
mod restart;
mod traffic;

use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::{FlowRecord, Verdict};
use serde::Serialize;

use self::matrix::{Changed, Matrix};
use self::restart::{Restart, restart};
use crate::batch::Batch;
use crate::change;
use crate::console::{Colours, Progress};
use crate::down::down;
use crate::flows;
use crate::name::LabName;
use crate::paths::Paths;
use crate::state::State;
use crate::up::Up;

/// The manifests, by the names that their files get.
const SHOP: (&str, &str) = ("shop.yaml", include_str!("../../demo/shop.yaml"));
const DB: (&str, &str) = ("db.yaml", include_str!("../../demo/db.yaml"));
const API: (&str, &str) = ("api.yaml", include_str!("../../demo/api.yaml"));
const DB_CHANGED: (&str, &str) = ("db.yaml", include_str!("../../demo/db-changed.yaml"));

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many flows of each kind are shown as they come.
const SHOWN: usize = 6;

/// All that the demo found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    lab: LabName,
    nodes: Vec<String>,
    pods: usize,
    /// With both policies.
    matrix: Matrix,
    /// After one of them was changed.
    matrix_after_change: Matrix,
    changed: Vec<Changed>,
    /// Flows that were reported while the first matrix was probed.
    flows: Vec<FlowRecord>,
    restart: Restart,
    /// Whether everything went as it should.
    ok: bool,
    seconds: f64,
}

/// Where the story is told: standard output, or nowhere when that is for the JSON document.
#[derive(Clone, Copy)]
struct Story {
    told: bool,
    colours: Colours,
}

impl Story {
    fn tell(self, text: &str) -> Result<()> {
        if self.told {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{text}").context("cannot write to standard output")?;
        }
        Ok(())
    }

    fn head(self, text: &str) -> Result<()> {
        self.tell(&format!("\n{}", self.colours.bold(text)))
    }
}

/// The demo's lab: removed whatever happens.
struct Removed(LabName);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = down(&self.0) {
            eprintln!("netloom: {error:#}");
        }
    }
}

/// Shows what netloom does, on a lab of this name that is made and removed. With `json`, one JSON document
/// at the end instead of the story.
///
/// # Errors
/// When a step cannot be taken. That something did not go as it should is the exit code.
pub fn run(name: &LabName, json: bool) -> Result<ExitCode> {
    let colours = if json { Colours::none() } else { Colours::of_stdout() };
    let story = Story { told: !json, colours };
    let start = Instant::now();
    let progress = Progress::new();
    let shop = Batch::parse(&[(SHOP.0.to_owned(), SHOP.1.to_owned())])?;
    let up = Up { manifests: shop, ..Up::new(name.clone(), 2) };
    story.head("1. Two nodes and eight pods, each a network namespace")?;
    let state = up.run(&progress)?;
    let removed = Removed(name.clone());
    remove_on_interrupt(name.clone());
    let mut findings = show(&state, &story, &progress)?;

    progress.step("removing the lab");
    drop(removed);
    findings.seconds = start.elapsed().as_secs_f64();
    let gone = !Paths::new(name).root().exists();
    findings.ok &= gone;
    drop(progress);
    let cleaned = if gone { colours.good("everything is removed") } else { colours.bad("something is left") };
    let verdict =
        if findings.ok { colours.good("all as it should be") } else { colours.bad("NOT as it should be") };
    story.tell(&format!("\n{cleaned}, {verdict}, {:.1} seconds", findings.seconds))?;
    if json {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", serde_json::to_string(&findings)?)
            .context("cannot write to standard output")?;
    }
    Ok(if findings.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Someone who is impatient should not be left with a lab.
fn remove_on_interrupt(name: LabName) {
    let wait = move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(tokio::signal::ctrl_c())?;
        drop(Removed(name));
        std::process::exit(130)
    };
    // Without the thread, `netloom lab down` is still there.
    drop(std::thread::Builder::new().name("interrupt".into()).spawn(wait));
}

fn show(state: &State, story: &Story, progress: &Progress) -> Result<Findings> {
    let colours = story.colours;
    for sandbox in crate::state::Sandbox::all(&Paths::new(&state.name))? {
        story.tell(&format!("  {:<12} {}  {}", sandbox.pod.to_string(), sandbox.node, sandbox.netns))?;
    }

    story.head("2. A NetworkPolicy for the database, a CiliumNetworkPolicy for the API, and live flows")?;
    progress.step("applying policies");
    apply(state, &[DB, API])?;
    let flows = flows::follow(state, 0)?;
    progress.step("probing everything");
    let probing = std::thread::scope(|scope| {
        let probing = scope.spawn(|| Matrix::probe(state));
        let mut seen = Vec::new();
        let mut shown = [0; 2];
        loop {
            match flows.recv_timeout(Duration::from_millis(50)) {
                Ok(flow) => {
                    let kind = &mut shown[usize::from(flow.verdict == Verdict::Dropped)];
                    *kind += 1;
                    if *kind <= SHOWN {
                        story.tell(&format!("  {}", flows::line(&flow, colours)))?;
                    }
                    seen.push(flow);
                }
                Err(RecvTimeoutError::Timeout) if !probing.is_finished() => {}
                Err(_) => break,
            }
        }
        let matrix = probing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, anyhow::Error>((matrix, seen))
    });
    let (matrix, seen) = probing?;
    let (probes, allowed) = matrix.count();
    story.tell(&format!("  … {} flows in all: {probes} probes, {allowed} got through", seen.len()))?;

    story.head("3. Who reaches whom")?;
    story.tell(&matrix.text(colours))?;
    story.head("4. Why not")?;
    story.tell(&matrix.reasons(colours))?;

    story.head("5. The database's policy is changed: the monitor may look at it")?;
    progress.step("changing a policy");
    apply(state, &[DB_CHANGED])?;
    progress.step("probing everything again");
    let after = Matrix::probe(state)?;
    let changed = after.changes_since(&matrix);
    for cell in &changed {
        story.tell(&format!("  {}", colours.notable(&cell.to_string())))?;
    }

    story.head("6. Both agents are killed under traffic from one node to the other")?;
    progress.step("killing agents");
    let restart = restart(state)?;
    tell_restart(story, &restart)?;
    let expected = !changed.is_empty() && changed.iter().all(Changed::is_monitor_to_database);
    Ok(Findings {
        lab: state.name.clone(),
        nodes: state.nodes.iter().map(|node| node.name.clone()).collect(),
        pods: crate::state::Sandbox::all(&Paths::new(&state.name))?.len(),
        ok: matrix.is_explained() && after.is_explained() && expected && restart.is_harmless(),
        matrix,
        matrix_after_change: after,
        changed,
        flows: seen,
        restart,
        seconds: 0.0,
    })
}

/// Writes manifests to files of the lab, so that rules have a place that can be looked at, and applies them.
fn apply(state: &State, manifests: &[(&str, &str)]) -> Result<()> {
    let directory = Paths::new(&state.name).root().join("demo");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut files = Vec::new();
    for (name, text) in manifests {
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    change::apply(&state.name, &Batch::read(&files)?, Some(PATIENCE))
}

fn tell_restart(story: &Story, restart: &Restart) -> Result<()> {
    for agent in &restart.agents {
        story.tell(&format!(
            "  {}: agent {} killed, agent {} took over after {} ms",
            agent.node, agent.old_pid, agent.new_pid, agent.away_ms
        ))?;
    }
    for (what, tally) in
        [("TCP back/api -> back/db", &restart.tcp), ("UDP back/api -> ops/dns", &restart.udp)]
    {
        let numbers = format!(
            "{} messages, {} answered, longest gap {} ms{}",
            tally.sent,
            tally.answered,
            tally.longest_gap_ms,
            tally.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
        );
        let numbers =
            if tally.is_whole() { story.colours.good(&numbers) } else { story.colours.bad(&numbers) };
        story.tell(&format!("  {what}: {numbers}"))?;
    }
    let outcome = |report: &crate::probe::Report| format!("{:?}", report.outcome).to_lowercase();
    story.tell(&format!(
        "  meanwhile new connections: front/web -> back/api {} (allowed), front/web -> back/db {} (denied)",
        outcome(&restart.allowed),
        outcome(&restart.denied)
    ))
}
