//! How the node's container runtime finds the network: the plugin's binary, and the network configuration, which is
//! written last.

mod conflist;
mod plugin;

pub(crate) use conflist::custom;
pub use conflist::{Conflist, Plugin};
pub use plugin::install;

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::source::Report;

/// How often the configuration is looked after even if nothing is said to have happened.
const LOOK: Duration = Duration::from_secs(30);
/// How soon it is tried again where it could not be written.
const AGAIN: Duration = Duration::from_secs(2);

/// Passes reports on. That the node can connect pods is passed on once the runtime can find that out: when the
/// configuration is in place, which is kept so from then on.
///
/// Returns when nobody reports any more.
pub async fn keep(
    conflist: Option<Conflist>,
    mut reports: UnboundedReceiver<Report>,
    passed_on: UnboundedSender<Report>,
    is_ready: impl Fn(bool),
) {
    let Some(conflist) = conflist else {
        while let Some(report) = reports.recv().await {
            if let Report::Ready(now) = report {
                is_ready(now);
            }
            // A source that publishes nothing does not listen.
            let _ = passed_on.send(report);
        }
        return;
    };
    let mut place = conflist.watch();
    let (mut wanted, mut in_place, mut ready) = (false, false, false);
    loop {
        let look = if wanted && !in_place { AGAIN } else { LOOK };
        tokio::select! {
            report = reports.recv() => match report {
                None => return,
                Some(Report::Ready(now)) => {
                    ready = now;
                    wanted |= now;
                    if !now || in_place {
                        is_ready(now);
                        let _ = passed_on.send(Report::Ready(now));
                        continue;
                    }
                }
                Some(other) => {
                    let _ = passed_on.send(other);
                    continue;
                }
            },
            () = place.changed(), if wanted => {}
            () = tokio::time::sleep(look), if wanted => {}
        }
        if !wanted {
            continue;
        }
        match conflist.tend() {
            Ok(()) => {
                if !in_place && ready {
                    is_ready(true);
                    let _ = passed_on.send(Report::Ready(true));
                }
                in_place = true;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the network configuration is not in place");
            }
        }
    }
}
