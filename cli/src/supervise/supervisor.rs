//! From the wait for the lock to its release: what happens to the program, to us and to the lease,
//! one event at a time, in the main thread.
//!
//! The trap is time. The lease's deadline moves with every renewal, so it is read anew at each
//! look; and the program is ended *before* the deadline, for at the deadline another may hold.

use std::ffi::OsString;
use std::time::Duration;

use leasehold::sys::{BootClock, BootTime, Clock};
use leasehold::{Campaign, ErrorKind, Leadership, Lease, Lock, LockOptions, LostReason, Release};
use rustix::process::{Pid, Signal};

use super::guard::Guard;
use super::process::{Change, Process, passed_on};
use super::signals::{ENDING, Signals};
use super::terminal::Terminal;
use crate::exit::{Exit, Failure, code};
use crate::print;

/// SIGKILL is sent this much before the deadline, or a twentieth of the ttl if that is less: to
/// end a process takes time too.
const KILL_AHEAD: Duration = Duration::from_millis(50);

/// What was killed has this long to be gone before the lock is given back. A process that nobody
/// reaps never is.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// What is to be run, and how.
pub(crate) struct Plan {
    pub(crate) right: Right,
    /// The options of `right`.
    pub(crate) options: LockOptions,
    /// How long before the deadline the program gets SIGTERM.
    pub(crate) grace: Duration,
    pub(crate) command: Vec<OsString>,
}

/// What the program runs under.
pub(crate) enum Right {
    Lock(Lock),
    /// The lead, for which a new campaign begins when it is lost.
    Lead(Box<Campaign>),
}

enum Taken {
    Lock(Lease),
    Lead(Leadership),
}

/// What became of the program.
enum Done {
    Ended(Exit),
    /// It was ended for the lease.
    Lost {
        /// A signal had told us to end, too.
        told_to_end: bool,
    },
}

/// Between two campaigns while the store does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits for the lock or the lead and runs the program under it.
pub(crate) fn run(plan: Plan) -> Result<Exit, Failure> {
    // Not the library's threads: the program ends with the thread that started it, and this one
    // lasts as long as the process.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::system("the event loop could not be started", cause))?
        .block_on(async {
            let mut signals = Signals::listen()?;
            let mut again = false;
            loop {
                let (taken, taken_at) = tokio::select! {
                    biased;
                    // Dropping the attempt has it taken back in the store, which `main` waits for.
                    signal = signals.next_to_end() => return Ok(ended_wait(signal)),
                    taken = acquire(&plan, again) => taken?,
                };
                let done = under(&plan, taken.lease(), taken_at, &mut signals).await;
                if done.is_err() {
                    taken.lease().release().await;
                }
                let led = taken.end().await;
                match done? {
                    Done::Ended(exit) => return Ok(exit),
                    Done::Lost { told_to_end: false } if led => again = true,
                    Done::Lost { .. } => return Ok(Exit::Code(code::LOST)),
                }
            }
        })
}

impl Taken {
    fn lease(&self) -> &Lease {
        match self {
            Self::Lock(lease) => lease,
            Self::Lead(leadership) => leadership.lease(),
        }
    }

    /// Ends it, and tells those who observe; whether it was the lead.
    async fn end(self) -> bool {
        match self {
            Self::Lock(_) => false,
            Self::Lead(leadership) => {
                leadership.resign().await;
                true
            }
        }
    }
}

/// Takes the lock, with nearly all of the lease before us: a hand-off lasts only for its claim until
/// the holder has confirmed it, which is less than many a grace.
async fn acquire(plan: &Plan, again: bool) -> leasehold::Result<(Taken, BootTime)> {
    let (ttl, limit) = (plan.options.ttl, plan.options.max_hold.unwrap_or(plan.options.ttl));
    loop {
        let taken = match &plan.right {
            Right::Lock(lock) => lock.clone().acquire().await.map(Taken::Lock),
            Right::Lead(campaign) => Campaign::clone(campaign).acquire().await.map(Taken::Lead),
        };
        match taken {
            Ok(taken) => {
                let taken_at = BootClock.now();
                if taken.lease().remaining() < ttl.min(limit) / 10 * 9 {
                    taken.lease().extend(ttl).await?;
                }
                return Ok((taken, taken_at));
            }
            // It led before: what took the lead from it may go on for a while.
            Err(error) if again && worth_another(error.kind()) => {
                tracing::warn!(%error, "campaigning again");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a campaign that failed so may succeed a little later.
fn worth_another(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StoreUnavailable | ErrorKind::Lost)
}

/// The exit for a signal that came during the wait.
fn ended_wait(signal: Signal) -> Exit {
    let at_terminal = signal == Signal::INT && Terminal::open().is_some_and(|tty| tty.is_ours());
    if at_terminal { Exit::Interrupted { group: false } } else { Exit::signal(signal.as_raw()) }
}

async fn under(
    plan: &Plan,
    lease: &Lease,
    taken_at: BootTime,
    signals: &mut Signals,
) -> Result<Done, Failure> {
    signals.listen_as_parent()?;
    let mut terminal = Terminal::open();
    let guard = Guard::start()?;
    let process = match Process::start(&plan.command, lease, &guard, terminal.as_mut()) {
        Ok(process) => process,
        Err(failure) => {
            guard.dismiss();
            if let Some(terminal) = &mut terminal {
                terminal.take_back(None);
            }
            return Err(failure);
        }
    };
    tracing::info!(name = %lease.name(), fence = lease.fence(), group = ?process.group(), "running");
    let supervisor = Supervisor {
        plan,
        lease,
        process,
        guard,
        terminal,
        taken_at,
        guarded: BootTime::default(),
        interrupted: false,
        told_to_end: false,
        own_stop: false,
        lost: None,
        killed: false,
    };
    supervisor.supervise(signals).await
}

struct Supervisor<'a> {
    plan: &'a Plan,
    lease: &'a Lease,
    process: Process,
    guard: Guard,
    terminal: Option<Terminal>,
    taken_at: BootTime,
    /// The deadline that the guard was told last.
    guarded: BootTime,
    /// SIGINT came to us.
    interrupted: bool,
    /// So did a signal that ends a program.
    told_to_end: bool,
    /// The next SIGTSTP is the one that we sent to our own group.
    own_stop: bool,
    /// Why the program was told to end on the lease's account.
    lost: Option<String>,
    killed: bool,
}

impl Supervisor<'_> {
    async fn supervise(mut self, signals: &mut Signals) -> Result<Done, Failure> {
        loop {
            match self.process.change() {
                Ok(Some(Change::Ended)) => return self.ended().await,
                Ok(Some(Change::Stopped(signal))) => self.stopped(signal),
                Ok(None) => {}
                Err(cause) => {
                    // The lock is given back next.
                    self.process.send(Signal::KILL);
                    return Err(Failure::system("the program was lost sight of", cause));
                }
            }
            let nap = self.look();
            tokio::select! {
                signal = signals.next() => self.signal(signal),
                reason = self.lease.lost(), if !self.killed => self.kill(why(reason).to_owned()),
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Looks at the lease and does what is due; answers when to look again at the latest.
    fn look(&mut self) -> Duration {
        let ttl = self.plan.options.ttl;
        let now = BootClock.now();
        let left = self.lease.remaining();
        if self.killed {
            return ttl;
        }
        let ahead = KILL_AHEAD.min(ttl / 20);
        if left <= ahead {
            let reason = self.reason(left);
            self.kill(reason);
            return ttl;
        }
        if left <= self.plan.grace && self.lost.is_none() {
            self.lost = Some(self.reason(left));
            self.process.send(Signal::TERM);
            // A stopped program can't heed it.
            self.process.send(Signal::CONT);
        }
        let deadline = now + left;
        if deadline > self.guarded {
            self.guarded = deadline;
            self.guard.watch(self.process.group(), deadline);
        }
        // Often enough for the guard not to act on an old deadline when we are held up.
        let due = if self.lost.is_none() { left - self.plan.grace } else { left - ahead };
        due.min(ttl / 6).max(Duration::from_millis(1))
    }

    /// Why a lease ends that has `left` left. The library tells only when it is over.
    fn reason(&self, left: Duration) -> String {
        let held_for = BootClock.now().since(self.taken_at);
        let reason = self.lease.lost_reason().unwrap_or(match self.plan.options.max_hold {
            // The library's count began a little earlier.
            Some(limit) if held_for + left + limit / 10 >= limit => LostReason::MaxHold,
            _ => LostReason::StoreUnreachable,
        });
        why(reason).to_owned()
    }

    fn kill(&mut self, reason: String) {
        self.lost.get_or_insert(reason);
        self.killed = true;
        self.process.send(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            // The loop looks at the program next.
            Signal::CHILD => {}
            Signal::CONT => self.continued(),
            Signal::TSTP if std::mem::take(&mut self.own_stop) => {}
            signal => {
                self.interrupted |= signal == Signal::INT;
                self.told_to_end |= ENDING.contains(&signal);
                self.process.send(signal);
            }
        }
    }

    /// The program was stopped. Where a shell waits for us, we stop too, so that it notices; the
    /// program goes on only when we do, and only if the lease is still there.
    fn stopped(&mut self, by: Signal) {
        let Some(terminal) = &mut self.terminal else { return };
        let group = self.process.group();
        let wants = by == Signal::TTIN || by == Signal::TTOU;
        if wants {
            terminal.lend(group, true);
            if terminal.is_with(group) {
                self.process.send(Signal::CONT);
                return;
            }
        }
        if !wants && by != Signal::TSTP {
            return; // Someone stopped the program, not the job.
        }
        if !terminal.under_a_shell() {
            self.process.send(Signal::CONT);
            return;
        }
        // What ignored the polite stop would run on without its lease.
        self.process.send(Signal::STOP);
        let lent = terminal.lent();
        terminal.take_back(Some(group));
        // Neither can fail for one's own process and group. A terminal that was lent has told only
        // the program's group; a script or pipeline around us is part of ours.
        if lent {
            self.own_stop = true;
            let _ = rustix::process::kill_current_process_group(Signal::TSTP);
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
    }

    /// We were continued, or put into the foreground.
    fn continued(&mut self) {
        if !self.lease.is_held() {
            let reason = self.reason(Duration::ZERO);
            return self.kill(reason);
        }
        let group = self.process.group();
        if let Some(terminal) = &mut self.terminal {
            terminal.lend(group, false);
        }
        self.process.send(Signal::CONT);
    }

    /// The program ended, and is not reaped: its group's number is still its own.
    async fn ended(mut self) -> Result<Done, Failure> {
        let mut lost = self.lost.take().or_else(|| self.lease.lost_reason().map(|r| why(r).into()));
        if lost.is_some() {
            // Its children too.
            self.process.send(Signal::KILL);
        }
        self.guard.dismiss();
        let group = self.process.group();
        let status = self.process.reap();
        if lost.is_some() {
            gone(group, self.lease.remaining().min(LAST_BREATH)).await;
        }
        if let (Release::Lost(reason), None) = (self.lease.release().await, &lost) {
            lost = Some(why(reason).to_owned());
        }
        let lent = self.terminal.as_ref().is_some_and(Terminal::lent);
        if let Some(terminal) = &mut self.terminal {
            terminal.take_back(Some(group));
        }
        let status = status.map_err(|cause| Failure::system("the exit status is lost", cause))?;
        let exit = passed_on(status);
        if let Some(terminal) = &self.terminal {
            if status.code().is_none() {
                terminal.restore();
            }
            let by_ctrl_c = exit == Exit::signal(Signal::INT.as_raw()) && terminal.is_ours();
            if by_ctrl_c && lost.is_none() && (lent || self.interrupted) {
                return Ok(Done::Ended(Exit::Interrupted { group: lent }));
            }
        }
        let Some(reason) = lost else { return Ok(Done::Ended(exit)) };
        print::complain(&format!("lock {}: {reason}; the program was ended", self.lease.name()));
        Ok(Done::Lost { told_to_end: self.told_to_end })
    }
}

/// Waits at most `limit` until nothing of the killed `group` is left: what was killed may still have
/// to be scheduled to die, and the next holder starts when the lock is given back. Nobody is told
/// of the end of processes that aren't one's children, hence a bounded poll.
async fn gone(group: Pid, limit: Duration) {
    let until = BootClock.now() + limit;
    while rustix::process::test_kill_process_group(group).is_ok() && BootClock.now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One line on a lost lease.
fn why(reason: LostReason) -> &'static str {
    match reason {
        LostReason::MaxHold => "--max-hold is over (max_hold)",
        LostReason::Revoked => "the lease was ended from outside (revoked)",
        LostReason::Superseded => "another holds the lock (superseded)",
        LostReason::StoreUnreachable => "the lease could not be renewed (store_unreachable)",
        LostReason::SessionExpired => "the store's session ended (session_expired)",
        LostReason::Expired => "the lease was not renewed in time (expired)",
        _ => "leasehold was ended (shutdown)",
    }
}
