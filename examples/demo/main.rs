//! `make demo`: two processes in each language that is built here contend for one lock on the embedded store. One
//! holder is killed with -9, one is paused beyond its lease and goes on. It shows live who holds
//! what with its fence, and ends with what was checked, by means outside the library.
//!
//! The demo only gives orders and watches; which contender gets the lock is between them.

mod checks;
mod contender;
mod scenario;
mod screen;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use contender::Program;
use leasehold_testkit::Face;
use scenario::{Halt, Scenario};
use screen::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interrupted by Ctrl-C, as a shell tells it.
const INTERRUPTED: u8 = 130;

// One thread, and it stays: the contenders are bound to the life of the thread that starts them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match demo().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Halt::Interrupted) => {
            eprintln!("interrupted; no contender is left");
            ExitCode::from(INTERRUPTED)
        }
        Err(Halt::Failed(why)) => {
            eprintln!("the demo failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all checks passed.
async fn demo() -> Result<bool, Halt> {
    // Before the first child: a signal that comes meanwhile must find the handlers.
    let signals = Signals::install()?;
    let mut programs = programs().map_err(Halt::Failed)?;
    for (face, program) in OTHERS {
        match beside(face, program) {
            Ok(program) => programs.push(program),
            Err(why) => println!("left out: {} ({why})", face.name()),
        }
    }
    let folder = tempfile::Builder::new()
        .prefix("leasehold-demo-")
        .tempdir()
        .map_err(|cause| Halt::Failed(format!("no temporary folder: {cause}")))?;
    fs::write(folder.path().join("counter"), "0")?;
    let url = format!("sqlite://{}/locks.db", folder.path().display());
    let screen = Screen::new(&format!("lock {}, ttl 2 s, on {url}", scenario::LOCK));

    let mut scenario = Scenario::start(&programs, &url, folder.path(), screen)?;
    let observed = tokio::select! {
        // The scenario owns the contenders: dropping it, which a signal does, kills them.
        observed = scenario.play() => observed?,
        () = signals.any() => return Err(Halt::Interrupted),
    };
    let verdict = leasehold_testkit::oracle::judge(folder.path())?;
    Ok(checks::report(&checks::check(&observed, &verdict)))
}

/// The programs of the contenders, or what is missing.
fn programs() -> Result<Vec<Program>, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = std::env::current_exe().map_err(|cause| cause.to_string())?;
    let built = built.parent().unwrap_or(Path::new(".")).to_owned();
    let named = |variable: &str, default: PathBuf| {
        std::env::var_os(variable).map_or(default, PathBuf::from)
    };
    let python = named("LEASEHOLD_PYTHON", here.join("../.venv/bin/python"));
    let command = named("LEASEHOLD_CLI", built.join("leasehold"));
    let rust = built.join("demo-contender");
    let step = built.join("oracle-step");
    for needed in [&python, &command, &rust, &step] {
        if !needed.is_file() {
            return Err(format!("{} is missing: `make demo` builds it", needed.display()));
        }
    }
    Ok(vec![
        Program::new("python", python).argument(here.join("contender.py")),
        Program::new("rust", rust),
        Program::new("shell", "sh")
            .argument(here.join("contender.sh"))
            .with_path_to(&[&command, &step]),
    ])
}

/// Languages that a machine may well lack, and their contenders. Those are shown that are built: `make
/// demo` builds Node's, which takes seconds, and not Kotlin's, for whose compiler Maven fetches 130 MB and then
/// works for most of a minute. That is too much before the first thing that a newcomer sees.
const OTHERS: [(Face, &str); 2] =
    [(Face::Node, "contender.mjs"), (Face::Kotlin, "demo.ContenderKt")];

/// The contender in another language, or why there is none.
fn beside(face: Face, program: &str) -> Result<Program, String> {
    let runner = face.runner()?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contender = match face {
        Face::Kotlin => program.into(),
        _ => here.join(program).into_os_string(),
    };
    let built = std::env::current_exe().map_err(|cause| cause.to_string())?;
    let start = Program::new(face.name(), runner.path).with_path_to(&[&built]);
    Ok(runner.arguments.into_iter().chain([contender]).fold(start, Program::argument))
}

/// What ends the demo early.
struct Signals(Vec<Signal>);

impl Signals {
    fn install() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.into_iter().map(signal).collect::<Result<_, _>>().map(Self)
    }

    /// Completes at the first of them.
    async fn any(mut self) {
        std::future::poll_fn(|context| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}
