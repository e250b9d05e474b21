//! The course of events: all contend; the one in Rust is killed while it holds; the one in Python
//! is paused while it holds, for longer than its lease, and goes on; all contend again.
//!
//! Driven by what the contenders say, never by a guess of how long something takes; a limit ends
//! each part in case nothing happens.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::contender::{Contender, Program, Said, State};
use crate::screen::Screen;

/// The lock that is contended for.
pub(crate) const LOCK: &str = "demo";
/// The lease of each contender.
pub(crate) const TTL: Duration = Duration::from_secs(2);
/// Contenders in each language.
const EACH: usize = 2;
/// How long a holder works.
const WORK: Duration = Duration::from_millis(100);
/// How long a holder works before its mishap: by then its lease has its whole ttl. One that was
/// handed the lock has only the time of its claim until its first renewal.
const LONG_WORK: Duration = Duration::from_secs(1);
/// How long the pause is, at least.
const PAUSE: Duration = Duration::from_millis(2_500);
/// How often each is to hold the lock before the first mishap.
const ROUNDS: u32 = 2;
/// What comes to nothing in this time has failed.
const LIMIT: Duration = Duration::from_secs(15);

/// Why the demo can't go on.
#[derive(Debug)]
pub(crate) enum Halt {
    Interrupted,
    Failed(String),
}

impl From<io::Error> for Halt {
    fn from(cause: io::Error) -> Self {
        Self::Failed(cause.to_string())
    }
}

/// What was seen from outside, to be checked.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// From the kill to the next holder.
    pub(crate) after_kill: Duration,
    /// From the pause to the next holder.
    pub(crate) after_pause: Duration,
    /// How long the pause was.
    pub(crate) paused_for: Duration,
    /// The fence of the paused holder, and what it said when it was asked to write.
    pub(crate) paused: Option<(u64, Said)>,
    /// Contenders that ended otherwise than asked.
    pub(crate) failed: Vec<String>,
    /// How often each language held the lock.
    pub(crate) held: Vec<(&'static str, u32)>,
}

pub(crate) struct Scenario {
    contenders: Vec<Contender>,
    said: UnboundedReceiver<(usize, Said)>,
    /// Holders at work, and when they are done.
    at_work: Vec<(Instant, usize)>,
    screen: Screen,
    observed: Observed,
    /// No more orders to take the lock.
    closing: bool,
    _readers: JoinSet<()>,
}

impl Scenario {
    pub(crate) fn start(
        programs: &[Program],
        url: &str,
        folder: &Path,
        screen: Screen,
    ) -> Result<Self, Halt> {
        let (to, said) = unbounded_channel();
        let mut readers = JoinSet::new();
        let arguments: Vec<OsString> = vec![LOCK.into(), url.into(), folder.into()];
        let mut contenders = Vec::new();
        for number in 1..=EACH {
            for program in programs {
                let index = contenders.len();
                let started =
                    Contender::start(program, number, &arguments, index, to.clone(), &mut readers);
                contenders.push(started.map_err(|cause| {
                    Halt::Failed(format!("the {} contender: {cause}", program.language))
                })?);
            }
        }
        Ok(Self {
            contenders,
            said,
            at_work: Vec::new(),
            screen,
            observed: Observed::default(),
            closing: false,
            _readers: readers,
        })
    }

    /// Plays all parts.
    pub(crate) async fn play(&mut self) -> Result<Observed, Halt> {
        for contender in &mut self.contenders {
            contender.order("take").await;
        }
        self.contend(ROUNDS).await?;
        self.kill("rust").await?;
        self.pause("python").await?;
        let rounds = self.contenders.iter().filter(|one| one.running()).map(|one| one.held).min();
        self.contend(rounds.unwrap_or_default() + 1).await?;
        self.end().await?;
        for contender in &self.contenders {
            let languages = &mut self.observed.held;
            match languages.iter_mut().find(|(language, _)| *language == contender.language) {
                Some((_, held)) => *held += contender.held,
                None => languages.push((contender.language, contender.held)),
            }
        }
        Ok(std::mem::take(&mut self.observed))
    }

    /// Goes on until each running contender has held the lock `rounds` times.
    async fn contend(&mut self, rounds: u32) -> Result<(), Halt> {
        let limit = Instant::now() + LIMIT;
        while self.contenders.iter().any(|one| one.running() && one.held < rounds) {
            let (who, said) = self.next(limit, "the contenders to have their turns").await?;
            self.go_on(who, said).await?;
        }
        Ok(())
    }

    /// Kills the next holder of `language` with -9 and waits for the one after it.
    async fn kill(&mut self, language: &str) -> Result<(), Halt> {
        let (who, _) = self.next_holder(|one| one.language == language).await?;
        self.go_on_until(Instant::now() + LONG_WORK).await?;
        self.contenders[who].signal(Signal::KILL)?;
        let killed = Instant::now();
        self.contenders[who].state = State::Killed;
        let text = format!("{} is killed with -9 while it holds", self.contenders[who].name);
        self.screen.tell(&text, &self.contenders);

        let (next, _) = self.next_holder(|_| true).await?;
        self.observed.after_kill = killed.elapsed();
        self.work(next);
        Ok(())
    }

    /// Stops the next holder of `language`, lets others have the lock, has it go on and asks it to
    /// write.
    async fn pause(&mut self, language: &str) -> Result<(), Halt> {
        let (who, fence) = self.next_holder(|one| one.language == language).await?;
        self.go_on_until(Instant::now() + LONG_WORK).await?;
        self.contenders[who].signal(Signal::STOP)?;
        let paused = Instant::now();
        self.contenders[who].state = State::Paused(fence);
        let name = self.contenders[who].name.clone();
        self.screen.tell(&format!("{name} is paused while it holds"), &self.contenders);

        let (next, _) = self.next_holder(|_| true).await?;
        self.observed.after_pause = paused.elapsed();
        self.work(next);
        // Others are in the middle of their tenures when the paused one goes on.
        self.go_on_until(paused + PAUSE).await?;

        self.contenders[who].signal(Signal::CONT)?;
        self.observed.paused_for = paused.elapsed();
        self.screen.tell(&format!("{name} goes on and is asked to write"), &self.contenders);
        self.contenders[who].order("write").await;
        let limit = Instant::now() + LIMIT;
        loop {
            let (speaker, said) = self.next(limit, "the paused contender to answer").await?;
            if speaker == who && said != Said::Gone {
                let text = match &said {
                    Said::Refused(fence, reason) => {
                        format!("{name} refuses to write with fence {fence}: {reason}")
                    }
                    other => format!("{name} answers {other:?}"),
                };
                self.screen.tell(&text, &self.contenders);
                self.observed.paused = Some((fence, said));
                self.take_again(who).await;
                return Ok(());
            }
            self.go_on(speaker, said).await?;
        }
    }

    /// Has all finish what they do and end.
    async fn end(&mut self) -> Result<(), Halt> {
        self.closing = true;
        let limit = Instant::now() + LIMIT;
        while self.contenders.iter().any(Contender::running) {
            let (who, said) = self.next(limit, "the contenders to end").await?;
            self.go_on(who, said).await?;
        }
        for one in &mut self.contenders {
            let well = one.ended_well().await;
            if !well && one.state == State::Ended {
                self.observed.failed.push(format!("{} ended with an error", one.name));
            }
        }
        Ok(())
    }

    /// Goes on until one that `wanted` picks holds the lock; it is left holding.
    async fn next_holder(
        &mut self,
        wanted: impl Fn(&Contender) -> bool,
    ) -> Result<(usize, u64), Halt> {
        let limit = Instant::now() + LIMIT;
        loop {
            let (who, said) = self.next(limit, "a holder").await?;
            if let Said::Held(fence) = said
                && wanted(&self.contenders[who])
            {
                self.holds(who, fence);
                return Ok((who, fence));
            }
            self.go_on(who, said).await?;
        }
    }

    /// Goes on until `end`, whoever holds.
    async fn go_on_until(&mut self, end: Instant) -> Result<(), Halt> {
        while let Some((who, said)) = self.said_until(end).await? {
            self.go_on(who, said).await?;
        }
        Ok(())
    }

    /// What is said next, which must be before `limit`.
    async fn next(&mut self, limit: Instant, what: &str) -> Result<(usize, Said), Halt> {
        let said = self.said_until(limit).await?;
        said.ok_or_else(|| Halt::Failed(format!("waited {LIMIT:?} for {what}")))
    }

    /// What is said next, if it is before `end`. Holders whose work is done are told to write
    /// meanwhile.
    async fn said_until(&mut self, end: Instant) -> Result<Option<(usize, Said)>, Halt> {
        loop {
            let done = self.at_work.iter().map(|(at, _)| *at).min();
            tokio::select! {
                said = timeout_at(end, self.said.recv()) => {
                    return match said {
                        Ok(Some(said)) => Ok(Some(said)),
                        Ok(None) => Err(Halt::Failed("all contenders are gone".to_owned())),
                        Err(_) => Ok(None),
                    };
                }
                () = sleep_until(done.unwrap_or(end)), if done.is_some() => {
                    let now = Instant::now();
                    let due = self.at_work.extract_if(.., |(at, _)| *at <= now);
                    let due: Vec<usize> = due.map(|(_, who)| who).collect();
                    for who in due {
                        self.contenders[who].order("write").await;
                    }
                }
            }
        }
    }

    /// What ordinarily follows on what is said.
    async fn go_on(&mut self, who: usize, said: Said) -> Result<(), Halt> {
        let name = self.contenders[who].name.clone();
        match said {
            Said::Waits => {
                self.contenders[who].state = State::Waits;
                Ok(())
            }
            Said::Held(fence) => {
                self.holds(who, fence);
                self.work(who);
                Ok(())
            }
            Said::Wrote(_) => {
                self.take_again(who).await;
                Ok(())
            }
            Said::Gone if self.contenders[who].state == State::Killed => Ok(()),
            Said::Gone if self.closing => {
                self.contenders[who].state = State::Ended;
                Ok(())
            }
            Said::Gone => Err(Halt::Failed(format!("{name} ended by itself"))),
            // Only a paused one may find its lease gone.
            Said::Refused(fence, reason) => {
                Err(Halt::Failed(format!("{name} lost fence {fence}: {reason}")))
            }
            Said::Other(line) => Err(Halt::Failed(format!("{name} said {line:?}"))),
        }
    }

    fn holds(&mut self, who: usize, fence: u64) {
        self.contenders[who].state = State::Holds(fence);
        self.contenders[who].held += 1;
        let text = format!("{} holds with fence {fence}", self.contenders[who].name);
        self.screen.tell(&text, &self.contenders);
    }

    fn work(&mut self, who: usize) {
        self.at_work.push((Instant::now() + WORK, who));
    }

    async fn take_again(&mut self, who: usize) {
        self.contenders[who].state = State::Waits;
        if self.closing {
            self.contenders[who].dismiss();
        } else {
            self.contenders[who].order("take").await;
        }
    }
}
