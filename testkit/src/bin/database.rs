//! `database postgresql|mariadb`: a server for tests in other languages. Prints `ready URL`, or `absent
//! WHY` where there is no such server. It ends with its input.

use std::io::Read;
use std::process::ExitCode;

use leasehold_testkit::server::{SqlFlavour, SqlServer};

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(flavour) = SqlFlavour::ALL.into_iter().find(|it| it.name() == name) else {
        eprintln!("usage: database postgresql|mariadb");
        return ExitCode::from(64);
    };
    let server = match SqlServer::start(flavour) {
        Ok(server) => server,
        Err(why) => {
            println!("absent {}", why.replace('\n', " "));
            return ExitCode::from(2);
        }
    };
    println!("ready {}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(server);
    ExitCode::SUCCESS
}
