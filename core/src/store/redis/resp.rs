//! RESP, the protocol of Redis: requests as arrays of byte strings, replies of RESP2 and RESP3.
//!
//! A reply comes from outside: lengths are bounded before anything is allocated for them, and depth
//! is bounded before anything recurses. Our own, small, because a request is written straight into
//! the buffer that goes to the socket, and a reply is read only when it is whole.
//! Source: the Redis serialization protocol specification.

use std::io::Write;

/// The longest string that is believed: an inspection of many waiters stays far below.
const MAX_STRING: usize = 16 << 20;
/// The most elements of one aggregate.
const MAX_ELEMENTS: usize = 1 << 20;
const MAX_DEPTH: usize = 16;

/// One reply or push.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Nil,
    Int(i64),
    Text(Vec<u8>),
    Error(String),
    List(Vec<Value>),
    Push(Vec<Value>),
}

/// Why bytes are no reply.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Malformed(pub(super) &'static str);

impl Value {
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }
}

/// Appends the head of a request with `count` arguments.
pub(super) fn head(out: &mut Vec<u8>, count: usize) {
    number(out, b'*', count);
}

/// Appends one argument.
pub(super) fn argument(out: &mut Vec<u8>, text: &[u8]) {
    number(out, b'$', text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends one argument made of `parts`.
pub(super) fn joined(out: &mut Vec<u8>, parts: &[&[u8]]) {
    number(out, b'$', parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number as one argument.
pub(super) fn integer(out: &mut Vec<u8>, value: impl Into<i128>) {
    let mut digits = [0; 40];
    let mut rest = &mut digits[..];
    // Forty digits hold every i128.
    let _ = write!(rest, "{}", value.into());
    let unused = rest.len();
    argument(out, &digits[..40 - unused]);
}

/// A whole request.
pub(super) fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    head(&mut out, parts.len());
    for part in parts {
        argument(&mut out, part);
    }
    out
}

fn number(out: &mut Vec<u8>, mark: u8, value: usize) {
    out.push(mark);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// The first whole value of `bytes` and its length; none where more must come.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.value(0)?.map(|value| (value, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed("nested too deeply"));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let (&mark, rest) = line.split_first().ok_or(Malformed("an empty line"))?;
        Ok(Some(match mark {
            b'+' | b'(' | b',' => Value::Text(rest.to_vec()),
            b'-' => Value::Error(String::from_utf8_lossy(rest).into_owned()),
            b':' => Value::Int(parsed(rest)?),
            b'_' => Value::Nil,
            b'#' => Value::Int(i64::from(rest == b"t")),
            b'$' | b'=' | b'!' => match length(rest, MAX_STRING)? {
                None => Value::Nil,
                Some(size) => {
                    let Some(text) = self.string(size)? else { return Ok(None) };
                    match mark {
                        b'!' => Value::Error(String::from_utf8_lossy(text).into_owned()),
                        b'=' => Value::Text(text.get(4..).unwrap_or_default().to_vec()),
                        _ => Value::Text(text.to_vec()),
                    }
                }
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => match length(rest, MAX_ELEMENTS)? {
                None => Value::Nil,
                Some(count) => {
                    let pairs = matches!(mark, b'%' | b'|');
                    let count = if pairs { count * 2 } else { count };
                    // Not `with_capacity(count)`: the count is only a claim so far.
                    let mut items = Vec::with_capacity(count.min(64));
                    for _ in 0..count {
                        let Some(item) = self.value(depth + 1)? else { return Ok(None) };
                        items.push(item);
                    }
                    match mark {
                        b'>' => Value::Push(items),
                        // An attribute says something about the value that follows it.
                        b'|' => return self.value(depth + 1),
                        _ => Value::List(items),
                    }
                }
            },
            _ => return Err(Malformed("an unknown type")),
        }))
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
            let endless = rest.len() > MAX_STRING;
            return if endless { Err(Malformed("a line without an end")) } else { Ok(None) };
        };
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(Malformed("a line that ends in a lone CR")),
        }
    }

    fn string(&mut self, size: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        if rest.len() < size + 2 {
            return Ok(None);
        }
        if &rest[size..size + 2] != b"\r\n" {
            return Err(Malformed("a string longer than it said"));
        }
        self.at += size + 2;
        Ok(Some(&rest[..size]))
    }
}

fn parsed(digits: &[u8]) -> Result<i64, Malformed> {
    let text = std::str::from_utf8(digits).map_err(|_| Malformed("a number that is no text"))?;
    text.parse().map_err(|_| Malformed("a number that is none"))
}

fn length(digits: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    match parsed(digits)? {
        -1 => Ok(None),
        size => match usize::try_from(size) {
            Ok(size) if size <= most => Ok(Some(size)),
            Ok(_) => Err(Malformed("a length beyond all bounds")),
            Err(_) => Err(Malformed("a negative length")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Value {
        let (value, size) = decode(bytes).unwrap().expect("a whole value");
        assert_eq!(size, bytes.len());
        value
    }

    #[test]
    fn values_of_both_versions() {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        for (bytes, value) in [
            ("+OK\r\n", text("OK")),
            (":-7\r\n", Value::Int(-7)),
            ("$3\r\na\r\n\r\n", text("a\r\n")),
            ("$-1\r\n", Value::Nil),
            ("*-1\r\n", Value::Nil),
            ("_\r\n", Value::Nil),
            ("#t\r\n", Value::Int(1)),
            (",1.5\r\n", text("1.5")),
            ("=6\r\ntxt:ab\r\n", text("ab")),
            ("-ERR no\r\n", Value::Error("ERR no".to_owned())),
            ("!4\r\nE no\r\n", Value::Error("E no".to_owned())),
            ("*2\r\n:1\r\n*0\r\n", Value::List(vec![Value::Int(1), Value::List(vec![])])),
            ("%1\r\n+a\r\n:1\r\n", Value::List(vec![text("a"), Value::Int(1)])),
            ("|1\r\n+a\r\n:1\r\n:2\r\n", Value::Int(2)),
            (">2\r\n+a\r\n+b\r\n", Value::Push(vec![text("a"), text("b")])),
        ] {
            assert_eq!(one(bytes.as_bytes()), value, "{bytes:?}");
        }
    }

    #[test]
    fn a_value_in_pieces_is_read_when_it_is_whole() {
        let whole = b"*2\r\n$5\r\nhello\r\n%1\r\n+a\r\n$-1\r\n";
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), Ok(None), "cut at {cut}");
        }
        assert!(decode(whole).unwrap().is_some());
    }

    #[test]
    fn hostile_replies_are_refused_before_they_cost_anything() {
        let deep = "*1\r\n".repeat(100_000);
        for bytes in [
            "$99999999999\r\n",
            "$-2\r\n",
            "*1073741824\r\n",
            ":12x\r\n",
            "$3\r\nabcde\r\n",
            "?what\r\n",
            "\r\n",
            "+a\rb\r\n",
            "$9223372036854775808\r\n",
            &deep,
        ] {
            assert!(decode(bytes.as_bytes()).is_err(), "{:?}", &bytes[..bytes.len().min(30)]);
        }
    }

    #[test]
    fn requests() {
        assert_eq!(command(&[b"GET", b"a\r\n"]), b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
        let mut out = Vec::new();
        integer(&mut out, -5);
        integer(&mut out, u64::MAX);
        joined(&mut out, &[b"a", b"", b"bc"]);
        assert_eq!(out, b"$2\r\n-5\r\n$20\r\n18446744073709551615\r\n$3\r\nabc\r\n");
    }
}
