//! One case of the contract: a name that says what must hold, and the steps that show it.

use super::{Rig, Scene};

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What must hold.
    pub name: &'static str,
    /// The part of the contract that it is about: the module that it is written in.
    pub part: &'static str,
    /// Whether time must pass in it: too slow to run in real time.
    pub waits: bool,
    pub(super) run: fn(&mut Scene<'_>),
}

impl Case {
    /// The last word of its part: `shared`, `permits`, …
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.part.rsplit(':').next().unwrap_or(self.part)
    }

    /// Runs the case on a fresh rig.
    ///
    /// # Panics
    /// Where the store does not keep the contract.
    pub fn run(&self, rig: &mut dyn Rig) {
        (self.run)(&mut Scene::new(rig));
    }
}

/// A list of cases: those that need no time to pass, then those that do.
macro_rules! cases {
    (now: $($now:ident),* $(,)?; later: $($later:ident),* $(,)? $(;)?) => {
        &[
            $($crate::contract::Case { name: stringify!($now), part: module_path!(), waits: false, run: $now },)*
            $($crate::contract::Case { name: stringify!($later), part: module_path!(), waits: true, run: $later },)*
        ]
    };
}

pub(super) use cases;
