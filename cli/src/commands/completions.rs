//! `leasehold completions`: the shell's side of the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};

/// Prints the completion script of a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Whose script
    shell: Shell,
}

pub(crate) fn execute(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "leasehold", &mut script);
    crate::print::out(&script)?;
    Ok(Exit::Code(0))
}
