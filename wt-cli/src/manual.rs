//! `weft completions` and `weft man`, both generated from the command line's own description.

use std::{fs, io, path::Path};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    args::Cli,
    exit::{Ended, Exit},
    output::say,
};

/// Prints the script for a shell.
pub(crate) fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weft", &mut script);
    say(&String::from_utf8_lossy(&script));
    Exit::Success
}

/// Writes all pages into a directory.
pub(crate) fn pages(directory: &Path) -> Result<Exit, Ended> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let written = fs::create_dir_all(directory).and_then(|()| write(&command, directory));
    written.map_err(|error| {
        Ended::new(Exit::Usage, format!("cannot write manual pages to {}: {error}", directory.display()))
    })?;
    say(&format!("manual pages in {0}; read them with man -l {0}/weft.1\n", directory.display()));
    Ok(Exit::Success)
}

/// The page of a command, and those of its subcommands.
fn write(command: &Command, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write(subcommand, directory)?;
    }
    let page = command.clone().override_usage(synopsis(command));
    Man::new(page).generate_to(directory).map(drop)
}

/// The synopsis of a command. The generated default names options without their values.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let (places, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(|arg| !arg.is_hide_set()).partition(|arg| arg.is_positional());
    let mut words = vec![name.to_owned()];
    words.extend(options.into_iter().map(option));
    words.extend(places.into_iter().map(place));
    if command.has_subcommands() {
        let name = command.get_subcommand_value_name().unwrap_or("COMMAND");
        words.push(if command.is_subcommand_required_set() {
            format!("<{name}>")
        } else {
            format!("[{name}]")
        });
    }
    words.join(" ")
}

/// `[-v|--verbose]...`, `[--timeout <SECONDS>]`.
fn option(arg: &Arg) -> String {
    let names =
        [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))];
    let mut text = names.into_iter().flatten().collect::<Vec<_>>().join("|");
    if arg.get_action().takes_values() {
        text += &format!(" {}", values(arg));
    }
    if !arg.is_required_set() {
        text = format!("[{text}]");
    }
    text + if matches!(arg.get_action(), ArgAction::Count | ArgAction::Append) { "..." } else { "" }
}

/// `<URL>`, `[-- <ARGUMENT>...]`.
fn place(arg: &Arg) -> String {
    let many = if matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
    let last = if arg.is_last_set() { "-- " } else { "" };
    let text = format!("{last}{}{many}", values(arg));
    if arg.is_required_set() { text } else { format!("[{text}]") }
}

fn values(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
}
