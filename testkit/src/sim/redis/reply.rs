//! Replies and requests on the wire (RESP2 and RESP3).
//!
//! The trap: the two protocols write the same reply differently (null, maps, doubles, pushes), and a
//! script always sees the old one, whatever its caller speaks.

/// What a server answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// A short text: `+OK`.
    Status(Vec<u8>),
    /// An error, code first, without the dash.
    Error(Vec<u8>),
    /// A number.
    Int(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Nothing.
    Null,
    /// Nothing where a list was due: RESP2 tells the two apart.
    NullArray,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs; a flat list in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// A score.
    Double(f64),
    /// Members with their scores: pairs in RESP3, a flat list in RESP2.
    Scored(Vec<(f64, Vec<u8>)>),
    /// Sent without being asked for; a list in RESP2.
    Push(Vec<Reply>),
}

impl Reply {
    /// `OK`.
    #[must_use]
    pub fn ok() -> Self {
        Self::Status(b"OK".to_vec())
    }

    /// An error with its code in front.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self::Error(message.into().into_bytes())
    }

    /// Bytes.
    #[must_use]
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// Writes it for a client that speaks RESP `version`.
    pub fn encode(&self, version: u8, into: &mut Vec<u8>) {
        match self {
            Self::Status(text) => line(into, b'+', text),
            Self::Error(text) => line(into, b'-', text),
            Self::Int(number) => line(into, b':', number.to_string().as_bytes()),
            Self::Bulk(bytes) => {
                line(into, b'$', bytes.len().to_string().as_bytes());
                into.extend_from_slice(bytes);
                into.extend_from_slice(b"\r\n");
            }
            Self::Null if version >= 3 => line(into, b'_', b""),
            Self::NullArray if version >= 3 => line(into, b'_', b""),
            Self::Null => line(into, b'$', b"-1"),
            Self::NullArray => line(into, b'*', b"-1"),
            Self::Array(items) => list(into, b'*', items, version),
            Self::Push(items) => list(into, if version >= 3 { b'>' } else { b'*' }, items, version),
            Self::Map(pairs) => {
                let (mark, count) =
                    if version >= 3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
                line(into, mark, count.to_string().as_bytes());
                for (key, value) in pairs {
                    key.encode(version, into);
                    value.encode(version, into);
                }
            }
            Self::Scored(items) if version >= 3 => {
                line(into, b'*', items.len().to_string().as_bytes());
                for (score, name) in items {
                    let pair = [Self::bulk(name.clone()), Self::Double(*score)];
                    list(into, b'*', &pair, version);
                }
            }
            Self::Scored(items) => list(into, b'*', &flat(items), version),
            Self::Double(number) if version >= 3 => {
                line(into, b',', super::number::format(*number).as_bytes());
            }
            Self::Double(number) => {
                Self::bulk(super::number::format(*number)).encode(version, into);
            }
        }
    }
}

/// Members and scores in one list.
pub(super) fn flat(items: &[(f64, Vec<u8>)]) -> Vec<Reply> {
    items
        .iter()
        .flat_map(|(score, name)| [Reply::bulk(name.clone()), Reply::Double(*score)])
        .collect()
}

fn line(into: &mut Vec<u8>, mark: u8, text: &[u8]) {
    into.push(mark);
    into.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    into.extend_from_slice(b"\r\n");
}

fn list(into: &mut Vec<u8>, mark: u8, items: &[Reply], version: u8) {
    line(into, mark, items.len().to_string().as_bytes());
    for item in items {
        item.encode(version, into);
    }
}

/// Takes one whole request off the front of `bytes`: none while it is not all there.
///
/// # Errors
/// Where it is no list of bulk strings.
pub fn take_request(bytes: &mut Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, String> {
    let mut at = 0;
    let Some(count) = header(bytes, &mut at, b'*')? else { return Ok(None) };
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(length) = header(bytes, &mut at, b'$')? else { return Ok(None) };
        let end = at + length;
        if bytes.len() < end + 2 {
            return Ok(None);
        }
        if &bytes[end..end + 2] != b"\r\n" {
            return Err("a bulk string does not end where it said".to_owned());
        }
        parts.push(bytes[at..end].to_vec());
        at = end + 2;
    }
    bytes.drain(..at);
    Ok(Some(parts))
}

fn header(bytes: &[u8], at: &mut usize, mark: u8) -> Result<Option<usize>, String> {
    let Some(length) = bytes[*at..].windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let text = &bytes[*at..*at + length];
    let number = text
        .strip_prefix(&[mark])
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("expected {:?}, got {:?}", mark as char, text.escape_ascii()))?;
    *at += length + 2;
    Ok(Some(number))
}
