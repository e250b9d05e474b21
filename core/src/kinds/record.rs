//! What a kind keeps in the cell of its name: its own word, a line of JSON, then bytes of the caller's.
//!
//! The word is there for two programs that use one name for different kinds: the second must be told,
//! and not take the first one's state for damage, or worse, write over it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::Cell;
use crate::{Error, ErrorKind, Name, Result};

/// What `state` and `value` look like in a cell.
pub(super) fn write(kind: &str, state: &impl Serialize, value: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = format!("{kind} ").into_bytes();
    serde_json::to_writer(&mut bytes, state).map_err(|cause| {
        Error::new(ErrorKind::Internal, "a state can't be written").caused_by(cause)
    })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(value);
    Ok(bytes)
}

/// The state and the value in `cell`, if there is one.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) where another kind uses the name,
/// [`StoreFailed`](ErrorKind::StoreFailed) for what is no state at all.
pub(super) fn read<T: DeserializeOwned>(
    kind: &str,
    name: &Name,
    cell: Option<&Cell>,
) -> Result<Option<(T, Vec<u8>)>> {
    let Some(Cell { value, .. }) = cell else { return Ok(None) };
    let end = value.iter().position(|byte| *byte == b'\n').unwrap_or(value.len());
    let line = std::str::from_utf8(&value[..end]).unwrap_or_default();
    let (word, state) = line.split_once(' ').unwrap_or_default();
    if word != kind && super::WITH_STATE.contains(&word) {
        let what = format!("{name} is in use as a kind \"{word}\" and was asked for as \"{kind}\"");
        return Err(Error::invalid(what));
    }
    let broken =
        || Error::new(ErrorKind::StoreFailed, format!("what is kept for {name} is not ours"));
    if word != kind {
        return Err(broken());
    }
    let state = serde_json::from_str(state).map_err(|cause| broken().caused_by(cause))?;
    Ok(Some((state, value.get(end + 1..).unwrap_or_default().to_vec())))
}
