//! Every fault of the proxy, before a real server: what the client sees, and what the server did.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use leasehold::sys::{BootClock, Clock};
use leasehold_testkit::proxy::{Action, Direction, Fault, Proxy, Which};
use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup, Reply, Resp, on_redis};
use libtest_mimic::{Arguments, Trial};

use Direction::{ToClient, ToServer};

const PATIENCE: Duration = Duration::from_secs(30);
/// For an answer that must not come.
const SOON: Duration = Duration::from_millis(200);

type Body = fn(&RedisServer, &Proxy);

const TESTS: [(&str, Body); 23] = [
    ("passes_all_bytes_both_ways", passes),
    ("passes_a_half_close", passes_half_close),
    ("passes_the_end_of_the_server", passes_end),
    ("black_hole_to_server", black_hole_to_server),
    ("black_hole_to_client", black_hole_to_client),
    ("hold_to_server_then_in_order", hold_to_server),
    ("hold_to_client_then_in_order", hold_to_client),
    ("what_is_held_is_not_overtaken", not_overtaken),
    ("a_cut_whose_rule_ended_first_still_ends_it", cut_behind_delay),
    ("held_request_outlives_its_client", outlives_client),
    ("held_request_outlives_its_server", outlives_server),
    ("cut_within_a_request", cut_within_request),
    ("cut_after_a_request", cut_after_request),
    ("cut_within_an_answer", cut_within_answer),
    ("delay_keeps_the_order", delays),
    ("reset_is_seen_by_both_sides", resets),
    ("severed_client_leaves_a_half_open_connection", severs),
    ("refuses_and_admits", refuses),
    ("no_server_is_told_by_a_reset", unreachable),
    ("chooses_by_number_and_by_first_bytes", chooses),
    ("cuts_a_subscriber_between_publish_and_delivery", cuts_subscriber),
    ("drops_the_reply_of_a_request_that_is_carried_out", drops_reply),
    ("holds_from_a_pattern_that_lies_across_two_reads", holds_from_pattern),
];

fn main() {
    let trial = |(name, body): (&str, Body)| {
        Trial::ignorable_test(name, move || {
            on_redis(&RedisSetup::new(Flavour::Redis), |server| {
                body(server, &Proxy::start(server.address()));
            })
        })
    };
    libtest_mimic::run(&Arguments::from_args(), TESTS.map(trial).into()).exit();
}

fn client(proxy: &Proxy) -> Resp {
    Resp::connect(proxy.address(), PATIENCE).unwrap()
}

/// One whose answers are missed early.
fn impatient(proxy: &Proxy) -> Resp {
    Resp::connect(proxy.address(), SOON).unwrap()
}

fn assert_silent(client: &mut Resp) {
    let error = client.read().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

fn assert_reset(client: &mut Resp) {
    assert_eq!(client.read().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Asks until it is so: each question waits for its answer.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = BootClock.now() + PATIENCE;
    while !is_so() {
        assert!(BootClock.now() < end, "never: {what}");
    }
}

fn has(server: &RedisServer, key: &str, value: &str) -> bool {
    server.admin(&["GET", key]).text() == value
}

/// Clients of the server whose name is `name`.
fn named(server: &RedisServer, name: &str) -> usize {
    let list = server.admin(&["CLIENT", "LIST"]).text();
    list.lines().filter(|line| line.contains(&format!(" name={name} "))).count()
}

fn passes(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    let big: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(client.ask(&[b"SET", b"big", &big[..]]).unwrap().text(), "OK");
    assert_eq!(client.ask(&["GET", "big"]).unwrap(), Reply::Bulk(big.clone()));
    assert_eq!(server.admin(&["GET", "big"]), Reply::Bulk(big));
    let stats = proxy.stats();
    assert_eq!((stats.accepted, stats.open(), stats.cut), (1, 1, 0));
    for flow in [stats.to_server, stats.to_client] {
        assert!(flow.arrived > 5_000_000 && flow.arrived == flow.delivered, "{flow:?}");
    }
    drop(client);
    let stats = proxy.wait_for(|stats| stats.links.is_empty());
    assert!(stats.to_client.delivered > 5_000_000 && stats.cut == 0, "{stats:?}");
}

fn passes_half_close(_: &RedisServer, proxy: &Proxy) {
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"+PONG\r\n");
}

fn passes_end(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    assert_eq!(client.ask(&["PING"]).unwrap().text(), "PONG");
    server.kill();
    let error = client.read().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset));
}

fn black_hole_to_server(server: &RedisServer, proxy: &Proxy) {
    let mut client = impatient(proxy);
    assert_eq!(client.ask(&["PING"]).unwrap().text(), "PONG");
    proxy.set_all(Fault::BlackHole);
    client.send(&["SET", "key", "value"]).unwrap();
    proxy.wait_for(|stats| stats.to_server.swallowed > 0);
    assert_silent(&mut client);
    assert_eq!(server.admin(&["GET", "key"]), Reply::Nil);
    // For connections that come, too; their end does not pass either.
    let mut other = impatient(proxy);
    other.send(&["PING"]).unwrap();
    assert_silent(&mut other);
    drop(other);
    let stats = proxy.wait_for(|stats| !stats.links[&2].client);
    assert!(stats.links[&2].server);
    // One that lost nothing goes on when it is over; a stream without its middle doesn't.
    let mut quiet = self::client(proxy);
    proxy.heal();
    assert_reset(&mut client);
    assert_eq!(quiet.ask(&["GET", "key"]).unwrap(), Reply::Nil);
    proxy.wait_for(|stats| stats.links.len() == 1);
}

fn black_hole_to_client(server: &RedisServer, proxy: &Proxy) {
    let mut client = impatient(proxy);
    proxy.set(Which::All, ToClient, Fault::BlackHole);
    client.send(&["SET", "key", "value"]).unwrap();
    proxy.wait_for(|stats| stats.to_client.swallowed == 5);
    assert_silent(&mut client);
    assert!(has(server, "key", "value"));
    proxy.heal();
    assert_reset(&mut client);
    assert_eq!(self::client(proxy).ask(&["GET", "key"]).unwrap().text(), "value");
}

fn push_100(client: &mut Resp) {
    for number in 0..100 {
        client.send(&["RPUSH", "list", &number.to_string()]).unwrap();
    }
}

fn assert_pushed(server: &RedisServer, client: &mut Resp) {
    for number in 1..=100 {
        assert_eq!(client.read().unwrap().integer(), number);
    }
    let list = server.admin(&["LRANGE", "list", "0", "-1"]);
    assert!(list.list().iter().map(Reply::integer).eq(0..100), "{list:?}");
}

fn hold_to_server(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    proxy.set(Which::All, ToServer, Fault::Hold);
    push_100(&mut client);
    proxy.wait_for(|stats| {
        stats.to_server.held == stats.to_server.arrived && stats.to_server.held > 3000
    });
    assert_eq!(server.admin(&["LLEN", "list"]).integer(), 0);
    proxy.heal();
    assert_pushed(server, &mut client);
    assert_eq!(proxy.stats().to_server.held, 0);
}

fn hold_to_client(server: &RedisServer, proxy: &Proxy) {
    let mut client = impatient(proxy);
    proxy.set(Which::All, ToClient, Fault::Hold);
    push_100(&mut client);
    // ":1\r\n" to ":100\r\n".
    proxy.wait_for(|stats| stats.to_client.held == 9 * 4 + 90 * 5 + 6);
    assert_silent(&mut client);
    proxy.heal();
    assert_pushed(server, &mut client);
}

fn not_overtaken(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    // A choice that falls another way once more is known of the connection.
    let short = Which::FirstBytes(std::sync::Arc::new(|head| head.len() < 50));
    proxy.set(short, ToServer, Fault::Hold);
    client.send(&["APPEND", "key", "a"]).unwrap();
    proxy.wait_for(|stats| stats.to_server.held > 0);
    client.send(&["APPEND", "key", "bb"]).unwrap();
    proxy.wait_for(|stats| stats.to_server.arrived > 50);
    proxy.heal();
    for length in [1, 3] {
        assert_eq!(client.read().unwrap().integer(), length);
    }
    assert!(has(server, "key", "abb"));
}

fn cut_behind_delay(_: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    proxy.set(Which::All, ToClient, Fault::Delay(PATIENCE));
    client.send(&["ECHO", "one"]).unwrap();
    proxy.wait_for(|stats| stats.to_client.arrived > 0);
    proxy.set(Which::All, ToClient, Fault::CutAfter(0));
    client.send(&["ECHO", "two"]).unwrap();
    proxy.wait_for(|stats| stats.to_client.swallowed > 0);
    proxy.heal();
    // Else "three" would be taken for the answer to "two".
    assert_reset(&mut client);
}

fn outlives_client(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    // What the connection was told before still holds for the late request.
    assert_eq!(client.ask(&["SELECT", "3"]).unwrap().text(), "OK");
    proxy.set(Which::All, ToServer, Fault::Hold);
    client.send(&["SET", "late", "value"]).unwrap();
    proxy.wait_for(|stats| stats.to_server.held > 0);
    drop(client);
    let stats = proxy.wait_for(|stats| !stats.links[&1].client);
    assert!(stats.links[&1].server && stats.to_server.held > 0, "{stats:?}");
    assert_eq!(server.admin(&["DBSIZE"]).integer(), 0);
    proxy.heal();
    // The server closed it: so it had read all.
    proxy.wait_for(|stats| stats.links.is_empty());
    assert_eq!(server.admin(&["SELECT", "3"]).text(), "OK");
    assert!(has(server, "late", "value"));
}

fn outlives_server(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    proxy.set(Which::All, ToServer, Fault::Hold);
    client.send(&["SET", "late", "value"]).unwrap();
    proxy.wait_for(|stats| stats.to_server.held > 0);
    server.restart();
    drop(client);
    proxy.wait_for(|stats| !stats.links[&1].client && !stats.links[&1].server);
    assert_eq!(proxy.replay(Which::All), [b"+OK\r\n"]);
    assert!(has(server, "late", "value"));
    proxy.heal();
    proxy.wait_for(|stats| stats.links.is_empty() && stats.to_server.held == 0);
}

/// "SET key value" takes so many bytes.
const SET: u64 = 4 + 9 + 9 + 11;

fn cut_within_request(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    assert_eq!(client.ask(&["SET", "key", "other"]).unwrap().text(), "OK");
    proxy.set(Which::All, ToServer, Fault::CutAfter(SET - 1));
    client.send(&["SET", "key", "value"]).unwrap();
    assert_reset(&mut client);
    let stats = proxy.wait_for(|stats| stats.links.is_empty());
    assert_eq!((stats.to_server.delivered, stats.to_server.swallowed), (SET + SET - 1, 1));
    assert_eq!(stats.cut, 1);
    eventually("the server noticed", || named(server, "") == 1);
    assert!(has(server, "key", "other"));
}

fn cut_after_request(server: &RedisServer, proxy: &Proxy) {
    proxy.set(Which::All, ToServer, Fault::CutAfter(SET));
    // Of each connection.
    for round in 1..=2 {
        server.admin(&["DEL", "key"]);
        let mut client = client(proxy);
        client.send(&["SET", "key", "value"]).unwrap();
        assert_reset(&mut client);
        eventually("the server got it", || has(server, "key", "value"));
        assert_eq!(proxy.wait_for(|stats| stats.links.is_empty()).cut, round);
    }
}

fn cut_within_answer(server: &RedisServer, proxy: &Proxy) {
    server.admin(&["SET", "key", "value"]);
    proxy.set(Which::All, ToClient, Fault::CutAfter(6));
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"GET key\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"$5\r\nva");
}

fn delays(_: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    for direction in Direction::BOTH {
        proxy.heal();
        proxy.set(Which::All, direction, Fault::Delay(SOON));
        let (begin, before) = (BootClock.now(), proxy.stats().to_server.arrived);
        client.send(&["ECHO", "one"]).unwrap();
        proxy.wait_for(|stats| stats.to_server.arrived > before);
        // It must not overtake the first.
        client.send(&["ECHO", "two"]).unwrap();
        assert_eq!(client.read().unwrap().text(), "one");
        assert!(BootClock.now() - begin >= SOON);
        assert_eq!(client.read().unwrap().text(), "two");
    }
}

fn resets(server: &RedisServer, proxy: &Proxy) {
    let (mut first, mut second) = (client(proxy), client(proxy));
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask(&["CLIENT", "SETNAME", "ours"]).unwrap().text(), "OK");
    }
    assert_eq!(named(server, "ours"), 2);
    proxy.reset(Which::Number(1));
    assert_reset(&mut first);
    eventually("the server lost one", || named(server, "ours") == 1);
    assert_eq!(second.ask(&["PING"]).unwrap().text(), "PONG");
    assert_eq!(proxy.stats().cut, 1);
}

fn severs(server: &RedisServer, proxy: &Proxy) {
    let mut client = client(proxy);
    assert_eq!(client.ask(&["CLIENT", "SETNAME", "ours"]).unwrap().text(), "OK");
    proxy.sever(Which::All);
    assert_reset(&mut client);
    let stats = proxy.stats();
    assert!(!stats.links[&1].client && stats.links[&1].server, "{stats:?}");
    assert_eq!(named(server, "ours"), 1);
    proxy.heal();
    eventually("the server learnt of it", || named(server, "ours") == 0);
}

fn refuses(server: &RedisServer, proxy: &Proxy) {
    let mut before = client(proxy);
    proxy.refuse();
    let error = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(before.ask(&["PING"]).unwrap().text(), "PONG");
    proxy.admit();
    assert_eq!(client(proxy).ask(&["PING"]).unwrap().text(), "PONG");
    // To another server.
    let other = RedisServer::start(&RedisSetup::new(server.flavour())).unwrap();
    proxy.set_target(other.address());
    assert_eq!(client(proxy).ask(&["SET", "key", "value"]).unwrap().text(), "OK");
    assert!(has(&other, "key", "value"));
    assert_eq!(before.ask(&["GET", "key"]).unwrap(), Reply::Nil);
}

fn unreachable(server: &RedisServer, proxy: &Proxy) {
    server.kill();
    // The reset comes as early as while connecting, or as late as in place of an answer.
    let asked = Resp::connect(proxy.address(), PATIENCE).and_then(|mut it| it.ask(&["PING"]));
    let kind = asked.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
    assert_eq!(proxy.stats().unreachable, 1);
    server.restart();
    assert_eq!(client(proxy).ask(&["PING"]).unwrap().text(), "PONG");
}

fn chooses(server: &RedisServer, proxy: &Proxy) {
    proxy.set(Which::carrying("SUBSCRIBE"), ToClient, Fault::Hold);
    let (mut plain, mut subscriber) = (impatient(proxy), impatient(proxy));
    assert_eq!(plain.ask(&["PING"]).unwrap().text(), "PONG");
    // Not at once: what comes before it passes.
    assert_eq!(subscriber.ask(&["PING"]).unwrap().text(), "PONG");
    subscriber.send(&["SUBSCRIBE", "channel"]).unwrap();
    assert_silent(&mut subscriber);
    assert_eq!(server.admin(&["PUBLISH", "channel", "news"]).integer(), 1);
    assert_eq!(plain.ask(&["PING"]).unwrap().text(), "PONG");
    // The last that fits is in force.
    proxy.set(Which::Number(2), ToClient, Fault::Pass);
    proxy.set(Which::Number(1), ToClient, Fault::BlackHole);
    assert_eq!(server.admin(&["PUBLISH", "channel", "more"]).integer(), 1);
    for word in ["1", "news", "more"] {
        assert_eq!(subscriber.read().unwrap().list()[2].text(), word);
    }
    plain.send(&["PING"]).unwrap();
    assert_silent(&mut plain);
}

fn cuts_subscriber(server: &RedisServer, proxy: &Proxy) {
    let noted = proxy.trap(ToClient, "grant-1", Action::Note, 5);
    let trap = proxy.trap(ToClient, "grant-2", Action::Cut, 1);
    for round in 1..=2 {
        let mut subscriber = client(proxy);
        subscriber.ask(&["SUBSCRIBE", "channel"]).unwrap();
        assert_eq!(server.admin(&["PUBLISH", "channel", "grant-1"]).integer(), 1);
        assert_eq!(subscriber.read().unwrap().list()[2].text(), "grant-1");
        // The server had a subscriber.
        assert_eq!(server.admin(&["PUBLISH", "channel", "grant-2"]).integer(), 1);
        if round == 1 {
            assert_reset(&mut subscriber);
        } else {
            // It was set for one time.
            assert_eq!(subscriber.read().unwrap().list()[2].text(), "grant-2");
        }
        let stats = proxy.wait_for(|stats| stats.sprung(trap) == 1);
        assert_eq!(stats.sprung(noted), round);
    }
}

fn drops_reply(server: &RedisServer, proxy: &Proxy) {
    let trap = proxy.trap(ToServer, "lost:", Action::DropReply, 2);
    // The second takes more than one read.
    for (round, value) in [(1, "short".to_owned()), (2, "long".repeat(100_000))] {
        let mut client = client(proxy);
        assert_eq!(client.ask(&["PING"]).unwrap().text(), "PONG");
        let key = format!("lost:{round}");
        client.send(&["SET", &key, &value]).unwrap();
        assert_reset(&mut client);
        let stats = proxy.wait_for(|stats| stats.sprung(trap) == round);
        assert_eq!(stats.to_client.swallowed, 5 * round);
        assert!(has(server, &key, &value));
    }
    assert_eq!(client(proxy).ask(&["GET", "lost:1"]).unwrap().text(), "short");
}

fn holds_from_pattern(server: &RedisServer, proxy: &Proxy) {
    let trap = proxy.trap(ToServer, "acquire", Action::Hold, 1);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"SET acq").unwrap();
    proxy.wait_for(|stats| stats.to_server.delivered == 7);
    client.write_all(b"uire now\r\n").unwrap();
    let stats = proxy.wait_for(|stats| stats.sprung(trap) == 1);
    assert_eq!(stats.to_server.held, 10);
    // Others pass, and the trap was set for one.
    let mut other = self::client(proxy);
    assert_eq!(other.ask(&["SET", "acquire", "first"]).unwrap().text(), "OK");
    assert!(has(server, "acquire", "first"));
    proxy.heal();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    assert!(has(server, "acquire", "now"));
}
