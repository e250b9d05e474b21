//! The servers that tests are run against, themselves put to the test: each is the real one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use leasehold_testkit::Process;
use leasehold_testkit::server::{
    Flavour, OneServer, RedisServer, RedisSetup, Reply, Resp, SqlFlavour, SqlServer, on_redis,
};
use libtest_mimic::{Arguments, Trial};

/// Long enough for an answer that comes, short enough for one that doesn't.
const SOON: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);
const SERVE: &str = "LEASEHOLD_SERVE";

type Setup = fn(RedisSetup) -> RedisSetup;
type Body = fn(&RedisServer);

const TESTS: [(&str, Setup, Body); 12] = [
    ("is_the_flavour_that_was_asked_for", plain, is_its_flavour),
    ("keeps_nothing_through_a_crash", plain, keeps_nothing),
    ("keeps_what_it_was_told_through_a_crash", RedisSetup::kept, keeps),
    ("answers_nothing_while_paused", plain, pauses),
    ("counts_commands", plain, counts),
    ("speaks_tls_to_who_trusts_it", RedisSetup::tls, speaks_tls),
    ("lets_a_user_do_what_the_rules_say", with_user, obeys_rules),
    ("wants_its_password", |setup| setup.password("sesame"), wants_password),
    ("listens_on_a_socket", RedisSetup::socket, has_socket),
    ("takes_a_line_of_configuration", |setup| setup.line("maxclients 77"), takes_line),
    ("runs_beside_others", plain, beside_others),
    ("dies_with_the_test", plain, dies_with_the_test),
];

fn main() {
    // The test that is killed: see dies_with_the_test.
    if let Ok(flavour) = std::env::var(SERVE) {
        return serve(&flavour);
    }
    let mut trials = Vec::new();
    for flavour in Flavour::ALL {
        for (name, setup, body) in TESTS {
            let setup = setup(RedisSetup::new(flavour));
            let name = format!("{}::{name}", flavour.name());
            trials.push(Trial::ignorable_test(name, move || on_redis(&setup, body)));
        }
    }
    for flavour in SqlFlavour::ALL {
        // What a database keeps is shown in core/tests/guards_sql.
        let name = format!("{}::ends_with_the_test", flavour.name());
        trials.push(Trial::ignorable_test(name, move || {
            OneServer::new(flavour).run(|_| ends_with_the_test(flavour))
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn plain(setup: RedisSetup) -> RedisSetup {
    setup
}

fn with_user(setup: RedisSetup) -> RedisSetup {
    setup.user("locker", "sesame", "~lock:* +get +set")
}

fn is_its_flavour(server: &RedisServer) {
    let info = server.admin(&["INFO", "server"]).text();
    let valkey = info.lines().any(|line| line.starts_with("valkey_version:"));
    let redis = info.lines().any(|line| line.starts_with("redis_version:")) && !valkey;
    let wanted = match server.flavour() {
        Flavour::Redis | Flavour::Redis8 => (true, false),
        Flavour::Valkey | Flavour::Valkey9 => (false, true),
    };
    assert_eq!((redis, valkey), wanted, "{info}");
}

fn keeps_nothing(server: &RedisServer) {
    let (port, before) = (server.port(), server.id());
    assert_eq!(server.admin(&["SET", "key", "value"]).text(), "OK");
    server.kill();
    let error = server.try_admin(&["PING"], SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    let error = TcpStream::connect(server.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    server.restart();
    assert_eq!(server.admin(&["GET", "key"]), Reply::Nil);
    assert_eq!(server.port(), port);
    assert_ne!(server.id(), before);
}

fn keeps(server: &RedisServer) {
    assert_eq!(server.admin(&["SET", "key", "value"]).text(), "OK");
    server.restart();
    assert_eq!(server.admin(&["GET", "key"]).text(), "value");
}

fn pauses(server: &RedisServer) {
    let mut client = server.connect(SOON).unwrap();
    server.pause();
    client.send(&["PING"]).unwrap();
    let error = client.read().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    server.try_admin(&["PING"], SOON).unwrap_err();
    server.wake();
    // The connection outlived it.
    assert_eq!(client.read().unwrap().text(), "PONG");
    assert_eq!(server.admin(&["PING"]).text(), "PONG");
    // One that stands still can be killed too, or the end of a test would hang here.
    server.pause();
    server.kill();
}

fn counts(server: &RedisServer) {
    for _ in 0..3 {
        server.admin(&["GET", "key"]);
    }
    let script = "for i = 1, 10000 do redis.call('INCR', KEYS[1]) end return 1";
    assert_eq!(server.admin(&["EVAL", script, "1", "number"]).integer(), 1);
    let stats = server.commandstats();
    assert_eq!(stats["get"].0, 3);
    assert_eq!(stats["eval"].0, 1);
    assert_eq!(stats["incr"].0, 10_000);
    assert!(stats["eval"].1 > 0, "{stats:?}");
    server.reset_stats();
    assert!(!server.commandstats().contains_key("get"));
}

fn speaks_tls(server: &RedisServer) {
    let ping = ask_tls(server, server);
    assert_eq!(ping, Ok("PONG".into()));
    // Another server's authority doesn't vouch for this one.
    let setup = RedisSetup::new(server.flavour()).tls();
    let stranger = RedisServer::start(&setup).unwrap();
    let refused = ask_tls(server, &stranger).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}

/// PING over TLS, trusting the authority of `trusted`.
fn ask_tls(server: &RedisServer, trusted: &RedisServer) -> Result<String, String> {
    let mut cli = server.cli();
    cli.args(["--no-auth-warning", "-u", &server.tls_url(), "--cacert"]).arg(trusted.ca_path());
    let done = cli.arg("PING").output().expect("its command-line client");
    let (out, err) = (String::from_utf8(done.stdout), String::from_utf8(done.stderr));
    if done.status.success() {
        return Ok(out.unwrap().trim().to_owned());
    }
    Err(err.unwrap())
}

fn obeys_rules(server: &RedisServer) {
    assert!(server.user_url("locker").starts_with("redis://locker:sesame@127.0.0.1:"));
    let mut user = server.connect(PATIENCE).unwrap();
    assert_eq!(user.ask(&["AUTH", "locker", "sesame"]).unwrap().text(), "OK");
    assert_eq!(user.ask(&["SET", "lock:1", "mine"]).unwrap().text(), "OK");
    for refused in [&["SET", "other", "mine"][..], &["DEL", "lock:1"]] {
        let reply = user.ask(refused).unwrap();
        assert!(reply.is_error() && reply.text().starts_with("NOPERM"), "{reply:?}");
    }
    assert_eq!(server.admin(&["GET", "lock:1"]).text(), "mine");
}

fn wants_password(server: &RedisServer) {
    let mut stranger = Resp::connect(server.address(), PATIENCE).unwrap();
    assert!(stranger.ask(&["PING"]).unwrap().text().starts_with("NOAUTH"));
    assert_eq!(server.admin(&["PING"]).text(), "PONG");
    assert_eq!(server.url(), format!("redis://:sesame@127.0.0.1:{}", server.port()));
}

fn has_socket(server: &RedisServer) {
    let mut socket = UnixStream::connect(server.socket_path()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

fn takes_line(server: &RedisServer) {
    assert_eq!(server.admin(&["CONFIG", "GET", "maxclients"]).list()[1].text(), "77");
}

fn beside_others(server: &RedisServer) {
    let setup = RedisSetup::new(server.flavour());
    let others: Vec<_> = (0..4).map(|_| RedisServer::start(&setup).unwrap()).collect();
    for (number, other) in others.iter().enumerate() {
        assert_eq!(other.admin(&["SET", "number", &number.to_string()]).text(), "OK");
    }
    for (number, other) in others.iter().enumerate() {
        assert_eq!(other.admin(&["GET", "number"]).text(), number.to_string());
    }
    assert_eq!(server.admin(&["GET", "number"]), Reply::Nil);
}

/// A test that is killed runs no destructor: the kernel has to end its servers.
fn dies_with_the_test(server: &RedisServer) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut test = Process::start(command.env(SERVE, server.flavour().name()));
    let port: u16 = test.wait_for("port ").parse().unwrap();
    let folder = test.wait_for("folder ");
    let mut client = Resp::connect(([127, 0, 0, 1], port).into(), PATIENCE).unwrap();
    assert_eq!(client.ask(&["PING"]).unwrap().text(), "PONG");
    test.kill();
    let error = client.read().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset));
    std::fs::remove_dir_all(folder).unwrap();
}

/// With all its processes, of which PostgreSQL has one for each connection.
#[allow(clippy::disallowed_methods, reason = "a port tells nobody when it closes")]
fn ends_with_the_test(flavour: SqlFlavour) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut test = Process::start(command.env(SERVE, flavour.name()));
    let port: u16 = test.wait_for("port ").parse().unwrap();
    let folder = test.wait_for("folder ");
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let mut client = connect().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    if flavour == SqlFlavour::Postgres {
        // It speaks first only to who asks for TLS. (One that is silent has a minute for that, at its end too.)
        client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    }
    client.read_exact(&mut [0]).unwrap();
    test.kill();
    // Whoever had the connection is gone, and then who took connections: that it was the last nobody tells.
    let _ = client.read_to_end(&mut Vec::new());
    let closed = (0..PATIENCE.as_millis() / 20).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        connect().is_err()
    });
    assert!(closed, "it still takes connections");
    std::fs::remove_dir_all(folder).unwrap();
}

fn serve(flavour: &str) {
    if let Some(flavour) = SqlFlavour::ALL.into_iter().find(|one| one.name() == flavour) {
        let server = SqlServer::start(flavour).expect("a server");
        server.restart();
        println!("port {}\nfolder {}", server.port(), server.folder().display());
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let flavour = Flavour::ALL.into_iter().find(|one| one.name() == flavour).expect("a flavour");
    let server = RedisServer::start(&RedisSetup::new(flavour)).expect("a server");
    println!("port {}\nfolder {}", server.port(), server.folder().display());
    // Until it is killed.
    let _ = std::io::stdin().read(&mut [0]);
}
