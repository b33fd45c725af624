//! How a client of ours says whose publishes a channel has, and with which of them it goes on: in `channel.open`, whose
//! field `out-of-band` AMQP 0-9-1 leaves unused and other brokers pass over.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use crate::broker::Resume;
use crate::broker::store::Origin;
use crate::wire::ShortString;

/// Clocks of files tick more coarsely than others, and messages are a while on their way.
const MARGIN: Duration = Duration::from_secs(2);

/// What a channel of another broker before had not heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsettled {
    /// How many publishes are settled; what is not follows them.
    pub(crate) settled: u64,
    /// How many of those are sent again, first of all.
    pub(crate) again: u64,
    /// How long ago the first of them was sent.
    pub(crate) age: Duration,
}

/// Publishes of this publisher, who begins with this channel or goes on.
pub(crate) fn encode(publisher: NonZeroU64, unsettled: Option<Unsettled>) -> ShortString {
    let text =
        unsettled.map(|Unsettled { settled, again, age }| format!(" {settled} {again} {}", age.as_millis()));
    ShortString::truncated(&format!("{publisher:x}{}", text.unwrap_or_default()))
}

/// What that says; none where it says nothing of the kind.
pub(super) fn decode(text: &str) -> Option<Resume> {
    let (publisher, rest) = text.split_once(' ').unwrap_or((text, ""));
    let publisher = u64::from_str_radix(publisher, 16).ok()?.try_into().ok()?;
    let numbers: Vec<u64> =
        rest.split_terminator(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let (sequence, again, age) = match numbers[..] {
        [] => (0, 0, 0),
        [settled, again, age] => (settled, again, age),
        _ => return None,
    };
    let before = Duration::from_millis(age).saturating_add(MARGIN);
    let since = SystemTime::now().checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH);
    Some(Resume { settled: Origin { publisher, sequence }, again, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_understood_and_nothing_else() {
        let publisher = NonZeroU64::MAX;
        let unsettled = Unsettled { settled: 1 << 40, again: 3, age: Duration::from_secs(60) };
        let resume = decode(&encode(publisher, Some(unsettled))).unwrap();
        assert_eq!((resume.settled, resume.again), (Origin { publisher, sequence: 1 << 40 }, 3));
        let age = SystemTime::now().duration_since(resume.since).unwrap().as_secs();
        assert!((60..70).contains(&age), "{age}");
        let resume = decode(&encode(publisher, None)).unwrap();
        assert_eq!((resume.settled, resume.again), (Origin { publisher, sequence: 0 }, 0));
        for other in ["", "0 1 1 1", "1 1 1", "1 1 1 1 1", "x 1 1 1", "1 1 1 18446744073709551616"] {
            assert_eq!(decode(other), None, "{other}");
        }
        assert!(decode(&format!("1 1 1 {}", u64::MAX)).is_some());
    }
}
