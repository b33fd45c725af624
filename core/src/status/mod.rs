//! What there is in a directory: who hosts, who is attached, the queues and how fast messages go through them.
//!
//! | file | holds |
//! |---|---|
//! | here | the document, and where it comes from |
//! | `report` | what the process that hosts says |
//! | `rest` | what there is when nobody hosts |
//! | `rates` | from two reports to messages per second |
//! | `text` | tables for people |
//! | `process` | what the kernel knows of a process |

mod process;
mod rates;
mod report;
mod rest;
mod text;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::control::ask_status;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::storage::Directory;
use rates::Rates;
pub(crate) use report::{Attached, HostReport, QueueReport, Report};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one tries again with a process that is starting or stopping, and how often.
const UNDER_WAY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// What there is in a directory.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    directory: String,
    /// Who hosts; none where nobody does.
    host: Option<HostReport>,
    disk: Disk,
    /// Connections, the host's own among them.
    attached: Vec<Attached>,
    queues: Vec<Queue>,
    /// Over all queues; none where nobody hosts, or when they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Rates>,
}

/// Bytes.
#[derive(Debug, Serialize)]
struct Disk {
    /// In the directory.
    used: u64,
    /// In its file system.
    free: u64,
}

#[derive(Debug, Serialize)]
struct Queue {
    #[serde(flatten)]
    report: QueueReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Rates>,
}

impl Status {
    /// Looks at a directory, for as long as `over` to see how fast messages go; zero for not at all.
    ///
    /// # Errors
    /// `NotFound` when it is no directory of a broker; `Timeout` when the process that has it does not answer, whose
    /// number the error tells; `ResourceError` when what is there cannot be read.
    pub(crate) fn of(path: &Path, over: Duration) -> Result<Self> {
        let began = Instant::now();
        loop {
            let held = match Directory::reading(path) {
                Ok(directory) => return Self::new(path, rest::report(&directory)?, None),
                Err(error) if error.kind() == Kind::ResourceLocked => error,
                Err(error) => return Err(error),
            };
            match Self::hosted(path, over) {
                Err(error) if error.kind() == Kind::Unreachable && began.elapsed() < UNDER_WAY => {
                    sleep(PAUSE);
                }
                Err(error) if matches!(error.kind(), Kind::Timeout | Kind::Unreachable) => {
                    let reason = format!("{}, which does not answer within {PATIENCE:?}", held.reason());
                    return Err(Error::new(Kind::Timeout, "status", reason)
                        .on(held.entity())
                        .advise("if that process is stopped, have it go on or end it")
                        .caused_by(error));
                }
                result => return result,
            }
        }
    }

    fn hosted(path: &Path, over: Duration) -> Result<Self> {
        let before = ask_status(path, PATIENCE)?;
        if over.is_zero() {
            return Self::new(path, before, None);
        }
        sleep(over);
        Self::new(path, ask_status(path, PATIENCE)?, Some(&before))
    }

    fn new(path: &Path, report: Report, before: Option<&Report>) -> Result<Self> {
        let space = || Ok(Disk { used: disk::used(path)?, free: disk::free(path)? });
        let disk = space().map_err(|error: std::io::Error| {
            Error::new(Kind::ResourceError, "status", format!("cannot be measured: {error}"))
                .on(path.display().to_string())
                .caused_by(error)
        })?;
        let (rates, of_queues) = match before {
            Some(before) => Rates::between(before, &report),
            None => (None, Vec::new()),
        };
        let mut of_queues = of_queues.into_iter();
        let queues = report.queues.into_iter();
        let queues = queues.map(|report| Queue { report, rates: of_queues.next().flatten() }).collect();
        Ok(Status {
            directory: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string(),
            host: report.host,
            disk,
            attached: report.attached,
            queues,
            rates,
        })
    }

    /// For machines.
    pub(crate) fn to_json(&self) -> String {
        // Its keys are strings and its values are plain: there is nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
