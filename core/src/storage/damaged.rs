//! What cannot be read is kept as it was, beside the segment, and named in the log.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::disk::{Disk, File};
use super::format::{HEAD, Head, SegmentId};

/// Copies these bytes of a segment into a file of their own. Zeros are no loss, as the file system leaves them
/// where nothing was written before the power failed; nor is a `torn` piece, the beginning of a last record: it
/// was never confirmed. Trouble with the copy is logged; what can be read is to be served all the same.
pub(super) fn set_aside(
    disk: &dyn Disk,
    folder: &Path,
    id: &SegmentId,
    file: &dyn File,
    at: &Range<u64>,
    torn: bool,
) {
    let path = folder.join(id.segment_name());
    let (segment, offset, size) = (path.display(), at.start, at.end - at.start);
    let mut bytes = vec![0; size as usize];
    match file.read_at(&mut bytes, offset) {
        Ok(read) => bytes.truncate(read),
        Err(error) => {
            tracing::error!(file = %segment, offset, size, %error, "records cannot be read");
            return;
        }
    }
    let partial =
        torn && (bytes.len() < HEAD || Head::read(&bytes).is_some_and(|head| head.size as u64 > size));
    if partial || bytes.iter().all(|byte| *byte == 0) {
        tracing::info!(file = %segment, offset, size, "cut off what was not written to its end");
        return;
    }
    let copy = folder.join(id.damaged_name(offset));
    match disk.create(&copy).and_then(|file| file.write_at(&bytes, 0)) {
        Ok(()) => {
            let copy = copy.display();
            tracing::error!(file = %segment, offset, size, %copy, "records are damaged and left out");
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            tracing::error!(file = %segment, offset, size, %error, "records are damaged, left out, and cannot be copied");
        }
    }
}
