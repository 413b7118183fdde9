//! Where content goes: a file, standard output, or nowhere.

use std::{io::IsTerminal as _, path::Path};

use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, Stdout},
};

use crate::{
    exit::{Ended, Exit},
    output,
};

pub(super) enum Sink {
    File {
        file: File,
        name: String,
    },
    Output(Stdout),
    /// With --json and without a file, content is only counted. Some responses have none.
    Nowhere,
}

impl Sink {
    /// Opens a file, or standard output for `-` and without a name.
    pub(super) async fn open(name: Option<&Path>, json: bool) -> Result<Self, Ended> {
        match name.filter(|name| *name != Path::new("-")) {
            Some(path) => {
                let name = path.display().to_string();
                let unwritten = |error| Ended::new(Exit::Usage, format!("cannot write {name}: {error}"));
                let file = File::create(path).await.map_err(unwritten)?;
                Ok(Self::File { file, name })
            }
            None if json => Ok(Self::Nowhere),
            None => Ok(Self::Output(tokio::io::stdout())),
        }
    }

    /// Whether content does not show at the terminal.
    pub(super) fn leaves_the_terminal(&self) -> bool {
        !matches!(self, Self::Output(_)) || !std::io::stdout().is_terminal()
    }

    /// Writes a piece. False: whoever reads standard output has seen enough.
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<bool, Ended> {
        match self {
            Self::File { file, name } => {
                let written = file.write_all(piece).await;
                written
                    .map_err(|error| Ended::new(Exit::Failure, format!("cannot write {name}: {error}")))?;
            }
            Self::Output(out) => {
                if let Err(error) = out.write_all(piece).await {
                    output::note_unwritten(&error);
                    return Ok(false);
                }
            }
            Self::Nowhere => {}
        }
        Ok(true)
    }

    /// Everything is written.
    pub(super) async fn finish(self) -> Result<(), Ended> {
        match self {
            Self::File { mut file, name } => {
                let flushed = file.flush().await;
                flushed.map_err(|error| Ended::new(Exit::Failure, format!("cannot write {name}: {error}")))
            }
            Self::Output(mut out) => {
                if let Err(error) = out.flush().await {
                    output::note_unwritten(&error);
                }
                Ok(())
            }
            Self::Nowhere => Ok(()),
        }
    }
}
