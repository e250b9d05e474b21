//! The store contract on the embedded stores: one test per store and case.
//!
//! `sqlite-real` runs the cases that need no time to pass on the machine's own clock and threads:
//! what the virtual clock could hide.

use leasehold_testkit::contract::{Make, MemoryRig, RedisRig, SqliteRig, Way, all, trials};
use leasehold_testkit::server::Flavour;
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
    let redis: Make = || RedisRig::new(Flavour::Redis, Way::Plain).map(|rig| Box::new(rig) as _);
    let valkey: Make = || RedisRig::new(Flavour::Valkey, Way::Plain).map(|rig| Box::new(rig) as _);
    let acl: Make = || RedisRig::new(Flavour::Redis, Way::MinimalAcl).map(|rig| Box::new(rig) as _);
    let tls: Make = || RedisRig::new(Flavour::Redis, Way::Tls).map(|rig| Box::new(rig) as _);
    for (store, make) in
        [("redis", redis), ("valkey", valkey), ("redis-acl", acl), ("redis-tls", tls)]
    {
        all.extend(trials(store, make, &cases));
    }
    libtest_mimic::run(&Arguments::from_args(), all).exit();
}
