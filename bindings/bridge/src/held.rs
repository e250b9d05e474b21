//! A lease as a handle that any thread of any language may use.

use std::sync::Arc;
use std::time::Duration;

use leasehold::options::seconds;
use leasehold::store::Kind;
use leasehold::{Inside, Leadership, Lease, Leases, LostReason};

use crate::adaptive::Hold;
use crate::ask_back::Ear;
use crate::{ErrorInfo, Pending};

/// What a release found, as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// `released`, `background`, `lost` or `repeated`.
    pub state: &'static str,
    /// Why the lease was lost, where it was.
    pub reason: Option<&'static str>,
}

impl From<leasehold::Release> for Release {
    fn from(release: leasehold::Release) -> Self {
        let (state, reason) = match release {
            leasehold::Release::Released => ("released", None),
            leasehold::Release::Background => ("background", None),
            leasehold::Release::Lost(reason) => ("lost", Some(reason.code())),
            leasehold::Release::Repeated => ("repeated", None),
        };
        Self { state, reason }
    }
}

/// A tenure: of a lock, of the lead, of a place inside a barrier; or several that were taken together,
/// as one. Dropping the last handle gives all of it back in the background.
#[derive(Clone)]
pub struct Held {
    tenure: Arc<Tenure>,
    /// Which of several locks; none for all.
    one: Option<usize>,
    /// Who is to be told how long it was held.
    hold: Option<Arc<Hold>>,
    ear: Ear,
}

enum Tenure {
    Locks(Leases),
    Lead(Leadership),
    Inside(Inside),
}

/// What a handle is of.
enum Of<'a> {
    One(&'a Lease),
    All(&'a Leases),
}

impl Held {
    pub(crate) fn new(lease: Lease) -> Self {
        Self { one: Some(0), ..Self::of_tenure(Tenure::Locks(lease.into())) }
    }

    pub(crate) fn noted(lease: Lease, hold: Hold) -> Self {
        Self { hold: Some(Arc::new(hold)), ..Self::new(lease) }
    }

    pub(crate) fn all(leases: Leases) -> Self {
        Self::of_tenure(Tenure::Locks(leases))
    }

    pub(crate) fn leading(lead: Leadership) -> Self {
        Self::of_tenure(Tenure::Lead(lead))
    }

    pub(crate) fn inside(inside: Inside) -> Self {
        Self::of_tenure(Tenure::Inside(inside))
    }

    fn of_tenure(tenure: Tenure) -> Self {
        Self { tenure: Arc::new(tenure), one: None, hold: None, ear: Ear::new() }
    }

    /// A handle for each of the locks, in the order in which they were asked for. They stay together:
    /// what nobody released is given back when the last handle of all of them is dropped.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        match self.of() {
            Of::One(_) => vec![self.clone()],
            Of::All(leases) => {
                let one = |one| Self { one: Some(one), ear: Ear::new(), ..self.clone() };
                (0..leases.len()).map(one).collect()
            }
        }
    }

    fn of(&self) -> Of<'_> {
        match &*self.tenure {
            Tenure::Locks(leases) => match self.one {
                Some(one) => Of::One(&leases[one]),
                None => Of::All(leases),
            },
            Tenure::Lead(lead) => Of::One(lead.lease()),
            Tenure::Inside(inside) => Of::One(inside.lease()),
        }
    }

    pub(crate) fn ear(&self) -> &Ear {
        &self.ear
    }

    fn lease(&self) -> Option<&Lease> {
        match self.of() {
            Of::One(lease) => Some(lease),
            Of::All(_) => None,
        }
    }

    /// The lock's name; of several their names.
    #[must_use]
    pub fn name(&self) -> String {
        match self.of() {
            Of::One(lease) => lease.name().as_str().to_owned(),
            Of::All(leases) => {
                leases.iter().map(|it| it.name().as_str()).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// The fencing token; 0 of several, each of which has its own.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.lease().map_or(0, Lease::fence)
    }

    /// How it is held: `exclusive`, `shared` or `permits`; `several` of more than one.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.lease().map(Lease::kind) {
            Some(Kind::Exclusive) => "exclusive",
            Some(Kind::Shared) => "shared",
            Some(Kind::Permits { .. }) => "permits",
            None => "several",
        }
    }

    /// Of a reader: the fence of the last writer before it.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.lease()?.epoch()
    }

    /// The identity it was taken with.
    #[must_use]
    pub fn owner(&self) -> Option<u128> {
        self.lease()?.owner().map(leasehold::Owner::number)
    }

    /// Whether the lock is this tenure's, computed here and now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.of() {
            Of::One(lease) => lease.is_held(),
            Of::All(leases) => leases.is_held(),
        }
    }

    /// Whether any of the locks is this tenure's.
    #[must_use]
    pub fn any_held(&self) -> bool {
        match self.of() {
            Of::One(lease) => lease.is_held(),
            Of::All(leases) => leases.iter().any(Lease::is_held),
        }
    }

    /// Seconds of the lease that are left without a renewal.
    #[must_use]
    pub fn remaining(&self) -> f64 {
        let left = match self.of() {
            Of::One(lease) => lease.remaining(),
            Of::All(leases) => leases.remaining(),
        };
        left.as_secs_f64()
    }

    /// Why it was lost, if it was.
    #[must_use]
    pub fn lost_reason(&self) -> Option<&'static str> {
        self.reason().map(LostReason::code)
    }

    /// Succeeds while at least `min_remaining` seconds are left.
    ///
    /// # Errors
    /// `LOCK_LOST` where less is left, `INVALID_INPUT` for a number that is none.
    pub fn check(&self, min_remaining: f64) -> Result<(), ErrorInfo> {
        Ok(self.left(seconds("min_remaining", min_remaining)?)?)
    }

    fn left(&self, span: Duration) -> leasehold::Result<()> {
        match self.of() {
            Of::One(lease) => lease.check(span),
            Of::All(leases) => leases.check(span),
        }
    }

    fn reason(&self) -> Option<LostReason> {
        match self.of() {
            Of::One(lease) => lease.lost_reason(),
            Of::All(leases) => leases.lost_reason(),
        }
    }

    /// The error that says that this lease was lost, if it was.
    #[must_use]
    pub fn loss(&self) -> Option<ErrorInfo> {
        self.reason().map(|_| match self.left(Duration::ZERO) {
            Err(error) => error.into(),
            Ok(()) => unreachable!("a lost lease passed its check"),
        })
    }

    /// Changes the lease's length and renews it now.
    #[must_use]
    pub fn extend(&self, ttl: f64) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move {
            let ttl = seconds("ttl", ttl)?;
            let extended = match held.of() {
                Of::One(lease) => lease.extend(ttl).await,
                Of::All(leases) => leases.extend(ttl).await,
            };
            Ok(extended?)
        })
    }

    /// Has a writer read on, with no other writer in between.
    #[must_use]
    pub fn downgrade(&self) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move { Ok(held.sole()?.downgrade().await?) })
    }

    /// Has the only reader write.
    #[must_use]
    pub fn upgrade(&self) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move { Ok(held.sole()?.upgrade().await?) })
    }

    pub(crate) fn sole(&self) -> leasehold::Result<&Lease> {
        let several = || leasehold::Error::invalid("these are several leases: take one of them");
        self.lease().ok_or_else(several)
    }

    /// A sign of life: `max_hold` counts anew.
    pub fn touch(&self) {
        match self.of() {
            Of::One(lease) => lease.touch(),
            Of::All(leases) => leases.touch(),
        }
    }

    /// Has those who observe be told `value` from now on.
    #[must_use]
    pub fn proclaim(&self, value: Vec<u8>) -> Pending<()> {
        let held = self.clone();
        Pending::start(async move {
            match &*held.tenure {
                Tenure::Lead(lead) => Ok(lead.proclaim(value).await?),
                _ => Err(invalid("this is no lead: there is nobody to tell")),
            }
        })
    }

    /// Leaves a barrier and waits until all have, at most `wait` seconds, without it for ever:
    /// `LOCK_TIMEOUT` then. Can be cancelled; this member is out all the same once it is
    /// [released](Self::release).
    #[must_use]
    pub fn leave(&self, wait: Option<f64>) -> Pending<()> {
        let held = self.clone();
        Pending::wait(async move {
            let limit = wait.map(|wait| seconds("wait", wait)).transpose()?;
            match &*held.tenure {
                Tenure::Inside(inside) => Ok(inside.leave(limit).await?),
                _ => Err(invalid("this is no place inside a barrier: it is released")),
            }
        })
    }

    /// Gives the lock back, of several all, in one request; resigns the lead; leaves a barrier, and
    /// does not wait for the others.
    #[must_use]
    pub fn release(&self) -> Pending<Release> {
        if let Some(hold) = &self.hold {
            hold.is_over();
        }
        let held = self.clone();
        Pending::start(async move {
            Ok(match (&*held.tenure, held.of()) {
                (Tenure::Lead(lead), _) => lead.resign().await.into(),
                (Tenure::Inside(inside), _) => inside.release().await.into(),
                (Tenure::Locks(_), Of::One(lease)) => lease.release().await.into(),
                (Tenure::Locks(_), Of::All(leases)) => {
                    leasehold::Release::of_all(&leases.release().await).into()
                }
            })
        })
    }

    /// Gives it back with nobody waiting for that, and nobody having worked under it.
    pub(crate) fn give_back(&self) {
        if let Some(hold) = &self.hold {
            hold.is_none();
        }
        drop(self.release());
    }

    /// Calls `listener` once when the lease is lost, on the lease thread: it must neither block nor
    /// take a language's lock.
    pub fn on_lost(&self, listener: impl FnOnce(&'static str) + Send + 'static) {
        match self.of() {
            Of::One(lease) => lease.on_lost(move |reason| listener(reason.code())),
            Of::All(leases) => leases.on_lost(move |reason| listener(reason.code())),
        }
    }
}

fn invalid(message: &str) -> ErrorInfo {
    leasehold::Error::invalid(message).into()
}
