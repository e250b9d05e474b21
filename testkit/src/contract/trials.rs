//! The cases as tests, one for each case and store. A store that can't be had here is ignored, and
//! counted as such, unless the environment's `REQUIRE` names it: then it is a failure.

use libtest_mimic::{Completion, Failed, Trial};

use super::{Case, Rig};

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
    Ok(Completion::Completed)
}
