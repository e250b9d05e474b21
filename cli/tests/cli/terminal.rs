//! Job control, at a real terminal: a pseudo-terminal that is the controlling one of a shell.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::sync::mpsc::Sender;

use rustix::process::{Pid, Signal, getsid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Place, limit, pid_of};

/// A shell script at a terminal.
struct AtTerminal {
    master: File,
    seen: String,
    shell: Child,
    _limit: Sender<()>,
}

impl AtTerminal {
    fn start(place: &Place, script: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open =
            || File::options().read(true).write(true).custom_flags(noctty()).open(&name).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "sh", "-c", script]);
        place.settle(&mut command);
        command.stdin(open()).stdout(open()).stderr(open());
        let shell = command.spawn().unwrap();
        // The command's copies of the terminal's other end must not outlive the shell.
        drop(command);
        let pid = pid_of(&shell);
        let limit = limit(move || end_session(pid));
        Self { master: File::from(master), seen: String::new(), shell, _limit: limit }
    }

    /// Reads until `text` was seen; what came before it and it are dropped.
    fn expect(&mut self, text: &str) {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(self.read(), "the terminal closed before {text:?}: {:?}", self.seen);
        }
    }

    fn type_in(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    /// All that is still written, until the last process has closed the terminal.
    fn rest(mut self) -> (String, std::process::ExitStatus) {
        while self.read() {}
        (std::mem::take(&mut self.seen), self.shell.wait().unwrap())
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // EIO: nobody has the other end open any more.
        let count = self.master.read(&mut bytes).unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_session(pid_of(&self.shell));
            let _ = self.shell.wait();
        }
    }
}

/// Kills all processes of a session, stopped ones too: the end of its shell ends only some.
fn end_session(leader: Pid) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse() else { continue };
        let Some(pid) = Pid::from_raw(number) else { continue };
        if getsid(Some(pid)) == Ok(leader) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn noctty() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap()
}

/// Fields 5 and 8 of /proc/PID/stat: the process's group and its terminal's foreground group.
const IN_FRONT: &str =
    r#"set -- $(cat /proc/$$/stat); test $5 = $8 && echo in-front || echo behind"#;

#[test]
fn the_program_has_the_terminal_and_the_shell_has_it_back() {
    let place = Place::new();
    let script = format!(
        r#""$LEASEHOLD" run x -- sh -c '{IN_FRONT}; read line; echo "got:$line"'; {IN_FRONT}; read line; echo "shell:$line""#
    );
    let mut tty = AtTerminal::start(&place, &script);
    tty.expect("in-front");
    tty.type_in(b"hello\n");
    tty.expect("got:hello");
    tty.expect("in-front");
    tty.type_in(b"there\n");
    tty.expect("shell:there");
    assert_eq!(tty.rest().1.code(), Some(0));
}

#[test]
fn a_program_that_cant_be_run_leaves_the_terminal_with_the_shell() {
    let place = Place::new();
    let script = format!(r#""$LEASEHOLD" run x -- /no/such/program; echo "code:$?"; {IN_FRONT}"#);
    let mut tty = AtTerminal::start(&place, &script);
    tty.expect("code:127");
    tty.expect("in-front");
}

#[test]
fn ctrl_c_ends_the_program_and_the_script_around_it() {
    let place = Place::new();
    let script = r#""$LEASEHOLD" run x -- sh -c 'echo ready; read line'; echo "went on:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    tty.expect("ready");
    tty.type_in(b"\x03");
    let (rest, status) = tty.rest();
    assert!(!rest.contains("went on"), "{rest:?}");
    assert!(!status.success());
    assert!(place.free("x"));
}

#[test]
fn ctrl_c_during_the_wait_ends_the_script_around_it() {
    let place = Place::new();
    let mut holder = place.under("x", &[], "echo held; read x");
    assert_eq!(holder.line(), "held");
    let script = r#""$LEASEHOLD" run x -- true; echo "went on:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    place.until_waiting("x", 1);
    tty.type_in(b"\x03");
    let (rest, status) = tty.rest();
    assert!(!rest.contains("went on") && !status.success(), "{rest:?}");
    assert_eq!(place.show("x")["waiting"], 0);
    holder.say("");
    holder.finish();
}

#[test]
fn a_program_that_handles_ctrl_c_decides_itself() {
    let place = Place::new();
    let script = r#""$LEASEHOLD" run x -- sh -c 'trap "exit 3" INT; echo ready; read line'; echo "went on:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    tty.expect("ready");
    tty.type_in(b"\x03");
    tty.expect("went on:3");
}

#[test]
fn ctrl_z_stops_both_and_fg_goes_on_under_the_same_lease() {
    let place = Place::new();
    let script = r#"
        set -m
        "$LEASEHOLD" run x --ttl 1h -- sh -c 'echo "fence:$LEASEHOLD_FENCE:"; read line; echo "got:$line"'
        echo "stopped:$?"
        read line
        fg >/dev/null
        echo "ended:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    tty.expect("fence:");
    tty.type_in(b"\x1a");
    tty.expect("stopped:1");
    assert!(!place.free("x"));
    tty.type_in(b"\n");
    // Typed ahead, it waits in the terminal for the program that is continued.
    tty.type_in(b"again\n");
    tty.expect("got:again");
    tty.expect("ended:0");
    drop(tty);
    assert!(place.free("x"));
}

#[test]
fn a_stop_beyond_the_lease_ends_the_program() {
    let place = Place::new();
    let script = r#"
        set -m
        "$LEASEHOLD" run x --ttl 1s -- sh -c 'echo ready; read line; echo "went on"'
        echo "stopped:$?"
        read line
        fg >/dev/null
        echo "ended:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    tty.expect("ready");
    tty.type_in(b"\x1a");
    tty.expect("stopped:1");
    // Another can have it only when the store let go of it.
    assert_eq!(place.under("x", &["--wait", "1m"], "exit 0").finish().code(), Some(0));
    tty.type_in(b"\n");
    tty.expect("ended:70");
    let (rest, _) = tty.rest();
    assert!(!rest.contains("went on"), "{rest:?}");
}

#[test]
fn in_a_pipeline_the_program_gets_the_terminal_when_it_asks() {
    let place = Place::new();
    let script = r#""$LEASEHOLD" run x -- sh -c 'read line </dev/tty; echo "got:$line"' | cat; echo "after:$?""#;
    let mut tty = AtTerminal::start(&place, script);
    tty.type_in(b"hello\n");
    tty.expect("got:hello");
    tty.expect("after:0");
}
