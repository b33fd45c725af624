//! What of a line's files counts at one moment: they grow at their ends only, so that the files of later have it too.

use std::sync::atomic::Ordering::Relaxed;

use super::super::failed;
use super::super::format;
use super::Line;
use crate::error::Result;

/// A file and how much of it counts.
#[derive(Debug)]
pub(in super::super) struct Extent {
    pub(in super::super) name: String,
    /// In bytes; of a segment, without its seal.
    pub(in super::super) size: u64,
    /// A segment to which nothing is added any more.
    pub(in super::super) sealed: bool,
}

impl Line {
    /// Its queue is deleted, and its files are about to go.
    pub(in super::super) fn is_deleted(&self) -> bool {
        self.deleted.load(Relaxed)
    }

    /// The files of messages and acks. The committer calls it between two rounds.
    pub(in super::super) fn extents(&self) -> Vec<Extent> {
        let extent = |name, size, sealed| Extent { name, size, sealed };
        let files = self.files.lock();
        let extents = files.segments.iter().flat_map(|segment| {
            let acks =
                (segment.log_size > 0).then(|| extent(segment.id.acks_name(), segment.log_size, false));
            [Some(extent(segment.id.segment_name(), segment.size, segment.sealed)), acks]
        });
        extents.flatten().collect()
    }

    /// The file of the mark of what was delivered: its name and what is in it now. It is written in place, so that it
    /// tells also of what was delivered since the moment of the other files: more of them come as redelivered, which
    /// they are.
    pub(in super::super) fn mark_now(&self) -> Result<Option<(String, Vec<u8>)>> {
        let name = format::delivered_name(self.line);
        let path = self.folder.join(&name);
        let _written = self.mark.lock();
        let file = match self.shared.disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed("open", &path))?,
        };
        let mut mark = vec![0; 16];
        let read = file.read_at(&mut mark, 0).map_err(failed("read", &path))?;
        mark.truncate(read);
        Ok(Some((name, mark)))
    }
}
