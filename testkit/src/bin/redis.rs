//! `redis [FLAVOUR]`: a server behind the fault proxy, for tests in other languages. Prints `ready
//! URL DIRECT_URL`, the first through the proxy, or `absent WHY` where there is no such server; then
//! obeys the lines on its input, with one line of answer each, `ok` unless said otherwise:
//!
//! * `black-hole`, `heal`, `unplug` (all connections reset, new ones refused), `plug`;
//! * `pause`, `wake`, `kill`, `restart`;
//! * `note PATTERN TIMES`: waits until the pattern has passed to the server so often from now on;
//! * `admin WORD...`: a command for the server: its answer as text, without line ends.
//!
//! It ends with its input, and the server with it.

use std::io::BufRead;
use std::process::ExitCode;

use leasehold_testkit::proxy::{Action, Direction, Fault, Proxy, Which};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup};

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_else(|| "redis".to_owned());
    let Some(flavour) = Flavour::ALL.into_iter().find(|flavour| flavour.name() == name) else {
        eprintln!("usage: redis [redis|valkey]");
        return ExitCode::from(64);
    };
    let server = match RedisServer::start(&RedisSetup::new(flavour)) {
        Ok(server) => server,
        Err(why) => {
            println!("absent {}", why.replace('\n', " "));
            return ExitCode::from(2);
        }
    };
    let proxy = Proxy::start(server.address());
    println!("ready {} {}", proxy.url(&server.url()), server.url());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", obey(&line, &server, &proxy));
    }
    ExitCode::SUCCESS
}

fn obey(line: &str, server: &RedisServer, proxy: &Proxy) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["black-hole"] => proxy.set_all(Fault::BlackHole),
        ["heal"] => proxy.heal(),
        ["unplug"] => {
            proxy.refuse();
            proxy.reset(Which::All);
        }
        ["plug"] => proxy.admit(),
        ["pause"] => server.pause(),
        ["wake"] => server.wake(),
        ["kill"] => server.kill(),
        ["restart"] => server.restart(),
        ["note", pattern, times] => {
            let Ok(times) = times.parse() else { return format!("error {times} is no number") };
            let trap = proxy.trap(Direction::ToServer, pattern, Action::Note, times);
            proxy.wait_for(|stats| stats.sprung(trap) == times);
        }
        ["admin", ref command @ ..] => {
            return server.admin(command).text().replace(['\r', '\n'], " ");
        }
        _ => return format!("error {line} is unknown"),
    }
    "ok".to_owned()
}
