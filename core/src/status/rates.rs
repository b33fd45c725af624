//! How fast messages go: from two reports.

use hashbrown::HashMap;
use serde::Serialize;

use super::report::{Counts, Report};

/// Messages per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) published: f64,
    pub(super) delivered: f64,
    pub(super) acknowledged: f64,
}

impl Rates {
    /// Of all queues together, and of each of the later report's; none for those that are newer than the earlier one,
    /// and where no time or another host is in between.
    pub(super) fn between(before: &Report, after: &Report) -> (Option<Rates>, Vec<Option<Rates>>) {
        let host = |report: &Report| report.host.as_ref().map(|host| (host.process, host.since));
        let seconds = after.at.saturating_sub(before.at) as f64 / 1000.0;
        if host(before) != host(after) || seconds <= 0.0 {
            return (None, Vec::new());
        }
        let known: HashMap<u64, Counts> = before
            .queues
            .iter()
            .filter_map(|queue| queue.counts)
            .map(|counts| (counts.queue, counts))
            .collect();
        let queues: Vec<_> = after
            .queues
            .iter()
            .map(|queue| {
                let counts = queue.counts?;
                Some(Rates::of(known.get(&counts.queue)?, &counts, seconds))
            })
            .collect();
        let mut all = Rates::default();
        for rates in queues.iter().flatten() {
            all.published += rates.published;
            all.delivered += rates.delivered;
            all.acknowledged += rates.acknowledged;
        }
        (Some(all), queues)
    }

    fn of(before: &Counts, after: &Counts, seconds: f64) -> Self {
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Rates {
            published: rate(before.published, after.published),
            delivered: rate(before.delivered, after.delivered),
            acknowledged: rate(before.acknowledged, after.acknowledged),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that fails may panic
mod tests {
    use serde_json::json;

    use super::*;

    fn report(at: u64, since: u64, queues: &[(u64, u64)]) -> Report {
        let queues: Vec<_> = queues
            .iter()
            .map(|(id, published)| {
                json!({
                    "vhost": "/", "name": "q", "type": "classic", "durable": true, "exclusive": false, "ready": 0,
                    "unacked": 0, "consumers": 0, "bytes": 0,
                    "counts": {"queue": id, "published": published, "delivered": 0, "acknowledged": 0},
                })
            })
            .collect();
        let memory = json!({"resident": null, "messages": 0});
        let host = json!({
            "process": 7, "command": null, "version": "1", "since": since, "listening": [], "memory": memory,
        });
        serde_json::from_value(json!({"at": at, "host": host, "attached": [], "queues": queues})).unwrap()
    }

    #[test]
    fn what_went_through_a_queue_is_counted_per_second_and_a_new_queue_of_its_name_is_another() {
        let before = report(1000, 1, &[(1, 100), (2, 900)]);
        let (all, queues) = Rates::between(&before, &report(1500, 1, &[(1, 150), (3, 50)]));
        let published = |rates: &Option<Rates>| rates.map(|rates| rates.published);
        assert_eq!(queues.iter().map(published).collect::<Vec<_>>(), [Some(100.0), None]);
        assert_eq!(published(&all), Some(100.0));
    }

    #[test]
    fn another_host_has_begun_to_count_anew() {
        let before = report(1000, 1, &[(1, 100)]);
        assert_eq!(Rates::between(&before, &report(1500, 2, &[(1, 150)])).0, None);
        assert_eq!(Rates::between(&before, &report(1000, 1, &[(1, 150)])).0, None);
    }
}
