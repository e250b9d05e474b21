//! A test that needs a server: ignored, and counted as such, where that can't be had.

use libtest_mimic::{Completion, Failed};

use super::{RedisServer, RedisSetup};
use crate::contract::required;

/// Runs `body` with a server of its own; what a `libtest_mimic::Trial::ignorable_test` returns.
///
/// # Errors
/// Where `REQUIRE` names a server that can't be had.
pub fn on_redis(setup: &RedisSetup, body: impl FnOnce(&RedisServer)) -> Result<Completion, Failed> {
    match RedisServer::start(setup) {
        Ok(server) => body(&server),
        Err(why) if required(setup.flavour.name()) => {
            let name = setup.flavour.name();
            return Err(format!("REQUIRE names {name}, which can't be had: {why}").into());
        }
        Err(why) => return Ok(Completion::ignored_with(why)),
    }
    Ok(Completion::Completed)
}
