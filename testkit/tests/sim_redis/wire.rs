//! A connection to the real server that keeps the bytes of a reply as they came: a client library would
//! have parsed away what is to be compared.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use leasehold_testkit::server::RedisServer;

pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn to(real: &RedisServer) -> Self {
        let stream = TcpStream::connect(real.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, args: &[Vec<u8>]) {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
            bytes.extend(arg);
            bytes.extend(b"\r\n");
        }
        self.stream.write_all(&bytes).expect("sent");
    }

    /// The bytes of one whole reply or push.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = frame_end(&self.buffer, 0) {
                return self.buffer.drain(..end).collect();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).expect("a reply");
            assert!(count > 0, "the real server closed the connection");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    pub(crate) fn ask(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        self.send(args);
        self.frame()
    }
}

fn frame_end(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &bytes[at..at + length];
    let (mut end, number) = (at + length + 2, || -> i64 {
        std::str::from_utf8(&line[1..]).expect("digits").parse().expect("a number")
    });
    match line[0] {
        b'$' => {
            let size = number();
            if size >= 0 {
                end += usize::try_from(size).expect("a size") + 2;
            }
            (bytes.len() >= end).then_some(end)
        }
        mark @ (b'*' | b'%' | b'>' | b'~') => {
            let items = number().max(0) * if mark == b'%' { 2 } else { 1 };
            for _ in 0..items {
                end = frame_end(bytes, end)?;
            }
            Some(end)
        }
        _ => Some(end),
    }
}
