//! Asking for a lock back, and hearing that one is asked.
//!
//! The trap is that of the observer: a request that a language had and dropped, because its wait was
//! cancelled between the completion and the delivery, will not come again. So a wait yields only that
//! there is one; it lies with the lease until it is taken, in the call that hands it to the caller.

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
pub(crate) struct Ear(Arc<Inherited<Mutex<Heard>>>);

#[derive(Default)]
struct Heard {
    /// How many requests came.
    count: u64,
    /// The last, until it is taken.
    asked: Option<AskedBack>,
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
            let count = match ear.heard() {
                // A lease that was inherited through fork is over.
                None => return Ok(false),
                Some(heard) if heard.asked.is_some() => return Ok(true),
                Some(heard) => heard.count,
            };
            let Some(leasehold::AskedBack { by, why, grace }) = lease.asked_back().await? else {
                return Ok(false);
            };
            let (by, grace) = (WaiterInfo::of(&by), grace.as_secs_f64());
            if let Some(mut heard) = ear.heard()
                // Unless another wait for it was first.
                && heard.count == count
            {
                *heard = Heard { count: count + 1, asked: Some(AskedBack { by, why, grace }) };
            }
            Ok(true)
        })
    }

    /// The request, if there is one that was not taken.
    #[must_use]
    pub fn take_asked(&self) -> Option<AskedBack> {
        self.ear().heard()?.asked.take()
    }
}

impl Ear {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inherited::new(Mutex::default())))
    }

    /// None in a forked child.
    fn heard(&self) -> Option<MutexGuard<'_, Heard>> {
        let heard = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.0.forked()).then(heard)
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
