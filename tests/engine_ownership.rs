//! What belongs to a scope ends with it, what is counted stays counted, and nothing is left.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jmeter_webrtc::engine::{Engine, EngineError, LabKey, OperationKey, ScopeKey, SocketKey};
use serde_json::Value;

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

/// An engine with a lab of its own in it.
struct Bench {
    engine: Arc<Engine>,
    lab: LabKey,
    url: String,
}

impl Bench {
    fn new(lab: &str) -> Self {
        let engine = Arc::new(Engine::start().expect("an engine"));
        let lab = engine.start_lab(lab.as_bytes(), LONG).expect("a lab");
        let url = engine.lab_urls(lab).expect("its URLs")["signalingUrl"].as_str().expect("a text").to_owned();
        Self { engine, lab, url }
    }

    fn scope(&self, parent: Option<ScopeKey>) -> ScopeKey {
        self.engine.open_scope(parent).expect("a scope")
    }

    fn socket(&self, scope: ScopeKey, name: &str) -> SocketKey {
        let config = format!(r#"{{"url":"{}"}}"#, self.url);
        self.engine.open_socket(scope, NOBODY(), name, config.as_bytes(), LONG).expect("a socket")
    }

    fn snapshot(&self, room: &str, count: &str) -> i64 {
        let snapshot = self.engine.snapshot();
        snapshot[room][count].as_i64().unwrap_or_else(|| panic!("{room}.{count} in {snapshot}"))
    }

    fn lab_counter(&self, name: &str) -> i64 {
        let counters = serde_json::to_value(self.engine.lab_counters(self.lab).expect("counters")).expect("JSON");
        counters[name].as_i64().expect("a number")
    }

    /// Waits until `condition` holds; fails after 20 s.
    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < LONG, "{what}: not reached; {}", self.engine.snapshot());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn array<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn closing_a_test_hangs_up_the_calls_and_closes_the_sockets_of_its_threads() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let test = bench.scope(None);
        for thread in 0..20 {
            let scope = bench.scope(Some(test));
            let socket = bench.socket(scope, "signaling");
            let placed = bench.engine.place_call(scope, NOBODY(), "call", socket, b"{}", LONG).expect("an outcome");
            assert!(placed.session.is_some(), "thread {thread}: {}", placed.outcome);
        }
        assert_eq!(bench.snapshot("softphones", "open"), 20);
        let closed = bench.engine.close_scope(test, LONG).expect("closed");
        assert_eq!((array(&closed, "sockets").len(), array(&closed, "sessions").len()), (20, 20));
        for session in array(&closed, "sessions") {
            assert_eq!(session["report"]["agrees"], true, "{session}");
        }
        for socket in array(&closed, "sockets") {
            assert_eq!(socket["cause"]["kind"], "closedByUs", "{socket}");
        }
        assert_eq!(bench.snapshot("softphones", "open"), 0);
        assert_eq!(bench.snapshot("softphones", "ended"), 20);
        assert_eq!(bench.snapshot("webSockets", "open"), 0);
        bench.until("the lab has ended its side", |bench| {
            bench.lab_counter("callsOpen") == 0 && bench.lab_counter("socketsOpen") == 0
        });
    });
}

#[test]
fn the_counts_of_calls_that_ended_add_up_to_their_reports() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let scope = bench.scope(None);
        let socket = bench.socket(scope, "signaling");
        let (mut sent, mut received) = (0, 0);
        for _ in 0..3 {
            let placed = bench.engine.place_call(scope, NOBODY(), "call", socket, b"{}", LONG).expect("an outcome");
            std::thread::sleep(Duration::from_millis(100));
            let session = placed.session.expect("a session");
            let report = bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
            sent += report["media"]["packetsSent"].as_i64().expect("a number");
            received += report["media"]["packetsReceived"].as_i64().expect("a number");
        }
        assert!(sent > 0 && received > 0);
        assert_eq!(bench.snapshot("media", "packetsSent"), sent);
        assert_eq!(bench.snapshot("media", "packetsReceived"), received);
        assert_eq!(bench.snapshot("media", "packetsLost"), 0);
        assert_eq!(bench.snapshot("softphones", "connected"), 3);
        assert_eq!(bench.snapshot("udpSockets", "opened"), 3);
        bench.engine.begin_test();
        assert_eq!(bench.snapshot("media", "packetsSent"), 0);
        assert_eq!(bench.snapshot("softphones", "connected"), 0);
    });
}

#[test]
fn a_name_that_is_used_again_ends_the_call_before() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let scope = bench.scope(None);
        let socket = bench.socket(scope, "signaling");
        let place = || bench.engine.place_call(scope, NOBODY(), "call", socket, b"{}", LONG).expect("an outcome");
        let first = place().session.expect("a session");
        let second = place().session.expect("a session");
        assert!(matches!(bench.engine.connection_state(first), Err(EngineError::Stale { .. })));
        assert_eq!(bench.engine.find_session(scope, "call").expect("open"), Some(second));
        assert_eq!((bench.snapshot("softphones", "open"), bench.snapshot("softphones", "ended")), (1, 1));
    });
}

#[test]
fn closing_a_scope_ends_what_is_being_opened_in_it() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let scope = bench.scope(None);
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let config = format!(r#"{{"url":"ws://{}/"}}"#, silent.local_addr().expect("an address"));
        let engine = Arc::clone(&bench.engine);
        let opening = std::thread::spawn(move || {
            engine.open_socket(scope, NOBODY(), "a", config.as_bytes(), Duration::from_secs(50))
        });
        // Held, so that it is the scope that ends the opening and not the server.
        let _accepted = silent.accept().expect("it connects");
        bench.engine.close_scope(scope, LONG).expect("closed");
        let outcome = opening.join().expect("no panic");
        assert!(matches!(outcome, Err(EngineError::Stale { .. })), "{outcome:?}");
        assert_eq!(bench.snapshot("webSockets", "open"), 0);
    });
}

#[test]
fn a_call_that_is_cancelled_while_nobody_answers_leaves_nothing_open() {
    within_a_minute(|| {
        let bench = Bench::new(r#"{"faults":{"neverAnswer":true}}"#);
        let scope = bench.scope(None);
        let socket = bench.socket(scope, "signaling");
        let operation = bench.engine.new_operation();
        let engine = Arc::clone(&bench.engine);
        let calling = std::thread::spawn(move || engine.place_call(scope, operation, "call", socket, b"{}", LONG));
        bench.until("the call has begun", |bench| bench.snapshot("softphones", "started") == 1);
        std::thread::sleep(Duration::from_millis(50));
        assert!(bench.engine.cancel_operation(operation));
        let outcome = calling.join().expect("no panic");
        assert!(matches!(outcome, Err(EngineError::Cancelled { .. })), "{outcome:?}");
        assert_eq!(bench.engine.find_session(scope, "call").expect("open"), None);
        assert_eq!(bench.snapshot("softphones", "open"), 0);
        let ping = br#"{"type":"ping"}"#;
        let text = jmeter_webrtc::socket::Opcode::Text;
        bench.engine.send(socket, NOBODY(), text, true, ping, LONG).expect("the socket goes on");
    });
}

#[test]
fn after_closing_everything_no_task_is_left_and_the_engine_goes_on() {
    within_a_minute(|| {
        let bench = Bench::new("{}");
        let work = |bench: &Bench| {
            let test = bench.scope(None);
            for _ in 0..10 {
                let scope = bench.scope(Some(test));
                let socket = bench.socket(scope, "signaling");
                bench.engine.place_call(scope, NOBODY(), "call", socket, b"{}", LONG).expect("an outcome");
                bench.engine.new_session(scope, NOBODY(), "plain", b"{}").expect("a session");
            }
        };
        work(&bench);
        bench.engine.close_all(LONG);
        assert!(matches!(bench.engine.lab_urls(bench.lab), Err(EngineError::Stale { .. })));
        bench.until("no task is left", |bench| bench.snapshot("generator", "tasks") == 0);
        let lab = bench.engine.start_lab(b"{}", LONG).expect("the engine goes on");
        let url = bench.engine.lab_urls(lab).expect("its URLs")["signalingUrl"].as_str().expect("a text").to_owned();
        let bench = Bench { engine: bench.engine, lab, url };
        work(&bench);
        bench.engine.close_all(LONG);
        bench.until("no task is left", |bench| bench.snapshot("generator", "tasks") == 0);
        assert_eq!(bench.snapshot("softphones", "open"), 0);
    });
}
