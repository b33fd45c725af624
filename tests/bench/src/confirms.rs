//! Publisher confirms, a window of messages at a time.

use std::io;

use crate::connection::refusal;
use crate::wire::{FrameBuffer, bad, method};

/// Which messages of the current window are still unconfirmed.
#[derive(Debug, Default)]
pub struct Confirms {
    /// Messages in earlier windows; tags count from 1.
    before: u64,
    pending: Vec<bool>,
    /// All pending messages lie at or after this index.
    floor: usize,
    left: usize,
}

impl Confirms {
    /// So many messages have just been published, and all before them were confirmed.
    pub fn await_next(&mut self, count: usize) {
        self.before += self.pending.len() as u64;
        self.pending.clear();
        self.pending.resize(count, true);
        (self.floor, self.left) = (0, count);
    }

    /// Takes what was read; whether all is confirmed. A refusal is an error.
    pub fn take(&mut self, frames: &mut FrameBuffer) -> io::Result<bool> {
        while let Some(frame) = frames.next_frame()? {
            match frame.method() {
                method::BASIC_ACK => {
                    let mut arguments = frame.arguments();
                    self.confirm(arguments.longlong()?, arguments.octet()? & 1 == 1)?;
                }
                method::BASIC_NACK => {
                    return Err(io::Error::other("the broker refused a message (basic.nack)"));
                }
                _ => refusal(frame)?,
            }
        }
        Ok(self.left == 0)
    }

    fn confirm(&mut self, tag: u64, multiple: bool) -> io::Result<()> {
        let last = match tag {
            0 if multiple => self.pending.len() as u64,
            tag => tag.wrapping_sub(self.before),
        };
        let Some(index) = usize::try_from(last)
            .ok()
            .and_then(|last| last.checked_sub(1))
            .filter(|&i| i < self.pending.len())
        else {
            return Err(bad("a confirm for a message that was not published, or confirmed before"));
        };
        for pending in &mut self.pending[if multiple { self.floor.min(index) } else { index }..=index] {
            self.left -= usize::from(std::mem::take(pending));
        }
        if multiple {
            self.floor = self.floor.max(index + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(before: u64, count: usize) -> Confirms {
        Confirms { before, pending: vec![true; count], floor: 0, left: count }
    }

    #[test]
    fn confirms_may_come_singly_out_of_order_and_in_bulk() {
        let mut confirms = window(10, 6);
        for (tag, multiple, left) in
            [(13, false, 5), (11, false, 4), (14, true, 2), (12, true, 2), (0, true, 0)]
        {
            confirms.confirm(tag, multiple).unwrap();
            assert_eq!(confirms.left, left, "after {tag}");
        }
    }

    #[test]
    fn a_confirm_outside_the_window_is_an_error() {
        for (tag, multiple) in [(10, false), (17, true), (0, false)] {
            assert!(window(10, 6).confirm(tag, multiple).is_err());
        }
    }
}
