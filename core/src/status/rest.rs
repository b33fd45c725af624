//! What there is in a directory that nobody hosts.

use super::report::{QueueReport, Report};
use crate::broker::{Definition, QueueKind, Record};
use crate::error::Result;
use crate::storage::{DefinitionStore, Directory, at_rest};

/// Reads what is defined and counts what is kept; nothing changes by that.
pub(super) fn report(directory: &Directory) -> Result<Report> {
    let definitions = DefinitionStore::open(&directory.definitions())?.recorded()?;
    let kept = at_rest(directory)?;
    let mut queues: Vec<_> = definitions
        .into_iter()
        .filter_map(|definition| match definition {
            Definition::Queue(id, queue, arguments) => {
                let (ready, bytes) = kept.get(&id).copied().unwrap_or_default();
                let kind = QueueKind::of(&arguments);
                Some(QueueReport {
                    vhost: queue.vhost,
                    name: queue.name,
                    r#type: kind.name().into(),
                    durable: true,
                    exclusive: false,
                    ready,
                    unacked: 0,
                    consumers: 0,
                    bytes,
                    counts: None,
                })
            }
            _ => None,
        })
        .collect();
    queues.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
    Ok(Report { at: 0, host: None, attached: Vec::new(), queues })
}
