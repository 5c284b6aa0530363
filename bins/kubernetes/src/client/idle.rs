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
