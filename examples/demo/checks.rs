//! What the demo shows, checked against what was seen from outside the library.

use std::time::Duration;

use leasehold_testkit::oracle::Verdict;

use crate::contender::Said;
use crate::scenario::{Observed, TTL};

/// What the store keeps a lease beyond its ttl, and what noticing its end may take, with room for a
/// machine that has other things to do.
const SLACK: Duration = Duration::from_secs(2);

/// One check: whether it passed, and what was found.
pub(crate) struct Check {
    passed: bool,
    text: String,
}

impl Check {
    fn new(passed: bool, text: String) -> Self {
        Self { passed, text }
    }
}

/// Checks everything. `verdict` is the oracle's on what the contenders did under the lock.
pub(crate) fn check(observed: &Observed, verdict: &Verdict) -> Vec<Check> {
    let mut checks = vec![
        overlaps(observed, verdict),
        // Neither the killed nor the paused one may have written.
        Check::new(
            verdict.counter == verdict.ended && verdict.killed == 2,
            format!(
                "{} increments of an unlocked counter, which says {}",
                verdict.ended, verdict.counter
            ),
        ),
        Check::new(
            verdict.disorder.is_empty() && !verdict.sections.is_empty(),
            format!(
                "{} fences, {} not larger than the one before",
                verdict.sections.len(),
                verdict.disorder.len()
            ),
        ),
        Check::new(
            observed.after_kill <= TTL + SLACK,
            format!(
                "the next holder came {:.2} s after the kill",
                observed.after_kill.as_secs_f64()
            ),
        ),
        told(observed, verdict),
    ];
    checks.extend(observed.failed.iter().map(|failure| Check::new(false, failure.clone())));
    checks
}

fn overlaps(observed: &Observed, verdict: &Verdict) -> Check {
    let languages: Vec<String> =
        observed.held.iter().map(|(language, held)| format!("{language} {held}")).collect();
    let each = observed.held.iter().all(|(_, held)| *held > 0);
    let all: usize = observed.held.iter().map(|(_, held)| *held as usize).sum();
    Check::new(
        verdict.overlaps.is_empty() && each && verdict.sections.len() == all,
        format!("{} overlaps in {all} tenures ({})", verdict.overlaps.len(), languages.join(", ")),
    )
}

fn told(observed: &Observed, verdict: &Verdict) -> Check {
    let Some((fence, Said::Refused(refused, reason))) = &observed.paused else {
        return Check::new(false, format!("the paused holder was not told: {:?}", observed.paused));
    };
    let wrote = verdict.sections.iter().any(|one| one.fence == *fence && one.end.is_some());
    Check::new(
        fence == refused && !wrote && observed.paused_for > TTL,
        format!(
            "the holder paused for {:.2} s was told ({reason}) and refused to write; the next had \
             come after {:.2} s",
            observed.paused_for.as_secs_f64(),
            observed.after_pause.as_secs_f64(),
        ),
    )
}

/// Prints the checks; whether all passed.
pub(crate) fn report(checks: &[Check]) -> bool {
    println!();
    for check in checks {
        println!("  {}  {}", if check.passed { "ok    " } else { "FAILED" }, check.text);
    }
    let failed = checks.iter().filter(|check| !check.passed).count();
    println!("\nsuite: {} tests, 0 ignored, {failed} failed", checks.len());
    failed == 0
}
