//! Writes the Kotlin that calls a library's functions: `leasehold-kotlin-bindgen LIBRARY FOLDER`.
//!
//! uniffi makes all of it public, and has no option for less. It is not our API: what stands at the
//! beginning of a line, and only that, is declared for the world, so it is made `internal` here.
//! And it makes a JNA structure for each call, with memory of its own that the collector has to free,
//! to learn whether the call failed: more than half of what a call costs. One for each thread does.

use std::error::Error;
use std::path::Path;
use std::{env, fs, io};

use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate};

/// What a declaration begins with.
const DECLARATIONS: [&str; 15] = [
    "class",
    "interface",
    "object",
    "fun",
    "val",
    "var",
    "typealias",
    "open",
    "abstract",
    "sealed",
    "data",
    "enum",
    "public",
    "inline",
    "suspend",
];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [library, folder] = words.as_slice() else {
        return Err("usage: leasehold-kotlin-bindgen LIBRARY FOLDER".into());
    };
    let options = GenerateOptions {
        languages: vec![TargetLanguage::Kotlin],
        source: library.into(),
        out_dir: folder.into(),
        ..GenerateOptions::default()
    };
    generate(options).map_err(|error| format!("{error:#}"))?;
    Ok(hide(Path::new(folder))?)
}

/// Makes every declaration of every file internal.
fn hide(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            hide(&path)?;
        } else {
            let text: String = fs::read_to_string(&path)?.lines().map(internal).collect();
            fs::write(path, with_one_status(&text)?)?;
        }
    }
    Ok(())
}

/// What uniffi writes to make a status for a call (in `Helpers.kt` of its templates).
const STATUS: &str = "    var status = UniffiRustCallStatus()\n";
/// A call that is made to convert the arguments of another ends before the other begins, and what a call
/// that failed leaves in the status is read before the thread makes the next.
const OF_THREAD: &str =
    "    val status = STATUS_OF_THREAD.get()\n    status.code = UNIFFI_CALL_SUCCESS\n";
const STATUSES: &str =
    "\nprivate val STATUS_OF_THREAD = ThreadLocal.withInitial { UniffiRustCallStatus() }\n";

/// The same text with one status for each thread.
fn with_one_status(text: &str) -> io::Result<String> {
    if text.matches(STATUS).count() != 1 {
        return Err(io::Error::other("uniffi makes the status of a call in another way now"));
    }
    Ok(text.replace(STATUS, OF_THREAD) + STATUSES)
}

fn internal(line: &str) -> String {
    let first = line.split_whitespace().next().unwrap_or_default();
    if line.starts_with(char::is_whitespace) || !DECLARATIONS.contains(&first) {
        return format!("{line}\n");
    }
    format!("internal {}\n", line.strip_prefix("public ").unwrap_or(line))
}
