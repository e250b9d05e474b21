//! The cases as tests, one for each case and store. A store that can't be had here is ignored, and
//! counted as such, unless the environment's `REQUIRE` names it: then it is a failure.

use std::sync::{Mutex, PoisonError};

use leasehold::ErrorKind;
use leasehold::store::{Ask, How, Kind};
use libtest_mimic::{Completion, Failed, Trial};

use super::{Case, Rig, Scene, Seat};

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
    let refusal = refusal(case, &mut *rig);
    // There is nothing to play these on; the others see for themselves what is declared.
    if refusal.is_none() || !matches!(case.about(), "cell" | "wants") {
        case.run(&mut *rig);
    }
    let state = refusal.map_or("kept".to_owned(), |why| format!("refused\t{why}"));
    PASSED.lock().unwrap_or_else(PoisonError::into_inner).push(format!(
        "{}\t{}\t{store}\t{state}\n",
        case.about(),
        case.name
    ));
    Ok(Completion::Completed)
}

/// A line "part, case, store, kept" for each trial that passed so far, or "part, case, store, refused, why" where
/// the store does not declare what the case is about and was seen to refuse it.
#[must_use]
pub fn passed() -> String {
    let mut lines = PASSED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    lines.sort_unstable();
    lines.concat()
}

static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How the store refuses what the case is about; none where it declares that.
fn refusal(case: &Case, rig: &mut dyn Rig) -> Option<String> {
    let store = rig.store(Seat::First);
    let (cells, waits_for) = (store.cells().is_some(), store.waits_for().is_some());
    let (kinds, together) = (store.capabilities().kinds, store.capabilities().atomic_multi);
    let (kind, names, how): (_, &[&str], _) = match case.about() {
        "shared" if !kinds.shared => (Kind::Shared, &["refused"], How::EachAlone),
        "permits" | "resize" if !kinds.permits => {
            (Kind::Permits { count: 1, capacity: 2 }, &["refused"], How::EachAlone)
        }
        "batch" if !together => (Kind::Exclusive, &["one", "other"], How::AllOrNothing),
        // What is built on these asks for them first, and is refused where there are none.
        "cell" if !cells => return Some("it keeps no cells".to_owned()),
        "wants" if !waits_for => {
            return Some("it has no queue, so it knows of nobody who waits".to_owned());
        }
        _ => return None,
    };
    let mut scene = Scene::new(rig);
    let asks: Vec<Ask> = names.iter().map(|name| Ask { kind, ..scene.ask(name) }).collect();
    let error = scene.try_acquire_many(Seat::First, &asks, how);
    let error = error.expect_err("what is not declared is refused");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    Some(error.message().to_owned())
}
