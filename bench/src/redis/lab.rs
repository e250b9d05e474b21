//! What all parts on Redis share: one server, and the workers.

use std::cell::{RefCell, RefMut};
use std::path::{Path, PathBuf};

use super::crew::Crews;
use super::server::Server;
use crate::Result;

/// The server and the workers. Contestants take turns, so that a borrow never meets another.
pub(crate) struct Lab {
    // Before the server: workers end first.
    crews: RefCell<Crews>,
    server: RefCell<Server>,
    folder: PathBuf,
}

impl Lab {
    /// Starts the server and the workers.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let mut server = Server::start()?;
        eprintln!("  Redis {}", server.version()?);
        let crews = Crews::start(&server.url())?;
        let (server, crews) = (RefCell::new(server), RefCell::new(crews));
        Ok(Self { crews, server, folder: folder.to_owned() })
    }

    /// Whether a worker has `rival`.
    pub(crate) fn has(&self, rival: &str) -> bool {
        self.crews.borrow().has(rival)
    }

    /// Both, for one measurement.
    pub(crate) fn use_both(&self) -> (RefMut<'_, Server>, RefMut<'_, Crews>) {
        (self.server.borrow_mut(), self.crews.borrow_mut())
    }

    /// A file for each of `count` workers to leave its turns in.
    pub(crate) fn files(&self, count: usize) -> Vec<PathBuf> {
        (0..count).map(|number| self.folder.join(format!("turns-{number}"))).collect()
    }
}
