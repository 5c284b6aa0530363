//! The commands.

use std::io;

use api::netconf::{Problem, problems};
use api::{ClientError, Reply, Request};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::args::PodArgs;
use crate::config::NetConf;
use crate::environment::{Command, Environment};
use crate::error::CniError;
use crate::log::Log;
use crate::namespace;
use crate::outcome::outcome;
use crate::version::CniVersion;

/// What a call prints, and how it exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The result or error as JSON, or nothing.
    pub stdout: Vec<u8>,
    /// Whether the call succeeded.
    pub success: bool,
}

/// Serves one call: `environment` names the command, `input` is the network configuration.
#[must_use]
pub fn run(environment: &Environment, input: io::Result<Vec<u8>>) -> Output {
    let mut version = CniVersion::NEWEST;
    match serve(environment, input, &mut version) {
        Ok(result) => {
            Output { stdout: result.map(|result| print(&result)).unwrap_or_default(), success: true }
        }
        Err(error) => Output { stdout: print(&error.to_json(version)), success: false },
    }
}

fn print(value: &Value) -> Vec<u8> {
    let mut text = value.to_string().into_bytes();
    text.push(b'\n');
    text
}

fn serve(
    environment: &Environment,
    input: io::Result<Vec<u8>>,
    version: &mut CniVersion,
) -> Result<Option<Value>, CniError> {
    let command = environment.command()?;
    let input = input.map_err(CniError::Input)?;
    if command == Command::Version {
        return Ok(Some(versions(&input)));
    }
    let config = NetConf::decode(&input)?;
    *version = config.answer_version();
    let call = Call {
        version: config.version()?,
        log: Log::new(
            &config,
            format!("{} {}", command.as_str(), environment.container_id.as_deref().unwrap_or("-")),
        ),
        agent: Agent::new(&config.socket()),
        environment,
        config,
    };
    if command == Command::Add {
        odd(&input).iter().for_each(|problem| call.log.warn(problem));
    }
    let result = call.config.validate().and_then(|()| call.serve(command));
    match &result {
        Ok(_) => call.log.debug("done"),
        Err(error) => call.log.error(error),
    }
    result
}

/// Keys that nobody knows. The specification has them ignored, but one that was misspelt should not go unnoticed.
fn odd(input: &[u8]) -> Vec<Problem> {
    serde_json::from_slice(input).map_or_else(|_| Vec::new(), |document| problems(&document))
}

fn versions(input: &[u8]) -> Value {
    // VERSION answers whatever it is asked, so that a runtime can find out what it may ask.
    let asked = NetConf::decode(input).map_or(CniVersion::NEWEST, |config| config.answer_version());
    json!({"cniVersion": asked.as_str(), "supportedVersions": CniVersion::ALL.map(CniVersion::as_str)})
}

struct Call<'a> {
    version: CniVersion,
    log: Log,
    agent: Agent,
    environment: &'a Environment,
    config: NetConf,
}

impl Call<'_> {
    fn serve(&self, command: Command) -> Result<Option<Value>, CniError> {
        match command {
            Command::Add => self.add().map(Some),
            Command::Del => self.del().map(|()| None),
            Command::Check => {
                self.since(CniVersion::V0_4_0, "CHECK").and_then(|()| self.check()).map(|()| None)
            }
            Command::Status => {
                self.since(CniVersion::V1_1_0, "STATUS").and_then(|()| self.status()).map(|()| None)
            }
            Command::Gc => self.since(CniVersion::V1_1_0, "GC").and_then(|()| self.gc()).map(|()| None),
            Command::Version => Ok(Some(versions(&[]))),
        }
    }

    /// Refuses a command that the configuration's version of the specification does not have.
    fn since(&self, first: CniVersion, command: &'static str) -> Result<(), CniError> {
        if self.version >= first {
            Ok(())
        } else {
            Err(CniError::Version { version: self.version.to_string(), command: Some(command) })
        }
    }

    fn add(&self) -> Result<Value, CniError> {
        let attachment = self.environment.attachment()?;
        let path = self.environment.netns()?;
        let pod = PodArgs::parse(self.environment.args.as_deref().unwrap_or_default())?.pod();
        let netns = namespace::open(&path)?;
        self.finish_queued(&attachment)?;
        let request = Request::Add {
            attachment: attachment.clone(),
            pod,
            netns: path.display().to_string(),
            mtu: self.config.mtu.filter(|mtu| *mtu != 0),
        };
        self.log.debug(format_args!("{request:?}"));
        match self.agent.ask_patiently(&request, Some(&netns))? {
            Reply::Added(made) => {
                self.log.debug(format_args!("{made:?}"));
                let path = path.display().to_string();
                Ok(outcome(self.version, &made, &attachment.ifname, &path, self.config.dns.as_ref()))
            }
            other => Err(unexpected("ADD", &other)),
        }
    }

    /// An older DEL of this attachment that still waits in the queue is done first: it must not undo this ADD.
    fn finish_queued(&self, attachment: &api::Attachment) -> Result<(), CniError> {
        let queue = self.config.queue();
        if queue.contains(attachment).unwrap_or(false) {
            self.log.warn("was queued to be disconnected");
            self.agent.ask_patiently(&Request::Del { attachment: attachment.clone() }, None)?;
            if let Err(error) = queue.remove(attachment) {
                self.log.warn(error);
            }
        }
        Ok(())
    }

    fn del(&self) -> Result<(), CniError> {
        let attachment = self.environment.attachment()?;
        let queue = self.config.queue();
        let away = match self.agent.ask_briefly(&Request::Del { attachment: attachment.clone() }) {
            Ok(Reply::Done) => return Ok(()),
            Ok(other) => return Err(unexpected("DEL", &other)),
            Err(error @ (ClientError::Connect { .. } | ClientError::Io(_) | ClientError::Late)) => error,
            Err(ClientError::Refused(refusal)) if refusal.code == api::ErrorCode::Unknown => return Ok(()),
            Err(ClientError::Refused(refusal)) if refusal.code == api::ErrorCode::NotReady => {
                ClientError::Refused(refusal)
            }
            Err(error) => return Err(error.into()),
        };
        self.log.warn(format_args!("queued, since {away}"));
        queue.write(&attachment).map_err(|queue| CniError::Queue { agent: away.to_string(), queue })
    }

    fn check(&self) -> Result<(), CniError> {
        let attachment = self.environment.attachment()?;
        let netns = namespace::open(&self.environment.netns()?)?;
        match self.agent.ask(&Request::Check { attachment }, Some(&netns))? {
            Reply::Done => Ok(()),
            other => Err(unexpected("CHECK", &other)),
        }
    }

    fn status(&self) -> Result<(), CniError> {
        match self.agent.ask(&Request::Ready, None) {
            Ok(Reply::Done) => Ok(()),
            Ok(other) => Err(unexpected("STATUS", &other)),
            Err(
                error @ (ClientError::Connect { .. }
                | ClientError::Io(_)
                | ClientError::Late
                | ClientError::Refused(_)),
            ) => Err(CniError::NotAvailable(error)),
            Err(error) => Err(error.into()),
        }
    }

    fn gc(&self) -> Result<(), CniError> {
        // A missing key must not be read as "none are valid": that would disconnect every pod.
        let Some(valid) = &self.config.valid_attachments else {
            let problem = "is missing, and GC would disconnect every container".into();
            return Err(CniError::Config { key: "cni.dev/valid-attachments", problem });
        };
        let valid = valid
            .iter()
            .map(|known| api::Attachment {
                container_id: known.container_id.clone(),
                ifname: known.ifname.clone(),
            })
            .collect();
        match self.agent.ask(&Request::Gc { valid }, None)? {
            Reply::Done => Ok(()),
            other => Err(unexpected("GC", &other)),
        }
    }
}

fn unexpected(command: &'static str, answer: &Reply) -> CniError {
    CniError::Unexpected { command, answer: format!("{answer:?}") }
}
