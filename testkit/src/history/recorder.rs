//! A file with one line of JSON for each operation of each client: when it was called and when its
//! caller heard what came of it, by the boot clock.
//!
//! The trap is what nobody heard of. It may take place at any later time, or never, so its line has
//! no return; a checker that took the error's time for the operation's would refuse good histories.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use leasehold::Release;

use crate::oracle::boot_nanos;

/// A history that is being written.
#[derive(Debug)]
pub struct History(Mutex<BufWriter<File>>);

/// One client's tenure as it sees it.
#[derive(Debug)]
pub struct Seen<'h> {
    history: &'h History,
    client: usize,
    lock: String,
    fence: u64,
    /// It was held at this time or later: when the last question was put that found it so.
    held_at: u64,
}

impl History {
    /// Begins one at `path`, whose folder is made.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self(Mutex::new(BufWriter::new(File::create(path)?))))
    }

    /// `client`, a number of its own, asks for `lock`; `take` does it, and answers the fence, or
    /// nothing where the lock was refused. An error leaves unknown whether it was taken.
    ///
    /// # Errors
    /// As `take` fails.
    ///
    /// # Panics
    /// Where the file can't be written.
    pub fn acquire<L, E>(
        &self,
        client: usize,
        lock: &str,
        take: impl FnOnce() -> Result<Option<L>, E>,
        fence: impl FnOnce(&L) -> u64,
    ) -> Result<Option<(L, Seen<'_>)>, E> {
        assert!(
            lock.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "a name that needs no escape"
        );
        let call = boot_nanos();
        let taken = take();
        let end = boot_nanos();
        let (outcome, number) = match &taken {
            Ok(Some(lease)) => ("ok", fence(lease)),
            Ok(None) => ("fail", 0),
            Err(_) => ("unknown", 0),
        };
        let heard = (outcome != "unknown").then_some(end);
        self.write(client, lock, "acquire", outcome, number, call, heard);
        let lock = lock.to_owned();
        let seen = Seen { history: self, client, lock, fence: number, held_at: call };
        Ok(taken?.map(|lease| (lease, seen)))
    }

    /// What is still to be written, is.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn finish(self) -> io::Result<()> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).flush()
    }

    #[allow(clippy::too_many_arguments, reason = "a line's fields")]
    fn write(
        &self,
        client: usize,
        lock: &str,
        op: &str,
        outcome: &str,
        fence: u64,
        call: u64,
        end: Option<u64>,
    ) {
        let end = end.map_or_else(|| "null".to_owned(), |end| end.to_string());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(
            file,
            r#"{{"client":{client},"lock":"{lock}","op":"{op}","outcome":"{outcome}","fence":{fence},"call":{call},"return":{end}}}"#
        )
        .expect("the history is written");
    }
}

impl Seen<'_> {
    /// Looks whether it is held; what `look` said.
    pub fn look(&mut self, look: impl FnOnce() -> bool) -> bool {
        let call = boot_nanos();
        let held = look();
        if held {
            self.held_at = call;
            self.write("held", "ok", call, Some(boot_nanos()));
        }
        held
    }

    /// Gives it back.
    pub fn release(self, give_back: impl FnOnce() -> Release) -> Release {
        let call = boot_nanos();
        let release = give_back();
        let end = boot_nanos();
        match release {
            Release::Released => self.write("release", "ok", call, Some(end)),
            // It may have ended by itself, at any time since it was last seen: not since that was
            // noted, for the thread may have been stopped in between.
            Release::Background | Release::Repeated => {
                self.write("release", "unknown", self.held_at, None);
            }
            Release::Lost(_) => self.write("lost", "ok", self.held_at, None),
        }
        release
    }

    fn write(&self, op: &str, outcome: &str, call: u64, end: Option<u64>) {
        self.history.write(self.client, &self.lock, op, outcome, self.fence, call, end);
    }
}

#[cfg(test)]
mod tests {
    use leasehold::LostReason;

    use super::*;

    /// What a question finds can end before its answer is noted: a loaded machine stops a thread for
    /// longer than a short lease lasts.
    #[test]
    fn a_tenure_may_have_ended_before_it_was_noted() {
        let file = std::env::temp_dir().join(format!("leasehold-history-{}", std::process::id()));
        let history = History::create(&file).unwrap();
        let taken = history.acquire(1, "a", || Ok::<_, ()>(Some(())), |()| 7).unwrap();
        let (_, mut seen) = taken.unwrap();
        let mut found = 0;
        assert!(seen.look(|| {
            found = boot_nanos();
            while boot_nanos() == found {}
            true
        }));
        seen.release(|| Release::Lost(LostReason::Expired));
        history.finish().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let lost = text.lines().last().unwrap();
        let call = lost.split_once(r#""call":"#).and_then(|(_, rest)| rest.split_once(','));
        let call: u64 = call.unwrap().0.parse().unwrap();
        assert!(lost.contains(r#""op":"lost""#) && call <= found, "{lost} after {found}");
    }
}
