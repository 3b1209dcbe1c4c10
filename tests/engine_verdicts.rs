//! What the engine adds to a failure: why, in members that Java reads; the same user twice; the state of the generator.

use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::channel;
use std::time::Duration;

use jmeter_webrtc::engine::{Engine, EngineError, LabKey, OperationKey, ScopeKey, SocketKey};
use serde_json::{Value, json};

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

/// An engine with a lab and a scope.
struct Bench {
    engine: Engine,
    lab: LabKey,
    url: String,
    scope: ScopeKey,
}

impl Bench {
    fn new(lab: Value) -> Self {
        let engine = Engine::start().expect("an engine");
        let lab = engine.start_lab(lab.to_string().as_bytes(), LONG).expect("a lab");
        let url = engine.lab_urls(lab).expect("its URLs")["signalingUrl"].as_str().expect("a text").to_owned();
        let scope = engine.open_scope(None).expect("a scope");
        Self { engine, lab, url, scope }
    }

    fn open(&self, name: &str, config: Value) -> Result<SocketKey, EngineError> {
        self.engine.open_socket(self.scope, NOBODY(), name, config.to_string().as_bytes(), LONG)
    }

    fn socket(&self, name: &str) -> SocketKey {
        self.open(name, json!({"url": self.url})).expect("a socket")
    }

    fn end(self) {
        self.engine.stop_lab(self.lab, LONG).expect("stopped");
        self.engine.close_all(LONG);
    }
}

fn verdict(error: &EngineError) -> Value {
    let details = error.details();
    assert!(details["starved"].is_boolean() && details["starvedReasons"].is_array(), "{details}");
    details["verdict"].clone()
}

#[test]
fn a_refused_upgrade_says_why_beside_what() {
    within_a_minute(|| {
        for (status, cause) in [(403, "UPGRADE_UNAUTHORIZED"), (503, "UPGRADE_RATE_LIMITED"), (404, "UPGRADE_REFUSED")]
        {
            let bench = Bench::new(json!({"faults":{"upgradeStatus":status}}));
            let error = bench.open("s", json!({"url": bench.url})).expect_err("refused");
            assert_eq!(error.code(), "UPGRADE_STATUS");
            let verdict = verdict(&error);
            assert_eq!((&verdict["cause"], &verdict["confidence"]), (&json!(cause), &json!("certain")), "{verdict}");
            assert_eq!(error.details()["status"], status, "what failed stays as it was");
            bench.end();
        }
    });
}

#[test]
fn a_closed_port_and_a_silent_one_are_told_apart() {
    within_a_minute(|| {
        let bench = Bench::new(json!({}));
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        let silent = bench.open("s", json!({"url": url, "handshakeTimeoutMs": 300})).expect_err("nobody answers");
        // Of a machine that lost a third of these 300 ms it is said first.
        let silence = verdict(&silent);
        assert!(silence["cause"] == "CONNECT_TIMEOUT" || silence["cause"] == "GEN_CPU_STARVED", "{silence}");
        assert!(silence.to_string().contains("CONNECT_TIMEOUT"), "{silence}");
        drop(listener);
        let refused = bench.open("s", json!({"url": url})).expect_err("nobody listens");
        assert_eq!(verdict(&refused)["cause"], "CONNECT_REFUSED");
        bench.end();
    });
}

#[test]
fn a_socket_that_the_server_closes_says_why_to_whoever_uses_it_and_whoever_asks() {
    within_a_minute(|| {
        let bench = Bench::new(json!({"faults":{"closeAfterMs":200,"closeCode":4001,"closeReason":"bye"}}));
        let socket = bench.socket("s");
        assert_eq!(bench.engine.socket_opened(socket).expect("known")["starved"].as_bool().map(|_| ()), Some(()));
        let error = loop {
            match bench.engine.receive(socket, NOBODY(), LONG) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "CLOSED");
        assert_eq!(verdict(&error)["cause"], "CLOSED_BY_SERVER");
        assert!(error.details()["cause"].is_object(), "how it ended stays as it was");
        let end = bench.engine.socket_end(socket).expect("known").expect("ended");
        assert_eq!((&end["code"], &end["verdict"]["cause"]), (&json!(4001), &json!("CLOSED_BY_SERVER")));
        bench.end();
    });
}

#[test]
fn a_name_that_this_process_has_registered_already_is_a_duplicate_identity() {
    within_a_minute(|| {
        let bench = Bench::new(json!({}));
        let (first, second) = (bench.socket("first"), bench.socket("second"));
        bench.engine.register(first, NOBODY(), "anna".to_owned(), LONG).expect("registered");
        let error = bench.engine.register(second, NOBODY(), "anna".to_owned(), LONG).expect_err("in use");
        assert_eq!(error.code(), "SIGNALING_REFUSED");
        let verdict = verdict(&error);
        assert_eq!((&verdict["cause"], &verdict["confidence"]), (&json!("DUPLICATE_IDENTITY"), &json!("certain")));
        assert!(verdict["evidence"].to_string().contains("1 other sockets of this process"), "{verdict}");
        bench.end();
    });
}

#[test]
fn a_socket_closed_right_after_another_login_of_the_same_user_is_a_duplicate_identity() {
    within_a_minute(|| {
        let bench = Bench::new(json!({"faults":{"closeAfterMs":2500,"closeCode":1000}}));
        let user = json!({"url": bench.url, "headers": [["Authorization", "Bearer s3cret"]]});
        let first = bench.open("first", user.clone()).expect("opened");
        bench.open("second", user).expect("opened");
        let error = bench.engine.receive(first, NOBODY(), LONG).map(|_| ());
        let error = error.and_then(|()| bench.engine.receive(first, NOBODY(), LONG).map(|_| ())).expect_err("closed");
        let verdict = verdict(&error);
        assert_eq!((&verdict["cause"], &verdict["confidence"]), (&json!("DUPLICATE_IDENTITY"), &json!("likely")));
        assert_eq!(verdict["also"][0]["cause"], "CLOSED_BY_SERVER", "{verdict}");
        assert!(!error.details().to_string().contains("s3cret"));
        bench.end();
    });
}

#[test]
fn a_failed_call_carries_its_cause_beside_its_code() {
    within_a_minute(|| {
        let bench = Bench::new(json!({"faults":{"dropCandidates":true}}));
        let socket = bench.socket("s");
        let call = json!({"session":{"connectTimeoutMs":700}}).to_string();
        let placed =
            bench.engine.place_call(bench.scope, NOBODY(), "call", socket, call.as_bytes(), LONG).expect("an outcome");
        let outcome = placed.outcome;
        assert_eq!(outcome["error"]["code"], "ICE_FAILED");
        assert_eq!(outcome["error"]["cause"], "ICE_NO_REMOTE_CANDIDATES");
        assert_eq!(outcome["error"]["confidence"], "certain");
        assert!(outcome["error"]["advice"].as_str().is_some_and(|advice| !advice.is_empty()));
        assert!(outcome["starved"].is_boolean() && outcome["starvedReasons"].is_array(), "{outcome}");
        bench.end();
    });
}

#[test]
fn a_call_that_the_other_side_ends_says_so_in_report_and_hang_up() {
    within_a_minute(|| {
        let bench = Bench::new(json!({}));
        let (caller, callee) = (bench.socket("caller"), bench.socket("callee"));
        bench.engine.register(callee, NOBODY(), "ben".to_owned(), LONG).expect("registered");
        let (engine, scope) = (&bench.engine, bench.scope);
        let (placed, answered) = std::thread::scope(|threads| {
            let answering = threads.spawn(|| engine.answer_call(scope, NOBODY(), "answer", callee, b"{}", LONG));
            let placed = engine.place_call(scope, NOBODY(), "place", caller, br#"{"to":"ben"}"#, LONG);
            (placed.expect("an outcome"), answering.join().expect("no panic").expect("an outcome"))
        });
        let (ours, theirs) = (placed.session.expect("up"), answered.session.expect("up"));
        assert_eq!(engine.session_report(ours).expect("known")["lost"], Value::Null);
        engine.check_media(ours, NOBODY(), LONG).map(|check| assert!(check["starved"].is_boolean())).expect("checked");
        engine.hang_up(theirs, NOBODY(), LONG).expect("hung up");
        let begun = std::time::Instant::now();
        while !engine.is_session_lost(ours) {
            assert!(begun.elapsed() < LONG, "the bye arrives");
            std::thread::sleep(Duration::from_millis(10));
        }
        let lost = engine.session_report(ours).expect("known")["lost"].clone();
        assert_eq!((&lost["code"], &lost["cause"]), (&json!("ENDED_BY_PEER"), &json!("ENDED_BY_PEER")), "{lost}");
        let report = engine.hang_up(ours, NOBODY(), LONG).expect("hung up");
        assert_eq!(report["lost"]["cause"], "ENDED_BY_PEER", "{report}");
        assert!(report["starved"].is_boolean());
        bench.end();
    });
}

#[test]
fn a_session_of_the_plan_that_fails_says_why() {
    within_a_minute(|| {
        let bench = Bench::new(json!({}));
        let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        drop(taken);
        let config = json!({"sourceAddress": "203.0.113.77"}).to_string();
        let error =
            bench.engine.new_session(bench.scope, NOBODY(), "s", config.as_bytes()).expect_err("not our address");
        assert_eq!(error.code(), "UDP_SOCKET");
        assert_eq!(verdict(&error)["cause"], "CONFIG", "{}", error.details());
        let key = bench.engine.new_session(bench.scope, NOBODY(), "s", b"{}").expect("a session");
        bench.engine.create_offer(key, NOBODY(), LONG).expect("an offer");
        let error = bench.engine.set_remote_answer(key, NOBODY(), "nonsense".to_owned(), LONG).expect_err("no SDP");
        assert_eq!(verdict(&error)["cause"], "SDP_REJECTED");
        bench.end();
    });
}
