//! `warrenmq check`: whether what a directory has can be read.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use hashbrown::HashMap;

use crate::broker::{Definition, Record, ids_of};
use crate::error::{Error, Kind, Result};
use crate::storage::disk::RealDisk;
use crate::storage::{DefinitionStore, Directory, check};

#[derive(Debug, Args)]
pub(super) struct Command {
    /// The directory, which no broker may have open.
    directory: PathBuf,
    /// Mend what can be; what cannot be read is copied into files beside it first
    #[arg(long)]
    repair: bool,
}

impl Command {
    /// One line for each queue, and one for each place that is damaged. An error when some are left.
    pub(super) fn run(self) -> Result<()> {
        let directory = Directory::existing(&self.directory)?;
        let names = names(&DefinitionStore::open(&directory.definitions())?)?;
        let folder = directory.path().join("queues");
        let failed = |error: std::io::Error| {
            Error::new(Kind::ResourceError, "check", error.to_string())
                .on(folder.display().to_string())
                .caused_by(error)
        };
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            ids.extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        ids.sort_unstable();
        let (mut out, mut left) = (std::io::stdout(), 0);
        for id in ids {
            let report = check::folder(&RealDisk, &folder.join(id.to_string()), self.repair)?;
            let name = names.get(&id).map_or("what was deleted", |name| name);
            let check::Report { messages, bytes, segments, .. } = report;
            // A closed pipe is no reason not to mend.
            let _ =
                writeln!(out, "{name} ({id}): {messages} messages, {bytes} bytes, {segments} segment files");
            for finding in &report.findings {
                let _ = writeln!(out, "    {finding}");
            }
            left += report.findings.iter().filter(|finding| !finding.mended).count();
        }
        if left == 0 {
            return Ok(());
        }
        Err(Error::new(Kind::ResourceError, "check", format!("damaged in {left} places"))
            .on(self.directory.display().to_string())
            .advise("run it again with --repair; a broker serves the rest even so"))
    }
}

/// What the folders belong to, by their numbers.
fn names(definitions: &DefinitionStore) -> Result<HashMap<u64, String>> {
    let names = definitions.recorded()?.into_iter().filter_map(|definition| match definition {
        Definition::Vhost(number, vhost) => {
            Some((number, format!("delayed messages in vhost '{}'", vhost.name)))
        }
        Definition::Queue(id, queue, _) => {
            Some((id, format!("queue '{}' in vhost '{}'", queue.name, queue.vhost)))
        }
        _ => None,
    });
    let mut names: HashMap<_, _> = names.collect();
    let ids = |(id, name): (&u64, &String)| (ids_of(*id), format!("ids of messages of {name}"));
    names.extend(names.iter().map(ids).collect::<Vec<_>>());
    Ok(names)
}
