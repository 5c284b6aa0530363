//! Which requests are sent again, and when.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

/// How often a request is sent at most.
const ATTEMPTS: u32 = 6;
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// A server that asks for a longer pause gets its answer through to who asked, who can wait better.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// What became of a request.
pub(super) enum Outcome<'a> {
    Answered(StatusCode, &'a HeaderMap),
    /// No answer: refused, cut off, too late. Whether the server acted on it is not known.
    Lost,
}

/// How long to wait before the request is sent again; none if what became of it is final.
///
/// 429 says that the server did nothing, and `Retry-After` that it wants to be asked again. Anything else may have
/// been carried out: then only what changes nothing is sent again, and writers look at what is there.
pub(super) fn pause(method: &Method, outcome: &Outcome<'_>, attempt: u32, jitter: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let read = method == Method::GET || method == Method::HEAD;
    let grown = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    let own = grown.mul_f64(0.5 + jitter / 2.0);
    match outcome {
        Outcome::Lost => read.then_some(own),
        Outcome::Answered(status, headers) => {
            let asked = headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs);
            let again = match *status {
                StatusCode::TOO_MANY_REQUESTS => true,
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                    read || asked.is_some()
                }
                status => status.is_server_error() && asked.is_some(),
            };
            let wait = asked.unwrap_or_default().max(own);
            (again && wait <= LONGEST_ASKED).then_some(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(method: &Method, status: u16, after: Option<&str>, attempt: u32) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, after.parse().unwrap());
        }
        pause(method, &Outcome::Answered(StatusCode::from_u16(status).unwrap(), &headers), attempt, 1.0)
    }

    #[test]
    fn what_is_sent_again() {
        let (get, post) = (&Method::GET, &Method::POST);
        assert_eq!(answered(post, 429, None, 1), Some(Duration::from_millis(100)));
        assert_eq!(answered(post, 429, Some("2"), 1), Some(Duration::from_secs(2)));
        assert_eq!(answered(post, 503, None, 1), None);
        assert_eq!(answered(post, 503, Some("1"), 1), Some(Duration::from_secs(1)));
        assert_eq!(answered(get, 504, None, 3), Some(Duration::from_millis(400)));
        assert_eq!(answered(get, 500, None, 1), None);
        assert_eq!(answered(post, 500, Some("1"), 1), Some(Duration::from_secs(1)));
        assert_eq!(answered(get, 410, Some("1"), 1), None);
        assert_eq!(answered(get, 404, None, 1), None);
        assert_eq!(pause(get, &Outcome::Lost, 1, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(pause(&Method::PATCH, &Outcome::Lost, 1, 1.0), None);
    }

    #[test]
    fn it_ends() {
        assert_eq!(answered(&Method::GET, 429, None, ATTEMPTS), None);
        assert_eq!(answered(&Method::GET, 429, Some("3600"), 1), None);
        assert_eq!(answered(&Method::GET, 429, Some("18446744073709551615"), 1), None);
    }
}
