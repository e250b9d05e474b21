//! The command as users run it: real processes on a real database file.

mod ask_back;
mod elect;
mod input;
mod kinds;
mod loss;
mod pages;
mod run;
mod signals;
mod support;
#[cfg(target_os = "linux")]
mod terminal;
mod views;
