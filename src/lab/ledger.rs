//! What the lab has seen, counted once and never lost.
//!
//! Guarantees: every packet account is either live (read from its session) or closed (added to the totals), never
//! both and never neither, because a call moves between the two under one lock. Reading never waits for a call.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::peer::{MediaCounters, Session};

/// What the lab has seen so far; packets are those of the lab's own answering peers, open and ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LabCounters {
    /// WebSockets that completed the upgrade.
    pub sockets_opened: u64,
    /// WebSockets open now.
    pub sockets_open: u64,
    /// Upgrades refused: by the `upgradeStatus` fault, or because they were no WebSocket upgrades.
    pub upgrades_refused: u64,
    /// WebSockets cut by `idleCutMs` or for a missing pong.
    pub sockets_cut: u64,
    /// Messages refused with an error: no message at all, or not possible now.
    pub messages_refused: u64,
    /// Calls whose offer an answering peer of the lab has answered.
    pub calls_answered: u64,
    /// Calls with an answering peer open now.
    pub calls_open: u64,
    /// Calls with an answering peer that could not be answered or never connected.
    pub calls_failed: u64,
    /// Calls that ended because the caller's WebSocket was gone.
    pub calls_abandoned: u64,
    /// Calls relayed between two registered clients.
    pub calls_relayed: u64,
    /// SIP registrations that had expired when they were made anew.
    pub registrations_expired: u64,
    /// RTP packets sent by answering peers.
    pub packets_sent: u64,
    /// RTP packets received by answering peers.
    pub packets_received: u64,
    /// RTP packets expected by sequence number but not received (RFC 3550 A.3).
    pub packets_lost: i64,
    /// Datagrams the kernel dropped at answering peers' sockets.
    pub socket_drops: u64,
    /// STUN Binding requests answered.
    pub stun_requests: u64,
    /// Datagrams at the STUN port that were no Binding request.
    pub stun_ignored: u64,
}

/// One monotonic count, or a level that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed) + more
    }
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The book of one lab.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) sockets_opened: Count,
    sockets_closed: Count,
    /// Every upgrade attempt, for "every n-th".
    pub(super) upgrades: Count,
    pub(super) upgrades_refused: Count,
    pub(super) sockets_cut: Count,
    pub(super) messages_refused: Count,
    pub(super) calls_answered: Count,
    pub(super) calls_failed: Count,
    pub(super) calls_abandoned: Count,
    pub(super) calls_relayed: Count,
    pub(super) registrations_expired: Count,
    pub(super) stun_requests: Count,
    pub(super) stun_ignored: Count,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    open: u64,
    live: HashMap<u64, Session>,
    closed: MediaCounters,
    /// What was dialled in ended calls, as telephone events.
    dialled: Vec<String>,
}

/// Ended calls whose dialled digits are kept.
const MOST_DIALLED: usize = 10_000;

impl Ledger {
    /// The digits that were dialled in calls as telephone events: one text for each ended call that had some.
    pub(super) fn dialled(&self) -> Vec<String> {
        self.calls.lock().dialled.clone()
    }

    /// Counts a WebSocket as open until the returned mark drops.
    pub(super) fn socket_opened(self: &Arc<Self>) -> OpenSocket {
        self.sockets_opened.add(1);
        OpenSocket(Arc::clone(self))
    }

    /// Counts a call as open until the returned mark drops.
    pub(super) fn call_opened(self: &Arc<Self>) -> OpenCall {
        let mut calls = self.calls.lock();
        calls.next += 1;
        calls.open += 1;
        OpenCall { ledger: Arc::clone(self), key: calls.next }
    }

    /// Everything so far.
    pub(super) fn counters(&self) -> LabCounters {
        // Closed before opened: a socket that closes in between may show as open, never as a negative number.
        let closed = self.sockets_closed.get();
        let opened = self.sockets_opened.get();
        let calls = self.calls.lock();
        let mut media = calls.closed;
        for session in calls.live.values() {
            add(&mut media, &session.counters());
        }
        LabCounters {
            sockets_opened: opened,
            sockets_open: opened.saturating_sub(closed),
            upgrades_refused: self.upgrades_refused.get(),
            sockets_cut: self.sockets_cut.get(),
            messages_refused: self.messages_refused.get(),
            calls_answered: self.calls_answered.get(),
            calls_open: calls.open,
            calls_failed: self.calls_failed.get(),
            calls_abandoned: self.calls_abandoned.get(),
            calls_relayed: self.calls_relayed.get(),
            registrations_expired: self.registrations_expired.get(),
            packets_sent: media.packets_sent,
            packets_received: media.packets_received,
            packets_lost: media.packets_lost,
            socket_drops: media.socket_drops,
            stun_requests: self.stun_requests.get(),
            stun_ignored: self.stun_ignored.get(),
        }
    }
}

fn add(total: &mut MediaCounters, one: &MediaCounters) {
    total.packets_sent += one.packets_sent;
    total.packets_received += one.packets_received;
    total.packets_lost += one.packets_lost;
    total.socket_drops += one.socket_drops;
}

/// A WebSocket that is open as long as this lives.
pub(super) struct OpenSocket(Arc<Ledger>);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.sockets_closed.add(1);
    }
}

/// A call with an answering peer that is open as long as this lives.
pub(super) struct OpenCall {
    ledger: Arc<Ledger>,
    key: u64,
}

impl OpenCall {
    /// From now on the packets of `session` count.
    pub(super) fn attach(&self, session: Session) {
        let mut calls = self.ledger.calls.lock();
        if let Some(replaced) = calls.live.insert(self.key, session) {
            let so_far = replaced.counters();
            add(&mut calls.closed, &so_far);
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut calls = self.ledger.calls.lock();
        calls.open = calls.open.saturating_sub(1);
        if let Some(session) = calls.live.remove(&self.key) {
            let last = session.counters();
            add(&mut calls.closed, &last);
            let digits = session.dtmf_heard();
            if !digits.is_empty() && calls.dialled.len() < MOST_DIALLED {
                calls.dialled.push(digits);
            }
        }
    }
}
