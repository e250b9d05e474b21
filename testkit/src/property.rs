//! Runs a property over random inputs, and says on failure how to play the same run again.
//!
//! proptest's own files of failures are off: a run is named by its seed, which fits into a report.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

/// Demands `property` of `cases` inputs (`PROPTEST_CASES` overrides the number, `PROPTEST_RNG_SEED`
/// the seed).
///
/// # Panics
/// With the seed and the smallest input found for which `property` fails.
#[allow(clippy::disallowed_methods, reason = "a seed of each run's own, printed on failure")]
pub fn property<S: Strategy>(
    cases: u32,
    inputs: &S,
    property: impl Fn(&S::Value) -> Result<(), String>,
) {
    let from_env = |name: &str| std::env::var(name).ok();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = from_env("PROPTEST_RNG_SEED").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| clock.unwrap_or_default().as_nanos() as u64);
    let cases = from_env("PROPTEST_CASES").and_then(|text| text.parse().ok()).unwrap_or(cases);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    let result =
        TestRunner::new(config).run(inputs, |input| property(&input).map_err(TestCaseError::fail));
    match result {
        Ok(()) => println!("{cases} cases held; seed {seed}"),
        Err(TestError::Fail(why, input)) => panic!(
            "{why}\n\nsmallest input found: {input:#?}\n\nplay it again with PROPTEST_RNG_SEED={seed}"
        ),
        Err(TestError::Abort(why)) => panic!("given up: {why} (PROPTEST_RNG_SEED={seed})"),
    }
}
