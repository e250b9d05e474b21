//! A small client of Redis, for what a test asks of its server: the one that is tested must not be
//! what proves itself. One command at a time, RESP2, and nothing is read without a bound.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
const LINE: u64 = 64 * 1024;
const BULK: usize = 64 * 1024 * 1024;
const ITEMS: usize = 1_000_000;
const DEPTH: u32 = 8;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(String),
    /// `-NOSCRIPT ...`
    Error(String),
    /// `:1`
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// A list, possibly of lists.
    Array(Vec<Reply>),
    /// Nothing: a null string or list.
    Nil,
}

impl Reply {
    /// As text: a status, a string or an error; a number in digits; nothing as an empty one.
    ///
    /// # Panics
    /// Where it is a list.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Status(text) | Self::Error(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Nil => String::new(),
            Self::Array(_) => panic!("a list is no text: {self:?}"),
        }
    }

    /// As a number.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            Self::Bulk(_) | Self::Status(_) => {
                self.text().parse().unwrap_or_else(|_| panic!("not a number: {self:?}"))
            }
            _ => panic!("not a number: {self:?}"),
        }
    }

    /// As a list.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => panic!("not a list: {self:?}"),
        }
    }

    /// Whether the server refused.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Resp(BufReader<TcpStream>);

impl Resp {
    /// Connects; each answer is awaited for `patience`.
    ///
    /// # Errors
    /// As the connection fails.
    pub fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one command and reads one answer.
    ///
    /// # Errors
    /// As the connection fails; a refusal by the server is a [`Reply::Error`]. After an error the
    /// connection is of no use: an answer may still be on its way.
    pub fn ask<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<Reply> {
        self.send(command)?;
        self.read()
    }

    /// Sends one command and leaves its answer to [`Self::read`].
    ///
    /// # Errors
    /// As the connection fails.
    pub fn send<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<()> {
        self.0.get_mut().write_all(&encode(command))
    }

    /// Reads the next answer, or what was pushed.
    ///
    /// # Errors
    /// As the connection fails, or what comes is no RESP2.
    pub fn read(&mut self) -> io::Result<Reply> {
        read(&mut self.0, 0)
    }
}

/// A command as it goes over the wire.
#[must_use]
pub(super) fn encode<A: AsRef<[u8]>>(command: &[A]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command.iter().map(AsRef::as_ref) {
        wire.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        wire.extend_from_slice(argument);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

fn read(from: &mut impl BufRead, depth: u32) -> io::Result<Reply> {
    let mut line = Vec::new();
    if from.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| wrong("a line without an end"))?;
    let line = std::str::from_utf8(line).map_err(|_| wrong("a line that is no text"))?;
    let kind = line.chars().next().ok_or_else(|| wrong("an empty line"))?;
    let rest = &line[kind.len_utf8()..];
    let number = || rest.parse::<i64>().map_err(|_| wrong("a number that is none"));
    let length = |most: usize| match number()? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            _ => Err(wrong("a length out of bounds")),
        },
    };
    Ok(match kind {
        '+' => Reply::Status(rest.to_owned()),
        '-' => Reply::Error(rest.to_owned()),
        ':' => Reply::Integer(number()?),
        '$' => match length(BULK)? {
            None => Reply::Nil,
            Some(length) => {
                let mut bytes = vec![0; length + 2];
                from.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Reply::Bulk(bytes)
            }
        },
        '*' if depth >= DEPTH => return Err(wrong("lists within lists without end")),
        '*' => match length(ITEMS)? {
            None => Reply::Nil,
            Some(count) => {
                let items = (0..count).map(|_| read(from, depth + 1));
                Reply::Array(items.collect::<io::Result<_>>()?)
            }
        },
        _ => return Err(wrong("a kind of answer that RESP2 lacks")),
    })
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(mut bytes: &[u8]) -> io::Result<Reply> {
        read(&mut bytes, 0)
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        assert_eq!(parsed(b"+OK\r\n").unwrap(), Reply::Status("OK".into()));
        assert!(parsed(b"-ERR no\r\n").unwrap().is_error());
        assert_eq!(parsed(b":-7\r\n").unwrap().integer(), -7);
        assert_eq!(parsed(b"$2\r\n\r\n\r\n").unwrap(), Reply::Bulk(b"\r\n".to_vec()));
        assert_eq!(parsed(b"$-1\r\n").unwrap(), Reply::Nil);
        let nested = Reply::Array(vec![Reply::Nil, Reply::Array(vec![Reply::Integer(1)])]);
        assert_eq!(parsed(b"*2\r\n*-1\r\n*1\r\n:1\r\n").unwrap(), nested);
    }

    #[test]
    fn nothing_is_read_without_a_bound() {
        for bad in [
            &b"$99999999999\r\n"[..],
            b"*99999999\r\n",
            b"$-2\r\n",
            b"?\r\n",
            b"\r\n",
            b"+no end",
            b"$5\r\nab",
            b"",
            &b"*1\r\n".repeat(20),
            &b"+a".repeat(100_000),
        ] {
            assert!(parsed(bad).is_err(), "{:?}", &bad[..bad.len().min(20)]);
        }
    }

    #[test]
    fn a_command_is_counted_in_bytes() {
        assert_eq!(encode(&["GET", "ä"]), "*2\r\n$3\r\nGET\r\n$2\r\nä\r\n".as_bytes());
    }
}
