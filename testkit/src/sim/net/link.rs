//! A client's end of a simulated connection, and the dialling of one.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use leasehold::store::redis::{Dial, Link, Purpose};
use leasehold::sys::BoxFuture;
use leasehold::{Error, ErrorKind};

use super::Net;
use crate::sim::kernel::Life;

/// What has arrived at a client.
#[derive(Default)]
pub(crate) struct End {
    state: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    bytes: Vec<u8>,
    over: Option<io::ErrorKind>,
    waker: Option<Waker>,
}

impl End {
    /// These bytes arrived.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes.extend_from_slice(bytes);
        wake(state);
    }

    /// Nothing comes any more.
    pub(super) fn over(&self, why: io::ErrorKind) {
        let mut state = self.state();
        state.over.get_or_insert(why);
        wake(state);
    }

    fn state(&self) -> MutexGuard<'_, Arrived> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, Arrived>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One connection, as the client holds it.
pub(super) struct SimLink {
    pub(super) net: Arc<Net>,
    pub(super) id: u64,
    pub(super) end: Arc<End>,
}

impl Link for SimLink {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(why) = self.end.state().over {
            return Err(why.into());
        }
        self.net.send(self.id, bytes)
    }

    fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut state = self.end.state();
        if state.bytes.is_empty() {
            return match state.over {
                Some(io::ErrorKind::UnexpectedEof) => Ok(0),
                Some(why) => Err(why.into()),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let count = state.bytes.len();
        into.append(&mut state.bytes);
        Ok(count)
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(poll_fn(|context| {
            let mut state = self.end.state();
            if !state.bytes.is_empty() || state.over.is_some() {
                return Poll::Ready(Ok(()));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }))
    }

    fn close(&self) {
        self.end.over(io::ErrorKind::NotConnected);
        self.net.client_closed(self.id);
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.net.client_closed(self.id);
    }
}

/// Makes connections from one life of a machine.
pub(crate) struct SimDial {
    pub(crate) net: Arc<Net>,
    pub(crate) life: Life,
}

impl Dial for SimDial {
    fn dial(&self, purpose: Purpose) -> BoxFuture<'_, leasehold::Result<Arc<dyn Link>>> {
        Box::pin(async move {
            let mut until = self.net.after_trip();
            loop {
                self.net.kernel.sleep(until).await;
                match self.net.connect(self.life, purpose) {
                    Ok((id, end)) => {
                        let net = Arc::clone(&self.net);
                        return Ok(Arc::new(SimLink { net, id, end }) as Arc<dyn Link>);
                    }
                    // No answer at all: the handshake is sent again.
                    Err(Some(again)) => until = again,
                    Err(None) => {
                        return Err(Error::new(
                            ErrorKind::StoreUnavailable,
                            "connection refused by the simulated server",
                        ));
                    }
                }
            }
        })
    }
}

/// Both, whichever is ready first; the second is dropped with the first's end.
pub(crate) async fn first<T>(
    future: impl Future<Output = T>,
    limit: impl Future<Output = ()>,
) -> Option<T> {
    let (mut future, mut limit) = (std::pin::pin!(future), std::pin::pin!(limit));
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        limit.as_mut().poll(context).map(|()| None)
    })
    .await
}
