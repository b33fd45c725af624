//! Consistent hash exchange: each destination has as many buckets as its binding key says, and the hash of a message
//! chooses one (`rabbit_exchange_type_consistent_hash`; "A Fast, Minimal Memory, Consistent Hash Algorithm",
//! <https://arxiv.org/abs/1406.2294>).

use super::erlang::{Exs1024, UNDEFINED, hash};
use super::{Envelope, Invalid};
use crate::wire::table::{Table, Value};
use crate::wire::term::Term;

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    RoutingKey,
    Header(Box<str>),
    CorrelationId,
    MessageId,
    Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct HashRing<D> {
    subject: Subject,
    /// In the order of their buckets: the destination, and the number of the bucket after its last.
    arcs: Vec<(D, u64)>,
}

impl Subject {
    /// From the exchange's arguments, refused with the plug-in's texts.
    fn of(arguments: &Table) -> Result<Self, Invalid> {
        let text = |name: &str| match arguments.get(name) {
            None => Ok(None),
            Some(Value::LongString(text)) => Ok(Some(String::from_utf8_lossy(text))),
            // The plug-in crashes here (541).
            Some(other) => Err(Invalid(format!("{name} must be a string, not {}", Term(other)))),
        };
        match (text("hash-header")?, text("hash-property")?) {
            (None, None) => Ok(Subject::RoutingKey),
            (Some(header), None) => Ok(Subject::Header(header.into())),
            (None, Some(property)) => match &*property {
                "correlation_id" => Ok(Subject::CorrelationId),
                "message_id" => Ok(Subject::MessageId),
                "timestamp" => Ok(Subject::Timestamp),
                other => Err(Invalid(format!("Unsupported property: {other}"))),
            },
            _ => Err(Invalid("hash-header and hash-property are mutually exclusive".into())),
        }
    }

    /// What the plug-in seeds its choice with: the hash of the value, or an integer itself.
    fn seed(&self, envelope: &Envelope<'_>) -> u64 {
        let properties = envelope.properties;
        let text = |text: Option<&str>| text.map_or(UNDEFINED, |text| hash(text.as_bytes()));
        let hash = match self {
            Subject::RoutingKey => hash(envelope.routing_key.as_bytes()),
            Subject::Header(name) => match properties.header(name) {
                Some(Value::LongString(bytes) | Value::ByteArray(bytes)) => hash(&bytes),
                Some(Value::Timestamp(seconds)) => return seconds,
                Some(value) => match value.as_integer() {
                    Some(number) => return number as u64,
                    None => hash(Term(&value).to_string().as_bytes()),
                },
                None => UNDEFINED,
            },
            Subject::CorrelationId => text(properties.correlation_id()),
            Subject::MessageId => text(properties.message_id()),
            Subject::Timestamp => text(properties.timestamp().map(|time| time.to_string()).as_deref()),
        };
        hash.into()
    }
}

/// The number of buckets that a binding key asks for.
fn weight(binding_key: &str) -> Option<i128> {
    binding_key.parse().ok()
}

/// Refuses binding keys that are no number of buckets, with the plug-in's texts.
pub(super) fn validate(binding_key: &str) -> Result<(), Invalid> {
    match weight(binding_key) {
        Some(1..) => Ok(()),
        Some(_) => Err(Invalid("The binding key must be greater than 0".into())),
        None => {
            let key = Value::LongString(binding_key.to_owned().into());
            Err(Invalid(format!("The binding key must be an integer: {}", Term(&key))))
        }
    }
}

impl<D: Clone + Eq> HashRing<D> {
    pub(super) fn new(arguments: &Table) -> Result<Self, Invalid> {
        Ok(HashRing { subject: Subject::of(arguments)?, arcs: Vec::new() })
    }

    /// Whether the routing key decides alone.
    pub(super) fn by_routing_key(&self) -> bool {
        self.subject == Subject::RoutingKey
    }

    /// The first binding of a destination gives it its buckets; others change nothing, as at the plug-in.
    pub(super) fn insert(&mut self, binding_key: &str, destination: &D) {
        if self.arcs.iter().any(|(other, _)| other == destination) {
            return;
        }
        let weight = weight(binding_key).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(u32::MAX);
        let buckets = self.buckets() + u64::from(weight);
        self.arcs.push((destination.clone(), buckets));
    }

    /// Any unbinding takes all buckets, as at the plug-in; those above move down.
    pub(super) fn remove(&mut self, destination: &D) {
        let Some(index) = self.arcs.iter().position(|(other, _)| other == destination) else { return };
        let start = index.checked_sub(1).map_or(0, |before| self.arcs[before].1);
        let (_, end) = self.arcs.remove(index);
        for (_, after) in &mut self.arcs[index..] {
            *after -= end - start;
        }
    }

    fn buckets(&self) -> u64 {
        self.arcs.last().map_or(0, |(_, end)| *end)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.arcs.is_empty()
    }

    pub(super) fn route<'a>(&'a self, envelope: &Envelope<'_>, emit: &mut impl FnMut(&'a D)) {
        let bucket = match self.buckets() {
            0 => return,
            1 => 0,
            buckets => jump(self.subject.seed(envelope), buckets),
        };
        let arc = self.arcs.partition_point(|(_, end)| *end <= bucket);
        self.arcs.get(arc).map(|(destination, _)| destination).into_iter().for_each(emit);
    }
}

/// The bucket for a seed: one more bucket moves only its share of the keys.
fn jump(seed: u64, buckets: u64) -> u64 {
    let mut random = Exs1024::new(seed);
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        // A float too large, and one divided by 0, is the largest number there is.
        next = ((bucket + 1) as f64 / random.uniform()) as u64;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_jump_to_the_buckets_that_rabbitmq_chooses() {
        let jumped = |buckets, keys: u32| -> Vec<u64> {
            (0..keys).map(|n| jump(hash(format!("key.{n}").as_bytes()).into(), buckets)).collect()
        };
        assert_eq!(jumped(10, 20), [6, 5, 5, 3, 9, 4, 9, 0, 1, 1, 9, 9, 1, 4, 6, 4, 8, 9, 6, 9]);
        assert_eq!(jumped(1000, 10), [657, 440, 932, 441, 843, 337, 426, 26, 822, 402]);
    }
}
