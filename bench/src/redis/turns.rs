//! What each contender saw, in a file that workers of all languages write alike: four numbers of
//! eight bytes a turn, times in the machine's monotonic nanoseconds. The bench judges them together,
//! so that no lock's own word about who held it is asked for.

use std::path::Path;

use crate::Result;
use crate::stats::Tenure;

/// One take of the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    /// When it was asked for.
    pub(crate) asked: u64,
    /// When the acquire returned.
    pub(crate) granted: u64,
    /// When the release was called.
    pub(crate) released: u64,
}

impl Turn {
    /// When it was held.
    pub(crate) fn tenure(&self) -> Tenure {
        Tenure { granted: self.granted, released: self.released }
    }
}

/// Leaves the turns of all contenders of a worker in `file`.
pub(crate) fn write(file: &Path, contenders: &[(u32, Vec<Turn>)]) -> Result<()> {
    let mut bytes = Vec::new();
    for (contender, turns) in contenders {
        for turn in turns {
            let row = [u64::from(*contender), turn.asked, turn.granted, turn.released];
            bytes.extend(row.into_iter().flat_map(u64::to_le_bytes));
        }
    }
    Ok(std::fs::write(file, bytes)?)
}

/// Reads what [`write`] left into the list of each contender, and takes the file away.
pub(crate) fn collect(file: &Path, contenders: &mut [Vec<Turn>]) -> Result<()> {
    let bytes = std::fs::read(file)?;
    std::fs::remove_file(file)?;
    let (rows, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(format!("{}: half a turn", file.display()).into());
    }
    for row in rows {
        let [who, asked, granted, released] = std::array::from_fn(|place| {
            u64::from_le_bytes(std::array::from_fn(|index| row[place * 8 + index]))
        });
        let turns = contenders.get_mut(usize::try_from(who)?).ok_or("a turn of a stranger")?;
        turns.push(Turn { asked, granted, released });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_once() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("turns");
        let turns = vec![
            Turn { asked: 1, granted: 2, released: 3 },
            Turn { asked: 4, granted: 5, released: u64::MAX },
        ];
        write(&file, &[(1, turns.clone())]).expect("the folder is ours");
        let mut all = vec![Vec::new(), Vec::new()];
        collect(&file, &mut all).expect("it is there");
        assert_eq!(all, [vec![], turns]);
        assert!(collect(&file, &mut all).is_err());
    }

    #[test]
    fn a_stranger_is_refused() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("turns");
        write(&file, &[(7, vec![Turn { asked: 1, granted: 2, released: 3 }])]).expect("ours");
        assert!(collect(&file, &mut [Vec::new()]).is_err());
    }
}
