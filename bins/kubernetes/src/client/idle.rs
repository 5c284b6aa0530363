//! A body that ends when nothing came for long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Ends a watch that is silent for longer than a healthy server is: bookmarks come about every minute. Whoever
/// watches goes on from where it was.
pub(super) struct UntilIdle<B> {
    inner: Pin<Box<B>>,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<B> UntilIdle<B> {
    pub(super) fn new(inner: B, limit: Duration) -> Self {
        Self { inner: Box::pin(inner), limit, timer: Box::pin(tokio::time::sleep(limit)) }
    }
}

impl<B: Body<Data = Bytes>> Body for UntilIdle<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Poll::Ready(frame) = self.inner.as_mut().poll_frame(context) {
            let next = Instant::now() + self.limit;
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        self.timer.as_mut().poll(context).map(|()| None)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_nothing_else_does() {
        // What comes after these pauses; the last one is too long.
        let pauses = [0, 9, 9, 9, 11, 1];
        let frames = futures_util::stream::iter(pauses).then(|pause| async move {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        let start = Instant::now();
        let whole = UntilIdle::new(StreamBody::new(frames), Duration::from_secs(10)).collect().await.unwrap();
        assert_eq!(whole.to_bytes().len(), 4);
        assert_eq!(start.elapsed().as_secs(), 27 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_ends_is_not_waited_for() {
        let body = http_body_util::Full::new(Bytes::from_static(b"xy"));
        let start = Instant::now();
        let whole = UntilIdle::new(body, Duration::from_secs(10)).collect().await.unwrap();
        assert_eq!((whole.to_bytes().len(), start.elapsed()), (2, Duration::ZERO));
    }
}
