//! A test that needs a server: ignored, and counted as such, where that can't be had.

use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Completion, Failed};

use super::{RedisServer, RedisSetup, SqlFlavour, SqlServer};
use crate::contract::required;

/// Runs `body` with a server of its own; what a `libtest_mimic::Trial::ignorable_test` returns.
///
/// # Errors
/// Where `REQUIRE` names a server that can't be had.
pub fn on_redis(setup: &RedisSetup, body: impl FnOnce(&RedisServer)) -> Result<Completion, Failed> {
    completion(setup.flavour.name(), RedisServer::start(setup).map(|server| body(&server)))
}

/// A database that the tests of a program share, for it takes seconds to make one: started for the first
/// that asks, and gone with this value. So keep it until the tests are over, and exit only then.
#[derive(Debug)]
pub struct OneServer {
    flavour: SqlFlavour,
    state: Mutex<Option<Result<SqlServer, String>>>,
}

impl OneServer {
    /// One that nobody has asked for.
    #[must_use]
    pub fn new(flavour: SqlFlavour) -> Self {
        Self { flavour, state: Mutex::new(None) }
    }

    /// Runs `body` with the server's URL, beside others that do; what a
    /// `libtest_mimic::Trial::ignorable_test` returns.
    ///
    /// # Errors
    /// Where `REQUIRE` names a server that can't be had.
    pub fn run(&self, body: impl FnOnce(&str)) -> Result<Completion, Failed> {
        let url = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let server = state.get_or_insert_with(|| SqlServer::start(self.flavour));
            server.as_ref().map(SqlServer::url).map_err(Clone::clone)
        };
        completion(self.flavour.name(), url.map(|url| body(&url)))
    }
}

/// What came of a test: ignored where its server could not be had, unless `REQUIRE` names that.
fn completion(name: &str, done: Result<(), String>) -> Result<Completion, Failed> {
    match done {
        Ok(()) => Ok(Completion::Completed),
        Err(why) if required(name) => {
            Err(format!("REQUIRE names {name}, which can't be had: {why}").into())
        }
        Err(why) => Ok(Completion::ignored_with(why)),
    }
}
