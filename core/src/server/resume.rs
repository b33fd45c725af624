//! How a client of ours says with which publishes a channel goes on: in `channel.open`, whose field `out-of-band` AMQP
//! 0-9-1 leaves unused and other brokers pass over.

use std::time::{Duration, SystemTime};

use crate::broker::Resume;
use crate::broker::store::Origin;
use crate::wire::ShortString;

/// Clocks of files tick more coarsely than others, and messages are a while on their way.
const MARGIN: Duration = Duration::from_secs(2);

/// Publishes of this publisher, of whom `settled` says how many are settled. Of those that follow the first `again` were
/// sent before, the oldest so long ago.
pub(crate) fn encode(settled: Origin, again: u64, age: Duration) -> ShortString {
    let Origin { publisher, sequence } = settled;
    ShortString::truncated(&format!("{publisher:x} {sequence} {again} {}", age.as_millis()))
}

/// What that says; none where it says nothing of the kind.
pub(super) fn decode(text: &str) -> Option<Resume> {
    let mut words = text.split(' ');
    let publisher = u64::from_str_radix(words.next()?, 16).ok()?.try_into().ok()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let settled = Origin { publisher, sequence: number()? };
    let (again, age) = (number()?, Duration::from_millis(number()?));
    let since = SystemTime::now().checked_sub(age + MARGIN).unwrap_or(SystemTime::UNIX_EPOCH);
    words.next().is_none().then_some(Resume { settled, again, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_understood_and_nothing_else() {
        let settled = Origin { publisher: u64::MAX.try_into().unwrap(), sequence: 1 << 40 };
        let resume = decode(&encode(settled, 3, Duration::from_secs(60))).unwrap();
        assert_eq!((resume.settled, resume.again), (settled, 3));
        let age = SystemTime::now().duration_since(resume.since).unwrap().as_secs();
        assert!((60..70).contains(&age), "{age}");
        for other in ["", "0 1 1 1", "1 1 1", "1 1 1 1 1", "x 1 1 1", "1 1 1 18446744073709551616"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
