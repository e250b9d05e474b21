//! The same pairs from Python, measured by `python_pairs.py` in rounds of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Result;
use crate::plan::Plan;
use crate::rounds::{Better, Row, Sample, Section};

const SCRIPT: &str = include_str!("../python_pairs.py");

/// Which Python is used: `LEASEHOLD_PYTHON`, else that of the virtual environment.
pub(crate) fn path() -> PathBuf {
    std::env::var_os("LEASEHOLD_PYTHON").map_or_else(
        || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
            root.join(".venv/bin/python")
        },
        PathBuf::from,
    )
}

/// A Python that has the package, or why there is none.
fn interpreter() -> std::result::Result<PathBuf, String> {
    let python = path();
    let found = Command::new(&python).args(["-c", "import leasehold; leasehold.connect"]).output();
    match found {
        Ok(output) if output.status.success() => Ok(python),
        Ok(_) => Err(format!("{} has no leasehold package", python.display())),
        Err(cause) => Err(format!("{}: {cause}", python.display())),
    }
}

/// Two sections, memory and SQLite; none where no Python has the package.
pub(crate) fn pairs(plan: &Plan, folder: &Path, rust: [&Section; 2]) -> Result<Vec<Section>> {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("  Python left out: {why}");
            return Ok(Vec::new());
        }
    };
    eprintln!("  uncontended pairs from Python");
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(folder)
        .arg(plan.rounds.to_string())
        .arg(plan.python.as_secs_f64().to_string())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("python_pairs.py failed: {}", text.trim()).into());
    }
    let measured: Vec<Measured> = serde_json::from_slice(&output.stdout)?;
    Ok(measured.into_iter().zip(rust).map(|(part, rust)| section(part, rust)).collect())
}

/// What the script writes for one store; the first row is the limit.
#[derive(Deserialize)]
struct Measured {
    store: String,
    /// Microseconds per pair, one per round.
    rows: Vec<(String, Vec<f64>)>,
}

fn section(part: Measured, rust: &Section) -> Section {
    let rows = part.rows.into_iter().map(|(name, values)| {
        let twin = match name.as_str() {
            "leasehold, with" => rust.row("leasehold, blocking"),
            "leasehold, async with" => rust.row("leasehold, awaited"),
            _ => None,
        };
        let sample = |value: f64| match twin {
            Some(twin) => Sample::of(value).with("x Rust", value / twin.median()),
            None => Sample::of(value),
        };
        Row { samples: values.into_iter().map(sample).collect(), name }
    });
    Section {
        title: format!("uncontended pair from Python, {}", part.store),
        unit: "us/pair",
        better: Better::Lower,
        rows: rows.collect(),
        note: "x Rust: the time of the same pair in Rust, in this run".to_owned(),
    }
}
