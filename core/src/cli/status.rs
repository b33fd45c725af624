//! `warrenmq status`: who hosts a directory, who is attached, and its queues.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::error::{Error, Kind, Result};
use crate::status::Status;

#[derive(Debug, Args)]
pub(super) struct Command {
    /// The directory, whoever has it: `warrenmq serve`, a program that opened `local:PATH`, or nobody.
    directory: PathBuf,
    /// Print JSON, with everything there is to know
    #[arg(long)]
    json: bool,
    /// How long to look how fast messages go; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    over: f64,
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let over = Duration::try_from_secs_f64(self.over).map_err(|error| {
            Error::new(Kind::InvalidArgument, "status", error.to_string()).on(format!("--over {}", self.over))
        })?;
        let status = Status::of(&self.directory, over)?;
        let text = if self.json { status.to_json() + "\n" } else { status.to_string() };
        // A closed pipe is no error: who reads has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(())
    }
}
