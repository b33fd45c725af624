//! The load generator against the mirror: every mode that needs no real routing.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use warrenmq_bench::mirror::Mirror;
use warrenmq_bench::throughput::{Ack, Extent, Options};
use warrenmq_bench::url::Url;
use warrenmq_bench::{fill, throughput};

fn mirror() -> Url {
    let mirror = Mirror::bind(0).unwrap();
    let url = mirror.url().unwrap();
    thread::spawn(move || mirror.serve());
    url
}

#[test]
fn a_number_of_messages_arrives_whatever_the_size_and_the_acks() {
    for size in [0, 1, 128, 16 * 1024, 300_000] {
        for (ack, confirm) in [(Ack::None, None), (Ack::Each, Some(7)), (Ack::Multiple, None)] {
            let extent = Extent::Messages(1000);
            let options = Options { size, extent, ack, confirm, ..Options::new(mirror()) };
            let outcome = throughput::run(&options).unwrap();
            assert_eq!(outcome.messages, 1000, "{options:?}");
        }
    }
}

#[test]
fn a_window_counts_what_arrives_in_it() {
    let time = Duration::from_millis(300);
    let extent = Extent::Window { warm_up: time, window: time };
    let outcome =
        throughput::run(&Options { extent, broker: Some(std::process::id()), ..Options::new(mirror()) })
            .unwrap();
    assert!((0.3..3.0).contains(&outcome.seconds) && outcome.rate > 1000.0, "{outcome}");
}

#[test]
fn the_producer_stays_within_its_backlog() {
    let options = Options {
        extent: Extent::Messages(20),
        backlog: Some(1),
        confirm: Some(1),
        ..Options::new(mirror())
    };
    assert_eq!(throughput::run(&options).unwrap().messages, 20);
}

#[test]
fn several_producers_publish_no_more_than_they_are_asked_for() {
    let extent = Extent::Messages(1000);
    let options = Options { extent, producers: 5, confirm: Some(3), ..Options::new(mirror()) };
    assert_eq!(throughput::run(&options).unwrap().messages, 1000);
}

#[test]
fn a_filled_queue_holds_every_message() {
    let options = fill::Options {
        queue: None,
        url: mirror(),
        size: 128,
        messages: 12_345,
        durable: true,
        persistent: true,
        broker: Some(std::process::id()),
    };
    let outcome = fill::run(&options).unwrap();
    assert!(outcome.messages == 12_345 && outcome.resident.is_some(), "{outcome}");
}
