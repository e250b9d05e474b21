//! Many held locks: what keeping them costs on both sides, and whether the server still has all.

use std::time::Duration;

use super::lab::Lab;
use super::order::Order;
use crate::rounds::{Better, Row, Sample, Section};
use crate::{Result, clock};

/// What is called what in the table; the limit first.
pub(crate) const ROWS: [(&str, &str); 2] =
    [("renewal", "by hand: a script for 500 keys"), ("leasehold", "leasehold, Rust")];

/// What the section is called.
pub(crate) fn title(locks: u32, ttl: Duration) -> String {
    format!("{locks} held locks on Redis, ttl {} s", ttl.as_secs())
}

/// `locks` locks of `ttl`, held for `span` on each contestant.
pub(crate) fn held(lab: &Lab, locks: u32, ttl: Duration, span: Duration) -> Result<Section> {
    let title = title(locks, ttl);
    let mut rows = Vec::new();
    for (rival, name) in ROWS.into_iter().filter(|(rival, _)| lab.has(rival)) {
        eprintln!("  {title}: {name}");
        let sample = hold(lab, rival, locks, ttl, span)
            .map_err(|cause| format!("{title}, {name}: {cause}"))?;
        rows.push(Row { name: name.to_owned(), samples: vec![sample] });
    }
    Ok(Section {
        title,
        unit: "cpu % of a core",
        better: Better::Lower,
        rows,
        note: "the client's, all threads; server: commands a second, those in scripts too; the \
               server itself had every key at the end; one round"
            .to_owned(),
    })
}

fn hold(lab: &Lab, rival: &str, locks: u32, ttl: Duration, span: Duration) -> Result<Sample> {
    let (mut server, mut crews) = lab.use_both();
    let ttl = u64::try_from(ttl.as_millis())?;
    let gathered = crews.one(rival, &Order::Hold { rival: rival.to_owned(), locks, ttl })?;
    let (begun, before) = (clock::now(), server.stats()?);
    let working = gathered.go(begun, begun + clock::span(span))?;
    clock::pause(span);
    let (seconds, stats) = ((clock::now() - begun) as f64 / 1e9, server.stats()?.since(&before));
    let paused = working.paused()?;
    let (gone, least) = server.held(locks)?;
    let did = paused.go(0, 0)?.done()?;
    if gone > 0 || did.count < u64::from(locks) {
        let believed = did.count;
        return Err(format!(
            "of {locks} locks the server has lost {gone}, and the client believes in {believed}"
        )
        .into());
    }
    Ok(Sample::of(did.cpu * 100.0 / did.seconds)
        .with("server cpu %", stats.cpu() * 100.0 / seconds)
        .with("commands/s", stats.calls() as f64 / seconds)
        .with("scripts/s", stats.calls_of("evalsha") as f64 / seconds)
        .with("least ms left", least as f64)
        .commands(stats.calls_each(seconds)))
}
