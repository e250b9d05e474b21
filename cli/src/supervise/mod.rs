//! The life of a program under a lock.

mod guard;
mod process;
mod signals;
mod supervisor;
mod terminal;

pub(crate) use guard::{GUARD, main as guard_main};
pub(crate) use supervisor::{Plan, Right, run};
