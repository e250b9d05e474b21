//! A real PostgreSQL or MariaDB.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::nobody;
use super::ports::free_port;
use super::programs;

/// How often a port may be taken by another between our look and the server's start.
const TRIES: u32 = 20;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlFlavour {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

impl SqlFlavour {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::MariaDb];

    /// As `REQUIRE` and scripts/servers call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MariaDb => "mariadb",
        }
    }

    /// How its protocol is called in a URL.
    fn scheme(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mysql",
        }
    }

    /// What it says when it takes connections.
    fn ready(self) -> &'static str {
        match self {
            Self::Postgres => "ready to accept connections",
            Self::MariaDb => "ready for connections",
        }
    }

    /// What ends it at once with all that it started. PostgreSQL would leave processes behind, and shared
    /// memory, if it were killed.
    fn farewell(self) -> Signal {
        match self {
            Self::Postgres => Signal::QUIT,
            Self::MariaDb => Signal::KILL,
        }
    }
}

/// A server of a test's own on 127.0.0.1, with the user `leasehold`, who may do everything and has no
/// password, and the empty database `leasehold`. It waits for no disk, so what it keeps outlives its own
/// end, not the machine's. Ended when dropped, and by the kernel when the test dies.
#[derive(Debug)]
pub struct SqlServer {
    flavour: SqlFlavour,
    programs: PathBuf,
    port: u16,
    // Before the folders that it needs: fields are dropped in this order.
    running: Mutex<Option<Daemon>>,
    folder: TempDir,
    _copy: Option<TempDir>,
}

impl SqlServer {
    /// Makes a database, starts its server and waits until that answers: one to three seconds.
    ///
    /// # Errors
    /// Where there is none on this machine and none can be fetched: why. The test is then to be
    /// ignored: see [`super::OneServer`].
    ///
    /// # Panics
    /// Where it doesn't start: the set-up is wrong.
    pub fn start(flavour: SqlFlavour) -> Result<Self, String> {
        let (programs, copy) = nobody::reachable(programs::folder(flavour.name())?)?;
        let folder = crate::folder_in_memory(flavour.name()).map_err(|error| error.to_string())?;
        let running = Mutex::new(None);
        let mut server = Self { flavour, programs, port: 0, running, folder, _copy: copy };
        server.make();
        for _ in 0..TRIES {
            server.port = free_port();
            match server.run() {
                Ok(daemon) => {
                    *server.lock() = Some(daemon);
                    return Ok(server);
                }
                Err(log) if log.contains("in use") => {}
                Err(log) => panic!("{} doesn't start:\n{log}", flavour.name()),
            }
        }
        panic!("{TRIES} ports in turn were taken by others");
    }

    /// Which of the two it is.
    #[must_use]
    pub fn flavour(&self) -> SqlFlavour {
        self.flavour
    }

    /// `postgres://leasehold@127.0.0.1:PORT/leasehold`, or `mysql://…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://leasehold@127.0.0.1:{}/leasehold", self.flavour.scheme(), self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it at once, with what it has to do left as it is, and waits for that; nothing more happens
    /// where that was done already.
    pub fn kill(&self) {
        *self.lock() = None;
    }

    /// Starts it again on the same port, with what it kept; ends it first where it runs.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub fn restart(&self) {
        let mut running = self.lock();
        // Gone before the next is born: both want the port and the folder.
        *running = None;
        *running = Some(self.run().unwrap_or_else(|log| panic!("no second start:\n{log}")));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Makes the files of an empty database.
    fn make(&self) {
        let data = self.data();
        std::fs::create_dir(&data).expect("a folder in the server's own");
        nobody::own(self.folder.path());
        nobody::own(&data);
        match self.flavour {
            SqlFlavour::Postgres => {
                let mut command = self.command("initdb");
                command.args(["--username=leasehold", "--auth=trust", "--encoding=UTF8"]);
                command.args(["--locale=C", "--no-sync", "--pgdata"]).arg(&data);
                finish(command);
                // `initdb` makes only its own databases.
                let mut command = self.command("postgres");
                command.args(["--single", "-F", "-D"]).arg(&data).arg("postgres");
                command.stdin(self.file("make.sql", "CREATE DATABASE leasehold\n"));
                finish(command);
            }
            SqlFlavour::MariaDb => {
                // As mariadb-install-db does it, which needs more than the server's package.
                std::fs::create_dir(data.join("mysql")).expect("a folder");
                let mut sql = "USE mysql;\nSET @auth_root_socket = NULL;\n".to_owned();
                sql += "SET @skip_auth_anonymous = 1;\n";
                for part in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
                    let path = self.base().join("share/mysql").join(part);
                    sql += &std::fs::read_to_string(path).expect("a part of the package");
                }
                nobody::own(&data.join("mysql"));
                let mut command = self.command("mariadbd");
                command.args(self.mariadb_options()).args(["--bootstrap", "--log-warnings=0"]);
                command.stdin(self.file("make.sql", &sql));
                finish(command);
            }
        }
    }

    /// Starts the process and waits until it takes connections; what it wrote, where that doesn't come.
    fn run(&self) -> Result<Daemon, String> {
        let port = self.port;
        let mut command = match self.flavour {
            SqlFlavour::Postgres => {
                let mut command = self.command("postgres");
                command.arg("-D").arg(self.data()).arg("-F").args(["-p", &port.to_string()]);
                for option in [
                    "listen_addresses=127.0.0.1",
                    "unix_socket_directories=",
                    "max_connections=100",
                    "jit=off",
                    "lc_messages=C",
                ] {
                    command.args(["-c", option]);
                }
                command
            }
            SqlFlavour::MariaDb => {
                let user = "CREATE DATABASE IF NOT EXISTS leasehold;\n\
                            CREATE USER IF NOT EXISTS leasehold@'127.0.0.1';\n\
                            GRANT ALL ON *.* TO leasehold@'127.0.0.1' WITH GRANT OPTION;\n";
                drop(self.file("init.sql", user));
                let socket = self.folder.path().join("socket");
                let mut command = self.command("mariadbd");
                command.args(self.mariadb_options()).arg(format!("--port={port}"));
                command.args(["--bind-address=127.0.0.1", "--skip-name-resolve"]);
                command.arg(format!("--socket={}", socket.display()));
                command
                    .arg(format!("--init-file={}", self.folder.path().join("init.sql").display()));
                command
            }
        };
        command.current_dir(self.folder.path());
        let daemon = Daemon::start_with(command, self.flavour.farewell())
            .map_err(|error| format!("{}: {error}", self.flavour.name()))?;
        daemon.wait_for(self.flavour.ready())?;
        Ok(daemon)
    }

    fn base(&self) -> PathBuf {
        self.programs.parent().unwrap_or(Path::new("/")).join("usr")
    }

    fn mariadb_options(&self) -> Vec<String> {
        vec![
            "--no-defaults".to_owned(),
            format!("--basedir={}", self.base().display()),
            format!("--datadir={}", self.data().display()),
            // Small, and without what a container may forbid.
            "--innodb-log-file-size=8M".to_owned(),
            "--innodb-buffer-pool-size=16M".to_owned(),
            "--innodb-use-native-aio=0".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
        ]
    }

    fn command(&self, program: &str) -> Command {
        nobody::command(&self.programs.join(program), self.flavour.farewell())
    }

    /// A file in the server's folder with this content, open for reading.
    fn file(&self, name: &str, content: &str) -> std::fs::File {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file in the server's folder");
        std::fs::File::open(&path).expect("the same file")
    }
}

/// Runs `command` to its end.
fn finish(mut command: Command) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [done.stdout, done.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(done.status.success(), "{command:?} failed:\n{out}{err}");
}
