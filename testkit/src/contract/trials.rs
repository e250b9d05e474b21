//! The cases as tests, one for each case and store. A store that can't be had here is ignored, and
//! counted as such, unless the environment's `REQUIRE` names it: then it is a failure.

use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Completion, Failed, Trial};

use super::{Case, Rig, Seat};

/// Makes a fresh rig, or says why there is none here.
pub type Make = fn() -> Result<Box<dyn Rig>, String>;

/// One test per case in `cases`, named `<store>::<case>`.
#[must_use]
pub fn trials(store: &'static str, make: Make, cases: &[&'static Case]) -> Vec<Trial> {
    let trial = |case: &'static Case| {
        Trial::ignorable_test(format!("{store}::{}", case.name), move || run(store, make, case))
    };
    cases.iter().copied().map(trial).collect()
}

/// Whether the environment's `REQUIRE` (names, separated by commas or spaces) has `what`.
#[must_use]
pub fn required(what: &str) -> bool {
    let all = std::env::var("REQUIRE").unwrap_or_default();
    all.split([',', ' ']).any(|name| name == what)
}

fn run(store: &str, make: Make, case: &Case) -> Result<Completion, Failed> {
    let mut rig = match make() {
        Ok(rig) => rig,
        Err(why) if required(store) => {
            return Err(format!("REQUIRE names {store}, which can't be had: {why}").into());
        }
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    case.run(&mut *rig);
    let state = if declared(case, &*rig) { "kept" } else { "refused" };
    PASSED.lock().unwrap_or_else(PoisonError::into_inner).push(format!(
        "{}\t{}\t{store}\t{state}\n",
        case.about(),
        case.name
    ));
    Ok(Completion::Completed)
}

/// A line "part, case, store, kept or refused" for each trial that passed so far: `refused` where the store
/// does not declare what the case is about, and the case has seen it say so.
#[must_use]
pub fn passed() -> String {
    let mut lines = PASSED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    lines.sort_unstable();
    lines.concat()
}

static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn declared(case: &Case, rig: &dyn Rig) -> bool {
    let store = rig.store(Seat::First);
    let capabilities = store.capabilities();
    match case.about() {
        "shared" => capabilities.kinds.shared,
        "permits" | "resize" => capabilities.kinds.permits,
        "batch" => capabilities.atomic_multi,
        "cell" => store.cells().is_some(),
        "wants" => store.waits_for().is_some(),
        _ => true,
    }
}
