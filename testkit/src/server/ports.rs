//! Ports for servers and proxies: below the range from which the kernel takes those of outgoing
//! connections. From within it, a client that asks again and again for a server that is down would
//! one day be given that very port for its own end, and be connected to itself.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_240;
const COUNT: u32 = 20_000;

/// A port of 127.0.0.1 that nobody listened to just now. Another may take it first: who uses it
/// tries again with the next.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        let port = u16::try_from(port).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of 127.0.0.1 is free");
}
