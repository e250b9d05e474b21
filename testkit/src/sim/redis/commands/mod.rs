//! The commands by the type they work on.

mod hashes;
mod keys;
mod lists;
mod ranges;
mod sorted;
mod strings;

use super::engine::Command;

/// All of them.
pub(super) static ALL: [&[Command]; 5] =
    [strings::ALL, hashes::ALL, sorted::ALL, keys::ALL, lists::ALL];
