//! Descriptions of every kind, renegotiation, sniffed servers, fragments: what a plan's messages may hold.
#![allow(clippy::unwrap_used)]
mod auto_ice_support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use auto_ice_support::{CANNED, Habits, Plan, Server, bounded, eventually, silent_stun};
use jmeter_webrtc::engine::{Engine, Handle, Milestone, OperationKey};
use serde_json::json;

fn invite(cseq: u32, to_tag: &str, body: &str) -> String {
    format!(
        "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/WS client.invalid;branch=z9hG4bK{cseq}\r\n\
         From: <sip:alice@example.org>;tag=alice\r\nTo: <sip:bob@example.org>{to_tag}\r\nCall-ID: hold-me\r\n\
         CSeq: {cseq} INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn every_recorded_description_makes_a_call() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let mut names: Vec<_> = std::fs::read_dir("tests/canned").unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // An offer is what is tested; these are answers, or need what the server of this test has not.
            let canned = std::fs::read_to_string(&path).unwrap();
            if !canned.contains("a=setup:actpass") || name.contains("pcma") || name.contains("hold") {
                continue;
            }
            let plan = Plan::new(&engine);
            let socket = plan.open(&server.url(), json!({}));
            socket.say(json!({"type": "offer", "callId": name, "sdp": canned}));
            let answer = socket.hear_json();
            assert_eq!(answer["type"], "answer", "{name}: {answer}");
            let result = plan.result();
            assert_eq!(result["outcome"]["success"], true, "{name}: {result:#}");
            let lines = |sdp: &str| sdp.lines().filter(|line| line.starts_with("m=")).count();
            let live = server.seen.lock().calls.last().unwrap().offer.clone();
            assert_eq!(lines(&live), lines(&canned), "{name}: {live}");
            if canned.contains("m=video 9") {
                assert!(
                    result["outcome"]["notes"].to_string().contains("video"),
                    "{name}: {}",
                    result["outcome"]["notes"]
                );
            }
            engine.close_scope(plan.test, Duration::from_secs(5)).unwrap();
        }
        assert!(server.seen.lock().calls.len() >= 5);
    });
}

#[test]
fn a_request_inside_the_dialog_renegotiates_the_call() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.send(&invite(1, "", CANNED));
        assert!(socket.hear().starts_with("SIP/2.0 200"));
        plan.up();
        let key = engine.find_session(plan.thread, "hold-me").unwrap().unwrap();
        for (cseq, direction) in [(2, "sendonly"), (3, "sendrecv")] {
            let canned = CANNED.replace("a=sendrecv", &format!("a={direction}"));
            socket.send(&invite(cseq, ";tag=server", &canned));
            let reply = socket.hear();
            assert!(reply.starts_with("SIP/2.0 200"), "{reply}");
            let offer = server.seen.lock().messages.last().cloned().unwrap();
            let offer = String::from_utf8(offer).unwrap();
            assert!(offer.contains(&format!("a={direction}\r\n")), "{offer}");
            assert_eq!(engine.find_session(plan.thread, "hold-me").unwrap(), Some(key), "the same session");
        }
        let before = server.heard()[0];
        eventually("the call goes on", || server.heard()[0] > before + 25);
        let counts = plan.counts();
        assert_eq!((&counts["calls"], &counts["renegotiated"], &counts["replaced"]), (&json!(1), &json!(2), &json!(0)));
        assert_eq!(plan.close()["autoIce"], json!([]));
    });
}

#[test]
fn ice_servers_of_the_plans_own_traffic_are_used() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let (stun, asked) = silent_stun();
        let socket = plan.open(&server.url(), json!({"gatherWaitMs": 300}));
        // The server says back what it does not know.
        socket.say(json!({"type": "config", "iceServers": [{"urls": [stun]}]}));
        socket.hear_json();
        socket.offer("x");
        socket.hear_json();
        plan.up();
        eventually("the STUN server is asked", || asked.load(Ordering::SeqCst) > 0);
        plan.close();
    });
}

#[test]
fn from_the_third_offer_on_gathering_is_not_waited_for() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let (stun, asked) = silent_stun();
        let settings = json!({"gatherWaitMs": 3000, "session": {"iceServers": [{"urls": [stun]}]}});
        let socket = plan.open(&server.url(), settings);
        let mut took = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            socket.offer("x");
            took.push(began.elapsed());
            socket.hear_json();
            plan.up();
            let before = asked.load(Ordering::SeqCst);
            socket.say(json!({"type": "bye", "callId": "x"}));
            socket.hear_json();
            if took.len() == 2 {
                eventually("the next session gathers", || asked.load(Ordering::SeqCst) > before);
                std::thread::sleep(Duration::from_secs(4));
            }
        }
        let waited = Duration::from_millis(2_990);
        assert!(took[0] >= waited && took[1] >= waited, "{took:?}");
        assert!(took[2] < took[1] / 2, "{took:?}");
        let results = engine.end_auto_ice(plan.thread, Duration::from_secs(5)).unwrap();
        assert!(results.is_empty(), "{results:?}");
        plan.close();
    });
}

#[test]
fn samplers_find_the_call_by_its_name() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.say(json!({"type": "offer", "sdp": CANNED}));
        socket.hear_json();
        let (none, deadline) = (OperationKey::of(0), Duration::from_secs(20));
        let key = engine.find_session(plan.thread, "call").unwrap().unwrap();
        engine.await_milestone(key, none, Milestone::Media, deadline).unwrap();
        assert_eq!(plan.up()["callName"], "auto");
        assert_eq!(engine.find_session(plan.thread, "auto").unwrap(), Some(key));
        let report = engine.hang_up(key, none, deadline).unwrap();
        assert!(report["media"]["packetsReceived"].as_u64().unwrap() > 0, "{report:#}");
        assert_eq!(engine.find_session(plan.thread, "call").unwrap(), None, "both names are gone");
        assert_eq!(engine.find_session(plan.thread, "auto").unwrap(), None);
        socket.say(json!({"type": "offer", "sdp": CANNED}));
        socket.hear_json();
        let notes = plan.up()["outcome"]["notes"].clone();
        assert_eq!(notes, json!([]), "nothing was replaced");
        plan.close();
    });
}

#[test]
fn a_call_of_the_same_id_keeps_its_name() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        for _ in 0..3 {
            socket.offer("mine");
            socket.hear_json();
            assert_eq!(plan.up()["callName"], "mine");
        }
        plan.close();
    });
}

#[test]
fn an_offer_in_fragments_is_put_together() {
    bounded(|| {
        let habits = Habits { fragments: true, offers_after: Some(Duration::ZERO), ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.answer("server-call");
        plan.up();
        assert_eq!(server.refused(), Vec::<String>::new());
        plan.close();
    });
}

#[test]
fn a_very_long_message_is_read_in_the_background() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        let (stun, asked) = silent_stun();
        let padding = "x".repeat(600 << 10);
        socket.say(json!({"type": "config", "iceServers": [{"urls": [stun]}], "padding": padding}));
        socket.hear_json();
        eventually("the servers were read", || {
            socket.offer("x");
            socket.hear_json();
            plan.up();
            asked.load(Ordering::SeqCst) > 0
        });
        plan.close();
    });
}
