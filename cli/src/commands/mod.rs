//! One file per subcommand.

pub(crate) mod ask_back;
pub(crate) mod completions;
pub(crate) mod elect;
pub(crate) mod evict;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod show;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};

/// Does what the command line says.
pub(crate) fn execute(cli: Cli) -> Result<Exit, Failure> {
    crate::logging::start(cli.common.verbose);
    let store = cli.common.store.as_deref();
    match cli.command {
        Command::Run(args) => run::execute(args, store),
        Command::Elect(args) => elect::execute(args, store),
        Command::Ls(args) => ls::execute(&args, store),
        Command::Show(args) => show::execute(&args, store),
        Command::AskBack(args) => ask_back::execute(args, store),
        Command::Evict(args) => evict::execute(args, store),
        Command::Completions(args) => completions::execute(&args),
        Command::Man(args) => man::execute(&args),
    }
}
