//! The start gate: how many handshakes run at once, and how many begin per second.
//!
//! A gate is passed inside one native call and held only by it: whoever got a [`Pass`] drops it when its handshake is
//! through, has failed or was cancelled. Starts are first come, first served. A wait may be dropped at any time; it then has
//! taken neither a place nor a token. Nothing is gated unless it is configured: a storm of starts must be able to look like
//! one.
//!
//! Starts with the same settings share a gate, WebSockets and calls each for themselves.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::config::{ConfigError, from_json};
pub(super) use crate::net::retry_after;

/// Longest wait in a gate; it also ends with the operation and the scope of the start.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Tokens are saved up for this long at most, so that a late timer does not lower the rate.
const SAVED_UP_SECONDS: f64 = 0.1;
/// Waits that a server asked for are stretched by up to this share, so that not everybody comes back at once.
const RETRY_SPREAD: f64 = 0.2;
/// Largest number accepted in a setting.
const MOST: u32 = 1_000_000;

/// Settings of a gate; JSON names are camelCase, and the object stands under `gate` in the configuration of a WebSocket or a
/// call.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GateConfig {
    /// Handshakes that may run at once; 0 = any number (default).
    pub in_flight: u32,
    /// Handshakes that may begin per second; 0 = any number (default).
    pub starts_per_second: f64,
    /// Whether a refused upgrade with `Retry-After` (RFC 9110 §10.2.3) holds later starts to that server back (default false).
    pub retry_after: bool,
}

impl GateConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if self.in_flight > MOST {
            return Err(ConfigError::new("gate.inFlight", self.in_flight, format!("0 to {MOST}")));
        }
        if !(0.0..=f64::from(MOST)).contains(&self.starts_per_second) {
            return Err(ConfigError::new("gate.startsPerSecond", self.starts_per_second, format!("0 to {MOST}")));
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.in_flight == 0 && self.starts_per_second == 0.0 && !self.retry_after
    }
}

/// Takes the member `gate` out of a configuration: its settings (`None` when nothing is gated) and the rest.
///
/// # Errors
/// [`ConfigError`] by field name (`gate.inFlight`).
pub(super) fn take_gate(config: &[u8]) -> Result<(Option<GateConfig>, Cow<'_, [u8]>), ConfigError> {
    if !config.windows(6).any(|window| window == b"\"gate\"") {
        return Ok((None, Cow::Borrowed(config)));
    }
    // What is not an object is refused by whoever reads the rest.
    let Ok(Value::Object(mut members)) = serde_json::from_slice(config) else {
        return Ok((None, Cow::Borrowed(config)));
    };
    let Some(gate) = members.remove("gate") else {
        return Ok((None, Cow::Borrowed(config)));
    };
    let gate: GateConfig = from_json(gate.to_string().as_bytes())
        .map_err(|error| ConfigError { field: format!("gate.{}", error.field), ..error })?;
    gate.check()?;
    Ok(((!gate.is_open()).then_some(gate), Cow::Owned(Value::Object(members).to_string().into_bytes())))
}

/// What is being started.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Start {
    Call,
    WebSocket,
}

/// All gates of an engine.
#[derive(Default)]
pub(super) struct Gates {
    gates: Mutex<HashMap<Key, Arc<Gate>>>,
}

/// What a gate is for, and its settings, the rate by its bits.
type Key = (Start, u32, u64, bool);

impl Gates {
    /// The gate of these settings.
    pub(super) fn gate(&self, start: Start, config: GateConfig) -> Arc<Gate> {
        let key = (start, config.in_flight, config.starts_per_second.to_bits(), config.retry_after);
        Arc::clone(self.gates.lock().entry(key).or_insert_with(|| Arc::new(Gate::new(config))))
    }

    /// Forgets all gates; who waits or is through keeps its own.
    pub(super) fn clear(&self) {
        self.gates.lock().clear();
    }
}

/// One gate.
pub(super) struct Gate {
    places: Option<Arc<Semaphore>>,
    /// Held by the first in the queue, which waits for a place and a token.
    turn: tokio::sync::Mutex<Option<Bucket>>,
    /// Until when a server wants no more starts, by `host:port`.
    held_back: Option<Mutex<HashMap<String, Instant>>>,
}

/// The right to one handshake; its place is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    _place: Option<OwnedSemaphorePermit>,
    /// How long it was waited for.
    pub(super) waited: Duration,
}

impl Gate {
    fn new(config: GateConfig) -> Self {
        Self {
            places: (config.in_flight > 0).then(|| Arc::new(Semaphore::new(config.in_flight as usize))),
            turn: tokio::sync::Mutex::new(
                (config.starts_per_second > 0.0).then(|| Bucket::full(config.starts_per_second, Instant::now())),
            ),
            held_back: config.retry_after.then(Mutex::default),
        }
    }

    /// Waits until a start towards `server` may begin.
    pub(super) async fn pass(&self, server: &str) -> Pass {
        let begun = Instant::now();
        loop {
            if let Some(until) = self.held_until(server) {
                let asked = until.saturating_duration_since(Instant::now());
                tokio::time::sleep(asked.mul_f64(1.0 + RETRY_SPREAD * rand::random::<f64>())).await;
            }
            let mut turn = self.turn.lock().await;
            let place = match &self.places {
                Some(places) => Arc::clone(places).acquire_owned().await.ok(),
                None => None,
            };
            if let Some(bucket) = turn.as_mut() {
                while let Err(missing) = bucket.take(Instant::now()) {
                    tokio::time::sleep(missing).await;
                }
            }
            if self.held_until(server).is_none() {
                return Pass { _place: place, waited: begun.elapsed() };
            }
        }
    }

    /// A server refused a start and said when to come again.
    pub(super) fn hold_back(&self, server: &str, retry_after: Duration) {
        if let Some(held_back) = &self.held_back {
            let until = Instant::now() + retry_after.min(LONGEST_WAIT);
            log::info!("{server} asks for {} s without new connections (Retry-After)", retry_after.as_secs());
            let mut held_back = held_back.lock();
            let known = held_back.entry(server.to_owned()).or_insert(until);
            *known = until.max(*known);
        }
    }

    fn held_until(&self, server: &str) -> Option<Instant> {
        let held_back = self.held_back.as_ref()?.lock();
        held_back.get(server).copied().filter(|until| *until > Instant::now())
    }
}

/// A token bucket; pure.
struct Bucket {
    per_second: f64,
    most: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_second: f64, now: Instant) -> Self {
        let most = (per_second * SAVED_UP_SECONDS).max(1.0);
        Self { per_second, most, tokens: most, at: now }
    }

    /// Takes a token, or says how long there will be none.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.most);
        self.at = self.at.max(now);
        // A hair less than a whole one is rounding.
        if self.tokens >= 1.0 - 1e-9 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(in_flight: u32, starts_per_second: f64, retry_after: bool) -> Arc<Gate> {
        Arc::new(Gate::new(GateConfig { in_flight, starts_per_second, retry_after }))
    }

    const SOON: Duration = Duration::from_secs(20);

    async fn pass(gate: &Gate, server: &str) -> Pass {
        tokio::time::timeout(SOON, gate.pass(server)).await.expect("the gate lets through")
    }

    #[tokio::test]
    async fn no_more_handshakes_than_places_run_at_once_and_the_next_begins_when_one_ends() {
        let gate = gate(2, 0.0, false);
        let (first, second) = (pass(&gate, "a").await, pass(&gate, "a").await);
        let third = tokio::time::timeout(Duration::from_millis(50), gate.pass("a")).await;
        assert!(third.is_err(), "both places are taken");
        drop(first);
        let third = pass(&gate, "a").await;
        drop((second, third));
        assert_eq!(gate.places.as_ref().map(|places| places.available_permits()), Some(2));
    }

    #[test]
    fn starts_are_spread_over_the_seconds_also_when_timers_are_late() {
        for (per_second, starts, seconds) in [(4.0, 9, 2.0), (500.0, 1050, 2.0), (0.5, 3, 4.0)] {
            let begun = Instant::now();
            let mut now = begun;
            let mut bucket = Bucket::full(per_second, begun);
            for _ in 0..starts {
                while let Err(missing) = bucket.take(now) {
                    now += missing + Duration::from_millis(1);
                }
            }
            let took = (now - begun).as_secs_f64();
            assert!((seconds * 0.98..seconds * 1.02).contains(&took), "{per_second}/s: {took} s");
        }
    }

    #[test]
    fn what_nobody_took_is_saved_up_for_a_moment_only() {
        let begun = Instant::now();
        let mut bucket = Bucket::full(100.0, begun);
        let later = begun + Duration::from_secs(60);
        let at_once = (0..100).take_while(|_| bucket.take(later).is_ok()).count();
        assert_eq!(at_once, 10);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_neither_place_nor_token() {
        let gate = gate(1, 20.0, false);
        let held = pass(&gate, "a").await;
        for _ in 0..50 {
            let given_up = tokio::time::timeout(Duration::from_millis(2), gate.pass("a")).await;
            assert!(given_up.is_err());
        }
        drop(held);
        let tokens = gate.turn.lock().await.as_ref().map(|bucket| bucket.tokens);
        assert!(tokens.is_some_and(|tokens| tokens >= 0.0), "{tokens:?}");
        let next = pass(&gate, "a").await;
        assert!(next.waited < Duration::from_secs(1), "50 starts would have taken 2.5 s of tokens: {:?}", next.waited);
    }

    #[tokio::test]
    async fn a_server_that_asks_for_time_gets_it_and_others_do_not_wait() {
        let gate = gate(0, 0.0, true);
        let (begun, asked) = (Instant::now(), Duration::from_secs(2));
        gate.hold_back("a", asked);
        assert!(pass(&gate, "b").await.waited < asked);
        pass(&gate, "a").await;
        // Of its own wait some was over before it came.
        assert!(begun.elapsed() >= asked - Duration::from_millis(10));
    }

    #[tokio::test]
    async fn without_the_setting_nobody_is_held_back() {
        let gate = gate(1, 0.0, false);
        gate.hold_back("a", Duration::from_secs(3600));
        pass(&gate, "a").await;
    }

    #[test]
    fn the_settings_are_taken_out_of_the_configuration() {
        let (gate, rest) = take_gate(br#"{"url":"ws://a/","gate":{"inFlight":64}}"#).expect("valid");
        assert_eq!(gate, Some(GateConfig { in_flight: 64, ..GateConfig::default() }));
        assert_eq!(&*rest, br#"{"url":"ws://a/"}"#);
        let (gate, rest) = take_gate(br#"{"url":"ws://a/\"gate\""}"#).expect("valid");
        assert_eq!((gate, &*rest), (None, &br#"{"url":"ws://a/\"gate\""}"#[..]));
        assert_eq!(take_gate(br#"{"gate":{}}"#).expect("valid").0, None);
    }

    #[test]
    fn bad_settings_are_refused_by_field_name() {
        for (json, field) in [
            (r#"{"gate":{"inFlight":-1}}"#, "gate.inFlight"),
            (r#"{"gate":{"inFlight":1000001}}"#, "gate.inFlight"),
            (r#"{"gate":{"startsPerSecond":-0.5}}"#, "gate.startsPerSecond"),
            (r#"{"gate":{"startsPerSecond":"many"}}"#, "gate.startsPerSecond"),
            (r#"{"gate":{"perSecond":1}}"#, "gate.perSecond"),
        ] {
            let error = take_gate(json.as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{error}");
        }
    }
}
