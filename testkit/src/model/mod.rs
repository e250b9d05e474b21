//! Random histories of a store, and an oracle that knows the promises only.
//!
//! A history is a list of [`Op`]s; a [`Subject`] plays them (the rules by themselves, or a store),
//! and [`Promises`] judges what was answered and what can be seen after each step. Time is an
//! event like any other.

mod draw;
mod ledger;
mod op;
mod promises;
mod rules;
mod subject;
mod through;

pub use draw::{Histories, history};
pub use op::{Mix, Op, Try};
pub use promises::Promises;
pub use rules::Rules;
pub use subject::{Outcome, Seen, SeenHolder, Subject, ask_of, name_of, play, who};
pub use through::Through;
