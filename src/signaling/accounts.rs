//! Waiting for packet accounts that are final.
//!
//! Packets travel on: what a side has sent is final only when its last packet has left, what it has received only
//! when the other side's last packet is in. Both waits poll the session's own counters, are bounded, and may be
//! dropped at any time without effect.
use std::time::Duration;

use tokio::time::Instant;

use crate::peer::{MediaCounters, Session};

/// How long packets that the other side says it sent are waited for, from its word on.
pub(crate) const DRAIN: Duration = Duration::from_millis(1500);
/// How often counters are looked at.
const POLL: Duration = Duration::from_millis(5);
/// Packets that were handed to the engine and have not reached the wire for this long were dropped by it.
const STILL: Duration = Duration::from_millis(300);
/// A sender that has not come to rest by then is reported as it is.
const REST_DEADLINE: Duration = Duration::from_secs(1);

/// Waits until every packet that a session handed over before its audio was stopped has left; at most 1 s. A count that merely
/// stands still says little: on a starved machine the last packets leave the engine's queue tens of milliseconds later.
pub(crate) async fn at_rest(session: &Session) -> MediaCounters {
    let end = Instant::now() + REST_DEADLINE;
    let mut last = session.counters();
    let mut since = Instant::now();
    while last.packets_sent < session.packets_handed() && since.elapsed() < STILL && Instant::now() < end {
        tokio::time::sleep(POLL).await;
        let now = session.counters();
        if now.packets_sent != last.packets_sent {
            since = Instant::now();
        }
        last = now;
    }
    last
}

/// Waits until the session has received `expected` packets, or `deadline`.
pub(crate) async fn received(session: &Session, expected: u64, deadline: Instant) {
    while session.counters().packets_received < expected && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
}
