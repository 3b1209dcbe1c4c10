//! Softphones of a profile in the engine: registered, called, calling, lost and found again, and gone without a trace.
#[path = "turn_support/free_ports.rs"]
mod free_ports;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use free_ports::free_port;
use jmeter_webrtc::engine::{
    Engine, EngineError, LabKey, OperationKey, Registering, ScopeKey, SessionKey, SoftphoneKey,
};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(30);
const NOBODY: fn() -> OperationKey = OperationKey::default;

/// Runs `test` on a thread of its own and fails when it takes longer than two minutes.
fn within_two_minutes(test: impl FnOnce() + Send + 'static) {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    let late = finished.recv_timeout(Duration::from_secs(120)).err();
    if late == Some(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("the test takes longer than two minutes");
    }
    thread.join().expect("the test does not panic");
}

/// An engine with a lab and a scope.
struct Bench {
    engine: Arc<Engine>,
    lab: LabKey,
    urls: Value,
    scope: ScopeKey,
}

impl Bench {
    fn new(lab: Value) -> Self {
        let engine = Arc::new(Engine::start().expect("an engine"));
        let lab = engine.start_lab(lab.to_string().as_bytes(), LONG).expect("a lab");
        let urls = engine.lab_urls(lab).expect("its URLs");
        let scope = engine.open_scope(None).expect("a scope");
        Self { engine, lab, urls, scope }
    }

    fn cloud(genesys: Value) -> Self {
        Self::new(json!({"genesys": genesys}))
    }

    fn register(&self, name: &str, config: Value) -> Result<Registering, EngineError> {
        self.engine.register_softphone(self.scope, NOBODY(), name, config.to_string().as_bytes(), LONG)
    }

    fn registered(&self, name: &str, config: Value) -> SoftphoneKey {
        let done = self.register(name, config).expect("an outcome");
        done.softphone.unwrap_or_else(|| panic!("{}", done.outcome))
    }

    fn agent(&self, token: &str, more: Value) -> Value {
        let mut params = self.urls["softphones"]["genesys"].clone();
        params["token"] = token.into();
        for (name, value) in more.as_object().expect("parameters") {
            params[name] = value.clone();
        }
        json!({"profile": "genesys", "params": params})
    }

    fn json_phone(&self, user: &str) -> Value {
        let mut params = self.urls["softphones"]["json"].clone();
        params["user"] = user.into();
        json!({"profile": "json", "params": params})
    }

    fn answer(&self, key: SoftphoneKey, config: Value) -> (SessionKey, Value) {
        let config = config.to_string();
        let placed = self.engine.softphone_answer(key, self.scope, NOBODY(), "call", config.as_bytes(), LONG);
        let placed = placed.expect("an outcome");
        (placed.session.unwrap_or_else(|| panic!("{}", placed.outcome)), placed.outcome)
    }

    /// A call of two softphones of the profile `json`: the caller's session, the other one, and what answering came to.
    fn anna_calls_bert(&self, answering: Value) -> (SessionKey, SessionKey, Value) {
        let (anna, bert) =
            (self.registered("anna", self.json_phone("anna")), self.registered("bert", self.json_phone("bert")));
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let to = br#"{"to":"bert"}"#;
                self.engine.softphone_call(anna, self.scope, NOBODY(), "out", to, LONG).expect("an outcome")
            });
            let (incoming, answered) = self.answer(bert, answering);
            (calling.join().expect("no panic").session.expect("up"), incoming, answered)
        })
    }

    fn report(&self, key: SoftphoneKey) -> Value {
        self.engine.softphone_report(key).expect("a report")
    }

    /// Media flows in both directions.
    fn talks(&self, session: SessionKey) {
        self.until("media flows both ways", |bench| {
            let report = bench.engine.session_report(session).expect("a report");
            let count = |name: &str| report["counters"][name].as_u64().unwrap_or_default();
            count("packetsSent") > 5 && count("packetsReceived") > 5
        });
    }

    fn lab_counter(&self, name: &str) -> i64 {
        let counters = serde_json::to_value(self.engine.lab_counters(self.lab).expect("counters")).expect("JSON");
        counters[name].as_i64().expect("a number")
    }

    /// Waits until `condition` holds; fails after 30 s.
    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < LONG, "{what}: not reached; {}", self.engine.snapshot());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes the scope: nothing of it stays open, here or at the lab.
    fn ends_without_a_trace(self) -> Value {
        let closed = self.engine.close_scope(self.scope, LONG).expect("closed");
        let snapshot = self.engine.snapshot();
        assert_eq!(snapshot["softphones"]["open"], 0, "{snapshot}");
        assert_eq!(snapshot["registrations"]["open"], 0, "{snapshot}");
        self.until("the lab has ended its side", |bench| {
            bench.lab_counter("callsOpen") == 0 && bench.lab_counter("socketsOpen") == 0
        });
        self.engine.stop_lab(self.lab, LONG).expect("stopped");
        self.until("no task is left", |bench| bench.engine.snapshot()["generator"]["tasks"] == 0);
        closed
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn an_agent_registers_takes_a_call_and_hangs_up() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"callEveryMs": 1000}));
        let done = bench.register("", bench.agent("anna", json!({}))).expect("an outcome");
        let outcome = &done.outcome;
        assert_eq!((text(outcome, "code"), text(outcome, "message")), ("200", "OK"), "{outcome}");
        let time = |name: &str| outcome[name].as_u64().unwrap_or_else(|| panic!("{name} in {outcome}"));
        assert!(time("connectUs") <= time("latencyUs") && time("latencyUs") <= time("elapsedUs"), "{outcome}");
        for phase in ["tcp", "upgrade", "http", "login"] {
            assert!(outcome["phases"][phase].is_u64(), "{phase} in {outcome}");
        }
        assert_eq!(outcome["phases"]["tls"], Value::Null);
        assert_eq!((&outcome["iceServers"], &outcome["relayOnly"]), (&json!(1), &json!(false)), "{outcome}");
        assert_eq!((&outcome["registrations"], &outcome["identity"]["sameUserHere"]), (&json!(1), &json!(0)));
        let key = done.softphone.expect("registered");
        assert_eq!(bench.engine.find_softphone(bench.scope, "").expect("open"), Some(key));
        assert!(bench.engine.is_softphone_registered(key));
        let (session, answered) = bench.answer(key, json!({}));
        assert_eq!(answered["success"], true, "{answered}");
        assert!(answered["phases"]["signalingUs"].is_u64() && answered["offerSdp"].is_string(), "{answered}");
        bench.talks(session);
        assert_eq!(bench.report(key)["calls"], 1);
        let report = bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        assert_eq!((text(&report, "endedBy"), &report["lost"]), ("us", &Value::Null), "{report}");
        let report = bench.engine.unregister_softphone(key, NOBODY(), LONG).expect("a report");
        assert!(report["unregisterUs"].is_u64() && report["unfinished"].is_null(), "{report}");
        assert!(matches!(bench.engine.softphone_report(key), Err(EngineError::Stale { .. })));
        assert!(!bench.engine.close_softphone(key).expect("idempotent"));
        bench.ends_without_a_trace();
    });
}

#[test]
fn an_agent_calls_out_and_the_call_goes_on_without_its_softphone() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({}));
        let key = bench.registered("", bench.agent("anna", json!({})));
        let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"+4930"}"#, LONG);
        let session = placed.expect("an outcome").session.expect("up");
        // The server says by then which conversation it is; without that an agent's call cannot be hung up.
        bench.talks(session);
        bench.engine.unregister_softphone(key, NOBODY(), LONG).expect("a report");
        let received = |bench: &Bench| {
            let report = bench.engine.session_report(session).expect("a report");
            report["counters"]["packetsReceived"].as_u64().unwrap_or_default()
        };
        let before = received(&bench);
        bench.until("media goes on", |bench| received(bench) > before + 5);
        bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        bench.ends_without_a_trace();
    });
}

#[test]
fn an_agent_that_unregisters_before_the_conversation_event_can_be_hung_up_all_the_same() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"faults": {"eventDelayMs": 400}}));
        let key = bench.registered("", bench.agent("anna", json!({})));
        let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"+4930"}"#, LONG);
        let session = placed.expect("an outcome").session.expect("up");
        let report = bench.engine.unregister_softphone(key, NOBODY(), LONG).expect("a report");
        assert!(report["unfinished"].is_null(), "{report}");
        assert_eq!((bench.lab_counter("callsOpen"), bench.engine.is_session_lost(session)), (1, false));
        bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        bench.until("the server has ended the call", |bench| bench.lab_counter("callsOpen") == 0);
        assert_eq!(bench.lab_counter("callsFailed"), 0);
        bench.ends_without_a_trace();
    });
}

#[test]
fn two_softphones_of_the_json_profile_call_each_other_and_one_hangs_up() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let (outgoing, incoming, answered) = bench.anna_calls_bert(json!({"ringMs": 300}));
        let ring = answered["ringUs"].as_u64().expect("it rang");
        assert!(ring >= 300_000 && answered["elapsedUs"].as_u64() >= Some(ring), "{answered}");
        bench.talks(incoming);
        bench.talks(outgoing);
        let ours = bench.engine.hang_up(outgoing, NOBODY(), LONG).expect("a report");
        assert_eq!(ours["agrees"], true, "{ours}");
        assert_eq!((&ours["lostOutgoing"], &ours["lostIncoming"]), (&json!(0), &json!(0)), "{ours}");
        bench.until("the other side has noticed", |bench| bench.engine.is_session_lost(incoming));
        let report = bench.engine.session_report(incoming).expect("a report");
        assert_eq!(text(&report["lost"], "code"), "ENDED_BY_PEER", "{report}");
        let report = bench.engine.hang_up(incoming, NOBODY(), LONG).expect("a report");
        assert_eq!(text(&report, "endedBy"), "peer", "{report}");
        assert_eq!((&report["agrees"], &report["peerMediaMissing"]), (&json!(true), &Value::Null), "{report}");
        assert_eq!(report["peerMedia"]["packetsSent"], ours["media"]["packetsSent"], "{report} {ours}");
        let closed = bench.ends_without_a_trace();
        assert_eq!(closed["softphones"].as_array().map(Vec::len), Some(2), "{closed}");
    });
}

#[test]
fn both_sides_hang_up_at_once_and_their_accounts_agree() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let (outgoing, incoming, _) = bench.anna_calls_bert(json!({}));
        bench.talks(incoming);
        bench.talks(outgoing);
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| bench.engine.hang_up(outgoing, NOBODY(), LONG).expect("a report"));
            let second = scope.spawn(|| bench.engine.hang_up(incoming, NOBODY(), LONG).expect("a report"));
            (first.join().expect("no panic"), second.join().expect("no panic"))
        });
        for report in [first, second] {
            assert_eq!(report["peerMediaMissing"], Value::Null, "{report}");
            assert_eq!(report["lostIncoming"], 0, "{report}");
            assert!(report["hangUpUs"].as_u64() < Some(10_000_000), "{report}");
        }
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_call_to_the_labs_tone_proves_every_packet_in_both_directions() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let key = bench.registered("", bench.json_phone("anna"));
        let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"tone"}"#, LONG);
        let session = placed.expect("an outcome").session.expect("up");
        bench.talks(session);
        let report = bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        assert_eq!(report["agrees"], true, "{report}");
        assert_eq!(report["peerMedia"]["packetsReceived"], report["media"]["packetsSent"], "{report}");
        assert_eq!(report["media"]["packetsReceived"], report["peerMedia"]["packetsSent"], "{report}");
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_call_to_nobody_is_an_outcome_with_the_servers_words() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let key = bench.registered("", bench.json_phone("anna"));
        let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"nobody"}"#, LONG);
        let placed = placed.expect("an outcome");
        assert!(placed.session.is_none());
        assert_eq!(text(&placed.outcome, "code"), "SIGNALING_REFUSED", "{}", placed.outcome);
        assert!(text(&placed.outcome, "message").contains("NOT_FOUND"), "{}", placed.outcome);
        bench.ends_without_a_trace();
    });
}

#[test]
fn nobody_calls_is_an_outcome_that_says_whether_the_softphone_was_registered() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let key = bench.registered("", bench.json_phone("anna"));
        let config = br#"{"incomingTimeoutMs":100}"#;
        let placed = bench.engine.softphone_answer(key, bench.scope, NOBODY(), "call", config, LONG);
        let outcome = placed.expect("an outcome").outcome;
        assert_eq!(text(&outcome, "code"), "SIGNALING_TIMEOUT", "{outcome}");
        assert!(text(&outcome, "message").contains("the softphone is registered"), "{outcome}");
        bench.ends_without_a_trace();
    });
}

#[test]
fn calls_on_a_persistent_connection_need_no_new_ice_and_count_for_themselves() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"callEveryMs": 500, "persistent": true}));
        let key = bench.registered("", bench.agent("anna", json!({"persistent": "true"})));
        let mut local = Vec::new();
        for number in 1..=3 {
            let (session, outcome) = bench.answer(key, json!({}));
            let later = number > 1;
            assert_eq!(outcome["persistentConnection"], later, "{outcome}");
            assert_eq!(outcome["phases"]["iceUs"].is_null(), later, "{outcome}");
            assert!(outcome["elapsedUs"].as_u64() > Some(0), "{outcome}");
            local.push(outcome["selectedPair"].to_string());
            bench.talks(session);
            let report = bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
            assert_eq!((text(&report, "endedBy"), &report["lost"]), ("us", &Value::Null), "{report}");
            let sent = report["media"]["packetsSent"].as_u64().expect("a count");
            let last = report["timeline"].as_array().and_then(|moments| moments.last()?[0].as_u64());
            let most = last.expect("it has moments");
            assert!(sent > 5 && sent <= most / 20_000 + 5, "{sent} packets of its own in {most} µs: {report}");
        }
        local.dedup();
        assert_eq!(local.len(), 1, "one pair for all of them: {local:?}");
        let snapshot = bench.engine.snapshot();
        assert_eq!(snapshot["udpSockets"]["opened"], 1, "{snapshot}");
        let outgoing = bench.engine.softphone_call(key, bench.scope, NOBODY(), "out", br#"{"to":"+4930"}"#, LONG);
        let outgoing = outgoing.expect("an outcome");
        assert_eq!(outgoing.outcome["persistentConnection"], true, "{}", outgoing.outcome);
        bench.talks(outgoing.session.expect("up"));
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_call_on_a_persistent_connection_that_the_other_side_ends_is_told_and_the_next_one_comes() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"callEveryMs": 300, "callHoldMs": 2000, "persistent": true}));
        let key = bench.registered("", bench.agent("anna", json!({"persistent": "true"})));
        for _ in 0..2 {
            let (session, _) = bench.answer(key, json!({}));
            bench.talks(session);
            bench.until("the other side has ended it", |bench| bench.engine.is_session_lost(session));
            let report = bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
            assert_eq!(text(&report["lost"], "code"), "ENDED_BY_PEER", "{report}");
        }
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_call_goes_on_while_its_softphone_moves_to_another_websocket() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"callEveryMs": 1000, "faults": {"moveAfterMs": 3000}}));
        let key = bench.registered("", bench.agent("anna", json!({})));
        let (session, _) = bench.answer(key, json!({}));
        bench.until("the agent is back", |bench| bench.report(key)["registrations"].as_u64() >= Some(2));
        bench.talks(session);
        assert!(!bench.engine.is_session_lost(session));
        bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_softphone_comes_back_after_its_server_was_restarted() {
    within_two_minutes(|| {
        let port = free_port();
        let mut bench = Bench::new(json!({"port": port}));
        let key = bench.registered("", bench.json_phone("anna"));
        bench.engine.stop_lab(bench.lab, LONG).expect("stopped");
        bench.until("the loss is seen", |bench| bench.report(key)["state"] == "reconnecting");
        let report = bench.report(key);
        assert!(report["delayMs"].is_u64() && report["why"].is_string(), "{report}");
        let cause = text(&report["verdict"], "cause");
        assert!(["CLOSED_BY_SERVER", "CONNECT_REFUSED"].contains(&cause), "{report}");
        assert!(!bench.engine.is_softphone_registered(key));
        bench.lab = bench.engine.start_lab(json!({"port": port}).to_string().as_bytes(), LONG).expect("a lab");
        bench.until("it is back", |bench| bench.engine.is_softphone_registered(key));
        assert_eq!(bench.report(key)["registrations"], 2);
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_registration_that_is_cancelled_leaves_nothing_behind() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let silent = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("ws://{}/", silent.local_addr().expect("bound"));
        let operation = bench.engine.new_operation();
        let (engine, scope) = (Arc::clone(&bench.engine), bench.scope);
        let registering = std::thread::spawn(move || {
            let config = json!({"profile": "json", "params": {"url": url, "user": "anna"}}).to_string();
            engine.register_softphone(scope, operation, "", config.as_bytes(), LONG).map(|done| done.outcome)
        });
        let (mut connection, _) = silent.accept().expect("it connects");
        bench.engine.cancel_operation(operation);
        let cancelled = registering.join().expect("no panic");
        assert!(matches!(cancelled, Err(EngineError::Cancelled { .. })), "{cancelled:?}");
        connection.set_read_timeout(Some(LONG)).expect("a timeout");
        let mut rest = Vec::new();
        // Ended by FIN or by RST, whichever came first; not by the timeout.
        let ended = connection.read_to_end(&mut rest);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
        assert_eq!(bench.engine.find_softphone(bench.scope, "").expect("open"), None);
        assert_eq!(bench.engine.snapshot()["registrations"]["failed"], 0, "a cancel is no failure");
        bench.ends_without_a_trace();
    });
}

#[test]
fn each_way_to_fail_has_its_word_and_its_evidence() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"faults": {"tooManyRequests": 1, "retryAfterS": 3}}));
        let failed = |config: Value, code: &str, says: &str| {
            let done = bench.register("", config).expect("an outcome");
            assert!(done.softphone.is_none());
            let outcome = done.outcome;
            assert_eq!((&outcome["success"], text(&outcome, "code")), (&json!(false), code), "{outcome}");
            assert!(outcome["verdict"].to_string().contains(says), "{says} in {outcome}");
        };
        failed(bench.agent("anna", json!({})), "UPGRADE_RATE_LIMITED", "Retry-After: 3");
        let nowhere = format!("http://127.0.0.1:{}", free_port());
        failed(bench.agent("anna", json!({"api": nowhere})), "CONNECT_REFUSED", "Connection refused");
        failed(bench.agent("anna", json!({"api": "http://nobody.invalid"})), "DNS_NXDOMAIN", "nobody.invalid");
        failed(
            bench.agent("anna", json!({"streaming": nowhere.replace("http", "ws")})),
            "CONNECT_REFUSED",
            "Connection refused",
        );
        let wrong = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let api = format!("http://{}", wrong.local_addr().expect("bound"));
        let refusing = std::thread::spawn(move || {
            let (mut stream, _) = wrong.accept().expect("a client");
            let mut some = [0; 4096];
            let _read = stream.read(&mut some).expect("a request");
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").expect("a reader");
        });
        failed(bench.agent("anna", json!({"api": api})), "UPGRADE_UNAUTHORIZED", "the HTTP request 'me'");
        refusing.join().expect("no panic");
        let failures = bench.engine.snapshot()["registrations"]["failed"].as_i64();
        assert_eq!(failures, Some(5));
        bench.ends_without_a_trace();
        let bench = Bench::cloud(json!({"faults": {"saslFailure": "not-authorized"}}));
        let done = bench.register("", bench.agent("anna", json!({}))).expect("an outcome");
        assert_eq!(text(&done.outcome, "code"), "SIGNALING_REFUSED", "{}", done.outcome);
        assert!(text(&done.outcome, "message").contains("not-authorized"), "{}", done.outcome);
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_server_that_is_silent_is_told_at_the_callers_deadline() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let silent = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("ws://{}/", silent.local_addr().expect("bound"));
        let config = json!({"profile": "json", "params": {"url": url, "user": "anna"}}).to_string();
        let within = Duration::from_millis(300);
        let done = bench.engine.register_softphone(bench.scope, NOBODY(), "", config.as_bytes(), within);
        let outcome = done.expect("an outcome").outcome;
        assert_eq!(text(&outcome, "code"), "SIGNALING_TIMEOUT", "{outcome}");
        assert!(text(&outcome, "message").contains("the connection to 127.0.0.1:"), "{outcome}");
        bench.ends_without_a_trace();
    });
}

#[test]
fn the_same_user_twice_is_named_here_and_elsewhere() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        bench.registered("first", bench.json_phone("anna"));
        let outcome = bench.register("second", bench.json_phone("anna")).expect("an outcome").outcome;
        assert_eq!(text(&outcome, "code"), "DUPLICATE_IDENTITY", "{outcome}");
        assert_eq!(outcome["identity"]["sameUserHere"], 1, "{outcome}");
        assert!(text(&outcome, "message").contains("another softphone of this process"), "{outcome}");
        // Another worker does not see the first one; the server's words say it.
        let worker = Engine::start().expect("an engine");
        let scope = worker.open_scope(None).expect("a scope");
        let config = bench.json_phone("anna").to_string();
        let outcome =
            worker.register_softphone(scope, NOBODY(), "", config.as_bytes(), LONG).expect("an outcome").outcome;
        assert_eq!(text(&outcome, "code"), "DUPLICATE_IDENTITY", "{outcome}");
        assert_eq!(outcome["identity"]["sameUserHere"], 0, "{outcome}");
        assert!(text(&outcome, "message").contains("other workers"), "{outcome}");
        worker.close_all(LONG);
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_user_whom_another_worker_pushes_out_is_told_so_when_it_is_back() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({}));
        let desk = |bench: &Bench| bench.agent("anna", json!({"jidResource": "desk"}));
        let key = bench.registered("", desk(&bench));
        assert_eq!(bench.report(key)["lastLoss"], Value::Null);
        let worker = Engine::start().expect("an engine");
        let scope = worker.open_scope(None).expect("a scope");
        let config = desk(&bench).to_string();
        let other = worker.register_softphone(scope, NOBODY(), "", config.as_bytes(), LONG).expect("an outcome");
        assert_eq!(text(&other.outcome, "code"), "200", "{}", other.outcome);
        bench.until("it is pushed out", |bench| bench.report(key)["lastLoss"].is_object());
        worker.close_all(LONG);
        bench.until("it is back", |bench| bench.report(key)["registrations"].as_u64() >= Some(2));
        bench.until("it is registered", |bench| bench.engine.is_softphone_registered(key));
        let loss = &bench.report(key)["lastLoss"];
        assert_eq!(text(loss, "cause"), "DUPLICATE_IDENTITY", "{loss}");
        assert!(text(loss, "why").contains("connected elsewhere"), "{loss}");
        assert!(loss["registration"].as_u64() >= Some(1), "{loss}");
        bench.ends_without_a_trace();
    });
}

#[test]
fn what_cannot_be_used_is_refused_by_field_before_any_packet() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let folder = std::env::temp_dir().join(format!("webrtc-engine-profiles-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        std::fs::write(folder.join("mine.json"), "{\n  \"profile\": 1,\n  \"nme\": \"x\"\n}").expect("writable");
        let folder_text = folder.display().to_string();
        let refused = |config: Value, field: &str, says: &str| match bench.register("", config) {
            Err(EngineError::Config(error)) => {
                assert_eq!(error.field, field, "{error}");
                assert!(error.to_string().contains(says), "{says} in {error}");
            }
            other => panic!("{other:?}"),
        };
        refused(json!({"profile": "nobody"}), "profile", "genesys, janus, json");
        refused(json!({"profile": "mine", "profilesDir": folder_text}), "profile", "mine.json:3:");
        refused(json!({"profile": format!("{folder_text}/mine.json")}), "profile", "mine.json:3:");
        refused(json!({"profile": "json", "params": {"user": "anna"}}), "params.url", "needs it");
        refused(json!({"profile": "json", "params": {"password": "s3cret"}}), "params.password", "no such parameter");
        refused(json!({"profile": "json", "byeTimeoutMs": 0}), "byeTimeoutMs", "1 to");
        refused(json!({"profile": "json", "session": {"connectTimeoutMs": 0}}), "session.connectTimeoutMs", "");
        std::fs::remove_dir_all(&folder).expect("ours");
        assert_eq!(bench.engine.snapshot()["registrations"], Value::Null, "nothing was begun");
        bench.engine.close_all(LONG);
    });
}

#[test]
fn a_command_that_the_profile_does_not_know_names_both() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({}));
        let key = bench.registered("", bench.json_phone("anna"));
        let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"tone"}"#, LONG);
        let placed = placed.expect("an outcome");
        let session = placed.session.unwrap_or_else(|| panic!("{}", placed.outcome));
        let control = |command: &str| bench.engine.control_session(session, NOBODY(), command.as_bytes(), LONG);
        let muted = control(r#"{"command":"mute"}"#).expect("muted");
        assert_eq!(text(&muted, "command"), "mute");
        let refused = control(r#"{"command":"hold"}"#).expect_err("the profile has no hold");
        assert_eq!(refused.code(), "UNSUPPORTED");
        assert!(refused.to_string().contains("'hold'") && refused.to_string().contains("'json'"), "{refused}");
        bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        bench.ends_without_a_trace();
    });
}

#[test]
fn digits_go_as_telephone_events_or_by_signaling_and_the_result_says_which() {
    within_two_minutes(|| {
        let bench = Bench::new(json!({"sip": {}}));
        let mut params = bench.urls["softphones"]["sip"].clone();
        params["aor"] = "sip:anna@lab".into();
        params["password"] = "secret".into();
        let sip = bench.registered("sip", json!({"profile": "sip", "params": params}));
        let json = bench.registered("json", bench.json_phone("anna"));
        for (key, ways) in [(sip, ["auto", "telephone-event", "signaling"].as_slice()), (json, &["auto"])] {
            let placed = bench.engine.softphone_call(key, bench.scope, NOBODY(), "call", br#"{"to":"tone"}"#, LONG);
            let placed = placed.expect("an outcome");
            let session = placed.session.unwrap_or_else(|| panic!("{}", placed.outcome));
            let dial = |by: &str, deadline| {
                let command = json!({"command": "dtmf", "digits": "12", "durationMs": 40, "gapMs": 30, "by": by});
                bench.engine.control_session(session, NOBODY(), command.to_string().as_bytes(), deadline)
            };
            for by in ways {
                let sent = dial(by, LONG).expect("sent");
                let dtmf = &sent["dtmf"];
                if *by == "signaling" {
                    assert_eq!(text(dtmf, "by"), "SIP INFO (application/dtmf-relay)");
                } else {
                    assert_eq!(text(dtmf, "by"), "telephone-event", "{sent}");
                    assert_eq!((dtmf["tones"].as_u64(), dtmf["clockRate"].as_u64()), (Some(2), Some(48_000)), "{sent}");
                    assert!(sent["elapsedUs"].as_u64() >= Some(160_000), "it waits for the last: {sent}");
                }
            }
            let late = dial("telephone-event", Duration::from_millis(100)).expect_err("no time for them");
            assert!(late.to_string().contains("these take 160 ms"), "{late}");
            let report = bench.engine.session_report(session).expect("a report").to_string();
            assert!(report.contains(r#""dtmf","telephone-event""#), "{report}");
            if key == json {
                let refused = dial("signaling", LONG).expect_err("the profile has none");
                assert_eq!(refused.code(), "UNSUPPORTED");
            }
            bench.engine.hang_up(session, NOBODY(), LONG).expect("a report");
        }
        bench.ends_without_a_trace();
    });
}

#[test]
fn a_scope_that_closes_hangs_up_and_unregisters_what_it_owns() {
    within_two_minutes(|| {
        let bench = Bench::cloud(json!({"callEveryMs": 1000}));
        let key = bench.registered("", bench.agent("anna", json!({})));
        let (session, _) = bench.answer(key, json!({}));
        bench.talks(session);
        let engine = Arc::clone(&bench.engine);
        let closed = bench.ends_without_a_trace();
        assert_eq!(closed["sessions"].as_array().map(Vec::len), Some(1), "{closed}");
        assert_eq!(closed["softphones"][0]["report"]["state"], "registered", "{closed}");
        assert!(matches!(engine.softphone_report(key), Err(EngineError::Stale { .. })));
    });
}

#[test]
fn a_hundred_agents_come_back_in_lockstep_as_the_vendors_and_spread_out_with_jitter() {
    within_two_minutes(|| {
        for (jitter, lockstep) in [("0", true), ("0.9", false)] {
            let bench = Bench::cloud(json!({}));
            let agents: Vec<SoftphoneKey> = (0..100)
                .map(|number| {
                    let name = format!("agent-{number}");
                    bench.registered(&name, bench.agent(&name, json!({"jitter": jitter})))
                })
                .collect();
            bench.engine.stop_lab(bench.lab, LONG).expect("stopped");
            let mut delays: Vec<u64> = Vec::new();
            for agent in &agents {
                // Between two attempts there is none for a moment.
                bench.until("the loss is seen", |bench| bench.report(*agent)["delayMs"].is_u64());
                delays.extend(bench.report(*agent)["delayMs"].as_u64());
            }
            delays.sort_unstable();
            delays.dedup();
            if lockstep {
                // A slow machine may see the second series of attempts, which is one for all as well.
                assert!(delays.iter().all(|delay| [2000, 4000, 8000].contains(delay)), "{delays:?}");
            } else {
                assert!(delays.len() > 50, "spread out: {delays:?}");
            }
            bench.engine.close_scope(bench.scope, LONG).expect("closed");
            assert_eq!(bench.engine.snapshot()["registrations"]["open"], 0);
            bench.until("no task is left", |bench| bench.engine.snapshot()["generator"]["tasks"] == 0);
        }
    });
}
