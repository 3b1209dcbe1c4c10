//! What a test has done so far, counted by the engine's own tables.
//!
//! One lock makes a snapshot consistent: a session is either live or in the tally, never both and never neither.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::State;
use super::generator::{ProcessClock, ProcessSize};
use super::tables::Tables;
use super::tally::{RegistrationTally, SessionCount, Tally};
use crate::signaling::softphone::Registration;

/// Where a test began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    at: Instant,
    process: ProcessClock,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { at: Instant::now(), process: ProcessClock::now() }
    }
}

impl State {
    /// Counts from zero; see [`super::Engine::begin_test`].
    pub(super) fn begin_test(&self) {
        self.watch.reset();
        self.gates.clear();
        crate::media::reset_schedule_lag();
        self.auto_ice.begin_test();
        let mut tables = self.tables();
        let live: Vec<SessionCount> = tables.sessions.values().map(|entry| entry.softphone.count()).collect();
        tables.tally = Tally::starting_with(&live);
        drop(tables);
        *self.beginning.lock() = Beginning::default();
    }

    /// See [`super::Engine::snapshot`].
    pub(super) fn snapshot(&self, tasks: usize) -> Value {
        let tables = self.tables();
        let mut tally = tables.tally;
        let mut talking = 0;
        for entry in tables.sessions.values() {
            tally = tally.with_live(&entry.softphone.count());
            talking += usize::from(entry.softphone.is_talking());
        }
        let sessions_open = tables.sessions.len();
        let registrations = registrations(&tables);
        let sockets_open = tables.sockets.values().filter(|entry| entry.socket.close_cause().is_none()).count();
        drop(tables);

        let beginning = *self.beginning.lock();
        let process = ProcessClock::now();
        let size = ProcessSize::now();
        let (watched_seconds, starved_seconds) = self.watch.seconds();
        let receive_buffer_errors = process
            .receive_buffer_errors
            .map(|errors| errors.saturating_sub(beginning.process.receive_buffer_errors.unwrap_or_default()));
        let mut snapshot = json!({
            "softphones": {
                "started": tally.softphones_started,
                "connected": tally.softphones_connected,
                "failed": tally.softphones_failed,
                "talking": talking,
                "ended": tally.softphones_ended,
                "open": sessions_open,
            },
            "webSockets": {
                "opened": tally.web_sockets_opened,
                "open": sockets_open,
                "failed": tally.web_sockets_failed,
            },
            "udpSockets": { "opened": tally.udp_sockets_opened, "open": sessions_open },
            "media": {
                "packetsSent": tally.media.packets_sent,
                "packetsReceived": tally.media.packets_received,
                "packetsLost": tally.media.packets_lost,
                "packetsSkipped": tally.media.packets_skipped,
                "socketDrops": tally.media.socket_drops,
            },
            "generator": {
                "cpuSeconds": process.cpu_seconds - beginning.process.cpu_seconds,
                "rssMiB": size.rss_mib,
                "receiveBufferErrors": receive_buffer_errors,
                "scheduleLagP99Ms": schedule_lag_p99_ms(),
                "loopLagP99Ms": self.watch.lag_p99_ms(),
                "watchedSeconds": watched_seconds,
                "starvedSeconds": starved_seconds,
                "fds": size.fds,
                "fdLimit": size.fd_limit,
                "threads": size.threads,
                "tasks": tasks,
            },
            "uptimeSeconds": beginning.at.elapsed().as_secs_f64(),
        });
        if let (Value::Object(members), Some(auto_ice)) = (&mut snapshot, self.auto_ice.snapshot()) {
            members.insert("autoIce".to_owned(), auto_ice);
        }
        if let (Value::Object(members), Some(registrations)) = (&mut snapshot, registrations) {
            members.insert("registrations".to_owned(), registrations);
        }
        snapshot
    }

    /// Starts the lag probe if it does not run; it ends by itself when nothing is open. Called on the runtime.
    pub(super) fn watch_generator(self: &Arc<Self>) {
        if !self.watch.claim() {
            return;
        }
        let state = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                state.watch.measure().await;
                if state.watch.should_return_memory() {
                    // Not on the runtime, which would be late by as much; nobody waits for it.
                    tokio::task::spawn_blocking(crate::net::sys::return_freed_memory);
                }
                let tables = state.tables();
                if !tables.is_anything_open() && !state.watch.is_busy() {
                    // Under the lock, so that whoever opens something next starts it again.
                    state.watch.release();
                    return;
                }
            }
        });
    }
}

/// What is counted of softphones that are registered by a profile; `None` where there have been none.
fn registrations(tables: &Tables) -> Option<Value> {
    let tally = tables.tally.registrations;
    if tally == RegistrationTally::default() && tables.softphones.is_empty() {
        return None;
    }
    let views: Vec<_> = tables.softphones.values().map(|entry| entry.phone.view()).collect();
    let registered = views.iter().filter(|view| matches!(view.registration, Registration::Registered(_))).count();
    let again: u32 = views.iter().map(|view| view.registrations.saturating_sub(1)).sum();
    Some(json!({
        "started": tally.started,
        "registered": tally.registered,
        "failed": tally.failed,
        "ended": tally.ended,
        "callsMissed": tally.calls_missed,
        "open": views.len(),
        "registeredNow": registered,
        "again": again,
    }))
}

/// How late audio packets left, 99th percentile in ms; `None` when none left.
fn schedule_lag_p99_ms() -> Option<f64> {
    let lag = crate::media::schedule_lag();
    (lag.packets > 0).then(|| Duration::from_micros(lag.p99_us).as_secs_f64() * 1e3)
}
