//! Asking for a lock back, and hearing that one is asked.
//!
//! The trap is that of the observer: a request that a language had and dropped, because its wait was
//! cancelled between the completion and the delivery, will not come again. So a wait yields only that
//! there is one; it lies with the lease until it is taken, in the call that hands it to the caller. And
//! a lease has one wait at a time that listens: another thread may just be at it for one that was
//! cancelled, and whoever began to listen then would hear neither that request nor of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold::options::seconds;
use leasehold::sys::fork::Inherited;

use crate::request::WaiterInfo;
use crate::{Client, ErrorInfo, Held, Pending};

/// A request to give a lease back, as its holder gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct AskedBack {
    /// Who asks.
    pub by: WaiterInfo,
    /// The reason.
    pub why: String,
    /// The seconds that the holder had when it heard of it. Whoever asks may end the lease then.
    pub grace: f64,
}

/// What a request to give a lock back came to, or the taking away of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Returned {
    /// `not_held`, `given_back`, `still_held`, or `evicted` where it was to be taken away.
    pub state: &'static str,
    /// The fence of the tenure; of several, that of the first.
    pub fence: Option<u64>,
    /// Who holds or held it.
    pub holder: Option<WaiterInfo>,
    /// The fences of those that were asked besides and hold it too.
    pub others: Vec<u64>,
}

/// What a lease was asked and nobody has taken yet. Its clones are of one lease.
#[derive(Clone)]
pub(crate) struct Ear(Arc<Inherited<Heard>>);

#[derive(Default)]
struct Heard {
    /// Whose turn it is to listen.
    turn: tokio::sync::Mutex<()>,
    /// The last request, until it is taken.
    asked: Mutex<Option<AskedBack>>,
}

impl Client {
    /// Asks whoever holds a lock, or only who holds it with this fence, to give it back, and waits at
    /// most `grace` seconds until it is given back. Can be cancelled; the request then stands until its
    /// grace is over.
    #[must_use]
    pub fn ask_back(
        &self,
        name: String,
        why: String,
        grace: f64,
        fence: Option<u64>,
    ) -> Pending<Returned> {
        let client = self.core().clone();
        Pending::wait(async move {
            let ask = ask(why, grace, fence)?;
            Ok(client.ask_back(&name, &ask).await?.into())
        })
    }
}

impl Held {
    /// Waits until there is a request to give it back to be [taken](Self::take_asked): true then, false
    /// once the lease is over. Cancelling or dropping it loses nothing.
    #[must_use]
    pub fn asked_back(&self) -> Pending<bool> {
        let (held, ear) = (self.clone(), self.ear().clone());
        Pending::wait(async move {
            let lease = held.sole()?;
            // A lease that was inherited through fork is over.
            let Some(heard) = ear.heard() else { return Ok(false) };
            let _turn = heard.turn.lock().await;
            if heard.asked().is_some() {
                return Ok(true);
            }
            let Some(leasehold::AskedBack { by, why, grace }) = lease.asked_back().await? else {
                return Ok(false);
            };
            let (by, grace) = (WaiterInfo::of(&by), grace.as_secs_f64());
            *heard.asked() = Some(AskedBack { by, why, grace });
            Ok(true)
        })
    }

    /// The request, if there is one that was not taken.
    #[must_use]
    pub fn take_asked(&self) -> Option<AskedBack> {
        self.ear().heard()?.asked().take()
    }
}

impl Ear {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inherited::new(Heard::default())))
    }

    /// None in a forked child.
    fn heard(&self) -> Option<&Heard> {
        (!self.0.forked()).then_some(&*self.0)
    }
}

impl Heard {
    fn asked(&self) -> MutexGuard<'_, Option<AskedBack>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn ask(
    why: String,
    grace: f64,
    fence: Option<u64>,
) -> Result<leasehold::AskBack, ErrorInfo> {
    Ok(leasehold::AskBack { why, grace: seconds("grace", grace)?, fence })
}

impl From<leasehold::Returned> for Returned {
    fn from(returned: leasehold::Returned) -> Self {
        match returned {
            leasehold::Returned::NotHeld => Self::of("not_held", None),
            leasehold::Returned::GivenBack { fence, profile } => {
                Self::of("given_back", Some((fence, &profile)))
            }
            leasehold::Returned::StillHeld { fence, profile, others } => {
                Self { others, ..Self::of("still_held", Some((fence, &profile))) }
            }
        }
    }
}

impl Returned {
    pub(crate) fn of(state: &'static str, held: Option<(u64, &leasehold::Profile)>) -> Self {
        let (fence, holder) = held.map(|(fence, by)| (fence, WaiterInfo::of(by))).unzip();
        Self { state, fence, holder, others: Vec::new() }
    }
}
