//! `weft completions` and `weft man`: both made of the command line's own description.

use std::{fs, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell;

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
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.map_err(|error| {
        Ended::new(Exit::Usage, format!("cannot write manual pages to {}: {error}", directory.display()))
    })?;
    say(&format!("manual pages in {0}; read them with man -l {0}/weft.1\n", directory.display()));
    Ok(Exit::Success)
}
