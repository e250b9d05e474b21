//! The store contract on the embedded stores: one test per store and case.
//!
//! `sqlite-real` runs the cases that need no time to pass on the machine's own clock and threads:
//! what the virtual clock could hide.

use leasehold_testkit::contract::{Make, MemoryRig, SqliteRig, all, trials};
use libtest_mimic::Arguments;

fn main() {
    let cases = all();
    let instant: Vec<_> = cases.iter().copied().filter(|case| !case.waits).collect();
    let memory: Make = || Ok(Box::new(MemoryRig::new(1)));
    let sqlite: Make = || SqliteRig::new(1).map(|rig| Box::new(rig) as _);
    let real: Make = || SqliteRig::real().map(|rig| Box::new(rig) as _);
    let mut all = trials("memory", memory, &cases);
    all.extend(trials("sqlite", sqlite, &cases));
    all.extend(trials("sqlite-real", real, &instant));
    libtest_mimic::run(&Arguments::from_args(), all).exit();
}
