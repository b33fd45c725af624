//! Receiving: JavaScript hands over a buffer, and gets it back with as many deliveries as there are and fit.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use warrenmq::client::{ConsumeOptions, Consumer, Delivery};

use crate::answer::{done, now_or_later};
use crate::channel::Handle;
use crate::js::{Call, Env, Mail, Mailbox, Result, Value};
use crate::{record, table};

/// Deliveries that are taken from the core at once.
const BATCH: usize = 512;

/// What JavaScript holds.
struct Feed {
    consumer: Consumer,
    embedded: bool,
}

/// `consume(channel, queue, tag, noAck, exclusive, arguments, number)` → `{consumer, tag, take}`. When `take` found
/// nothing, the environment hears `ready([number])` once there is something again, or the consumer ends.
pub(crate) fn consume<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let handle = Handle::of(call)?;
    let (channel, embedded) = (handle.channel.clone(), handle.embedded);
    let (queue, tag) = (call.argument(1).string()?, call.argument(2).string()?);
    let (no_ack, exclusive) = (call.argument(3).boolean()?, call.argument(4).boolean()?);
    let arguments = table::arguments(call.argument(5))?;
    let number = call.argument(6).integer(u32::MAX.into())? as u32;
    let mailbox = call.env.isolate()?.mailbox.clone();
    let registering = async move {
        let options = ConsumeOptions { queue: &queue, tag: &tag, no_ack, exclusive, arguments };
        let consumer = channel.consume(&options).await?;
        Ok((consumer, embedded, number, mailbox))
    };
    now_or_later(call.env, embedded, registering, registered)
}

fn registered(
    env: Env<'_>,
    (consumer, embedded, number, mailbox): (Consumer, bool, u32, Arc<Mailbox>),
) -> Result<Value<'_>> {
    let object = env.object()?;
    object.set("tag", env.string(consumer.tag())?)?;
    object.set("take", env.function(taker(consumer.clone(), number, mailbox))?)?;
    object.set("consumer", env.handle(Feed { consumer, embedded })?)?;
    Ok(object)
}

/// `take(slab, from)`: fills the buffer from there. → where the last delivery ends; `from` when there was
/// none; minus its size when there is room for none.
fn taker(consumer: Consumer, number: u32, mailbox: Arc<Mailbox>) -> impl crate::js::Function {
    // JavaScript has seen that nothing is there, and wants to be told. The bell is silent otherwise: a wake
    // costs ten times what a message does.
    let idle = Arc::new(AtomicBool::new(false));
    let rung = idle.clone();
    consumer.on_ready(Arc::new(move || {
        if rung.swap(false, SeqCst) {
            mailbox.post(Mail::Ready(number));
        }
    }));
    let waiting = RefCell::new(Waiting::default());
    move |call| {
        let from = call.argument(1).integer(u32::MAX.into())? as usize;
        let mut waiting = waiting.borrow_mut();
        if waiting.is_empty() {
            idle.store(false, SeqCst);
            waiting.refill(&consumer)?;
        }
        if waiting.is_empty() && consumer.look() {
            waiting.refill(&consumer)?;
        }
        if waiting.is_empty() {
            idle.store(true, SeqCst);
            // What came before the line above rang a bell that was silent.
            waiting.refill(&consumer)?;
        }
        let end = call.argument(0).fill(|slab| waiting.write(slab, from))?;
        call.env.number(end as f64)
    }
}

/// Deliveries that were taken from the core and did not fit yet.
#[derive(Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    batch: Vec<Delivery>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    fn refill(&mut self, consumer: &Consumer) -> Result<()> {
        consumer.take(BATCH, &mut self.batch)?;
        self.deliveries.extend(self.batch.drain(..));
        Ok(())
    }

    fn write(&mut self, slab: &mut [u8], from: usize) -> i64 {
        let mut end = from;
        while let Some(delivery) = self.deliveries.front() {
            let size = record::size(&delivery.message);
            let Some(place) = slab.get_mut(end..).filter(|place| place.len() >= size) else {
                return if end == from { -(size as i64) } else { end as i64 };
            };
            record::write(place, delivery.tag, delivery.redelivered, &delivery.message);
            end += size;
            self.deliveries.pop_front();
        }
        end as i64
    }
}

/// `cancel(consumer)`: what was delivered can still be taken and settled.
pub(crate) fn cancel<'a>(call: &Call<'a>) -> Result<Value<'a>> {
    let feed: &Feed = call.argument(0).held()?;
    let consumer = feed.consumer.clone();
    now_or_later(call.env, feed.embedded, async move { consumer.cancel().await }, done)
}
