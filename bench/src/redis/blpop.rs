//! Limit C, first form: the lock is the one element of a list. Whoever pops it holds it; the push
//! that gives it back rides in one packet with the holder's next pop. BLPOP serves in order, so this
//! is FIFO; a holder that dies takes the lock with it.
//!
//! Written on bare sockets: every answer is known beforehand, and a general client would cost more
//! than the hand-off.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rival::{Contender, Rival};
use crate::Result;

const TOKEN: &str = "token";
const PUSHED: &str = ":1\r\n";

/// A list for each lock.
pub(crate) fn list_of(name: &str) -> String {
    format!("{name}:list")
}

/// Each contender has a connection of its own: BLPOP blocks it.
pub(crate) struct Blpop {
    address: String,
}

impl Blpop {
    /// A limit on this server.
    pub(crate) fn new(url: &str) -> Self {
        Self { address: url.trim_start_matches("redis://").to_owned() }
    }
}

fn command(words: &[&str]) -> String {
    let parts: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{parts}", words.len())
}

/// One contender.
pub(crate) struct Popper {
    stream: TcpStream,
    pop: String,
    push: String,
    both: String,
    popped: String,
    owes: bool,
}

impl Rival for Blpop {
    type One = Popper;
    async fn contender(&self, name: &str, _index: u32) -> Result<Popper> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let list = list_of(name);
        let (pop, push) = (command(&["BLPOP", &list, "0"]), command(&["LPUSH", &list, TOKEN]));
        let both = format!("{push}{pop}");
        Ok(Popper { stream, pop, push, both, popped: command(&[&list, TOKEN]), owes: false })
    }
}

/// Reads exactly what must come.
async fn expect(stream: &mut TcpStream, what: &str) -> Result<()> {
    let mut got = vec![0; what.len()];
    stream.read_exact(&mut got).await?;
    if got == what.as_bytes() {
        Ok(())
    } else {
        Err(format!("{:?} instead of {what:?}", String::from_utf8_lossy(&got)).into())
    }
}

impl Contender for Popper {
    async fn take(&mut self) -> Result<()> {
        if std::mem::take(&mut self.owes) {
            self.stream.write_all(self.both.as_bytes()).await?;
            expect(&mut self.stream, PUSHED).await?;
        } else {
            self.stream.write_all(self.pop.as_bytes()).await?;
        }
        expect(&mut self.stream, &self.popped).await
    }

    async fn give(&mut self) -> Result<()> {
        self.owes = true;
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        if std::mem::take(&mut self.owes) {
            self.stream.write_all(self.push.as_bytes()).await?;
            expect(&mut self.stream, PUSHED).await?;
        }
        Ok(())
    }
}
