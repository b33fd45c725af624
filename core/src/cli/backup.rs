//! `warrenmq backup` and `warrenmq restore`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::control;
use crate::error::{Error, Kind, Result};
use crate::storage::{Directory, backup};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The directory, also while a broker has it: that one makes the copy then, as itself.
    directory: PathBuf,
    /// Where the copy is to be: a directory that is new or empty. On the same file system it shares what does not
    /// change any more.
    target: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// A backup.
    backup: PathBuf,
    /// The directory to make of it, new or empty.
    directory: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> Result<()> {
        let target = std::path::absolute(&self.target).map_err(|error| {
            Error::new(Kind::InvalidArgument, "back up", error.to_string())
                .on(self.target.display().to_string())
                .caused_by(error)
        })?;
        let copied = match Directory::existing(&self.directory) {
            Ok(directory) => backup::resting(&directory, &target)?.to_string(),
            Err(error) if error.kind() == Kind::ResourceLocked => {
                control::ask_backup(&self.directory, &target)?
            }
            Err(error) => return Err(error),
        };
        say(&copied);
        Ok(())
    }
}

impl Restore {
    pub(super) fn run(self) -> Result<()> {
        say(&backup::restore(&self.backup, &self.directory)?.to_string());
        Ok(())
    }
}

/// A closed pipe is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
