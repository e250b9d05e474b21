//! How a server of a test is set up.

use std::fmt::Write as _;
use std::path::Path;

/// Which server: they share the protocol, and differ in versions, licence and details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
    /// A Redis that compares before it deletes: 8.4 or newer.
    Redis8,
    /// A Valkey that does: 9 or newer.
    Valkey9,
}

impl Flavour {
    /// The two as most have them.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// As `REQUIRE`, scripts/servers and its programs call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Redis8 => "redis8",
            Self::Valkey9 => "valkey9",
        }
    }

    /// How its programs' names begin.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Redis | Self::Redis8 => "redis",
            Self::Valkey | Self::Valkey9 => "valkey",
        }
    }
}

/// The set-up of a [`super::RedisServer`]: on 127.0.0.1 and keeping nothing, unless told otherwise.
#[derive(Clone, Debug)]
pub struct RedisSetup {
    pub(super) flavour: Flavour,
    pub(super) lines: Vec<String>,
    pub(super) tls: Option<Vec<String>>,
    pub(super) users: Vec<(String, String)>,
    pub(super) password: Option<String>,
    pub(super) socket: bool,
}

impl RedisSetup {
    /// One of this flavour.
    #[must_use]
    pub fn new(flavour: Flavour) -> Self {
        let (lines, users) = (Vec::new(), Vec::new());
        Self { flavour, lines, tls: None, users, password: None, socket: false }
    }

    /// With a line of its configuration file; later ones win.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// With what it was told written to a file before it answers, so that a restart finds it. Not
    /// synced: what the kernel has outlives the process, and a disk of many tests may take seconds.
    #[must_use]
    pub fn kept(self) -> Self {
        self.line("appendonly yes").line("appendfsync no")
    }

    /// With a second port for TLS, and a certificate for 127.0.0.1 and localhost.
    #[must_use]
    pub fn tls(self) -> Self {
        self.tls_for(&["127.0.0.1", "localhost"])
    }

    /// As [`Self::tls`], with a certificate for other names.
    #[must_use]
    pub fn tls_for(mut self, names: &[&str]) -> Self {
        self.tls = Some(names.iter().map(ToString::to_string).collect());
        self
    }

    /// With a user that may do what `rules` say, as in `ACL SETUSER`; on top of the default one.
    ///
    /// # Panics
    /// Where name or password would have to be escaped in a URL.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        assert!(is_plain(name) && is_plain(password), "a user of plain letters and digits");
        self.users.push((name.to_owned(), password.to_owned()));
        self.line(&format!("user {name} on >{password} {rules}"))
    }

    /// With a password for the default user.
    ///
    /// # Panics
    /// Where it would have to be escaped in a URL.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        assert!(is_plain(password), "a password of plain letters and digits");
        self.password = Some(password.to_owned());
        self.line(&format!("requirepass {password}"))
    }

    /// Listening on a Unix socket too.
    #[must_use]
    pub fn socket(mut self) -> Self {
        self.socket = true;
        self
    }

    /// The configuration file.
    pub(super) fn file(&self, folder: &Path, port: u16, tls_port: Option<u16>) -> String {
        let at = |file: &str| folder.join(file).display().to_string();
        let mut file = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nappendonly no\ndaemonize no\n\
             logfile \"\"\n",
            folder.display()
        );
        if let Some(port) = tls_port {
            let (ca, certificate, key) = (at("ca.crt"), at("server.crt"), at("server.key"));
            let _ = write!(
                file,
                "tls-port {port}\ntls-ca-cert-file {ca}\ntls-cert-file {certificate}\n\
                 tls-key-file {key}\ntls-auth-clients no\n"
            );
        }
        if self.socket {
            let _ = writeln!(file, "unixsocket {}", at("socket"));
        }
        for line in &self.lines {
            let _ = writeln!(file, "{line}");
        }
        file
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
