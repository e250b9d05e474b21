//! The documentation against the project: a page that names what is not there sends its reader
//! astray, and nobody notices a row that a new error code should have had.

use std::fs;
use std::path::{Path, PathBuf};

use leasehold::{ErrorKind, LostReason};

const PAGES: [&str; 15] = [
    "README.md",
    "ARCHITECTURE.md",
    "FEATURES.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/guarantees.md",
    "docs/errors.md",
    "docs/cli.md",
    "docs/redis.md",
    "docs/guards.md",
    "bench/README.md",
    "cli/README.md",
    "node/README.md",
    "kotlin/README.md",
    "python/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

/// What stands between each `open` and the next `close`.
fn between<'a>(text: &'a str, open: &'static str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inner, _)| inner))
}

#[test]
fn links_lead_somewhere() {
    for name in PAGES {
        let text = page(name);
        let folder = root().join(name).parent().expect("a page is in a folder").to_owned();
        for link in between(&text, "](", ')').filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{name} links to {link}, which is not there");
        }
    }
}

#[test]
fn paths_that_are_named_exist() {
    let tops = [
        "core/",
        "bindings/",
        "python/",
        "node/",
        "kotlin/",
        "cli/",
        "testkit/",
        "bench/",
        "examples/",
        "docs/",
        "scenarios/",
        "scripts/",
        ".ci/",
    ];
    let mut named = 0;
    for name in PAGES {
        for path in page(name).split('`').skip(1).step_by(2) {
            let template = path.contains(['<', ' ', '*']);
            if !template && tops.iter().any(|top| path.starts_with(top)) {
                named += 1;
                assert!(root().join(path).exists(), "{name} names {path}, which is not there");
            }
        }
    }
    assert!(named > 20, "only {named} paths were found in the pages");
}

/// Maven compiles these files with the tests; a page shows them as they are.
#[test]
fn the_programs_of_kotlin_and_java_are_compiled() {
    let files = [
        ("README.md", "kotlin", "kotlin/src/test/kotlin/First.kt"),
        ("kotlin/README.md", "kotlin", "kotlin/src/test/kotlin/First.kt"),
        ("kotlin/README.md", "java", "kotlin/src/test/java/First.java"),
    ];
    for (name, language, path) in files {
        let shown = format!("```{language}\n{}```", page(path));
        assert!(page(name).contains(&shown), "{name} does not show {path}");
    }
}

/// The cells of the row of a table that begins with `first` as code.
fn row(text: &str, first: &str) -> Option<Vec<String>> {
    let start = format!("| `{first}` |");
    let line = text.lines().find(|line| line.starts_with(&start))?;
    Some(line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
}

#[test]
fn every_code_and_reason_has_its_row() {
    let text = page("docs/errors.md");
    for kind in ErrorKind::ALL {
        let cells = row(&text, kind.code()).unwrap_or_else(|| panic!("no row for {kind:?}"));
        assert_eq!(cells[2] == "yes", kind.retryable(), "{kind:?} in {cells:?}");
        assert_eq!(cells[3], format!("`{kind:?}`"), "{cells:?}");
    }
    for reason in LostReason::ALL {
        assert!(row(&text, reason.code()).is_some(), "no row for {reason:?}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, ErrorKind::ALL.len() + LostReason::ALL.len(), "a row for what there is not");
}

#[test]
fn every_feature_has_one_row_with_a_state() {
    let text = page("FEATURES.md");
    let names = (1..=32).map(|n| format!("F{n:02}")).chain((1..=9).map(|n| format!("N{n}")));
    for name in names {
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with(&format!("| {name} |"))).collect();
        assert_eq!(rows.len(), 1, "{name} has {} rows", rows.len());
        let cells: Vec<&str> = rows[0].trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{name}: {cells:?}");
        let (shown, state) = (cells[3], cells[4]);
        let known = state == "yes" || state == "not yet" || state.starts_with("part: ");
        assert!(known, "{name} has the state {state:?}");
        assert_eq!(shown.is_empty(), state == "not yet", "{name}: shown by {shown:?}, {state}");
    }
}
