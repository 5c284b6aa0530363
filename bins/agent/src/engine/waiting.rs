//! Answers that wait: a pod that was just connected is told so once its identity is known, so that its first packets
//! are not dropped.

use std::time::{Duration, Instant};

use api::{Attachment, ErrorCode, PodRef, Reply};
use tokio::sync::oneshot;

use super::{Engine, refuse};

/// How long the identity of a pod is waited for. The pod stays closed until it is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pod: PodRef,
    attachment: Attachment,
    until: Instant,
    reply: Reply,
    answer: oneshot::Sender<Reply>,
}

impl Engine {
    /// Answers a request to connect a pod now, or once it has an identity.
    pub(super) fn answer_connected(
        &mut self,
        pod: Option<PodRef>,
        attachment: Attachment,
        reply: Reply,
        answer: oneshot::Sender<Reply>,
    ) {
        match pod.filter(|pod| !self.cluster.is_identified(pod)) {
            Some(pod) => {
                let until = Instant::now() + PATIENCE;
                self.waiting.push(Waiting { pod, attachment, until, reply, answer });
            }
            // The caller may have given up.
            None => drop(answer.send(reply)),
        }
    }

    /// Answers those whose pods have an identity that is enforced, and those who waited for long enough.
    pub(super) fn answer_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.waiting) {
            let is_known = !self.pending && self.cluster.is_identified(&waiting.pod);
            if !is_known && now < waiting.until {
                self.waiting.push(waiting);
                continue;
            }
            if !is_known {
                tracing::warn!(
                    pod = %waiting.pod, attachment = %waiting.attachment,
                    "connected without an identity: it stays closed until its labels have one"
                );
            }
            let _ = waiting.answer.send(waiting.reply);
        }
    }

    /// When the next one has waited for long enough.
    pub(super) fn next_answer(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Answers whoever waits for an attachment that is not connected any more.
    pub(super) fn answer_disconnected(&mut self, attachment: &Attachment) {
        let (gone, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.attachment == *attachment);
        self.waiting = waiting;
        let gone: Vec<Waiting> = gone;
        for waiting in gone {
            let message = format!("the attachment {attachment} was disconnected meanwhile");
            let _ = waiting.answer.send(Reply::Error(refuse(ErrorCode::Unhealthy, &message)));
        }
    }
}
