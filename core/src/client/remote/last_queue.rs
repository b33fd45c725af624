//! What an empty queue name means: the queue that the channel declared last (AMQP 0-9-1 reference, `queue.bind`). The
//! broker knows; one that goes on in place of another does not, and is told by name.

use parking_lot::Mutex;

use crate::wire::{Method, ShortString};

#[derive(Default)]
pub(super) struct LastQueue(Mutex<Last>);

#[derive(Default)]
struct Last {
    name: ShortString,
    /// It was declared at a broker that is gone.
    elsewhere: bool,
}

impl LastQueue {
    /// A queue was declared.
    pub(super) fn set(&self, name: &ShortString) {
        *self.0.lock() = Last { name: name.clone(), elsewhere: false };
    }

    /// This queue, or if the name is empty that which was declared last.
    pub(super) fn or(&self, name: ShortString) -> ShortString {
        if name.is_empty() { self.0.lock().name.clone() } else { name }
    }

    /// Completes what is asked of a broker that does not know.
    pub(super) fn complete(&self, method: &mut Method) {
        let last = self.0.lock();
        if last.elsewhere {
            name(method, &last.name);
        }
    }

    /// Another broker goes on: completes what it is asked first.
    pub(super) fn go_on<'a>(&self, methods: impl Iterator<Item = &'a mut Method>) {
        let mut last = self.0.lock();
        last.elsewhere = !last.name.is_empty();
        for method in methods {
            if last.elsewhere {
                name(method, &last.name);
            }
            // From here on it knows.
            last.elsewhere &= !matches!(method, Method::QueueDeclare(_));
        }
    }
}

/// Puts the name where there is none. No queue and no routing key mean the queue's name as the key, too.
fn name(method: &mut Method, last: &ShortString) {
    let (queue, key) = match method {
        Method::QueueBind(bind) => (&mut bind.queue, Some(&mut bind.routing_key)),
        Method::QueueUnbind(unbind) => (&mut unbind.queue, Some(&mut unbind.routing_key)),
        Method::QueueDeclare(declare) if declare.passive => (&mut declare.queue, None),
        Method::QueuePurge(purge) => (&mut purge.queue, None),
        Method::QueueDelete(delete) => (&mut delete.queue, None),
        Method::BasicConsume(consume) => (&mut consume.queue, None),
        Method::BasicGet(get) => (&mut get.queue, None),
        _ => return,
    };
    if queue.is_empty() {
        *queue = last.clone();
        if let Some(key) = key.filter(|key| key.is_empty()) {
            *key = last.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{basic, queue};

    fn short(text: &str) -> ShortString {
        ShortString::truncated(text)
    }

    fn get() -> Method {
        Method::BasicGet(basic::Get::default())
    }

    #[test]
    fn a_broker_that_goes_on_is_told_by_name_until_it_is_asked_for_a_queue_itself() {
        let last = LastQueue::default();
        let mut methods = [get()];
        last.go_on(methods.iter_mut());
        assert_eq!(methods, [get()], "none was declared");

        last.set(&short("q"));
        let mut method = get();
        last.complete(&mut method);
        assert_eq!(method, get(), "the broker knows");

        let bind = queue::Bind { exchange: short("x"), ..queue::Bind::default() };
        let declare = || Method::QueueDeclare(queue::Declare::default());
        let mut methods = [get(), Method::QueueBind(bind.clone()), declare(), get()];
        last.go_on(methods[..2].iter_mut());
        let named = [
            Method::BasicGet(basic::Get { queue: short("q"), no_ack: false }),
            Method::QueueBind(queue::Bind { queue: short("q"), routing_key: short("q"), ..bind }),
        ];
        assert_eq!(methods[..2], named);
        last.complete(&mut method);
        assert_eq!(method, named[0]);

        last.go_on(methods.iter_mut());
        assert_eq!(methods[2..], [declare(), get()]);
        let mut method = get();
        last.complete(&mut method);
        assert_eq!(method, get(), "it is being declared");
    }
}
