//! The store contract on the embedded stores, on Redis (also a simulated one) and on Valkey: one
//! test per store and case. A server without scripts (`lua=no`) has the cases of what it declares.
//!
//! `sqlite-real` runs the cases that need no time to pass on the machine's own clock and threads:
//! what the virtual clock could hide.

use std::fs;
use std::path::Path;

use leasehold::store::redis::Dialect;
use leasehold_testkit::contract::{
    Make, MemoryRig, RedisRig, Rig, SimRedisRig, SqliteRig, Way, all, of_a_bare_lock, passed,
    trials,
};
use leasehold_testkit::server::Flavour;
use libtest_mimic::Arguments;

fn main() {
    let (cases, bare) = (all(), of_a_bare_lock());
    let instant: Vec<_> = cases.iter().copied().filter(|case| !case.waits).collect();
    let memory: Make = || Ok(Box::new(MemoryRig::new(1)));
    let sqlite: Make = || SqliteRig::new(1).map(|rig| Box::new(rig) as _);
    let real: Make = || SqliteRig::real().map(|rig| Box::new(rig) as _);
    let mut all = trials("memory", memory, &cases);
    all.extend(trials("sqlite", sqlite, &cases));
    all.extend(trials("sqlite-real", real, &instant));
    let simulated: Make = || Ok(Box::new(SimRedisRig::new(1)));
    all.extend(trials("redis-simulated", simulated, &cases));
    let redis: Make = || RedisRig::new(Flavour::Redis, Way::Plain).map(|rig| Box::new(rig) as _);
    let valkey: Make = || RedisRig::new(Flavour::Valkey, Way::Plain).map(|rig| Box::new(rig) as _);
    let acl: Make = || RedisRig::new(Flavour::Redis, Way::MinimalAcl).map(|rig| Box::new(rig) as _);
    let tls: Make = || RedisRig::new(Flavour::Redis, Way::Tls).map(|rig| Box::new(rig) as _);
    let signal: Make = || dialect(Way::Dialect(Dialect::PythonRedisLock));
    let redisson: Make = || dialect(Way::Dialect(Dialect::Redisson));
    let dual_signal: Make = || dialect(Way::Dual(Dialect::PythonRedisLock));
    let dual_redisson: Make = || dialect(Way::Dual(Dialect::Redisson));
    let no_lua: Make = || Ok(Box::new(SimRedisRig::without_lua(1)));
    let redis8: Make = || RedisRig::new(Flavour::Redis8, Way::NoLua).map(|rig| Box::new(rig) as _);
    let valkey9: Make =
        || RedisRig::new(Flavour::Valkey9, Way::NoLua).map(|rig| Box::new(rig) as _);
    for (store, make) in [("nolua-simulated", no_lua), ("redis8", redis8), ("valkey9", valkey9)] {
        all.extend(trials(store, make, &bare));
    }
    for (store, make) in [
        ("redis", redis),
        ("valkey", valkey),
        ("redis-acl", acl),
        ("redis-tls", tls),
        ("redis-python-redis-lock", signal),
        ("redis-redisson", redisson),
        ("redis-dual-python-redis-lock", dual_signal),
        ("redis-dual-redisson", dual_redisson),
    ] {
        all.extend(trials(store, make, &cases));
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), all);
    if conclusion.num_filtered_out == 0 {
        // For the table in FEATURES.md, which scripts/scenarios holds to it.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../scenarios");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("contract.tsv"), passed()).expect("a file");
    }
    conclusion.exit();
}

fn dialect(way: Way) -> Result<Box<dyn Rig>, String> {
    RedisRig::new(Flavour::Redis, way).map(|rig| Box::new(rig) as _)
}
