//! Several asks in one atomic step of a store.

use super::rows::{Event, HandOff, Rows};
use super::steps;
use crate::store::{Answer, Ask, Cancel, Hold, How, Released, Renewal};
use crate::{Error, ErrorKind, Name};

/// The rows of many locks, within one step.
pub trait Book {
    /// What reading or writing can fail with.
    type Error: From<Error>;
    /// The rows of one lock.
    type Rows<'a>: Rows<Error = Self::Error>
    where
        Self: 'a;

    /// The rows of `name`.
    fn rows<'a>(&'a mut self, name: &'a Name) -> Self::Rows<'a>;
}

/// Asks for all of `asks`; grants made to other waiters are added to `hand_offs`.
///
/// # Errors
/// As the rows fail, and where an all-or-nothing ask waits.
pub fn acquire_many<B: Book>(
    book: &mut B,
    asks: &[Ask],
    how: How,
    channel: u64,
    at: Event,
    hand_offs: &mut Vec<HandOff>,
) -> Result<Vec<Answer>, B::Error> {
    if how == How::AllOrNothing
        && let Some(refusal) = blocked(book, asks, at, hand_offs)?
    {
        return Ok(refusal);
    }
    let mut answers = Vec::with_capacity(asks.len());
    for ask in asks {
        let rows = &mut book.rows(&ask.name);
        answers.push(match how {
            How::Held => steps::change(rows, ask, at, hand_offs)?,
            How::AllOrNothing | How::EachAlone => {
                steps::acquire(rows, ask, channel, at, hand_offs)?
            }
        });
    }
    Ok(answers)
}

/// Renews all of `holds`.
///
/// # Errors
/// As the rows fail.
pub fn renew_many<B: Book>(
    book: &mut B,
    holds: &[Hold],
    at: Event,
) -> Result<Vec<Renewal>, B::Error> {
    holds.iter().map(|hold| steps::renew(&mut book.rows(&hold.name), hold, at)).collect()
}

/// Releases all of `holds`; grants made to waiters are added to `hand_offs`.
///
/// # Errors
/// As the rows fail.
pub fn release_many<B: Book>(
    book: &mut B,
    holds: &[Hold],
    cancel: Cancel,
    at: Event,
    hand_offs: &mut Vec<HandOff>,
) -> Result<Vec<Released>, B::Error> {
    let mut done = Vec::with_capacity(holds.len());
    for hold in holds {
        let mut rows = book.rows(&hold.name);
        done.push(steps::release(&mut rows, &hold.token, cancel, at, hand_offs)?);
    }
    Ok(done)
}

/// The refusal of an all-or-nothing ask that waits.
pub(crate) fn all_or_nothing_waits(name: &Name) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("an all-or-nothing ask can't wait in a queue (lock {name})"),
    )
}

/// The answers where not all of `asks` can be granted now.
fn blocked<B: Book>(
    book: &mut B,
    asks: &[Ask],
    at: Event,
    hand_offs: &mut Vec<HandOff>,
) -> Result<Option<Vec<Answer>>, B::Error> {
    if let Some(ask) = asks.iter().find(|ask| ask.wait.is_some()) {
        return Err(all_or_nothing_waits(&ask.name).into());
    }
    let mut answers = Vec::with_capacity(asks.len());
    for (index, ask) in asks.iter().enumerate() {
        let twice = asks[..index].iter().any(|other| other.name == ask.name);
        answers.push(if twice {
            Some(Answer::Busy { holder: None })
        } else {
            steps::available(&mut book.rows(&ask.name), ask, at, hand_offs)?
        });
    }
    if answers.iter().all(Option::is_none) {
        return Ok(None);
    }
    let busy = |answer: Option<Answer>| answer.unwrap_or(Answer::Busy { holder: None });
    Ok(Some(answers.into_iter().map(busy).collect()))
}
