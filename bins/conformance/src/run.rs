//! Runs cases at levels.

use std::path::Path;
use std::time::Instant;

use crate::error::{Error, Mistake};
use crate::expect::{Expectation, Got, Packet, expectations};
use crate::file::SuiteFile;
use crate::level::{Answer, Circumstances, Halt, Level};
use crate::objects::Objects;
use crate::report::{CaseReport, LevelReport, Skipped, Status, Wrong};
use crate::suite::{Case, LevelName};

/// A case, with the file that it is in.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The file.
    pub file: &'a SuiteFile,
    /// The case.
    pub case: &'a Case,
}

/// Why a case did not come to its end.
struct Stop {
    /// Where: `cluster`, or a step.
    place: String,
    halt: Halt,
}

/// The cases of these names; all where there are none.
///
/// # Errors
/// When no case has one of the names.
pub fn choose<'a>(files: &'a [SuiteFile], names: &[String]) -> Result<Vec<Chosen<'a>>, Error> {
    let all = files.iter().flat_map(|file| file.suite.cases.iter().map(move |case| Chosen { file, case }));
    let chosen: Vec<Chosen<'a>> =
        all.filter(|one| names.is_empty() || names.contains(&one.case.name)).collect();
    match names.iter().find(|name| !chosen.iter().any(|one| one.case.name == **name)) {
        Some(name) => Err(Error::NoSuchCase { name: name.clone() }),
        None => Ok(chosen),
    }
}

/// Looks for what makes no sense, before anything is run. Whether policies are valid is a level's to say.
///
/// # Errors
/// The first mistake, with its place.
pub fn check(cases: &[Chosen<'_>]) -> Result<(), Error> {
    for one in cases {
        match one.play(&mut Dry) {
            Err(Stop { place, halt: Halt::Mistake(mistake) })
                if !matches!(*mistake, Mistake::Rejected(_)) =>
            {
                return Err(Error::Case {
                    path: one.file.path.clone(),
                    case: one.case.name.clone(),
                    place,
                    mistake,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs cases at a level, one after the other. `done` hears of each when it is done.
///
/// # Errors
/// When the level breaks down. Wrong answers are in the report.
pub fn run(
    cases: &[Chosen<'_>],
    level: &mut dyn Level,
    mut done: impl FnMut(&CaseReport),
) -> Result<Vec<CaseReport>, Error> {
    let mut reports = Vec::new();
    for one in cases {
        let start = Instant::now();
        let (file, name) = (one.file.path.display().to_string(), one.case.name.clone());
        let mut result = match one.play(level) {
            Ok(result) => result,
            Err(Stop { halt: Halt::Broken(error), .. }) => return Err(*error),
            Err(Stop { halt: Halt::Unsupported(why), .. }) => LevelReport::skipped(level.name(), why),
            Err(Stop { place, halt: Halt::Mistake(mistake) }) => LevelReport {
                status: Status::Fail,
                message: Some(format!("{place}: {mistake}")),
                ..LevelReport::new(level.name())
            },
        };
        result.seconds = start.elapsed().as_secs_f64();
        let report = CaseReport { file, name, result };
        done(&report);
        reports.push(report);
    }
    Ok(reports)
}

/// Reports that cases were skipped at a level that is not there.
#[must_use]
pub fn skip(cases: &[Chosen<'_>], level: LevelName, why: &str) -> Vec<CaseReport> {
    cases
        .iter()
        .map(|one| CaseReport {
            file: one.file.path.display().to_string(),
            name: one.case.name.clone(),
            result: LevelReport::skipped(level, why.to_owned()),
        })
        .collect()
}

impl Chosen<'_> {
    /// How many nodes it wants.
    #[must_use]
    pub fn nodes(&self) -> usize {
        let cluster = self.file.cluster(self.case);
        Objects::of_cluster(&cluster, self.directory()).map_or(0, |objects| objects.nodes().count())
    }

    fn directory(&self) -> &Path {
        self.file.path.parent().unwrap_or(Path::new(""))
    }

    fn play(&self, level: &mut dyn Level) -> Result<LevelReport, Stop> {
        let mut report = LevelReport::new(level.name());
        if !self.file.is_for(self.case, level.name()) {
            return Ok(LevelReport::skipped(level.name(), "the case is not meant for this level".into()));
        }
        let of_cluster = |halt| Stop { place: "cluster".into(), halt };
        let families = self.file.families(self.case);
        let cluster = self.file.cluster(self.case);
        let mut objects =
            Objects::of_cluster(&cluster, self.directory()).map_err(|mistake| of_cluster(mistake.into()))?;
        if self.case.steps.is_empty() {
            return Err(of_cluster(Mistake::NoSteps.into()));
        }
        level.begin(&self.file.circumstances(self.case)).map_err(of_cluster)?;
        level.enforce(&mut objects).map_err(of_cluster)?;
        for (number, step) in (1..).zip(&self.case.steps) {
            let of_step = |halt: Halt| Stop { place: format!("step {number}"), halt };
            objects.change(step, self.directory()).map_err(|mistake| of_step(mistake.into()))?;
            level.enforce(&mut objects).map_err(of_step)?;
            let expected =
                expectations(step, &objects, &families).map_err(|mistake| of_step(mistake.into()))?;
            report.judge(number, level, &objects, &expected).map_err(|error| of_step(error.into()))?;
        }
        report.close();
        Ok(report)
    }
}

impl LevelReport {
    /// Asks the level about what a step expects, and notes what is wrong.
    fn judge(
        &mut self,
        step: usize,
        level: &mut dyn Level,
        objects: &Objects,
        expected: &[Expectation],
    ) -> Result<(), Error> {
        let (itself, others): (Vec<&Expectation>, Vec<_>) =
            expected.iter().partition(|expectation| expectation.packet.is_to_itself());
        for _ in itself {
            self.skip("a pod to itself does not pass the datapath".into());
        }
        let packets: Vec<&Packet> = others.iter().map(|expectation| &expectation.packet).collect();
        let answers = level.judge(objects, &packets)?;
        for (Expectation { packet, verdict }, answer) in others.into_iter().zip(answers) {
            match answer {
                Answer::Skipped(why) => self.skip(why),
                Answer::Judged(mut judgement) => {
                    self.probes += 1;
                    if judgement.got != Got::from(*verdict) {
                        if judgement.rules.is_empty() {
                            judgement.rules = level.why(objects, packet);
                        }
                        self.wrong.push(Wrong {
                            step,
                            from: packet.from.name.clone(),
                            to: packet.to.name.clone(),
                            port: packet.port,
                            protocol: packet.transport,
                            family: packet.family,
                            expected: *verdict,
                            got: judgement.got,
                            rules: judgement.rules,
                            detail: judgement.detail,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, why: String) {
        match self.skipped.iter_mut().find(|known| known.why == why) {
            Some(known) => known.probes += 1,
            None => self.skipped.push(Skipped { why, probes: 1 }),
        }
    }
}

/// A level that only looks whether cases make sense.
struct Dry;

impl Level for Dry {
    fn name(&self) -> LevelName {
        LevelName::Oracle
    }

    fn begin(&mut self, _: &Circumstances) -> Result<(), Halt> {
        Ok(())
    }

    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt> {
        Ok(objects.place_pods()?)
    }

    fn judge(&mut self, _: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error> {
        Ok(packets.iter().map(|_| Answer::Skipped(String::new())).collect())
    }
}
