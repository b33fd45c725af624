//! Messages and definitions that belong together.

use std::collections::HashSet;

use super::{DefinitionStore, Messages};
use crate::broker::store::Store;
use crate::broker::{Handover, ids_of};
use crate::error::{Error, Kind, Result};

/// Gives up the messages of queues that are not defined any more, and did not come along from the host before: a crash can come between the end of a queue and
/// that of its folder. To be called before queues are opened.
///
/// # Errors
/// `PreconditionFailed` when there are messages of a queue that these definitions have never had: they are older
/// than the messages, or missing, and a new queue would come by the messages of another one. `ResourceError` when
/// either cannot be read.
pub fn reconcile(messages: &Messages, definitions: &DefinitionStore, handover: &Handover) -> Result<()> {
    let (defined, next) = definitions.queue_numbers()?;
    let folders = messages.queues()?;
    if let Some(unknown) = folders.iter().find(|number| (next..ids_of(0)).contains(*number)) {
        let reason = format!("there are messages of a queue {unknown}, which the definitions have never had");
        return Err(Error::new(Kind::PreconditionFailed, "open", reason)
            .on(definitions.path().display().to_string())
            .advise(
                "bring back the definitions that belong to these messages, or move the folder 'queues' away",
            ));
    }
    let handed: HashSet<u64> = handover.numbers().collect();
    for number in folders.into_iter().filter(|number| !defined.contains(number) && !handed.contains(number)) {
        tracing::info!(queue = number, "messages of a queue that was deleted are given up");
        messages.delete_queue(number);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::broker::{Broker, Options};
    use crate::storage;
    use crate::storage::disk::RealDisk;

    fn open(folder: &Path) -> (Arc<Messages>, Arc<DefinitionStore>) {
        let options = storage::Options::default();
        let messages = Messages::open(Arc::new(RealDisk), folder.into(), options, Box::new(|_| ())).unwrap();
        (Arc::new(messages), Arc::new(DefinitionStore::open(&folder.join("definitions")).unwrap()))
    }

    /// Declares the queues `kept` (1) and `deleted` (2), and deletes the latter without its messages.
    fn fill(folder: &Path) {
        let (messages, definitions) = open(folder);
        let broker = Broker::restore(Options::default(), definitions.clone()).unwrap();
        definitions.together(|| broker.furnish()).unwrap();
        let session = broker.open("/", "guest").unwrap();
        let mut channel = session.channel(Box::new(Deaf)).unwrap();
        let durable = || crate::broker::QueueOptions { durable: true, ..Default::default() };
        channel.declare_queue("kept", durable()).unwrap();
        channel.declare_queue("deleted", durable()).unwrap();
        channel.delete_queue("deleted", false, false, &mut Default::default()).unwrap();
        for queue in [1, 2] {
            std::fs::create_dir(folder.join(format!("queues/{queue}"))).unwrap();
        }
        messages.close().unwrap();
    }

    struct Deaf;

    impl crate::broker::Outlet for Deaf {
        fn ready(&self) {}
    }

    #[test]
    fn the_messages_of_a_queue_that_is_deleted_are_given_up_and_no_others() {
        let folder = TempDir::new().unwrap();
        fill(folder.path());
        let (messages, definitions) = open(folder.path());
        assert_eq!(messages.queues().unwrap(), [1, 2]);
        reconcile(&messages, &definitions, &Handover::default()).unwrap();
        messages.close().unwrap();
        assert_eq!(messages.queues().unwrap(), [1]);
    }

    #[test]
    fn definitions_that_are_missing_or_older_than_the_messages_are_not_taken_for_theirs() {
        let folder = TempDir::new().unwrap();
        fill(folder.path());
        std::fs::remove_file(folder.path().join("definitions")).unwrap();
        let (messages, definitions) = open(folder.path());
        let error = reconcile(&messages, &definitions, &Handover::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::PreconditionFailed);
        assert!(error.reason().contains("of a queue 1, which"), "{error}");
        assert_eq!(messages.queues().unwrap(), [1, 2]);
    }
}
