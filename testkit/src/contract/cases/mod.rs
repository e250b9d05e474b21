//! The cases, by what they are about.

mod batch;
mod cancel;
mod cell;
mod evict;
mod fence;
mod grant;
mod kept;
mod name;
mod permits;
mod push;
mod queue;
mod renew;
mod resize;
mod scale;
mod shared;
mod view;
mod wants;

use super::Case;

/// Every case, in a fixed order.
#[must_use]
pub fn all() -> Vec<&'static Case> {
    let lists: [&'static [Case]; 17] = [
        grant::CASES,
        queue::CASES,
        cancel::CASES,
        renew::CASES,
        fence::CASES,
        evict::CASES,
        view::CASES,
        name::CASES,
        batch::CASES,
        push::CASES,
        kept::CASES,
        scale::CASES,
        shared::CASES,
        permits::CASES,
        resize::CASES,
        wants::CASES,
        cell::CASES,
    ];
    lists.into_iter().flatten().collect()
}
