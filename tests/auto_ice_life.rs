//! How calls of Auto ICE begin, fail, are judged and end.
#![allow(clippy::unwrap_used)]
mod auto_ice_support;

use std::time::{Duration, Instant};

use auto_ice_support::{CANNED, CANNED_CANDIDATE, Habits, Plan, Server, bounded, canned_answer, eventually};
use jmeter_webrtc::engine::{Engine, Handle, OperationKey};
use serde_json::{Value, json};

fn failed(result: &Value) -> (&str, &str) {
    let outcome = &result["outcome"];
    assert_eq!(outcome["success"], false, "{result:#}");
    (outcome["code"].as_str().unwrap(), outcome["error"]["cause"].as_str().unwrap_or("none"))
}

#[test]
fn a_lost_socket_keeps_its_call_until_the_next_one_begins() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("first");
        socket.hear_json();
        plan.up();
        server.drop_sockets();
        eventually("the socket is lost", || engine.socket_end(socket.key).unwrap().is_some());
        let before = server.heard()[0];
        eventually("the call goes on", || server.heard()[0] > before + 25);
        let socket = plan.open(&server.url(), json!({}));
        assert_eq!(engine.snapshot()["softphones"]["open"], 1, "opening alone ends nothing");
        socket.offer("second");
        socket.hear_json();
        assert_eq!(plan.up()["callName"], "second");
        eventually("the first call is gone", || engine.snapshot()["softphones"]["open"] == 1);
        assert_eq!(plan.counts()["replaced"], 1);
        plan.close();
    });
}

#[test]
fn closing_the_socket_hangs_up() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        socket.hear_json();
        plan.up();
        socket.close();
        eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        assert_eq!(plan.close()["autoIce"], json!([]), "a hang-up is no loss");
        assert_eq!(plan.counts()["leaked"], 0);
    });
}

#[test]
fn a_late_answer_is_judged_from_the_last_signaling() {
    bounded(|| {
        let habits = Habits { answer_delay: Duration::from_millis(3_500), ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({"session": {"connectTimeoutMs": 2_500}}));
        socket.offer("late");
        std::thread::sleep(Duration::from_millis(2_000));
        let candidate = json!({"candidate": CANNED_CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0});
        socket.say(json!({"type": "candidate", "callId": "late", "candidate": candidate}));
        let result = plan.up();
        assert!(result["outcome"]["elapsedUs"].as_u64().unwrap() > 2_500_000, "{result:#}");
        assert!(result["outcome"]["phases"]["signalingUs"].as_u64().unwrap() > 2_500_000, "{result:#}");
        plan.close();
    });
}

#[test]
fn no_answer_at_all_is_a_signaling_timeout() {
    bounded(|| {
        let habits = Habits { silent: true, ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({"session": {"connectTimeoutMs": 300}}));
        socket.offer("x");
        let result = plan.result();
        assert_eq!(failed(&result), ("SIGNALING_TIMEOUT", "SIGNALING_TIMEOUT"), "{result:#}");
        eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        assert_eq!(plan.close()["autoIce"], json!([]));
    });
}

#[test]
fn a_candidate_where_nobody_is_fails_ice_with_its_evidence() {
    bounded(|| {
        let habits = Habits { unreachable: true, ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({"session": {"connectTimeoutMs": 1_000}}));
        // The server's own checks would make a pair of theirs; it must not know where we are.
        let without = CANNED.to_owned();
        socket.say(json!({"type": "offer", "callId": "x", "sdp": without}));
        socket.hear_json();
        for call in &server.seen.lock().calls {
            let session = call.session.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(session.close(Duration::from_secs(1)));
            });
        }
        let result = plan.result();
        let (code, cause) = failed(&result);
        assert_eq!(code, "ICE_FAILED", "{result:#}");
        assert_ne!(cause, "none", "{result:#}");
        assert!(result["outcome"]["message"].as_str().unwrap().contains("last signaling message"), "{result:#}");
        plan.close();
    });
}

#[test]
fn an_answer_that_cannot_be_used_is_rejected_at_once() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits { silent: true, ..Habits::default() }), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        // The server sends back what it does not know.
        let answer = canned_answer().replace("111 0", "9").replace("a=rtpmap:111 opus/48000/2\r\n", "");
        socket.say(json!({"type": "echo", "callId": "x", "answer": {"type": "answer", "sdp": answer}}));
        let (code, _) = {
            let result = plan.result();
            (failed(&result).0.to_owned(), ())
        };
        assert_eq!(code, "SDP_REJECTED");
        plan.close();
    });
}

#[test]
fn what_is_undecided_is_decided_when_its_scope_closes() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits { silent: true, ..Habits::default() }), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        assert_eq!(engine.auto_ice_waiting(plan.thread), 0);
        let closed = plan.close();
        let result = &closed["autoIce"][0];
        assert_eq!(failed(result).0, "CANCELLED", "{closed:#}");
        assert!(result["outcome"]["message"].as_str().unwrap().starts_with("the thread ended before"), "{closed:#}");
        assert_eq!(engine.auto_ice_waiting(plan.thread), 0);
        let snapshot = engine.snapshot();
        assert_eq!((&snapshot["softphones"]["open"], &snapshot["autoIce"]["leaked"]), (&json!(0), &json!(1)));
    });
}

#[test]
fn ending_auto_ice_ends_its_calls_and_leaves_the_socket() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        socket.hear_json();
        eventually("the call is up", || engine.auto_ice_waiting(plan.thread) == 1);
        let results = engine.end_auto_ice(plan.thread, Duration::from_secs(5)).unwrap();
        assert_eq!((results.len(), &results[0]["outcome"]["success"]), (1, &json!(true)));
        eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        socket.offer("y");
        socket.hear_json();
        assert_eq!(plan.up()["callName"], "y");
        plan.close();
    });
}

#[test]
fn report_and_off_leave_every_byte_as_it_is() {
    bounded(|| {
        for mode in ["report", "off"] {
            let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
            let plan = Plan::new(&engine);
            let socket = plan.open(&server.url(), json!({"mode": mode}));
            socket.offer("x");
            assert_eq!(socket.hear_json()["type"], "error", "canned, so stale");
            let candidate = json!({"candidate": CANNED_CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0});
            socket.say(json!({"type": "candidate", "callId": "x", "candidate": candidate}));
            let expected = [
                json!({"type": "offer", "callId": "x", "sdp": CANNED}).to_string(),
                json!({"type": "candidate", "callId": "x", "candidate": candidate}).to_string(),
            ];
            eventually("both came", || server.seen.lock().messages.len() == 2);
            let seen = server.seen.lock().messages.clone();
            assert_eq!(seen, expected.map(String::into_bytes), "{mode}");
            assert_eq!(engine.snapshot()["softphones"]["started"], 0);
            let would = plan.counts()["wouldSwap"].clone();
            match mode {
                "report" => {
                    assert_eq!((&would[0]["count"], would.as_array().unwrap().len()), (&json!(1), 2), "{would}")
                }
                _ => assert_eq!(would, Value::Null),
            }
            plan.close();
        }
    });
}

#[test]
fn two_hundred_threads_with_one_canned_description_make_two_hundred_calls() {
    const THREADS: usize = 200;
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let test = engine.open_scope(None).unwrap();
        let plans: Vec<Plan<'_>> = (0..THREADS).map(|_| Plan::of_test(&engine, test)).collect();
        std::thread::scope(|threads| {
            for (number, plan) in plans.iter().enumerate() {
                let url = server.url();
                threads.spawn(move || {
                    // Arrivals are spread, as a ramp-up does.
                    std::thread::sleep(Duration::from_millis(number as u64 * 25));
                    let socket = plan.open(&url, json!({}));
                    socket.offer("the-same-id");
                    socket.hear_json();
                    plan.up();
                });
            }
        });
        eventually("all of them talk", || server.heard().iter().all(|packets| *packets > 5));
        let seen = server.seen.lock();
        assert_eq!((seen.calls.len(), &seen.refused), (THREADS, &vec![]));
        let mut ssrcs: Vec<&String> = seen.calls.iter().flat_map(|call| &call.ssrcs).collect();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        assert!(ssrcs.len() >= THREADS, "{} different SSRCs", ssrcs.len());
        drop(seen);
        assert_eq!(engine.snapshot()["softphones"]["talking"], THREADS);
        let closed = engine.close_scope(test, Duration::from_secs(20)).unwrap();
        assert_eq!(closed["autoIce"], json!([]));
        assert_eq!(engine.snapshot()["softphones"]["open"], 0);
    });
}

#[test]
fn a_polling_plan_may_read_the_answer_in_another_thread() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let poller = Plan::of_test(&engine, plan.test);
        let none = OperationKey::of(0);
        // What carries the messages is nothing that Auto ICE sees.
        let carrier = plan.open(&server.url(), json!({"mode": "off"}));
        let config = json!({"server": "127.0.0.1"}).to_string();
        let offering = engine.auto_ice_channel(plan.thread, "http", config.as_bytes()).unwrap();
        let polling = engine.auto_ice_channel(poller.thread, "http", config.as_bytes()).unwrap();
        let same = engine.auto_ice_channel(plan.thread, "http", config.as_bytes()).unwrap();
        assert_eq!(offering, same, "a channel is made once");
        let offer = json!({"type": "offer", "callId": "poll", "sdp": CANNED}).to_string();
        let deadline = Duration::from_secs(20);
        let live = engine.auto_ice_outgoing(offering, none, offer.as_bytes(), b"", deadline).unwrap().unwrap();
        carrier.send(&String::from_utf8(live).unwrap());
        let answer = carrier.hear();
        for _ in 0..3 {
            engine.auto_ice_incoming(polling, answer.clone().into_bytes(), b"").unwrap();
        }
        assert_eq!(plan.up()["place"], "http");
        assert_eq!(poller.results(), Vec::<Value>::new());
        let bye = json!({"type": "bye", "callId": "poll"}).to_string();
        let as_it_is = engine.auto_ice_outgoing(polling, none, bye.as_bytes(), b"", deadline).unwrap();
        assert_eq!(as_it_is, None);
        eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        assert_eq!(plan.counts()["left"], json!([]), "nothing to complain about");
        engine.close_scope(plan.test, Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn functions_of_a_plan_make_the_same_calls() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let (none, deadline) = (OperationKey::of(0), Duration::from_secs(20));
        let carrier = plan.open(&server.url(), json!({"mode": "off"}));
        let config = json!({"server": "127.0.0.1"}).to_string();
        let offer = engine.auto_ice_offer(plan.thread, none, "mine", config.as_bytes(), deadline).unwrap();
        carrier.say(json!({"type": "offer", "callId": "f", "sdp": offer}));
        let candidate = engine.auto_ice_candidate(plan.thread, none, "mine", deadline).unwrap().unwrap();
        assert!(offer.contains(candidate.candidate.trim_start_matches("candidate:")), "{candidate:?}\n{offer}");
        let answer = carrier.hear_json();
        let sdp = answer["sdp"].as_str().unwrap().to_owned();
        for _ in 0..2 {
            engine.auto_ice_apply(plan.thread, none, "mine", "answer", sdp.clone(), deadline).unwrap();
        }
        let result = plan.up();
        assert_eq!((&result["callName"], &result["place"]), (&json!("mine"), &json!("mine")));

        carrier.say(json!({"type": "please-offer", "callId": "g"}));
        let offer = carrier.hear_json()["sdp"].as_str().unwrap().to_owned();
        engine.auto_ice_apply(plan.thread, none, "theirs", "offer", offer.clone(), deadline).unwrap();
        let answer = engine.auto_ice_answer(plan.thread, none, "theirs", config.as_bytes(), None, deadline).unwrap();
        let again =
            engine.auto_ice_answer(plan.thread, none, "theirs", config.as_bytes(), Some(offer), deadline).unwrap();
        assert_eq!(answer, again);
        carrier.say(json!({"type": "answer", "callId": "g", "sdp": answer}));
        assert_eq!(carrier.hear_json()["type"], "accepted");
        assert_eq!(plan.up()["role"], "answer");

        let error = engine.auto_ice_apply(plan.thread, none, "nobody", "answer", sdp.clone(), deadline).unwrap_err();
        assert!(error.config().is_some_and(|error| error.field == "name"), "{error}");
        let error = engine.auto_ice_apply(plan.thread, none, "mine", "rollback", sdp, deadline).unwrap_err();
        assert!(error.config().is_some_and(|error| error.field == "type"), "{error}");
        plan.close();
    });
}

#[test]
fn a_message_without_a_description_costs_nothing_and_stays() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        for text in ["hello", "{\"text\":\"v=0 is not enough\",\"type\":\"chat\"}", "candidate", ""] {
            socket.send(text);
            assert_eq!(socket.hear(), text);
        }
        assert_eq!(plan.counts(), Value::Null);
        plan.close();
    });
}

#[test]
fn a_sample_is_never_longer_for_the_description_that_is_made_for_it() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        // A server that does not answer keeps gathering waiting.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let stun = format!("stun:127.0.0.1:{}", silent.local_addr().unwrap().port());
        let settings = json!({"gatherWaitMs": 400, "session": {"iceServers": [{"urls": [stun]}]}});
        let socket = plan.open(&server.url(), settings);
        let message = json!({"type": "offer", "callId": "x", "sdp": CANNED}).to_string();
        let (none, deadline) = (OperationKey::of(0), Duration::from_secs(20));
        let began = Instant::now();
        let opcode = jmeter_webrtc::socket::Opcode::Text;
        let (_, measured) = engine.send(socket.key, none, opcode, true, message.as_bytes(), deadline).unwrap();
        let whole = began.elapsed();
        assert!(whole >= Duration::from_millis(390), "gathering was waited for: {whole:?}");
        assert!(whole.saturating_sub(measured) >= Duration::from_millis(390), "{measured:?} of {whole:?}");
        socket.hear_json();
        plan.up();
        plan.close();
    });
}

#[test]
fn a_description_that_is_not_ready_in_time_leaves_the_message_as_it_is() {
    bounded(|| {
        let (_server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let config = json!({"server": "127.0.0.1", "answerWaitMs": 20_000}).to_string();
        let channel = engine.auto_ice_channel(plan.thread, "http", config.as_bytes()).unwrap();
        let answer = json!({"type": "answer", "callId": "x", "sdp": canned_answer()}).to_string();
        let (none, deadline) = (OperationKey::of(0), Duration::from_millis(50));
        let live = engine.auto_ice_outgoing(channel, none, answer.as_bytes(), b"", deadline).unwrap();
        assert_eq!(live, None);
        assert!(plan.counts()["left"][0]["reason"].as_str().unwrap().contains("within 50 ms"), "{}", plan.counts());
        assert_eq!(engine.snapshot()["softphones"]["open"], 0);
        plan.close();
    });
}
