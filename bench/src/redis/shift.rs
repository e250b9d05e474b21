//! A worker's work on one order: pairs without contention, contenders on one lock, or many locks
//! held. What must be there beforehand is made first; the clock runs from the word on.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::contest::LOCK;
use super::order::Did;
use super::rival::{Contender, Holder, Rival};
use super::turns::{Turn, write};
use crate::{Result, clock};

/// Tasks that each have a lock of their own.
pub(crate) struct Pairs<C> {
    contenders: Vec<C>,
}

impl<C: Contender> Pairs<C> {
    /// Makes `tasks` of them. Each has had a pair: the first loads scripts and opens connections.
    pub(crate) async fn ready<R: Rival<One = C>>(rival: &R, tasks: u32) -> Result<Self> {
        let mut contenders = Vec::new();
        for index in 0..tasks {
            let mut contender = rival.contender(&format!("bench:pair:{index}"), index).await?;
            contender.take().await?;
            contender.give().await?;
            contenders.push(contender);
        }
        Ok(Self { contenders })
    }

    /// Pairs until `until`.
    pub(crate) async fn work(self, until: u64) -> Result<Did> {
        let (begun, used) = (clock::now(), clock::process_cpu());
        let mut running = JoinSet::new();
        for mut contender in self.contenders {
            running.spawn(async move {
                let mut done = 0;
                while clock::now() < until {
                    contender.take().await?;
                    contender.give().await?;
                    done += 1;
                }
                Ok::<u64, crate::Failure>(done)
            });
        }
        let mut count = 0;
        while let Some(done) = running.join_next().await {
            count += done??;
        }
        Ok(did(count, begun, used))
    }
}

/// Contenders on one lock, each with its own record of what it got.
pub(crate) struct Contest<C> {
    contenders: Vec<C>,
    first: u32,
    hold: Duration,
}

impl<C: Contender> Contest<C> {
    /// Makes `count` contenders, the first with number `first`.
    pub(crate) async fn ready<R: Rival<One = C>>(
        rival: &R,
        (first, count): (u32, u32),
        hold: Duration,
    ) -> Result<Self> {
        let mut contenders = Vec::new();
        for index in first..first + count {
            contenders.push(rival.contender(LOCK, index).await?);
        }
        Ok(Self { contenders, first, hold })
    }

    /// Contends until `until`, then leaves the records in `file`. Contender number 0 takes the lock
    /// before the others ask and keeps it until `open`: they queue, all of them, before it opens.
    pub(crate) async fn work(self, (open, until): (u64, u64), file: &Path) -> Result<Did> {
        let (begun, used) = (clock::now(), clock::process_cpu());
        let hold = self.hold;
        let mut running: JoinSet<Result<(u32, Vec<Turn>)>> = JoinSet::new();
        for (index, mut contender) in (self.first..).zip(self.contenders) {
            let mut turns = Vec::new();
            if index == 0 {
                let turn = take(&mut contender).await?;
                running.spawn(async move {
                    let span = open.saturating_sub(clock::now());
                    give(&mut contender, turn, Duration::from_nanos(span), &mut turns).await?;
                    Ok((index, contend(contender, hold, until, turns).await?))
                });
            } else {
                running.spawn(
                    async move { Ok((index, contend(contender, hold, until, turns).await?)) },
                );
            }
        }
        let mut all = Vec::new();
        while let Some(turns) = running.join_next().await {
            all.push(turns??);
        }
        let count = all.iter().map(|(_, turns)| turns.len() as u64).sum();
        let did = did(count, begun, used);
        write(file, &all)?;
        Ok(did)
    }
}

/// Takes the lock; a turn that has not ended.
async fn take<C: Contender>(one: &mut C) -> Result<Turn> {
    let asked = clock::now();
    one.take().await?;
    Ok(Turn { asked, granted: clock::now(), released: 0 })
}

/// Keeps the lock for `hold`, writes the turn down and gives the lock back.
async fn give<C: Contender>(
    one: &mut C,
    turn: Turn,
    hold: Duration,
    turns: &mut Vec<Turn>,
) -> Result<()> {
    if !hold.is_zero() {
        tokio::time::sleep(hold).await;
    }
    turns.push(Turn { released: clock::now(), ..turn });
    one.give().await
}

async fn contend<C: Contender>(
    mut one: C,
    hold: Duration,
    until: u64,
    mut turns: Vec<Turn>,
) -> Result<Vec<Turn>> {
    while clock::now() < until {
        let turn = take(&mut one).await?;
        give(&mut one, turn, hold, &mut turns).await?;
    }
    one.leave().await?;
    Ok(turns)
}

/// Keeps what `holder` holds until `until`, waits for the word and gives all back. Answers how many
/// were still held then, and what the keeping took.
pub(crate) async fn keep<H: Holder>(
    holder: &H,
    held: H::Held,
    until: u64,
    word: impl FnOnce() -> Result<()>,
) -> Result<Did> {
    let (begun, used) = (clock::now(), clock::process_cpu());
    let last = Duration::from_nanos(until.saturating_sub(begun));
    let kept = holder.keep(held, last).await?;
    let mut did = did(0, begun, used);
    word()?;
    did.count = H::let_go(kept).await?;
    Ok(did)
}

fn did(count: u64, begun: u64, used: u64) -> Did {
    let cpu = (clock::process_cpu() - used) as f64 / 1e9;
    Did { count, seconds: (clock::now() - begun) as f64 / 1e9, cpu }
}
