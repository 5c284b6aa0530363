//! Nothing is waited for without end.

use std::future::Future;
use std::time::Duration;

use crate::Error;

/// What something comes to, unless it takes longer than this.
pub(super) async fn within<T>(
    patience: Duration,
    doing: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, work)
        .await
        .map_err(|_| Error::control_plane(format!("{doing} took longer than {} s", patience.as_secs())))?
}
