//! The judge of permits, outside the library: how many were believed in at the same time.
//!
//! A process that has permits writes into a file of its own, as long as it believes in them, the time
//! of the boot clock that it read *before* it asked its lease. A lease that is held a moment later was
//! held then, so what stands there is never more than was believed; and a process that is killed leaves
//! there until when it believed. The trap is the other way: a time that is written when a loss is told
//! is that of the telling, and a busy machine tells late.
//!
//! The file is a row of records of three little-endian numbers of 64 bits: how many permits, since when
//! and until when, in nanoseconds of the boot clock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use leasehold::Lease;

use crate::oracle::boot_nanos;

const RECORD: u64 = 24;

/// The file of one process.
#[derive(Debug)]
pub struct Beliefs {
    file: File,
    records: u64,
}

impl Beliefs {
    /// The file of this process in `folder`.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}.beliefs", std::process::id()));
        let file = OpenOptions::new().create_new(true).write(true).open(path)?;
        Ok(Self { file, records: 0 })
    }

    /// Writes on while `lease` of `count` permits is held and `go_on` says so. `pause` is called
    /// between two looks.
    ///
    /// # Errors
    /// As the file system refuses.
    pub fn hold(
        &mut self,
        lease: &Lease,
        count: u32,
        go_on: impl Fn() -> bool,
        pause: impl Fn(),
    ) -> io::Result<()> {
        let begun = boot_nanos();
        if !lease.is_held() {
            return Ok(());
        }
        let at = RECORD * self.records;
        self.records += 1;
        let record = [u64::from(count), begun, begun].map(u64::to_le_bytes).concat();
        self.file.write_all_at(&record, at)?;
        while go_on() {
            let now = boot_nanos();
            if !lease.is_held() {
                break;
            }
            self.file.write_all_at(&now.to_le_bytes(), at + 16)?;
            pause();
        }
        Ok(())
    }
}

/// What the files of all processes say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Believed {
    /// Tenures.
    pub tenures: usize,
    /// The most permits at one moment.
    pub most: u64,
}

/// Reads all files in `folder`.
///
/// # Errors
/// As the file system refuses.
pub fn believed(folder: &Path) -> io::Result<Believed> {
    let (mut changes, mut tenures) = (Vec::new(), 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "beliefs") {
            continue;
        }
        // A process that was killed in its first write leaves a part of a record.
        for record in fs::read(&path)?.chunks_exact(RECORD as usize) {
            let number = |index: usize| {
                let bytes = record[8 * index..][..8].try_into().unwrap_or_default();
                u64::from_le_bytes(bytes)
            };
            let (count, begun, last) = (number(0), number(1), number(2));
            tenures += 1;
            if begun < last {
                // One that ends when another begins is not beside it.
                changes.extend([(begun, 1, count), (last, 0, count)]);
            }
        }
    }
    changes.sort_unstable();
    let (mut sum, mut most) = (0, 0);
    for (_, begins, count) in changes {
        if begins == 1 {
            sum += count;
        } else {
            sum -= count;
        }
        most = most.max(sum);
    }
    Ok(Believed { tenures, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(files: &[&[[u64; 3]]]) -> Believed {
        let folder = crate::folder("beliefs").expect("a folder");
        for (index, records) in files.iter().enumerate() {
            let numbers = records.iter().flatten().flat_map(|number| number.to_le_bytes());
            let mut bytes: Vec<u8> = numbers.collect();
            bytes.extend([7; 5]);
            fs::write(folder.path().join(format!("{index}.beliefs")), bytes).expect("a file");
        }
        believed(folder.path()).expect("it can be read")
    }

    #[test]
    fn tenures_side_by_side_are_added() {
        let files: [&[[u64; 3]]; 3] = [&[[2, 10, 20], [1, 30, 40]], &[[3, 15, 35]], &[[4, 40, 50]]];
        assert_eq!(seen(&files), Believed { tenures: 4, most: 5 });
    }

    #[test]
    fn one_after_the_other_are_not() {
        assert_eq!(seen(&[&[[2, 10, 10]]]), Believed { tenures: 1, most: 0 });
        assert_eq!(seen(&[&[[2, 10, 20]], &[[2, 20, 30]]]).most, 2);
        assert_eq!(seen(&[&[[2, 10, 21]], &[[2, 20, 30]]]).most, 4);
    }
}
