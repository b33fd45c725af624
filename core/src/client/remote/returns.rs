//! Which of the messages of a channel came back, as no queue took them.
//!
//! Our own server says so by number. Others send the message itself: of those with the same content, which nobody can
//! tell apart, it is the first that is not passed yet, because a broker works a channel's publishes off in order.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::client::Publish;

/// What is known of publishes that may come back.
#[derive(Default)]
pub(super) enum Returns {
    /// The broker numbers them.
    #[default]
    Numbered,
    Alike(Prints),
}

/// Prints of the contents of messages, in the order of their numbers.
#[derive(Default)]
pub(super) struct Prints {
    hasher: DefaultHashBuilder,
    /// The number of the first of them.
    first: u64,
    prints: VecDeque<Print>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Print {
    place_and_body: u64,
    /// Apart, as a broker removes the header BCC.
    properties: u64,
}

/// A message, as it was published or as it came back.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) properties: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Content<'a> {
    pub(super) fn of(publish: &'a Publish<'a>) -> Self {
        let Publish { exchange, routing_key, properties, ref body, .. } = *publish;
        Content { exchange, routing_key, properties, body: body.as_slice() }
    }
}

impl Prints {
    fn print(&self, content: Content<'_>) -> Print {
        let hash = |parts: &[&[u8]]| {
            let mut hasher = self.hasher.build_hasher();
            for part in parts {
                hasher.write_usize(part.len());
                hasher.write(part);
            }
            hasher.finish()
        };
        let Content { exchange, routing_key, properties, body } = content;
        Print {
            place_and_body: hash(&[exchange.as_bytes(), routing_key.as_bytes(), body]),
            properties: hash(&[properties]),
        }
    }
}

impl Returns {
    pub(super) fn new(numbered: bool) -> Self {
        if numbered { Returns::Numbered } else { Returns::Alike(Prints::default()) }
    }

    /// Notes the publish of this number; they come in order.
    pub(super) fn published(&mut self, number: u64, content: Content<'_>) {
        let Returns::Alike(prints) = self else { return };
        if prints.prints.is_empty() {
            prints.first = number;
        }
        let print = prints.print(content);
        prints.prints.push_back(print);
    }

    /// The number of the message that came back. None when there is no such message.
    pub(super) fn came_back(&mut self, content: Content<'_>) -> Option<u64> {
        let Returns::Alike(prints) = self else { return None };
        let print = prints.print(content);
        let found =
            prints.prints.iter().position(|one| *one == print).or_else(|| {
                prints.prints.iter().position(|one| one.place_and_body == print.place_and_body)
            })?;
        let number = prints.first + found as u64;
        self.pass(number);
        Some(number)
    }

    /// What was published up to this number does not come back any more.
    pub(super) fn pass(&mut self, number: u64) {
        let Returns::Alike(prints) = self else { return };
        let passed = (number + 1).saturating_sub(prints.first).min(prints.prints.len() as u64);
        prints.prints.drain(..passed as usize);
        prints.first += passed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content<'a>(key: &'a str, properties: &'a [u8]) -> Content<'a> {
        Content { exchange: "", routing_key: key, properties, body: b"body" }
    }

    #[test]
    fn the_first_alike_that_is_not_passed_came_back() {
        let mut returns = Returns::new(false);
        for (number, key) in (1..).zip(["a", "b", "a", "b", "a"]) {
            returns.published(number, content(key, &[0, 0]));
        }
        assert_eq!(returns.came_back(content("b", &[0, 0])), Some(2));
        assert_eq!(returns.came_back(content("a", &[0, 0])), Some(3));
        assert_eq!(returns.came_back(content("c", &[0, 0])), None);
        returns.pass(4);
        assert_eq!(returns.came_back(content("b", &[0, 0])), None);
        assert_eq!(returns.came_back(content("a", &[0, 0])), Some(5));
        returns.published(6, content("b", &[0, 0]));
        assert_eq!(returns.came_back(content("b", &[0, 0])), Some(6));
    }

    #[test]
    fn properties_tell_messages_apart_unless_the_broker_changed_them() {
        let mut returns = Returns::new(false);
        returns.published(1, content("a", &[0, 1]));
        returns.published(2, content("a", &[0, 2]));
        returns.published(3, content("a", &[0, 3]));
        assert_eq!(returns.came_back(content("a", &[0, 2])), Some(2));
        assert_eq!(returns.came_back(content("a", &[0, 9])), Some(3));
    }
}
