//! Looking for the next request before going to sleep ([`Limits::spin`](super::Limits::spin)).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::round;

/// So many connections may look at a time. Where more have just had a request, all of them together keep the
/// threads busy, and looking would only take the processor from those who work: with 50 publishers that each wait for
/// their confirms, a fifth of it.
const FEW: usize = 4;
/// How long it is remembered that there were more.
const CROWD: Duration = Duration::from_millis(1);

/// Connections of this process that look.
static LOOKING: AtomicUsize = AtomicUsize::new(0);
/// Until when nobody looks, in microseconds since the first look.
static CROWDED: AtomicU64 = AtomicU64::new(0);

/// That a connection looks for its next request, until a time.
#[derive(Debug)]
pub(super) struct Attention {
    until: Instant,
    counted: bool,
}

impl Attention {
    /// For so long after a request; not at all in a crowd.
    pub(super) fn new(span: Duration) -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = Instant::now();
        let since = now.duration_since(*START.get_or_init(|| now)).as_micros() as u64;
        let alone = LOOKING.fetch_add(1, Relaxed) < FEW;
        if !alone {
            CROWDED.store(since + CROWD.as_micros() as u64, Relaxed);
        }
        let counted = alone && CROWDED.load(Relaxed) <= since;
        if !counted {
            LOOKING.fetch_sub(1, Relaxed);
        }
        Attention { until: if counted { now + span } else { now }, counted }
    }

    /// Lets others go first, those of other processes included, and then has the runtime look for events. Who is not
    /// to look sleeps: to let others go first after each of many requests would leave each of them alone in its round.
    pub(super) async fn look_again(attention: Option<&Self>) {
        if !attention.is_some_and(|attention| attention.counted) {
            return tokio::time::sleep(CROWD).await;
        }
        round::end();
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        if self.counted {
            LOOKING.fetch_sub(1, Relaxed);
        }
    }
}
