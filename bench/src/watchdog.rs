//! Many held leases: what keeping them alive costs, and whether all are kept.

use std::path::Path;
use std::time::Duration;

use leasehold::{Client, Lease};

use crate::plan::Plan;
use crate::rounds::{Better, Row, Sample, Section};
use crate::{Result, clock, raw_sqlite};

const LEASES: u32 = 10_000;
const TTL: Duration = Duration::from_secs(3);
/// Shorter than any gap between two renewals of one lease, so that none is missed.
const LOOK: Duration = Duration::from_millis(300);

/// 10,000 leases of three seconds, held for a while on each store.
pub(crate) fn watched(plan: &Plan, folder: &Path) -> Result<Section> {
    eprintln!("  {LEASES} held leases");
    let limit = by_hand(folder)?;
    let memory = hold(&Client::connect("memory://")?, plan.watch)?;
    let url = format!("sqlite://{}/held.db", folder.display());
    let sqlite = hold(&Client::connect(&url)?, plan.watch)?;
    let row = |name: &str, sample| Row { name: name.to_owned(), samples: vec![sample] };
    Ok(Section {
        title: format!("{LEASES} held leases, ttl {} s", TTL.as_secs()),
        unit: "us cpu/renewal",
        better: Better::Lower,
        rows: vec![
            row("by hand: UPDATEs, 500 a transaction", limit),
            row("leasehold memory", memory),
            row("leasehold SQLite", sqlite),
        ],
        note: "processor time of all threads of the client; one round".to_owned(),
    })
}

fn by_hand(folder: &Path) -> Result<Sample> {
    let place = |name: &str| -> Result<_> {
        let place = folder.join(name);
        std::fs::create_dir(&place)?;
        Ok(place)
    };
    let cost = |times: u32, place: &Path| -> Result<u64> {
        let begun = clock::process_cpu();
        raw_sqlite::renewals(place, LEASES, times)?;
        Ok(clock::process_cpu() - begun)
    };
    // The difference leaves out the making of the rows.
    let (few, many) = (cost(1, &place("few")?)?, cost(5, &place("many")?)?);
    let each = many.saturating_sub(few) as f64 / f64::from(4 * LEASES);
    Ok(Sample::of(each / 1000.0))
}

fn hold(client: &Client, span: Duration) -> Result<Sample> {
    let mut leases = Vec::with_capacity(LEASES as usize);
    for number in 0..LEASES {
        let lock = client.lock(format!("bench:{number:05}")).ttl(TTL);
        leases.push(lock.acquire_blocking()?);
    }
    let mut left: Vec<Duration> = leases.iter().map(Lease::remaining).collect();
    let (begun, own, used) = (clock::now(), clock::thread_cpu(), clock::process_cpu());
    let until = begun + clock::span(span);
    let (mut renewals, mut lowest) = (0_u64, TTL);
    while clock::now() < until {
        clock::pause(LOOK);
        for (lease, before) in leases.iter().zip(&mut left) {
            let now = lease.remaining();
            // Time only runs down; more of it than before is a renewal.
            renewals += u64::from(now > *before);
            lowest = lowest.min(now);
            *before = now;
        }
    }
    let took = (clock::now() - begun) as f64;
    // This thread only looked on.
    let used = (clock::process_cpu() - used).saturating_sub(clock::thread_cpu() - own) as f64;
    let lost = leases.iter().filter(|lease| !lease.is_held()).count();
    if lost > 0 || renewals == 0 {
        return Err(format!("{lost} of {LEASES} leases lost, {renewals} renewals").into());
    }
    for lease in &leases {
        leasehold::block_on(lease.release());
    }
    Ok(Sample::of(used / 1000.0 / renewals as f64)
        .with("cpu % of a core", used * 100.0 / took)
        .with("renewals/s", renewals as f64 * 1e9 / took)
        .with("least s left", lowest.as_secs_f64()))
}
