//! How much of a large test is done: a share beside all other tests, the whole as a command.

/// `full` where the environment has `LEASEHOLD_FULL`, as `make full` sets it, else `share`.
#[must_use]
pub fn size(share: usize, full: usize) -> usize {
    let whole = std::env::var_os("LEASEHOLD_FULL").is_some_and(|value| !value.is_empty());
    if whole { full } else { share }
}
