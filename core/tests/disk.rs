//! A database that can't be: each gives a typed error that names the path, and another one is never
//! used instead.
//!
//! A full disk and a read-only one are small file systems in a mount namespace of a child process;
//! where none can be had these tests are ignored, and counted as such, unless `REQUIRE` names
//! `mount`.

use std::path::Path;
use std::process::Command;

use leasehold::{Client, ErrorKind, block_on};
use leasehold_testkit::contract::required;
use leasehold_testkit::{Process, folder, program};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() {
    let plain = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        plain("a_directory_is_refused", a_directory_is_refused),
        plain("another_programs_database_is_refused", another_programs_database_is_refused),
        plain("what_is_no_database_is_refused", what_is_no_database_is_refused),
        plain("a_damaged_database_is_refused", a_damaged_database_is_refused),
        plain("a_device_is_refused", a_device_is_refused),
        plain("a_file_in_the_way_of_the_folder_is_refused", a_file_in_the_way_is_refused),
        plain("a_newer_format_is_refused", a_newer_format_is_refused),
        Trial::ignorable_test("a_full_disk_is_refused", a_full_disk_is_refused),
        Trial::ignorable_test("a_read_only_disk_is_refused", a_read_only_disk_is_refused),
        Trial::ignorable_test("a_disk_that_fills_up_is_refused", a_disk_that_fills_up_is_refused),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Demands that the database at `path` is refused, with an error that has `names`.
fn assert_refused(path: &Path, names: &str) {
    let client = Client::connect(&format!("sqlite://{}", path.display())).expect("a valid URL");
    for error in [
        block_on(client.ping()).expect_err("unusable"),
        client.lock("x").acquire_blocking().expect_err("unusable"),
        block_on(client.inspect("x")).expect_err("unusable"),
    ] {
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error:?}");
        let message = error.message();
        assert!(message.contains(&*path.to_string_lossy()), "{error} should name the path");
        assert!(message.contains(names), "{error} should say {names:?}");
        assert!(!error.kind().retryable(), "trying again doesn't help");
    }
}

fn a_directory_is_refused() {
    let folder = folder("disk").expect("a folder");
    assert_refused(folder.path(), "is a directory");
}

fn another_programs_database_is_refused() {
    let folder = folder("disk").expect("a folder");
    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).expect("a database");
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("a table");
    assert_refused(&path, "another program");
    let kept: i64 = other
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .expect("their database still works");
    assert_eq!(kept, 1, "nothing of ours was put into it");
}

fn what_is_no_database_is_refused() {
    let folder = folder("disk").expect("a folder");
    let path = folder.path().join("notes.txt");
    let text = "a text file, longer than the header of a database ".repeat(100);
    std::fs::write(&path, &text).expect("a file");
    assert_refused(&path, "not a SQLite database");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), text, "left as it was");
}

fn a_damaged_database_is_refused() {
    let folder = folder("disk").expect("a folder");
    let path = folder.path().join("locks.db");
    let url = format!("sqlite://{}", path.display());
    drop(Client::connect(&url).expect("a client").lock("x").acquire_blocking().expect("free"));
    leasehold::runtime::release_all(std::time::Duration::from_secs(10));
    let connection = rusqlite::Connection::open(&path).expect("a database");
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").expect("a checkpoint");
    drop(connection);
    let mut bytes = std::fs::read(&path).expect("a file");
    let from = 100;
    bytes[from..].fill(0xA5);
    for suffix in ["", "-wal", "-shm"] {
        let part = folder.path().join(format!("locks.db{suffix}"));
        let _ = std::fs::remove_file(part);
    }
    std::fs::write(&path, bytes).expect("a file");
    assert_refused(&path, "database");
}

fn a_device_is_refused() {
    assert_refused(Path::new("/dev/null"), "not a regular file");
}

fn a_file_in_the_way_is_refused() {
    let folder = folder("disk").expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    assert_refused(&file.join("locks.db"), "can't be");
}

fn a_newer_format_is_refused() {
    let folder = folder("disk").expect("a folder");
    let path = folder.path().join("locks.db");
    let url = format!("sqlite://{}", path.display());
    block_on(Client::connect(&url).expect("a client").ping()).expect("it answers");
    let connection = rusqlite::Connection::open(&path).expect("a database");
    connection.pragma_update(None, "user_version", 99).expect("another format");
    assert_refused(&path, "format 99");
}

/// Runs `script` in a mount namespace of its own, with $DISK a folder to mount on and $HOLDER the
/// holder program; what it printed.
fn in_namespace(script: &str) -> Result<Result<Vec<String>, String>, Failed> {
    let folder = folder("mount").expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "/bin/sh", "-c"]);
    command.arg(format!("mount -t tmpfs -o size=256k none \"$DISK\" || exit 77\n{script}"));
    command.env("DISK", folder.path());
    command.env("HOLDER", program("leasehold-testkit", "holder"));
    let missing = |why: String| match required("mount") {
        true => Err(Failed::from(format!("REQUIRE names mount: {why}"))),
        false => Ok(Err(why)),
    };
    if !cfg!(target_os = "linux") {
        return missing("mount namespaces are Linux's".to_owned());
    }
    if Command::new("unshare").arg("--version").output().is_err() {
        return missing("unshare(1) is not installed".to_owned());
    }
    let mut child = Process::start(&mut command);
    let status = child.finish();
    match status.code() {
        Some(0) => Ok(Ok(child.lines())),
        Some(1 | 77) if child.lines().is_empty() => {
            missing("no file system can be mounted here".to_owned())
        }
        _ => Ok(Ok(child.lines())),
    }
}

fn judge(script: &str, names: &str) -> Result<Completion, Failed> {
    let lines = match in_namespace(script)? {
        Ok(lines) => lines,
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    let all = lines.join("\n");
    assert!(all.contains("error STORE_FAILED"), "not refused as it should be: {all}");
    assert!(all.contains("locks.db"), "the error should name the path: {all}");
    assert!(all.to_lowercase().contains(names), "the error should say {names:?}: {all}");
    Ok(Completion::Completed)
}

fn a_full_disk_is_refused() -> Result<Completion, Failed> {
    let script = "dd if=/dev/zero of=\"$DISK/filler\" bs=1k 2>/dev/null
        \"$HOLDER\" \"sqlite://$DISK/locks.db\" x 30000; true";
    judge(script, "full")
}

fn a_read_only_disk_is_refused() -> Result<Completion, Failed> {
    let script = "mount -o remount,ro \"$DISK\" || exit 77
        \"$HOLDER\" \"sqlite://$DISK/locks.db\" x 30000; true";
    judge(script, "read-only")
}

/// The database is there and was used; then another program fills the disk.
fn a_disk_that_fills_up_is_refused() -> Result<Completion, Failed> {
    // Without the log that a process may leave behind: its space could be used again.
    let script = "\"$HOLDER\" \"sqlite://$DISK/locks.db\" x 30000 < /dev/null >/dev/null
        rm -f \"$DISK/locks.db-wal\" \"$DISK/locks.db-shm\"
        dd if=/dev/zero of=\"$DISK/filler\" bs=1k 2>/dev/null
        \"$HOLDER\" \"sqlite://$DISK/locks.db\" y 30000; true";
    judge(script, "full")
}
