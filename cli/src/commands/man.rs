//! `leasehold man`: the manual, made from the same definitions as `--help`.

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::{Exit, Failure, code};

/// Prints the manual page of leasehold or of one of its commands
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command; without it, the page of leasehold itself
    #[arg(value_parser = ["run", "elect", "ls", "show", "ask-back", "evict", "completions", "man"])]
    command: Option<String>,
}

pub(crate) fn execute(args: &ManArgs) -> Result<Exit, Failure> {
    let mut all = Cli::command();
    // Gives the subcommands their full names and the global options.
    all.build();
    let page = match &args.command {
        None => all,
        Some(name) => all
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| Failure::new(code::USAGE, format!("there is no command {name:?}")))?,
    };
    let mut text = Vec::new();
    Man::new(page)
        .source(concat!("leasehold ", env!("CARGO_PKG_VERSION")))
        .manual("Leasehold Manual")
        .render(&mut text)
        .map_err(|cause| Failure::system("the manual page could not be made", cause))?;
    // The generator's heading for what --help says at its end.
    let text = String::from_utf8_lossy(&text).replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    crate::print::out(text.as_bytes())?;
    Ok(Exit::Code(0))
}
