//! A real Redis or Valkey.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::daemon::Daemon;
use super::ports::free_port;
use super::programs;
use super::{Flavour, RedisSetup, Reply, Resp};

/// How long one answer to [`RedisServer::admin`] is awaited.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a port may be taken by another between our look and the server's start.
const TRIES: u32 = 20;

/// A server of a test's own. Killed when dropped, and by the kernel when the test dies.
#[derive(Debug)]
pub struct RedisServer {
    setup: RedisSetup,
    programs: PathBuf,
    port: u16,
    tls_port: Option<u16>,
    // Before the folder that it writes to: fields are dropped in this order.
    running: Mutex<Option<Running>>,
    folder: TempDir,
}

#[derive(Debug)]
struct Running {
    daemon: Daemon,
    admin: Option<Resp>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// Where there is none on this machine and none can be fetched: why. The test is then to be
    /// ignored: see [`super::on_redis`].
    ///
    /// # Panics
    /// Where it doesn't start: the set-up is wrong.
    pub fn start(setup: &RedisSetup) -> Result<Self, String> {
        let programs = programs::folder(setup.flavour.name())?;
        let folder = crate::folder(setup.flavour.name()).map_err(|error| error.to_string())?;
        if let Some(names) = &setup.tls {
            super::certificates::write(folder.path(), names);
        }
        let (port, tls_port, running) = (0, None, Mutex::new(None));
        let mut server = Self { setup: setup.clone(), programs, port, tls_port, running, folder };
        for _ in 0..TRIES {
            server.port = free_port();
            server.tls_port = server.setup.tls.as_ref().map(|_| free_port());
            match server.run() {
                Ok(running) => {
                    *server.lock() = Some(running);
                    return Ok(server);
                }
                Err(log) if log.contains("in use") => {}
                Err(log) => panic!("{} doesn't start:\n{log}", server.setup.flavour.name()),
            }
        }
        panic!("{TRIES} ports in turn were taken by others");
    }

    /// Which of the two it is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.setup.flavour
    }

    /// `redis://127.0.0.1:PORT`, for the default user.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_for(
            "redis",
            self.setup.password.as_deref().map(|word| format!(":{word}")),
            self.port,
        )
    }

    /// [`Self::url`] for a user of the set-up.
    ///
    /// # Panics
    /// Where the set-up has no such user.
    #[must_use]
    pub fn user_url(&self, name: &str) -> String {
        let user = self.setup.users.iter().find(|(user, _)| user == name);
        let (user, password) = user.unwrap_or_else(|| panic!("{name} is not in the set-up"));
        self.url_for("redis", Some(format!("{user}:{password}")), self.port)
    }

    /// `rediss://127.0.0.1:PORT`, for the default user.
    ///
    /// # Panics
    /// Where the set-up has no TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("a set-up with TLS");
        self.url_for("rediss", self.setup.password.as_deref().map(|word| format!(":{word}")), port)
    }

    fn url_for(&self, scheme: &str, user: Option<String>, port: u16) -> String {
        let user = user.map(|user| user + "@").unwrap_or_default();
        format!("{scheme}://{user}127.0.0.1:{port}")
    }

    /// The certificate of the authority that vouches for the server's: PEM.
    ///
    /// # Panics
    /// Where the set-up has no TLS.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        assert!(self.setup.tls.is_some(), "the set-up has no TLS");
        self.folder.path().join("ca.crt")
    }

    /// The Unix socket.
    ///
    /// # Panics
    /// Where the set-up has none.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        assert!(self.setup.socket, "the set-up has no socket");
        self.folder.path().join("socket")
    }

    /// The port without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its folder: configuration, certificates and, if it keeps any, data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    ///
    /// # Panics
    /// Where it was killed.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.lock().as_ref().expect("a running server").daemon.id()
    }

    /// Its command-line client, without arguments.
    #[must_use]
    pub fn cli(&self) -> Command {
        Command::new(self.programs.join(format!("{}-cli", self.setup.flavour.program())))
    }

    /// Asks it as an administrator, over a connection of our own that is kept.
    ///
    /// # Panics
    /// Where it doesn't answer. What it refuses is a [`Reply::Error`].
    pub fn admin(&self, command: &[&str]) -> Reply {
        self.try_admin(command, PATIENCE)
            .unwrap_or_else(|error| panic!("{command:?} got no answer: {error}"))
    }

    /// As [`Self::admin`], for a server that may not answer.
    ///
    /// # Errors
    /// As the connection fails, or `patience` does.
    pub fn try_admin(&self, command: &[&str], patience: Duration) -> io::Result<Reply> {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the server was killed"));
        };
        // Taken out: one that failed must not be asked again.
        let mut admin = match running.admin.take() {
            Some(admin) if patience == PATIENCE => admin,
            _ => self.connect(patience)?,
        };
        let reply = admin.ask(command)?;
        if patience == PATIENCE {
            running.admin = Some(admin);
        }
        Ok(reply)
    }

    /// A fresh connection of the default user.
    ///
    /// # Errors
    /// As the connection fails.
    pub fn connect(&self, patience: Duration) -> io::Result<Resp> {
        let mut resp = Resp::connect(self.address(), patience)?;
        if let Some(password) = &self.setup.password {
            let reply = resp.ask(&["AUTH", password])?;
            assert!(!reply.is_error(), "the password of the set-up is refused: {reply:?}");
        }
        Ok(resp)
    }

    /// Stops it (SIGSTOP): connections stay open, nothing is answered.
    ///
    /// # Panics
    /// Where it was killed.
    pub fn pause(&self) {
        self.lock().as_ref().expect("a running server").daemon.stop();
    }

    /// Wakes it (SIGCONT).
    ///
    /// # Panics
    /// Where it was killed.
    pub fn wake(&self) {
        self.lock().as_ref().expect("a running server").daemon.wake();
    }

    /// Kills it (SIGKILL) and waits for its end; nothing more happens where it was killed already.
    pub fn kill(&self) {
        *self.lock() = None;
    }

    /// Starts it again on the same port, with whatever it kept; kills it first where it runs.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub fn restart(&self) {
        let mut running = self.lock();
        // Gone before the next is born: both want the port.
        *running = None;
        *running = Some(self.run().unwrap_or_else(|log| panic!("no second start:\n{log}")));
    }

    /// How often each command was called since the start or [`Self::reset_stats`], and the
    /// microseconds that took. Our own are among them: `info`, `config|resetstat`.
    ///
    /// # Panics
    /// Where it doesn't answer.
    #[must_use]
    pub fn commandstats(&self) -> BTreeMap<String, (u64, u64)> {
        let info = self.admin(&["INFO", "commandstats"]).text();
        let parse = |line: &str| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let figure = |key: &str| {
                figures.split(',').find_map(|pair| pair.strip_prefix(key)?.parse::<u64>().ok())
            };
            Some((name.to_owned(), (figure("calls=")?, figure("usec=")?)))
        };
        info.lines().filter_map(parse).collect()
    }

    /// Begins to count anew.
    ///
    /// # Panics
    /// Where it doesn't answer.
    pub fn reset_stats(&self) {
        assert_eq!(self.admin(&["CONFIG", "RESETSTAT"]).text(), "OK");
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process and waits for its answer; what it wrote, where that doesn't come.
    fn run(&self) -> Result<Running, String> {
        let name = self.setup.flavour.name();
        let file = self.folder.path().join("server.conf");
        let content = self.setup.file(self.folder.path(), self.port, self.tls_port);
        std::fs::write(&file, content).expect("a file in the server's folder");
        let mut command =
            Command::new(self.programs.join(format!("{}-server", self.setup.flavour.program())));
        command.arg(&file).current_dir(self.folder.path());
        let daemon = Daemon::start(command).map_err(|error| format!("{name}: {error}"))?;
        daemon.wait_for("Ready to accept connections")?;
        let failed = |error: io::Error| format!("{error}; it said:\n{}", daemon.log());
        let mut admin = self.connect(PATIENCE).map_err(failed)?;
        // Not another's, who had the port first.
        let info = admin.ask(&["INFO", "server"]).map_err(failed)?.text();
        let ours = format!("process_id:{}", daemon.id());
        if !info.lines().any(|line| line == ours) {
            return Err(format!("the port is in use by another server: {info}"));
        }
        Ok(Running { daemon, admin: Some(admin) })
    }
}
