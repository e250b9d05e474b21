//! A call under way, whatever it yields.

use leasehold_bridge::{ErrorInfo, Pending};
use napi::Either;
use napi_derive::napi;

use crate::mailbox::{Mailbox, Word};
use crate::plain::{Failure, Plain, Value};

/// A call under way. Dropping it stops nothing but a mere wait.
#[napi]
pub struct Call(Box<dyn Work>);

#[napi]
impl Call {
    /// The error that it came to, if it is done and came to one.
    #[napi]
    pub fn failure(&self) -> Option<Failure> {
        self.0.result().and_then(Result::err).map(Failure::from)
    }

    /// What it yielded, if it is done and yielded something.
    #[napi]
    pub fn value(&self) -> Option<Value> {
        self.0.result().and_then(Result::ok)
    }

    /// Ends a mere wait. All other work is finished.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Has `key` put into `mailbox` when it is done; false, and nothing is put, if it is.
    #[napi]
    pub fn notify(&self, mailbox: &Mailbox, key: f64) -> bool {
        self.0.notify(mailbox, key)
    }
}

impl Call {
    pub(crate) fn of<T: Plain>(pending: Pending<T>) -> Self {
        Self(Box::new(pending))
    }
}

trait Work {
    fn result(&self) -> Option<Result<Value, ErrorInfo>>;
    fn notify(&self, mailbox: &Mailbox, key: f64) -> bool;
    fn cancel(&self);
}

impl<T: Plain> Work for Pending<T> {
    fn result(&self) -> Option<Result<Value, ErrorInfo>> {
        Pending::result(self).map(|result| result.map(Plain::plain))
    }

    fn notify(&self, mailbox: &Mailbox, key: f64) -> bool {
        let letter = mailbox.letter(key);
        self.unless_done(move |_| letter(Word::Look))
    }

    fn cancel(&self) {
        Pending::cancel(self);
    }
}

/// For calls that yield at once.
pub(crate) fn now<T>(result: Result<T, ErrorInfo>) -> Either<T, Failure> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}
