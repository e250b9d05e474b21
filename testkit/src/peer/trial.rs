//! A test that needs peers: ignored, and counted as such, where one can't be had.

use libtest_mimic::{Completion, Failed};

use super::Library;
use super::have::have;
use crate::contract::required;

/// Runs `body` where all of `libraries` can be had; what a `libtest_mimic::Trial::ignorable_test`
/// returns.
///
/// # Errors
/// Where one can't, and `REQUIRE` names `peers`; and as `body` does.
pub fn on_peers(
    libraries: &[&'static Library],
    body: impl FnOnce() -> Result<Completion, Failed>,
) -> Result<Completion, Failed> {
    for library in libraries {
        match have(library.language) {
            Ok(_) => {}
            Err(why) if required("peers") => {
                let name = library.name;
                return Err(format!("REQUIRE names peers, and {name} can't be had: {why}").into());
            }
            Err(why) => return Ok(Completion::ignored_with(why)),
        }
    }
    body()
}
