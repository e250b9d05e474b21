//! What the server pushes, on its way to the client.

use std::sync::{Arc, OnceLock, Weak};

use super::conn::Ear;
use super::keys::Places;
use super::resp::Value;
use super::session::Listener;
use crate::Name;
use crate::store::{Grant, Pushed};
use crate::sys::{Sys, Token};

/// Takes the server's pushes to the client.
pub(super) struct Pushes {
    /// Whom to tell.
    pub(super) to: OnceLock<Weak<dyn Pushed>>,
    /// The channel of grants that are of the first of two locks only, and a clock for their end.
    pub(super) half: Option<(String, Sys)>,
    /// What the keys of cells are called.
    pub(super) places: Arc<Places>,
}

/// What the two sessions tell of.
pub(super) struct Heard(pub(super) Option<Arc<Pushes>>);

impl Listener for Heard {
    fn ear(&self) -> Option<Arc<dyn Ear>> {
        self.0.as_ref().map(|ear| Arc::clone(ear) as _)
    }

    fn lost(&self) {
        if let Some(to) = self.0.as_ref().and_then(|ear| ear.client()) {
            to.lost();
        }
    }
}

impl Pushes {
    fn client(&self) -> Option<Arc<dyn Pushed>> {
        self.to.get().and_then(Weak::upgrade)
    }
}

impl Ear for Pushes {
    fn pushed(&self, items: &[Value]) {
        let [kind, channel, word] = items else { return };
        let (Some(b"message"), Some(word)) = (kind.text(), word.text()) else { return };
        if let Some(cell) = word.strip_prefix(b"cell ") {
            let name = self.places.name_of_cell(cell).and_then(|name| Name::new(name).ok());
            if let (Some(name), Some(client)) = (name, self.client()) {
                client.changed(&name);
            }
            return;
        }
        match (grant(word), self.client()) {
            (Some(mut grant), Some(client)) => {
                if let Some((half, sys)) = &self.half
                    && channel.text() == Some(half.as_bytes())
                {
                    // By a client that knows nothing of the second lock: good for asking again,
                    // which takes that, and for nothing else.
                    grant.claim_until = Some(sys.now());
                }
                client.granted(grant);
            }
            (None, _) => tracing::warn!("a push that is none of ours"),
            (_, None) => {}
        }
    }
}

/// "token fence claim", as `pass_on` in the scripts tells it.
fn grant(word: &[u8]) -> Option<Grant> {
    let mut parts = std::str::from_utf8(word).ok()?.split(' ');
    let token = u128::from_str_radix(parts.next().filter(|text| text.len() == 32)?, 16).ok()?;
    let fence = parts.next()?.parse().ok()?;
    Some(Grant { token: Token::from_bytes(token.to_be_bytes()), fence, claim_until: None })
}
