//! More delayed messages than memory takes.

use super::*;

/// Persistent, due so many milliseconds later.
fn later(milliseconds: u64) -> bytes::BytesMut {
    persistent_with("x-delay", Value::I64(milliseconds as i64))
}

#[test]
fn delayed_messages_come_at_their_time_in_order_and_few_are_in_memory() {
    on_both(|mut site| {
        // Due in another order than they came, two at each time, half of them soon.
        let due = |number: u64| 1 + number * 7919 % (MANY / 2) * 240;
        for number in 0..MANY {
            site.delay(&later(due(number)), number);
        }
        let mut expected = all(0..MANY);
        expected.sort_by_key(|number| due(*number));
        let delayed = || site.broker.vhost("/").unwrap().delayed.clone();
        assert!(delayed().in_memory() < FEW);
        let listed = Vec::from_iter(delayed().list().iter().map(|held| number_of(held.message.body())));
        assert_eq!(listed, expected);
        let mut got = Vec::new();
        for step in 0..12 {
            site.pass(10_000);
            got.extend(site.drain());
            assert_eq!(got, expected[..got.len()], "in step {step}");
            assert!((got.len() as u64).abs_diff(MANY * (step + 1) / 12) < 3);
            if step == 5 {
                site.restart();
            }
        }
        assert_eq!(got.len(), expected.len());
    });
}

#[test]
fn a_delayed_message_that_is_not_in_memory_can_be_cancelled_once() {
    on_both(|mut site| {
        for number in 0..100 {
            site.delay(&later(100_000), number);
        }
        for restarted in [false, true] {
            if restarted {
                site.restart();
            }
            let vhost = site.broker.vhost("/").unwrap();
            let some = vhost.delayed().swap_remove(30);
            assert_eq!(vhost.cancel_delayed(some.id).unwrap().body(), some.message.body());
            assert!(vhost.cancel_delayed(some.id).is_none());
            assert!(vhost.cancel_delayed(1 << 40).is_none());
        }
        site.pass(100_000);
        assert_eq!(site.drain(), all(0..30).into_iter().chain(32..100).collect::<Vec<_>>());
    });
}

#[test]
fn delayed_messages_that_need_not_survive_are_on_the_disk_too_until_the_broker_ends() {
    let (mut site, shelf) = Site::on_shelf();
    let transient = |number: i64| {
        let mut headers = Table::default();
        headers.insert("x-delay", Value::I64(number));
        let properties = crate::wire::Properties { headers: Some(headers), ..Default::default() };
        let mut encoded = bytes::BytesMut::new();
        properties.encode(&mut encoded);
        encoded
    };
    site.delay(&transient(100_000), 0);
    site.delay(&later(100_000), 1);
    assert_eq!(site.broker.vhost("/").unwrap().delayed.in_memory(), 0);
    site.pass(100_000);
    assert_eq!((site.drain(), shelf.len()), (vec![0, 1], 0));
    site.delay(&transient(100_000), 2);
    site.delay(&later(100_000), 3);
    site.restart();
    site.pass(100_000);
    assert_eq!((site.drain(), shelf.len()), (vec![3], 0));
}

#[test]
fn while_the_disk_cannot_be_read_delayed_messages_wait() {
    let (mut site, shelf) = Site::on_shelf();
    site.delay(&later(100_000), 0);
    site.delay(&later(100_001), 1);
    let id = *shelf.ids().last().unwrap();
    shelf.line(id, 0).broken.store(true, Relaxed);
    site.pass(100_001);
    assert!(site.drain().is_empty());
    shelf.line(id, 0).broken.store(false, Relaxed);
    site.pass(999);
    assert!(site.drain().is_empty());
    site.pass(1);
    assert_eq!(site.drain(), [0, 1]);
}
