//! `warrenmq definitions`: what a directory has besides messages, as RabbitMQ's JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::broker::{Definitions, Options};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::storage::{self, Directory};

#[derive(Debug, Args)]
pub(super) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write users, virtual hosts, permissions, policies, queues, exchanges and bindings as RabbitMQ's JSON.
    Export {
        /// The directory, which no broker may have open.
        directory: PathBuf,
        /// Write into this file [default: standard output]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Add what a file of RabbitMQ's definitions has, all of it or nothing. Users, virtual hosts, permissions and
    /// policies that are there are changed, queues and exchanges that are there stay as they are.
    Import {
        /// The directory, which no broker may have open. A new one has what the file has, and nothing else.
        directory: PathBuf,
        /// The file.
        file: PathBuf,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self.action {
            Action::Export { directory, to } => export(&directory, to.as_deref()),
            Action::Import { directory, file } => {
                let definitions = read(&file)?;
                let storage = storage::Options::default();
                let host = Host::with(
                    Directory::open(&directory)?,
                    Options::default(),
                    storage,
                    Some(&definitions),
                )?;
                host.close()
            }
        }
    }
}

fn export(directory: &Path, to: Option<&Path>) -> Result<()> {
    let storage = storage::Options::default();
    let host = Host::with(Directory::existing(directory)?, Options::default(), storage, None)?;
    let mut json = host.broker().definitions().to_json();
    json.push('\n');
    let (written, name) = match to {
        Some(file) => (std::fs::write(file, json), file.display().to_string()),
        None => (std::io::stdout().write_all(json.as_bytes()), "standard output".into()),
    };
    written.map_err(|error| {
        Error::new(Kind::ResourceError, "export definitions", error.to_string()).on(name).caused_by(error)
    })
}

/// What a file has.
pub(super) fn read(file: &Path) -> Result<Definitions> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(Kind::InvalidArgument, "import definitions", error.to_string())
            .on(file.display().to_string())
            .caused_by(error)
    })?;
    Definitions::parse(&text)
}
