//! The judge of overlaps, outside the library: it believes files and the kernel's clock only.
//!
//! Whoever holds the lock does one *section*: an unlocked read-modify-write of a shared counter,
//! with a line in a log of its own at each end. Two sections that overlap show in the log, and
//! usually lose an update of the counter too.
//!
//! # The files, for contenders in other languages
//! In one folder, per process a log that it alone appends to, `<anything>.log`, and one `counter`:
//! ```text
//! S <start> <pid> <fence> <who>
//! E <start> <end> <pid> <fence> <who>
//! ```
//! One line per write, fields separated by one space, `who` without spaces; times are nanoseconds
//! of CLOCK_BOOTTIME (`time.clock_gettime_ns(time.CLOCK_BOOTTIME)`; CLOCK_MONOTONIC on macOS). A
//! section is: append the S line; read the decimal number in `counter` (0 where it is missing); do
//! the work; write the number plus one; append the E line, whose `<end>` was read before the write
//! of the line; and only then give the lock back. A section without its E line is one whose
//! process was killed: it may or may not have counted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One contender's log.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    file: File,
    who: String,
}

/// One section under way.
#[derive(Debug)]
pub struct Section<'l> {
    log: &'l mut Log,
    start: u64,
    fence: u64,
    count: u64,
}

impl Log {
    /// The log of the contender `who` (no spaces) in `folder`.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn open(folder: &Path, who: &str) -> io::Result<Self> {
        let path = folder.join(format!("{who}-{}.log", std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { folder: folder.to_owned(), file, who: who.replace(' ', "_") })
    }

    /// Starts a section under `fence`.
    ///
    /// # Errors
    /// As the file system refuses, or where `counter` is no number.
    pub fn enter(&mut self, fence: u64) -> io::Result<Section<'_>> {
        let start = boot_nanos();
        let line = format!("S {start} {} {fence} {}\n", std::process::id(), self.who);
        self.file.write_all(line.as_bytes())?;
        let count = read_count(&self.folder)?;
        Ok(Section { log: self, start, fence, count })
    }
}

impl Section<'_> {
    /// Ends the section. Before the lock is given back.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn leave(self) -> io::Result<()> {
        fs::write(self.log.folder.join("counter"), (self.count + 1).to_string())?;
        let (start, end, pid) = (self.start, boot_nanos(), std::process::id());
        let line = format!("E {start} {end} {pid} {} {}\n", self.fence, self.log.who);
        self.log.file.write_all(line.as_bytes())
    }
}

/// Nanoseconds of the boot clock, from the kernel itself.
#[must_use]
pub fn boot_nanos() -> u64 {
    #[cfg(target_os = "linux")]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let at = rustix::time::clock_gettime(ID);
    at.tv_sec.unsigned_abs() * 1_000_000_000 + at.tv_nsec.unsigned_abs()
}

/// A section as the logs tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// When it started.
    pub start: u64,
    /// When it ended; none where its process was killed in it.
    pub end: Option<u64>,
    /// Its process.
    pub pid: u32,
    /// The fence of its tenure.
    pub fence: u64,
    /// Its contender.
    pub who: String,
}

/// What the logs and the counter say.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Verdict {
    /// All sections, by their start.
    pub sections: Vec<Held>,
    /// Pairs of sections that overlap.
    pub overlaps: Vec<(Held, Held)>,
    /// Pairs of sections, one after the other, whose fences don't grow.
    pub disorder: Vec<(Held, Held)>,
    /// The counter.
    pub counter: u64,
    /// Sections that ended.
    pub ended: u64,
    /// Sections whose process was killed.
    pub killed: u64,
}

/// Reads all logs in `folder` and judges them.
///
/// # Errors
/// As the file system refuses, and for a line that is none of the two.
pub fn judge(folder: &Path) -> io::Result<Verdict> {
    let mut sections: BTreeMap<(u64, u32), Held> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        // A process killed in its write leaves half a line at the end.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let held = parse(line).ok_or_else(|| {
                io::Error::other(format!("{}: {line:?} is not a line of a log", path.display()))
            })?;
            let slot = sections.entry((held.start, held.pid)).or_insert_with(|| held.clone());
            slot.end = slot.end.or(held.end);
        }
    }
    let sections: Vec<Held> = sections.into_values().collect();
    let mut verdict = Verdict { counter: read_count(folder)?, ..Verdict::default() };
    let mut open: Option<&Held> = None;
    for section in &sections {
        if let Some(before) = open {
            if before.end.is_some_and(|end| end > section.start) {
                verdict.overlaps.push((before.clone(), section.clone()));
            }
            if section.fence <= before.fence {
                verdict.disorder.push((before.clone(), section.clone()));
            }
        }
        // Of two that overlap, the longer is still in the way of the next.
        open = match open {
            Some(before) if before.end > section.end.max(Some(section.start)) => Some(before),
            _ => Some(section),
        };
    }
    verdict.ended = sections.iter().filter(|section| section.end.is_some()).count() as u64;
    verdict.killed = sections.len() as u64 - verdict.ended;
    verdict.sections = sections;
    Ok(verdict)
}

impl Verdict {
    /// Whether nothing speaks against exclusion: no overlap, fences in grant order, and no update
    /// of the counter lost.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let counted = (self.ended..=self.ended + self.killed).contains(&self.counter);
        self.overlaps.is_empty() && self.disorder.is_empty() && counted
    }

    /// Sections that ended, by contender.
    #[must_use]
    pub fn shares(&self) -> BTreeMap<&str, u64> {
        let mut shares = BTreeMap::new();
        for section in self.sections.iter().filter(|section| section.end.is_some()) {
            *shares.entry(section.who.as_str()).or_default() += 1;
        }
        shares
    }

    /// The longest time from the end of a section to the start of the next: how long the lock can
    /// have been nobody's, or an orphan's, while others waited (oracle O5).
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let ends = self.sections.iter().map(|section| section.end.unwrap_or(section.start));
        let starts = self.sections.iter().skip(1).map(|section| section.start);
        let gaps = ends.zip(starts).map(|(end, start)| start.saturating_sub(end));
        Duration::from_nanos(gaps.max().unwrap_or_default())
    }

    /// Jain's fairness index over the contenders' sections that started until the first contender
    /// had its last: 1 is fair, 1/n is one contender alone. (Over the whole run it would be 1 for
    /// any order, where all do the same number.)
    #[must_use]
    pub fn fairness(&self) -> f64 {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for section in &self.sections {
            last.insert(&section.who, section.start);
        }
        let until = last.values().copied().min().unwrap_or_default();
        let mut shares: BTreeMap<&str, f64> = last.keys().map(|who| (*who, 0.0)).collect();
        for section in self.sections.iter().take_while(|section| section.start <= until) {
            *shares.entry(&section.who).or_default() += 1.0;
        }
        let (sum, squares) =
            shares.values().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sections by {} contenders, {} killed; overlaps {}, fences out of order {}, \
             counter {} of {}, fairness (Jain) {:.3}, longest gap {:.3?}",
            self.sections.len(),
            self.shares().len(),
            self.killed,
            self.overlaps.len(),
            self.disorder.len(),
            self.counter,
            self.ended,
            self.fairness(),
            self.longest_gap()
        )
    }
}

fn parse(line: &str) -> Option<Held> {
    let fields: Vec<&str> = line.split(' ').collect();
    let held = |end: Option<&str>, pid: &str, fence: &str, who: &str| {
        let end = match end {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Held {
            start: fields[1].parse().ok()?,
            end,
            pid: pid.parse().ok()?,
            fence: fence.parse().ok()?,
            who: who.to_owned(),
        })
    };
    match fields[..] {
        ["S", _, pid, fence, who] => held(None, pid, fence, who),
        ["E", _, end, pid, fence, who] => held(Some(end), pid, fence, who),
        _ => None,
    }
}

fn read_count(folder: &Path) -> io::Result<u64> {
    match fs::read_to_string(folder.join("counter")) {
        // Empty: read between the truncation and the write of a section that overlaps this one.
        Ok(text) if text.is_empty() => Ok(0),
        Ok(text) => text.trim().parse().map_err(|_| {
            io::Error::other(format!("the counter is {text:?}: it was written by two at once"))
        }),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(lines: &[&str], counter: u64) -> tempfile::TempDir {
        let folder = crate::folder("oracle").expect("a folder");
        for (index, line) in lines.iter().enumerate() {
            fs::write(folder.path().join(format!("{index}.log")), line).expect("a log");
        }
        fs::write(folder.path().join("counter"), counter.to_string()).expect("a counter");
        folder
    }

    #[test]
    fn sections_apart_are_clean() {
        let lines = ["S 10 1 5 a\nE 10 20 1 5 a\nS 40 1 7 a\nE 40 50 1 7 a\n", "E 20 40 2 6 b\n"];
        let verdict = judge(folder_with(&lines, 3).path()).expect("a verdict");
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.shares(), BTreeMap::from([("a", 2), ("b", 1)]));
    }

    #[test]
    fn an_overlap_is_seen_across_a_long_section() {
        let lines = ["E 10 100 1 5 a\n", "E 20 30 2 6 b\n", "E 40 50 3 7 c\n"];
        let verdict = judge(folder_with(&lines, 3).path()).expect("a verdict");
        assert_eq!(verdict.overlaps.len(), 2, "{verdict}");
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_fence_that_repeats_or_falls_is_seen() {
        let lines = ["E 10 20 1 5 a\nE 30 40 1 5 a\nE 50 60 1 4 a\n"];
        let verdict = judge(folder_with(&lines, 3).path()).expect("a verdict");
        assert_eq!(verdict.disorder.len(), 2, "{verdict}");
    }

    #[test]
    fn a_lost_update_is_seen() {
        let lines = ["E 10 20 1 5 a\nE 30 40 1 6 a\n"];
        assert!(!judge(folder_with(&lines, 1).path()).expect("a verdict").is_clean());
        assert!(!judge(folder_with(&lines, 3).path()).expect("a verdict").is_clean());
    }

    #[test]
    fn a_killed_section_may_have_counted_or_not() {
        let lines = ["E 10 20 1 5 a\nS 30 1 6 a\n", "E 60 70 2 7 b\nS 80 2"];
        for counter in [2, 3] {
            let verdict = judge(folder_with(&lines, counter).path()).expect("a verdict");
            assert!(verdict.is_clean() && verdict.killed == 1, "{verdict}");
        }
        let inside = ["E 10 100 1 5 a\n", "S 50 2 6 b\n"];
        let verdict = judge(folder_with(&inside, 1).path()).expect("a verdict");
        assert_eq!(verdict.overlaps.len(), 1, "it started inside another's section: {verdict}");
    }

    #[test]
    fn one_contender_alone_is_unfair() {
        let many: String = (0..100).map(|i| format!("E {i}0 {i}1 1 {i} a\n")).collect();
        let lines = [many.as_str(), "E 5 6 2 0 b\nE 2000 2001 2 200 b\n"];
        let verdict = judge(folder_with(&lines, 102).path()).expect("a verdict");
        assert!(verdict.fairness() < 0.6, "{verdict}");
    }

    #[test]
    fn a_strange_line_is_an_error() {
        assert!(judge(folder_with(&["X 1 2 3\n"], 0).path()).is_err());
    }
}
