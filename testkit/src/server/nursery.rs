//! The thread that starts servers. The kernel ends a child with the *thread* that started it
//! (PR_SET_PDEATHSIG), and a test's thread ends before a server that several tests share.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use leasehold::sys::child::bind_to_parent;

type Birth = (Command, Sender<io::Result<Child>>);

/// Starts `command`; it ends when this process does.
///
/// # Errors
/// As the operating system refuses it.
pub(super) fn start(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<Mutex<Sender<Birth>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (sender, births) = channel::<Birth>();
        leasehold::sys::thread("nursery", move || {
            for (mut command, parent) in births {
                bind_to_parent(&mut command);
                let _ = parent.send(command.spawn());
            }
        })
        .expect("a thread");
        Mutex::new(sender)
    });
    let (parent, born) = channel();
    let sent = nursery.lock().unwrap_or_else(PoisonError::into_inner).send((command, parent));
    sent.expect("the nursery stays");
    born.recv().expect("the nursery answers")
}
