//! The task of an open connection: reads it until it ends, and says goodbye.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::attention::Attention;
use super::connection::{Connection, End, Hold};
use super::handshake::Greeted;
use super::intake::{BUFFER_MAX, BUFFER_MIN, Brought, Intake};
use super::link::Link;
use super::peer::Peer;
use super::socket::Reader;
use super::{Door, Ending, InSession};
use crate::error::{Error, Kind};
use crate::wire::{connection, method_id, next_frame};

/// A connection whose client does not read its answers is not read either.
const UNSENT_MAX: usize = 4 << 20;
/// How often a publisher that is held back looks whether it may go on.
const ALARM_POLL: Duration = Duration::from_millis(20);
/// How often one looks that has to wait until messages are written.
const CATCH_UP: Duration = Duration::from_millis(1);
/// How long a process of this machine may take to read what it is told at the end: another waits to host the broker.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long the disk may take for what is to be confirmed yet when the broker stops, and how often one looks.
const PAYMENT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_micros(500);
/// How long a client may take to answer `connection.close`, or to close its socket after our answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the connection until it ends.
pub(super) async fn run(
    greeted: Greeted,
    door: &Door,
    mut ending: watch::Receiver<Ending>,
    in_session: InSession,
) {
    let Greeted { reader, writer, peer, buffer, session, tuned, client } = greeted;
    let connection = Connection::new(writer, peer, session, tuned, client);
    let link = connection.link.clone();
    tracing::info!(%peer, "connection open");

    // Half the agreed interval, so that one lost beat is not the end (section 4.2.7).
    let beat = Duration::from_millis(u64::from(tuned.heartbeat.max(1)) * 500);
    let mut heartbeat = interval_at(Instant::now() + beat, beat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent_beats = 0;

    let intake = Arc::new(Mutex::new(Intake::open(reader, buffer, connection)));
    // While this task looks for events instead of sleeping: see `Limits::spin`.
    let mut attentive = None::<Attention>;
    let mut blocked = false;
    let mut end = intake.lock().end();
    while end.is_none() {
        let full = link.is_full();
        let may_read = !blocked && (!full || link.pending() <= UNSENT_MAX);
        tokio::select! {
            biased;
            _ = link.socket.readable(), if may_read => {
                silent_beats = 0;
                // Where a thread that looks is at it, it takes all there is.
                let brought = intake.try_lock().map(|mut intake| intake.read());
                if !matches!(brought, Some(Brought::Nothing)) {
                    drop(attentive.take());
                }
                match brought {
                    // Others of this thread have their turn.
                    None | Some(Brought::Much { crowded: true }) => yield_now().await,
                    Some(Brought::Little) => {
                        attentive = Some(Attention::new(door.limits.spin));
                        if let Some(lookout) = &door.lookout {
                            lookout.note(&intake);
                        }
                    }
                    Some(Brought::End(reason)) => end = Some(reason),
                    Some(Brought::Nothing | Brought::Much { .. }) => {}
                }
                blocked = hold_back(&intake).await;
            }
            () = Attention::look_again(attentive.as_ref()), if attentive.is_some() => {
                if attentive.take_if(|attention| attention.is_over()).is_some() {
                    // Linux forgets this with every delayed ACK. Clients with Nagle's algorithm on (amqplib) hold
                    // back the second of two small writes for 40 ms unless we acknowledge the first. Before this
                    // moment an answer may still take the acknowledgement along.
                    link.socket.quickack();
                }
            }
            () = link.attention.notified() => {
                end = match link.has_failed() {
                    true => Some(End::Lost("cannot write to the socket".into())),
                    false => intake.lock().end(),
                };
                blocked = hold_back(&intake).await;
                link.flush();
            }
            drained = link.drained(), if full => {
                if let Err(error) = drained {
                    end = Some(End::Lost(error.to_string()));
                }
            }
            _ = heartbeat.tick(), if tuned.heartbeat > 0 => {
                silent_beats += 1;
                // What we do not read we cannot count as silence.
                // A process of this machine that is gone is seen to be, and one that is stopped keeps what it has.
                if silent_beats > 4 && may_read && !matches!(peer, Peer::Process(_)) {
                    end = Some(End::Lost(format!("missed heartbeats from client, timeout: {}s", tuned.heartbeat)));
                } else if !link.take_wrote() {
                    link.heartbeat();
                }
                intake.lock().rest();
            }
            () = sleep(ALARM_POLL), if blocked => {
                blocked = hold_back(&intake).await;
            }
            // An error means that the server was dropped, which stops it too.
            _ = ending.changed() => {
                pay(&intake, &link).await;
                let reason = "broker forced connection closure with reason 'shutdown'";
                end = Some(End::ByUs(Error::new(Kind::ConnectionForced, "shutdown", reason), 0));
            }
        }
    }
    let Some(end) = end else { return };
    let Some((mut reader, mut buffer)) = intake.lock().close(&end) else { return };
    drop(in_session);
    if *ending.borrow() == Ending::Sessions {
        let _ = ending.wait_for(|ending| *ending == Ending::All).await; // fails when the server was dropped
    }
    match end {
        End::Lost(_) => {}
        End::ByClient => goodbye(&link, &mut reader, &mut buffer, false).await,
        // Whatever is in the way, it has the socket's end: only over a network that would take along what we said.
        End::ByUs(..) if matches!(peer, Peer::Process(_)) => {
            let _ = timeout(LAST_WORDS, write_all(&link)).await;
            link.socket.finish();
        }
        End::ByUs(..) => goodbye(&link, &mut reader, &mut buffer, true).await,
    }
}

/// Writes what is left, then listens: if we close, for the client's close-ok, since to close a socket with unread
/// bytes in it would reset the connection, and our reason would be lost; and if the client does, for the end of its
/// socket, which is its to close first (`rabbit_reader:close_connection`): clients whose reader sees the end before
/// their `close` has seen close-ok report an error.
async fn goodbye(link: &Link, reader: &mut Reader, buffer: &mut BytesMut, await_close_ok: bool) {
    let farewell = async {
        write_all(link).await;
        loop {
            while let Ok(Some(frame)) = next_frame(buffer, 0) {
                if await_close_ok
                    && frame.channel == 0
                    && method_id(frame.payload) == Some(connection::CloseOk::ID)
                {
                    return;
                }
                buffer.advance(frame.total_len());
            }
            if next_frame(buffer, 0).is_err() {
                buffer.clear(); // garbage: only its end is of interest
            }
            buffer.reserve(BUFFER_MIN);
            if !matches!(reader.read(buffer).await, Ok(count) if count > 0) {
                return;
            }
            if buffer.len() > BUFFER_MAX {
                buffer.clear();
            }
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    link.socket.finish();
}

/// Whether the client may not publish for now; waits first until what it has published is written.
async fn hold_back(intake: &Mutex<Intake>) -> bool {
    loop {
        let hold = intake.lock().connection.hold();
        match hold {
            Hold::No => return false,
            Hold::Blocked => return true,
            Hold::Behind => sleep(CATCH_UP).await,
        }
    }
}

/// Answers what was read: who is told need not send it again.
async fn pay(intake: &Mutex<Intake>, link: &Link) {
    let paid = async {
        while intake.lock().connection.owes() {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(PAYMENT, paid).await;
    let _ = timeout(LAST_WORDS, write_all(link)).await;
}

/// Writes what is left.
async fn write_all(link: &Link) {
    link.flush();
    while link.is_full() && !link.has_failed() && link.drained().await.is_ok() {}
}
