//! Placing calls over our own sockets to the lab.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::time::Duration;

use call_support::{close, config, eventually, hang_up, lab, socket, socket_with, stop, within};
use jmeter_webrtc::peer::ConnectionState;
use jmeter_webrtc::signaling::call::{CallConfig, place};
use jmeter_webrtc::signaling::outcome::{CallCode, EndedBy};
use jmeter_webrtc::socket::Opcode;
use serde_json::json;

#[tokio::test]
async fn a_call_to_the_tone_is_up_with_every_phase_and_both_accounts_agree() {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    let call = within(place(socket.clone(), &CallConfig::default())).await.unwrap();
    let outcome = call.outcome();
    assert!(outcome.success && outcome.error.is_none());
    assert_eq!((outcome.code, &*outcome.message, outcome.state), (CallCode::Ok, "OK", ConnectionState::Connected));
    let phases = outcome.phases;
    for (name, phase) in [
        ("signaling", phases.signaling_us),
        ("ice", phases.ice_us),
        ("dtls", phases.dtls_us),
        ("firstRtp", phases.first_rtp_us),
    ] {
        assert!(phase.is_some(), "{name} is missing: {phases:?}");
    }
    assert!(outcome.connect_us <= outcome.latency_us && outcome.latency_us <= Some(outcome.elapsed_us), "{outcome:?}");
    assert!(outcome.selected_pair.as_ref().unwrap().0.contains("127.0.0.1"), "{:?}", outcome.selected_pair);
    assert!(outcome.codec.is_some() && outcome.payload_type.is_some());
    assert!(outcome.offer_sdp.as_ref().unwrap().starts_with("v=0"));
    assert!(outcome.answer_sdp.as_ref().unwrap().starts_with("v=0"));
    let signaled: Vec<&str> =
        outcome.timeline.iter().filter(|(_, machine, _)| *machine == "signaling").map(|(_, _, what)| &**what).collect();
    assert_eq!(signaled, ["offer sent", "answer received", "answer applied"]);
    let json = serde_json::to_value(outcome).unwrap();
    assert_eq!((&json["code"], &json["state"]), (&json!("200"), &json!("connected")));

    tokio::time::sleep(Duration::from_millis(1200)).await;
    let both_ways = |more_than| {
        let media = call.session().counters();
        media.packets_sent > more_than && media.packets_received > more_than
    };
    eventually("audio goes both ways", || both_ways(20)).await;
    assert!(call.lost().is_none());
    let report = hang_up(&call).await;
    assert!(report.agrees, "{report:?}");
    assert_eq!((report.lost_outgoing, report.lost_incoming), (Some(0), Some(0)));
    assert!(report.media.packets_sent > 20 && report.media.packets_received > 20, "{:?}", report.media);
    assert_eq!((report.ended_by, report.lost.is_none()), (EndedBy::Us, true));
    assert_eq!(report.worst_states.connection_state.as_deref(), Some("connected"));
    assert!(report.duration_us > 1_000_000, "{report:?}");
    let again = hang_up(&call).await;
    assert_eq!(again.media.packets_sent, report.media.packets_sent, "hanging up twice reports once");
    let counters = stop(&lab).await;
    assert_eq!(counters.packets_received, report.media.packets_sent);
    assert_eq!(counters.packets_sent, report.media.packets_received);
    close(&socket).await;
}

#[tokio::test]
async fn a_call_to_the_echo_hears_itself() {
    let lab = lab(json!({})).await;
    let call = within(place(socket(&lab).await, &config(json!({"to":"echo"})))).await.unwrap();
    eventually("the echo is heard", || call.session().counters().packets_received > 10).await;
    let report = hang_up(&call).await;
    assert!(report.agrees && report.media.packets_received > 10, "{report:?}");
    assert!(report.media.packets_received <= report.media.packets_sent);
    stop(&lab).await;
}

#[tokio::test]
async fn a_call_without_trickle_connects_too() {
    let lab = lab(json!({})).await;
    let full = config(json!({"session":{"trickle":false}}));
    let call = within(place(socket(&lab).await, &full)).await.unwrap();
    assert!(call.outcome().offer_sdp.as_ref().unwrap().contains("a=candidate:"));
    assert!(hang_up(&call).await.agrees);
    stop(&lab).await;
}

#[tokio::test]
async fn a_late_answer_is_waited_for() {
    let lab = lab(json!({"faults":{"answerDelayMs":1500}})).await;
    let call = within(place(socket(&lab).await, &CallConfig::default())).await.unwrap();
    assert!(call.outcome().phases.signaling_us.unwrap() >= 1_500_000);
    assert!(hang_up(&call).await.agrees);
    stop(&lab).await;
}

#[tokio::test]
async fn one_socket_carries_several_calls_and_the_plans_own_frames() {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    let reader = tokio::spawn({
        let socket = socket.clone();
        async move {
            let mut pongs = 0;
            while pongs < 40 {
                let frame = within(socket.receive()).await.unwrap();
                assert_eq!(&frame.payload[..], br#"{"type":"pong"}"#, "only the plan's own frames reach its readers");
                pongs += 1;
            }
        }
    });
    let speaker = tokio::spawn({
        let socket = socket.clone();
        async move {
            for _ in 0..40 {
                socket.send(Opcode::Text, true, br#"{"type":"ping"}"#).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let default = CallConfig::default();
    let echo = config(json!({"to":"echo"}));
    let (first, second) =
        within(async { tokio::join!(place(socket.clone(), &default), place(socket.clone(), &echo)) }).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.id(), second.id());
    assert!(hang_up(&first).await.agrees);
    assert!(hang_up(&second).await.agrees);
    within(speaker).await.unwrap();
    within(reader).await.unwrap();
    assert_eq!(socket.counters().queued, 0);
    stop(&lab).await;
}

#[tokio::test]
async fn a_socket_outlives_the_idle_cut_by_its_pings_and_so_does_its_call() {
    let lab = lab(json!({"idleCutMs":3000})).await;
    let socket = socket_with(&lab, json!({"pingIntervalMs":200})).await;
    let call = within(place(socket.clone(), &CallConfig::default())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(socket.close_cause(), None);
    assert!(call.signaling_lost().is_none());
    assert!(hang_up(&call).await.agrees);
    assert_eq!(stop(&lab).await.sockets_cut, 0);
}

#[tokio::test]
async fn the_call_goes_on_without_its_socket_and_says_so_at_the_end() {
    let lab = lab(json!({"faults":{"closeAfterMs":1200,"closeCode":1012}})).await;
    let call = within(place(socket(&lab).await, &CallConfig::default())).await.unwrap();
    eventually("the socket is lost", || call.signaling_lost().is_some()).await;
    let received = call.session().counters().packets_received;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(call.session().counters().packets_received > received, "media does not need the socket");
    assert!(call.lost().is_none());
    let report = hang_up(&call).await;
    assert!(!report.agrees && report.peer_media.is_none());
    assert!(report.peer_media_missing.as_ref().unwrap().contains("could not be sent"), "{report:?}");
    assert!(report.signaling_lost.is_some());
    stop(&lab).await;
}

#[tokio::test]
async fn a_hang_up_of_the_peer_ends_the_call_with_agreeing_accounts() {
    let lab = lab(json!({})).await;
    let call = within(place(socket(&lab).await, &CallConfig::default())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counters = stop(&lab).await;
    eventually("the call is lost", || call.lost().is_some()).await;
    let lost = call.lost().unwrap();
    assert_eq!(lost.code, CallCode::EndedByPeer);
    assert!(lost.message.contains("the lab stops"), "{lost:?}");
    let report = hang_up(&call).await;
    assert_eq!((report.ended_by, report.reason.as_deref()), (EndedBy::Peer, Some("the lab stops")));
    assert_eq!(report.media.packets_sent, counters.packets_received);
    assert_eq!(report.media.packets_received, counters.packets_sent);
    assert_eq!(report.lost.unwrap().code, CallCode::EndedByPeer);
}

#[tokio::test]
async fn dropping_a_call_hangs_up_in_the_background() {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    let call = within(place(socket.clone(), &CallConfig::default())).await.unwrap();
    drop(call);
    eventually("the lab's call has ended", || lab.counters().calls_open == 0).await;
    assert_eq!(socket.counters().queued, 0, "the farewell stays out of the plan's readers");
    let counters = stop(&lab).await;
    assert_eq!((counters.calls_abandoned, counters.calls_failed), (0, 0), "it ended by a bye");
}
