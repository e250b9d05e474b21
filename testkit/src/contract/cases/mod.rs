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

/// What a store has no part in that keeps nothing of a lock but its holder's token: no queue, no tombstones,
/// no fences, no names of holders and no list of locks.
const MORE: [&str; 25] = [
    "a_cancelled_waiter_is_never_granted",
    "a_drained_queue_leaves_no_row",
    "a_lapsed_claim_never_holds_again",
    "a_late_ask_of_a_cancelled_attempt_is_refused",
    "a_release_after_the_expiry_hands_over",
    "a_release_of_a_foreign_token_changes_nothing",
    "a_taken_lock_is_busy_and_names_its_holder",
    "a_tombstone_ends",
    "a_tombstone_is_not_shortened",
    "an_evicted_attempt_never_holds_again",
    "an_evicted_holder_is_told",
    "an_evicted_holder_is_told_after_its_successor_left",
    "an_eviction_ends_the_tenure_and_names_it",
    "an_eviction_hands_over",
    "an_eviction_moves_the_fence_on",
    "an_eviction_with_a_wrong_fence_does_nothing",
    "an_eviction_with_the_right_fence_works",
    "an_expired_attempt_never_holds_again",
    "an_expired_holders_release_leaves_its_successor_alone",
    "cancelling_a_holder_frees_the_lock",
    "cancelling_hands_over",
    "each_alone_answers_each",
    "each_lock_has_its_own_ttl",
    "one_attempt_may_wait_for_two_locks",
    "tombstones_are_swept",
];

/// The cases of such a store.
#[must_use]
pub fn of_a_bare_lock() -> Vec<&'static Case> {
    let lists: [&'static [Case]; 11] = [
        grant::CASES,
        cancel::CASES,
        renew::CASES,
        evict::CASES,
        batch::CASES,
        kept::CASES,
        shared::CASES,
        permits::CASES,
        resize::CASES,
        wants::CASES,
        cell::CASES,
    ];
    lists.into_iter().flatten().filter(|case| !MORE.contains(&case.name)).collect()
}

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
