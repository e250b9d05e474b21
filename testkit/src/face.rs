//! The languages that leasehold speaks, and how a program in each is started: of the packages as they are
//! built here. A machine may lack a language, so each can say why it has none; whoever asks decides
//! whether that is a failure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// One language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Face {
    /// The library itself.
    Rust,
    /// The Python package, under `LEASEHOLD_PYTHON`.
    Python,
    /// The `leasehold` command, from a shell.
    Cli,
    /// The Node package, under `LEASEHOLD_NODE` or the `node` on PATH.
    Node,
    /// The Kotlin package, under the Java of `JAVA_HOME` or the one on PATH.
    Kotlin,
}

/// What starts programs of a language: an interpreter, and its arguments before the program.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The interpreter.
    pub path: PathBuf,
    /// What comes before the program.
    pub arguments: Vec<OsString>,
}

impl Runner {
    /// A command that runs `program` (a file; a class for Kotlin).
    #[must_use]
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).arg(program.into());
        command
    }
}

impl Face {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::Cli, Self::Node, Self::Kotlin];

    /// Its name, as in `REQUIRE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Cli => "cli",
            Self::Node => "node",
            Self::Kotlin => "kotlin",
        }
    }

    /// What runs programs of this language with the package that is built here.
    ///
    /// # Errors
    /// Why there is none.
    pub fn runner(self) -> Result<Runner, String> {
        match self {
            Self::Rust => Err("its programs run by themselves".to_owned()),
            Self::Python => python(),
            Self::Cli => Ok(Runner { path: "/bin/sh".into(), arguments: Vec::new() }),
            Self::Node => node(),
            Self::Kotlin => kotlin(),
        }
    }

    /// The oracle's contender in this language: takes the lock `name` of the store at `url` `count`
    /// times, with a section for the oracle under each lease. Prints `ready`, waits for a line on its
    /// input, and prints `done` at the end.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// Where what Rust has to build for it can't be built.
    pub fn contender(
        self,
        [url, name, who]: [&str; 3],
        count: usize,
        folder: &Path,
    ) -> Result<Command, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("contenders");
        let mut command = match self {
            Self::Rust => Command::new(program("leasehold-testkit", "contender")),
            Self::Python => self.runner()?.command(scripts.join("contender.py")),
            Self::Cli => self.runner()?.command(scripts.join("contender.sh")),
            Self::Node => self.runner()?.command(scripts.join("contender.mjs")),
            Self::Kotlin => self.runner()?.command("contenders.ContenderKt"),
        };
        command.args([url, name, &count.to_string()]).arg(folder);
        match self {
            Self::Rust => command.args(["--who", who]),
            _ => command.arg(who),
        };
        if self == Self::Cli {
            command.env("LEASEHOLD", program("leasehold-cli", "leasehold"));
        }
        // Those that can't read the oracle's clock have this do the section.
        if matches!(self, Self::Cli | Self::Node | Self::Kotlin) {
            command.env("STEP", program("leasehold-testkit", "oracle-step"));
        }
        Ok(command)
    }
}

fn python() -> Result<Runner, String> {
    let named = std::env::var_os("LEASEHOLD_PYTHON").filter(|path| !path.is_empty());
    let path =
        named.map(PathBuf::from).ok_or("LEASEHOLD_PYTHON names no Python with the package")?;
    there(&path).map(|()| Runner { path, arguments: Vec::new() })
}

fn node() -> Result<Runner, String> {
    let named = std::env::var_os("LEASEHOLD_NODE").map(PathBuf::from);
    let path = named.or_else(|| on_path("node")).ok_or("there is no node on PATH")?;
    for needed in ["node/dist/index.mjs", "node/binaries"] {
        there(&repository().join(needed)).map_err(|why| format!("{why}: `make build-node`"))?;
    }
    Ok(Runner { path, arguments: Vec::new() })
}

fn kotlin() -> Result<Runner, String> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let path = home.filter(|java| java.is_file()).or_else(|| on_path("java"));
    let path = path.ok_or("there is no java on PATH")?;
    let target = repository().join("kotlin/target");
    let mut folders = Vec::new();
    for needed in ["test-classes", "classes"] {
        folders.push(target.join(needed));
        there(&target.join(needed)).map_err(|why| format!("{why}: `make build-kotlin`"))?;
    }
    let others = std::fs::read_to_string(target.join("classpath"))
        .map_err(|cause| format!("kotlin/target/classpath: {cause}: `make build-kotlin`"))?;
    folders.extend(std::env::split_paths(others.trim()));
    let all = std::env::join_paths(folders).map_err(|cause| cause.to_string())?;
    // A program that is short pays for no compiler that pays in the long run.
    let short = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"];
    let arguments = short.map(OsString::from).into_iter().chain([all]).collect();
    Ok(Runner { path, arguments })
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn there(path: &Path) -> Result<(), String> {
    if path.exists() { Ok(()) } else { Err(format!("{} is missing", path.display())) }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
