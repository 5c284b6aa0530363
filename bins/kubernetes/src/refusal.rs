//! What it means that the server refused a request.

use std::time::Duration;

use kube::Error;
use kube::runtime::watcher;

/// Whether there is no such object, or no such kind.
#[must_use]
pub fn is_missing(error: &Error) -> bool {
    code(error) == Some(404)
}

/// Whether a watch failed because the API does not have its kind.
#[must_use]
pub fn is_unknown_kind(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            is_missing(error)
        }
        _ => false,
    }
}

/// Whether the object is another than the one that was to be changed, or there already.
#[must_use]
pub fn is_conflict(error: &Error) -> bool {
    code(error) == Some(409)
}

/// Whether the server forbids it: for lack of a right, or because of what is there.
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    code(error) == Some(403)
}

/// Whether the place that a watch was to go on from is one that the server no longer knows.
#[must_use]
pub fn is_expired(error: &Error) -> bool {
    code(error) == Some(410)
}

/// Whether the server would refuse it again: it is about this object, or this kind, and not about how the server is.
#[must_use]
pub fn is_lasting(error: &Error) -> bool {
    matches!(code(error), Some(400 | 403 | 405 | 413 | 415 | 422))
}

/// How long the server asks to be left alone.
#[must_use]
pub fn retry_after(error: &Error) -> Option<Duration> {
    let Error::Api(status) = error else { return None };
    let seconds = u64::from(status.details.as_ref()?.retry_after_seconds);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, seconds: u32) -> Error {
        let mut status = Status::failure("no", "Refused");
        status.code = code;
        let details = serde_json::json!({"retryAfterSeconds": seconds});
        status.details = Some(serde_json::from_value(details).unwrap());
        Error::Api(status.boxed())
    }

    #[test]
    fn a_refusal_has_one_meaning() {
        let meanings = [is_missing, is_conflict, is_forbidden, is_expired];
        for (code, meaning) in [(404, Some(0)), (409, Some(1)), (403, Some(2)), (410, Some(3)), (500, None)] {
            let fits = meanings.iter().position(|means| means(&refused(code, 0)));
            assert_eq!(fits, meaning, "{code}");
            assert!(meanings.iter().filter(|means| means(&refused(code, 0))).count() <= 1, "{code}");
        }
        assert!(is_unknown_kind(&watcher::Error::InitialListFailed(refused(404, 0))));
        assert!(!is_unknown_kind(&watcher::Error::InitialListFailed(refused(403, 0))));
        assert!(!is_missing(&Error::LinesCodecMaxLineLengthExceeded));
    }

    #[test]
    fn what_is_about_the_object_lasts() {
        for (code, lasts) in [(422, true), (403, true), (400, true), (409, false), (429, false), (503, false)]
        {
            assert_eq!(is_lasting(&refused(code, 0)), lasts, "{code}");
        }
        assert!(!is_lasting(&Error::Service("connection refused".into())));
    }

    #[test]
    fn a_server_may_ask_for_a_pause() {
        assert_eq!(retry_after(&refused(429, 3)), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(&refused(429, 0)), None);
    }
}
