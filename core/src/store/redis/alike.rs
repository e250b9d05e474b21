//! Several locks in one step, where it is simplest: taken all or none and asked for alike, or given back
//! where nobody waits.
//!
//! The scripts for any locks read nine words for each, or six to give it back, and reading them costs the
//! server as much as the step. These read three, say where it is not as simple, and have changed nothing
//! then: the others decide. The trap is a lock that is named twice, which those take one after the other.

use std::collections::HashSet;
use std::sync::Arc;

use super::keys::Second;
use super::resp::Value;
use super::script::Call;
use super::store::RedisStore;
use super::words::{Digits, KEEP, hex_bytes, kept_ms, millis, odd, profile_text};
use crate::store::{Answer, Ask, Hold, Kind, Released};
use crate::{Name, Result};

impl RedisStore {
    /// Takes all of `asks`; none where the script for any asks is to decide.
    pub(super) async fn acquire_alike(&self, asks: &[Ask]) -> Result<Option<Vec<Answer>>> {
        let (Some(script), [first, rest @ ..]) = (&self.scripts.acquire_all, asks) else {
            return Ok(None);
        };
        let alike = |ask: &Ask| {
            let of_profile = Arc::ptr_eq(&ask.profile, &first.profile);
            ask.kind == Kind::Exclusive
                && ask.owner.is_none()
                && (ask.ttl, ask.grace) == (first.ttl, first.grace)
                && (of_profile || ask.profile == first.profile)
        };
        if rest.is_empty() || !asks.iter().all(alike) || !differ(asks.iter().map(|ask| &ask.name)) {
            return Ok(None);
        }
        let span = kept_ms(first.ttl, first.grace);
        let mut call = self.about_two(asks.iter().map(|ask| &ask.name), asks.len(), Second::State);
        let mut digits = Digits::default();
        call.number(span - 1).number(span.saturating_add(KEEP)).text(digits.padded(span - 1, 13));
        let (grace, profile) = (digits.of(millis(first.grace)), profile_text(first));
        call.joined(&[b" ", grace, b" 0 ", profile.as_bytes()]);
        for ask in asks {
            call.text(&hex_bytes(&ask.token));
        }
        let value = self.call(&self.requests, script, &call, false).await?;
        if value == Value::Nil {
            return Ok(None);
        }
        let fence = value.text().and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
        let Some(fence) = fence else { return Err(odd("the script", &value)) };
        let granted = |ask: &Ask| Answer::Granted { fence, stored_for: ask.ttl + ask.grace };
        Ok(Some(asks.iter().map(granted).collect()))
    }

    /// Gives all of `holds` back; none where the script for any holds is to decide.
    pub(super) async fn release_alike(&self, holds: &[Hold]) -> Result<Option<Vec<Released>>> {
        let Some(script) = self.scripts.release_all.as_ref().filter(|_| holds.len() > 1) else {
            return Ok(None);
        };
        if holds.iter().any(|hold| hold.kind != Kind::Exclusive)
            || !differ(holds.iter().map(|hold| &hold.name))
        {
            return Ok(None);
        }
        let names = holds.iter().map(|hold| &hold.name);
        let mut call = self.about_two(names, holds.len(), Second::Queue);
        for hold in holds {
            call.text(&hex_bytes(&hold.token));
        }
        match self.call(&self.requests, script, &call, true).await? {
            Value::Int(1) => Ok(Some(vec![Released::Released; holds.len()])),
            Value::Nil => Ok(None),
            other => Err(odd("the script", &other)),
        }
    }

    /// A call about the locks of `names`, `count` of them, with two keys for each.
    fn about_two<'n>(
        &self,
        names: impl Iterator<Item = &'n Name>,
        count: usize,
        second: Second,
    ) -> Call {
        Call::new(2 * count, |keys| {
            for name in names {
                self.places.write_two(keys, name, second);
            }
        })
    }
}

/// Whether each name comes once.
fn differ<'n>(names: impl Iterator<Item = &'n Name> + Clone) -> bool {
    names.clone().is_sorted_by(|one, next| one < next)
        || names.clone().collect::<HashSet<_>>().len() == names.count()
}
