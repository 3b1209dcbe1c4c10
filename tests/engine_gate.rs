//! The start gate through the engine: who waits for whom, what a wait is part of, and what ends it.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jmeter_webrtc::engine::{Engine, EngineError, OperationKey, Placed, ScopeKey, SocketKey};

const LONG: Duration = Duration::from_secs(20);
const NOBODY: fn() -> OperationKey = OperationKey::default;

/// Runs `test` on a thread of its own and fails when it takes longer than a minute.
fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    let late = finished.recv_timeout(Duration::from_secs(60)).err();
    if late == Some(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("the test takes longer than a minute");
    }
    thread.join().expect("the test does not panic");
}

/// An engine with a lab of its own in it, and a scope with a socket.
struct Bench {
    engine: Engine,
    url: String,
    scope: ScopeKey,
    socket: SocketKey,
}

impl Bench {
    fn new(lab: &str) -> Arc<Self> {
        let engine = Engine::start().expect("an engine");
        let lab = engine.start_lab(lab.as_bytes(), LONG).expect("a lab");
        let url = engine.lab_urls(lab).expect("its URLs")["signalingUrl"].as_str().expect("a text").to_owned();
        let scope = engine.open_scope(None).expect("a scope");
        let config = format!(r#"{{"url":"{url}"}}"#);
        let socket = engine.open_socket(scope, NOBODY(), "s", config.as_bytes(), LONG).expect("a socket");
        Arc::new(Self { engine, url, scope, socket })
    }

    fn call(&self, name: &str, operation: OperationKey, config: &str) -> Result<Placed, EngineError> {
        self.engine.place_call(self.scope, operation, name, self.socket, config.as_bytes(), LONG)
    }
}

fn waited_us(placed: &Placed) -> u64 {
    placed.outcome["gateWaitUs"].as_u64().unwrap_or_else(|| panic!("gateWaitUs in {}", placed.outcome))
}

#[test]
fn a_failed_call_gives_its_place_to_the_next_and_waits_are_no_part_of_times() {
    within_a_minute(|| {
        let bench = Bench::new(r#"{"faults":{"neverAnswer":true}}"#);
        let config = r#"{"answerTimeoutMs":1000,"gate":{"inFlight":1}}"#;
        let begun = Instant::now();
        let callers: Vec<_> = (0..4)
            .map(|n| {
                let bench = Arc::clone(&bench);
                std::thread::spawn(move || {
                    let begun = Instant::now();
                    let placed = bench.call(&n.to_string(), NOBODY(), config).expect("an outcome");
                    (placed, u64::try_from(begun.elapsed().as_micros()).expect("short"))
                })
            })
            .collect();
        let mut placed: Vec<_> = callers.into_iter().map(|caller| caller.join().expect("no panic")).collect();
        assert!(begun.elapsed() >= Duration::from_secs(4), "one call after the other");
        for (call, took) in &placed {
            assert_eq!(call.outcome["code"], "SIGNALING_TIMEOUT");
            let elapsed = call.outcome["elapsedUs"].as_u64().expect("a number");
            assert!(elapsed >= 1_000_000, "{}", call.outcome);
            assert!(elapsed + waited_us(call) <= *took, "the wait is not in it: {} in {took} µs", call.outcome);
        }
        // The threads begin one after the other, too: the last waited for three calls but for what it came late.
        placed.sort_by_key(|(call, _)| waited_us(call));
        assert!(waited_us(&placed[3].0) > 1_500_000, "three calls of a second went before it: {}", placed[3].0.outcome);
    });
}

#[test]
fn a_call_that_is_connected_gives_its_place_back_although_it_goes_on() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let config = r#"{"to":"tone","gate":{"inFlight":1}}"#;
        let one = bench.call("one", NOBODY(), config).expect("an outcome");
        let two = bench.call("two", NOBODY(), config).expect("an outcome");
        assert_eq!((&one.outcome["code"], &two.outcome["code"]), (&"200".into(), &"200".into()));
        bench.engine.close_all(LONG);
    });
}

#[test]
fn a_cancel_and_the_end_of_the_scope_free_those_who_wait() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let config = r#"{"gate":{"startsPerSecond":0.001}}"#;
        bench.call("first", NOBODY(), config).expect("an outcome");
        let operation = bench.engine.new_operation();
        let waiting = |operation| {
            let bench = Arc::clone(&bench);
            std::thread::spawn(move || bench.call("next", operation, config).map(|_| ()))
        };
        let (cancelled, orphaned) = (waiting(operation), waiting(NOBODY()));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!cancelled.is_finished() && !orphaned.is_finished());
        let begun = Instant::now();
        bench.engine.cancel_operation(operation);
        assert!(matches!(cancelled.join().expect("no panic"), Err(EngineError::Cancelled { .. })));
        bench.engine.close_scope(bench.scope, LONG).expect("closed");
        assert!(matches!(orphaned.join().expect("no panic"), Err(EngineError::Stale { .. })));
        assert!(begun.elapsed() < LONG);
        bench.engine.close_all(LONG);
    });
}

#[test]
fn a_websocket_tells_its_wait_apart_from_its_phases_also_when_it_fails() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let open = |name: &str, url: &str| {
            let config = format!(r#"{{"url":"{url}","gate":{{"startsPerSecond":0.5}}}}"#);
            bench.engine.open_socket(bench.scope, NOBODY(), name, config.as_bytes(), LONG)
        };
        open("a", &bench.url).expect("opens");
        let second = open("b", &bench.url).expect("opens");
        let opened = bench.engine.socket_opened(second).expect("known");
        let waited = opened["gateWaitUs"].as_u64().expect("a wait");
        assert!(waited > 100_000, "{opened}");
        assert!(opened["totalUs"].as_u64() < Some(waited), "{opened}");
        let failed = open("c", "ws://127.0.0.1:1/").expect_err("nobody listens there");
        assert_eq!(failed.code(), "CONNECT");
        assert!(failed.details()["gateWaitUs"].as_u64() > Some(100_000), "{}", failed.details());
        bench.engine.close_all(LONG);
    });
}

#[test]
fn nothing_is_gated_unless_it_is_asked_for() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let placed = bench.call("free", NOBODY(), "{}").expect("an outcome");
        assert!(placed.outcome.get("gateWaitUs").is_none());
        assert!(bench.engine.socket_opened(bench.socket).expect("known").get("gateWaitUs").is_none());
        bench.engine.close_all(LONG);
    });
}
