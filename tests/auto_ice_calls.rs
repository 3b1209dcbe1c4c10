//! Canned descriptions of a WebSocket plan become calls that talk, against a server that refuses what it has seen before.
#![allow(clippy::unwrap_used)]
mod auto_ice_support;

use std::time::Duration;

use auto_ice_support::{CANNED, CANNED_CANDIDATE, Habits, Plan, Server, bounded, canned_answer, eventually};
use jmeter_webrtc::engine::Engine;
use serde_json::json;

fn sip(method: &str, call_id: &str, cseq: u32, to_tag: &str, body: &str) -> String {
    format!(
        "{method} sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/WS client.invalid;branch=z9hG4bK{cseq}\r\n\
         From: <sip:alice@example.org>;tag=alice\r\nTo: <sip:bob@example.org>{to_tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_canned_offer_becomes_a_call_that_talks() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("call-1");
        let answer = socket.hear_json();
        assert_eq!(answer["type"], "answer", "{answer}");
        let result = plan.up();
        assert_eq!(
            (&result["kind"], &result["callName"], &result["role"]),
            (&json!("connect"), &json!("call-1"), &json!("offer"))
        );
        assert_eq!((&result["dialog"], &result["place"]), (&json!("call-1"), &json!("socket")));
        let outcome = &result["outcome"];
        assert_eq!(outcome["code"], "200", "{outcome:#}");
        for member in ["elapsedUs", "connectUs", "latencyUs"] {
            assert!(outcome[member].as_u64().unwrap() > 0, "{member}: {outcome:#}");
        }
        assert!(outcome["elapsedUs"].as_u64() >= outcome["latencyUs"].as_u64(), "{outcome:#}");
        assert_eq!(outcome["answerSdp"], answer["sdp"], "the plan reads what came");
        assert!(!outcome["offerSdp"].as_str().unwrap().contains("CANN"), "{outcome:#}");
        assert!(plan.engine.find_session(plan.thread, "call-1").unwrap().is_some());
        assert!(plan.engine.find_session(plan.thread, "call").unwrap().is_some(), "the default name finds it, too");
        eventually("the server hears audio", || server.heard()[0] > 20);
        assert_eq!(server.refused(), Vec::<String>::new());
        let closed = plan.close();
        assert_eq!(closed["autoIce"], json!([]), "{closed:#}");
        assert_eq!(plan.counts()["leaked"], 1);
    });
}

#[test]
fn the_message_differs_only_inside_the_description() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        let message =
            json!({"type": "offer", "callId": "x", "big": 9_007_199_254_740_993_u64, "sdp": CANNED}).to_string();
        let message = message.replace("\"big\":", "\"big\" : ");
        let sent = socket.send(&message);
        socket.hear_json();
        let on_wire = String::from_utf8(server.seen.lock().messages[0].clone()).unwrap();
        assert!(sent > on_wire.len(), "the bytes are those of what went out");
        let (before, _) = message.split_once("v=0").unwrap();
        assert!(on_wire.starts_with(before), "{on_wire}");
        assert!(on_wire.ends_with("\"}"), "{on_wire}");
        plan.close();
    });
}

#[test]
fn a_servers_offer_is_answered_by_the_canned_answer() {
    bounded(|| {
        let habits = Habits { offers_after: Some(Duration::ZERO), ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        assert_eq!(socket.hear_json()["type"], "offer");
        assert_eq!(engine.snapshot()["softphones"]["started"], 0, "an offer costs nothing until it is answered");
        socket.answer("server-call");
        assert_eq!(socket.hear_json()["type"], "accepted");
        let result = plan.up();
        assert_eq!((&result["role"], &result["callName"]), (&json!("answer"), &json!("server-call")));
        eventually("the server hears audio", || server.heard()[0] > 10);
        plan.close();
    });
}

#[test]
fn an_answer_that_is_sent_before_its_offer_came_waits_for_it() {
    bounded(|| {
        let habits = Habits { offers_after: Some(Duration::from_millis(400)), ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({"answerWaitMs": 20_000}));
        socket.answer("server-call");
        plan.up();
        assert_eq!(server.refused(), Vec::<String>::new());
        plan.close();
    });
}

#[test]
fn an_answer_without_an_offer_goes_out_as_it_is_and_is_told() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({"answerWaitMs": 100}));
        socket.answer("nobody");
        assert_eq!(socket.hear_json()["type"], "error");
        assert_eq!(
            server.seen.lock().messages[0],
            json!({"type": "answer", "callId": "nobody", "sdp": canned_answer()}).to_string().into_bytes()
        );
        let left = plan.counts()["left"].clone();
        assert!(left[0]["reason"].as_str().unwrap().contains("no offer of its dialog"), "{left}");
        plan.close();
    });
}

#[test]
fn canned_candidates_carry_live_ones_and_trickled_ones_are_applied() {
    bounded(|| {
        let habits = Habits { trickles_after: Some(Duration::ZERO), wants_candidates: true, ..Habits::default() };
        let (server, engine) = (Server::start(habits), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("trickle");
        assert_eq!(socket.hear_json()["type"], "answer");
        for _ in 0..3 {
            let candidate =
                json!({"candidate": CANNED_CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "CANN"});
            socket.say(json!({"type": "candidate", "callId": "trickle", "candidate": candidate}));
        }
        assert_eq!(socket.hear_json()["type"], "candidate");
        plan.up();
        eventually("all candidates came", || server.seen.lock().candidates.len() == 3);
        let seen = server.seen.lock();
        for candidate in &seen.candidates {
            assert!(candidate.candidate.starts_with("candidate:"), "{candidate:?}");
            assert!(!candidate.candidate.contains("10.9.8.7"), "{candidate:?}");
            assert_eq!(candidate.username_fragment.as_deref(), Some(&*seen.calls[0].ufrag));
        }
        drop(seen);
        plan.close();
    });
}

#[test]
fn a_sip_invite_its_answer_and_a_bye_make_a_whole_call() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        for call in 0..2 {
            socket.send(&sip("INVITE", "canned-call-id", 1, "", CANNED));
            let reply = socket.hear();
            assert!(reply.starts_with("SIP/2.0 200"), "{reply}");
            socket.send(&sip("ACK", "canned-call-id", 1, ";tag=server", ""));
            let result = plan.up();
            assert_eq!(result["callName"], "canned-call-id");
            eventually("the server hears audio", || server.heard()[call] > 5);
            socket.send(&sip("BYE", "canned-call-id", 2, ";tag=server", ""));
            assert!(socket.hear().starts_with("SIP/2.0 200"));
            eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        }
        let counts = plan.counts();
        assert_eq!(
            (&counts["calls"], &counts["replaced"], &counts["leaked"]),
            (&json!(2), &json!(0), &json!(0)),
            "{counts}"
        );
        plan.close();
    });
}

#[test]
fn calls_looped_without_a_bye_replace_each_other() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        for call in 0..4 {
            socket.offer("always-the-same");
            assert_eq!(socket.hear_json()["type"], "answer");
            let result = plan.up();
            let notes = result["outcome"]["notes"].to_string();
            assert_eq!(notes.contains("hung up"), call > 0, "{notes}");
        }
        eventually("one session is left", || engine.snapshot()["softphones"]["open"] == 1);
        assert_eq!(plan.counts()["replaced"], 3);
        assert_eq!(server.refused(), Vec::<String>::new());
        plan.close();
    });
}

#[test]
fn several_calls_on_one_socket_stand_beside_each_other() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        for id in ["a", "b", "c"] {
            socket.offer(id);
            assert_eq!(socket.hear_json()["callId"], id);
            assert_eq!(plan.up()["callName"], id);
        }
        let before = server.heard();
        eventually("all three talk", || server.heard().iter().zip(&before).all(|(now, before)| *now > before + 10));
        socket.say(json!({"type": "bye", "callId": "b"}));
        eventually("two are left", || engine.snapshot()["softphones"]["open"] == 2);
        plan.close();
    });
}

#[test]
fn a_hang_up_of_the_server_is_no_loss() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        socket.hear_json();
        plan.up();
        socket.say(json!({"type": "hang-me-up", "callId": "x"}));
        assert_eq!(socket.hear_json()["type"], "bye");
        eventually("the session is gone", || engine.snapshot()["softphones"]["open"] == 0);
        assert_eq!(plan.close()["autoIce"], json!([]));
    });
}

#[test]
fn a_connection_that_falls_silent_is_a_loss() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let plan = Plan::new(&engine);
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("x");
        socket.hear_json();
        plan.up();
        socket.say(json!({"type": "break", "callId": "x"}));
        let result = plan.result();
        assert_eq!((&result["kind"], &result["lost"]["code"]), (&json!("lost"), &json!("CALL_LOST")), "{result:#}");
        assert_eq!(result["lost"]["cause"], "CONSENT_LOST_PEER", "{result:#}");
        assert!(result["report"]["counters"]["packetsReceived"].as_u64().unwrap() > 0, "{result:#}");
        plan.close();
    });
}
