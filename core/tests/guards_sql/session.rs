//! Connections to three databases, by their own client libraries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use leasehold::guard::sql::Dialect;
use mysql::consts::CapabilityFlags;
use mysql::prelude::Queryable;
use postgres::error::SqlState;

/// Long enough for every wait that ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a session goes, and how.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres { url: String, level: &'static str },
    Mysql { url: String, level: &'static str, found_rows: bool },
}

#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Fence(u64),
}

/// Why a statement failed.
#[derive(Debug)]
#[allow(dead_code, reason = "the texts are for whoever reads of a failed test")]
pub(crate) enum Failure {
    /// The transaction is to be repeated.
    Repeat(String),
    /// Another had the row for longer than a session of little patience waits.
    Busy,
    Other(String),
}

pub(crate) trait Session: Send {
    /// Runs a statement; how many rows it changed, as the driver says.
    fn run(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Failure>;
    /// The numbers of a query's first column.
    fn numbers(&mut self, query: &str) -> Vec<i64>;

    fn must(&mut self, statement: &str) -> u64 {
        self.run(statement, &[]).unwrap_or_else(|error| panic!("{statement}: {error:?}"))
    }
}

impl Place {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
            Self::Mysql { .. } => Dialect::Mysql,
        }
    }

    pub(crate) fn open(&self) -> Box<dyn Session> {
        self.open_for(PATIENCE)
    }

    /// One that gives up a wait at once, or as soon as its database can.
    pub(crate) fn open_impatient(&self) -> Box<dyn Session> {
        self.open_for(Duration::from_millis(20))
    }

    fn open_for(&self, patience: Duration) -> Box<dyn Session> {
        match self {
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("a database");
                connection.busy_timeout(patience).expect("a setting");
                connection.execute_batch("PRAGMA synchronous = OFF").expect("a setting");
                Box::new(connection)
            }
            Self::Postgres { url, level } => {
                let mut client = postgres::Client::connect(url, postgres::NoTls).expect("a server");
                let level = format!(
                    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}; \
                     SET lock_timeout = {}",
                    patience.as_millis()
                );
                client.batch_execute(&level).expect("settings");
                Box::new(client)
            }
            Self::Mysql { url, level, found_rows } => {
                let opts = mysql::Opts::from_url(url).expect("a URL");
                let mut flags = CapabilityFlags::empty();
                flags.set(CapabilityFlags::CLIENT_FOUND_ROWS, *found_rows);
                let opts = mysql::OptsBuilder::from_opts(opts)
                    .additional_capabilities(flags)
                    .prefer_socket(false);
                let mut connection = mysql::Conn::new(opts).expect("a server");
                for setting in [
                    format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}"),
                    format!("SET innodb_lock_wait_timeout = {}", patience.as_secs()),
                ] {
                    connection.query_drop(setting).expect("a setting");
                }
                Box::new(connection)
            }
        }
    }

    /// Which number the server knows a session by; none where it knows nothing of sessions.
    pub(crate) fn number(&self, session: &mut dyn Session) -> Option<i64> {
        let query = match self {
            Self::Sqlite(_) => return None,
            Self::Postgres { .. } => "SELECT CAST(pg_backend_pid() AS BIGINT)",
            Self::Mysql { .. } => "SELECT CONNECTION_ID()",
        };
        Some(session.numbers(query)[0])
    }

    /// Returns once that session waits for another's row; at once where nobody can tell.
    #[allow(clippy::disallowed_methods, reason = "the server tells nobody when a wait begins")]
    pub(crate) fn until_it_waits(&self, number: Option<i64>) {
        let Some(number) = number else { return };
        let query = match self {
            Self::Sqlite(_) => return,
            Self::Postgres { .. } => {
                format!("SELECT CAST(cardinality(pg_blocking_pids({number})) AS BIGINT)")
            }
            Self::Mysql { .. } => format!(
                "SELECT COUNT(*) FROM information_schema.innodb_trx \
                 WHERE trx_mysql_thread_id = {number} AND trx_state = 'LOCK WAIT'"
            ),
        };
        // MariaDB's answer is a copy that is made anew only if nobody has asked for a tenth of a second.
        static ASKING: Mutex<()> = Mutex::new(());
        let mut session = self.open();
        for _ in 0..500 {
            let _alone = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
            std::thread::sleep(Duration::from_millis(120));
            if session.numbers(&query)[0] != 0 {
                return;
            }
        }
        panic!("session {number} waits for nobody");
    }
}

impl Session for rusqlite::Connection {
    fn run(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let values = values.iter().map(|value| match value {
            Value::Text(text) => rusqlite::types::Value::from((*text).to_owned()),
            Value::Fence(fence) => rusqlite::types::Value::from(*fence as i64),
        });
        let changed = self.execute(statement, rusqlite::params_from_iter(values));
        changed.map(|rows| rows as u64).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => Failure::Busy,
            _ => Failure::Other(error.to_string()),
        })
    }

    fn numbers(&mut self, query: &str) -> Vec<i64> {
        let mut statement = self.prepare(query).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("numbers")
    }
}

impl Session for postgres::Client {
    fn run(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        use postgres::types::ToSql;
        let values: Vec<Box<dyn ToSql + Sync>> = values
            .iter()
            .map(|value| match *value {
                Value::Text(text) => Box::new(text.to_owned()) as Box<dyn ToSql + Sync>,
                Value::Fence(fence) => Box::new(fence as i64),
            })
            .collect();
        let values: Vec<_> = values.iter().map(|it| &**it as &(dyn ToSql + Sync)).collect();
        self.execute(statement, &values).map_err(|error| {
            let text = format!("{error}: {:?}", error.as_db_error());
            match error.code() {
                Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE => Failure::Repeat(text),
                Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Failure::Busy,
                _ => Failure::Other(text),
            }
        })
    }

    fn numbers(&mut self, query: &str) -> Vec<i64> {
        self.query(query, &[]).expect("rows").iter().map(|row| row.get(0)).collect()
    }
}

impl Session for mysql::Conn {
    fn run(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let values: Vec<mysql::Value> = values
            .iter()
            .map(|value| match *value {
                Value::Text(text) => text.into(),
                Value::Fence(fence) => fence.into(),
            })
            .collect();
        // What begins and ends a transaction is not to be prepared.
        let done = if values.is_empty() {
            self.query_drop(statement)
        } else {
            self.exec_drop(statement, values)
        };
        match done {
            Ok(()) => Ok(self.affected_rows()),
            Err(mysql::Error::MySqlError(error)) => Err(match error.code {
                // A deadlock's victim; and a row that changed since it was looked at.
                1213 | 1020 => Failure::Repeat(error.to_string()),
                1205 => Failure::Busy,
                _ => Failure::Other(error.to_string()),
            }),
            Err(error) => Err(Failure::Other(error.to_string())),
        }
    }

    fn numbers(&mut self, query: &str) -> Vec<i64> {
        self.query(query).expect("rows")
    }
}
