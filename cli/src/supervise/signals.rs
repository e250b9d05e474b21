//! The signals that this process takes, one at a time.

use std::future::poll_fn;
use std::task::Poll;

use leasehold::sys::child;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::exit::Failure;

/// Passed on to the program; they end a wait.
const PASSED_ON: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];
/// Those of them by which a program is told to end.
pub(super) const ENDING: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
/// Needed only once there is a program. Until then Ctrl-Z has its default action.
const OF_A_PARENT: [Signal; 3] = [Signal::CONT, Signal::TSTP, Signal::CHILD];

/// Signals taken and not yet seen.
pub(super) struct Signals {
    taken: Vec<(Signal, unix::Signal)>,
    as_parent: bool,
}

impl Signals {
    /// Takes the signals that end a wait. Those that were ignored at the start stay ignored, here
    /// and in the program: `nohup` means it.
    pub(super) fn listen() -> Result<Self, Failure> {
        let mut signals = Self { taken: Vec::new(), as_parent: false };
        for signal in PASSED_ON {
            signals.take(signal)?;
        }
        Ok(signals)
    }

    /// Takes those of a program's parent as well.
    pub(super) fn listen_as_parent(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.as_parent, true) {
            return Ok(());
        }
        OF_A_PARENT.into_iter().try_for_each(|signal| self.take(signal))
    }

    fn take(&mut self, signal: Signal) -> Result<(), Failure> {
        // An ignored SIGCHLD would have the kernel throw the program's exit code away.
        if signal != Signal::CHILD && child::ignores(signal) {
            return Ok(());
        }
        let stream = unix::signal(SignalKind::from_raw(signal.as_raw()))
            .map_err(|cause| Failure::system("signals could not be taken", cause))?;
        self.taken.push((signal, stream));
        Ok(())
    }

    /// The next one that ends a wait. Of a program that was there before, news may still come; and
    /// Ctrl-Z has no default action any more.
    pub(super) async fn next_to_end(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::CHILD | Signal::CONT => {}
                Signal::TSTP => {
                    // Can't fail for one's own process.
                    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
                }
                signal => return signal,
            }
        }
    }

    /// The next one. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.taken {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}
