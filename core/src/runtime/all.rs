//! Several requests at the same time: over one connection they share the round trip.

use std::future::Future;
use std::task::Poll;

use crate::Result;

/// Runs `parts` together and joins what they come to, in their order; the first error once all are done.
pub(crate) fn all<F, T>(parts: impl Iterator<Item = F>) -> impl Future<Output = Result<Vec<T>>>
where
    F: Future<Output = Result<Vec<T>>>,
{
    let mut running: Vec<_> = parts.map(|part| (Box::pin(part), None)).collect();
    std::future::poll_fn(move |context| {
        let mut pending = false;
        for (part, done) in &mut running {
            if done.is_none() {
                match part.as_mut().poll(context) {
                    Poll::Ready(result) => *done = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let mut joined = Vec::new();
        for (_, done) in running.drain(..) {
            match done {
                Some(Ok(some)) => joined.extend(some),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {}
            }
        }
        Poll::Ready(Ok(joined))
    })
}
