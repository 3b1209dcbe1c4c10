//! Which TURN servers did not answer lately, for all sessions of the process.
//!
//! A server that was silent, refused the connection or failed in TLS is tried after the others for [`REMEMBERED`], so that
//! only the first sessions pay for it. One that answers again is forgotten at once. A refusal by a server that is alive
//! (wrong password, quota) is no reason: it concerns the session. Time is an argument.
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::net::facts::ServerTransport;

/// How long a dead server is tried last.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);
/// Servers kept at most.
const KEPT: usize = 256;

type Place = (String, u16, ServerTransport);

static DEAD: LazyLock<Mutex<Memory>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Memory {
    since: HashMap<Place, Instant>,
}

impl Memory {
    fn died(&mut self, place: Place, now: Instant) {
        self.since.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        if self.since.len() < KEPT {
            self.since.insert(place, now);
        }
    }

    fn is_dead(&self, place: &Place, now: Instant) -> bool {
        self.since.get(place).is_some_and(|since| now.saturating_duration_since(*since) < REMEMBERED)
    }
}

/// Remembers that this server did not answer.
pub(super) fn died(host: &str, port: u16, transport: ServerTransport) {
    DEAD.lock().died((host.to_owned(), port, transport), Instant::now());
}

/// Forgets that it did not: it has answered.
pub(super) fn lives(host: &str, port: u16, transport: ServerTransport) {
    let mut memory = DEAD.lock();
    if !memory.since.is_empty() {
        memory.since.remove(&(host.to_owned(), port, transport));
    }
}

/// Whether it did not answer lately.
pub(super) fn is_dead(host: &str, port: u16, transport: ServerTransport) -> bool {
    let memory = DEAD.lock();
    !memory.since.is_empty() && memory.is_dead(&(host.to_owned(), port, transport), Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_server_is_remembered_for_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let place = |port| ("h".to_owned(), port, ServerTransport::Udp);
        memory.died(place(1), now);
        assert!(memory.is_dead(&place(1), now + REMEMBERED / 2) && !memory.is_dead(&place(2), now));
        assert!(!memory.is_dead(&place(1), now + REMEMBERED));
        memory.died(place(2), now + REMEMBERED);
        assert_eq!(memory.since.len(), 1);
    }
}
