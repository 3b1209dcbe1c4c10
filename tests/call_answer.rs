//! Registered clients that take calls.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::time::Duration;

use call_support::{close, config, eventually, hang_up, lab, socket, stop, within};
use jmeter_webrtc::signaling::call::{CallConfig, answer_next, place, register};
use jmeter_webrtc::signaling::outcome::{CallCode, EndedBy};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_registered_client_answers_and_both_sides_accounts_agree() {
    let lab = lab(json!({})).await;
    let (anna, bert) = (socket(&lab).await, socket(&lab).await);
    assert_eq!(within(register(&bert, "bert", 5 * SECOND)).await.unwrap().name, "bert");
    let default = CallConfig::default();
    let to_bert = config(json!({"to":"bert"}));
    let (placed, answered) =
        within(async { tokio::join!(place(anna.clone(), &to_bert), answer_next(bert.clone(), &default, 10 * SECOND)) })
            .await;
    let (placed, answered) = (placed.unwrap(), answered.unwrap());
    assert_eq!(placed.id(), answered.id());
    assert!(answered.outcome().success && answered.outcome().phases.ice_us.is_some());
    tokio::time::sleep(SECOND).await;
    let ours = hang_up(&placed).await;
    assert!(ours.agrees, "{ours:?}");
    eventually("the other side knows", || answered.lost().is_some()).await;
    assert_eq!(answered.lost().unwrap().code, CallCode::EndedByPeer);
    let theirs = hang_up(&answered).await;
    assert_eq!(theirs.ended_by, EndedBy::Peer);
    assert!(theirs.agrees, "{theirs:?}");
    assert_eq!(ours.media.packets_sent, theirs.media.packets_received);
    assert_eq!(ours.media.packets_received, theirs.media.packets_sent);
    for socket in [&anna, &bert] {
        assert_eq!(socket.counters().queued, 0);
        close(socket).await;
    }
    assert_eq!(stop(&lab).await.calls_relayed, 1);
}

#[tokio::test]
async fn an_offer_that_came_before_anybody_waited_is_answered_with_its_candidates() {
    let lab = lab(json!({})).await;
    let (anna, bert) = (socket(&lab).await, socket(&lab).await);
    within(register(&bert, "bert", 5 * SECOND)).await.unwrap();
    let placing = tokio::spawn(async move { place(anna, &config(json!({"to":"bert"}))).await });
    eventually("offer and candidates are queued", || bert.counters().queued >= 2).await;
    let answered = within(answer_next(bert.clone(), &CallConfig::default(), 10 * SECOND)).await.unwrap();
    let placed = within(placing).await.unwrap().unwrap();
    assert_eq!(bert.counters().queued, 0);
    assert!(hang_up(&answered).await.agrees);
    eventually("the caller knows", || placed.lost().is_some()).await;
    assert!(hang_up(&placed).await.agrees);
    stop(&lab).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_with_the_servers_code() {
    let lab = lab(json!({})).await;
    let (first, second) = (socket(&lab).await, socket(&lab).await);
    within(register(&first, "anna", 5 * SECOND)).await.unwrap();
    let failure = within(register(&second, "anna", 5 * SECOND)).await.expect_err("taken");
    assert_eq!(failure.code(), CallCode::SignalingRefused);
    assert_eq!(failure.outcome.error.as_ref().unwrap().details["code"], "NAME_IN_USE");
    let failure = within(register(&second, "", 5 * SECOND)).await.expect_err("empty");
    assert_eq!(failure.code(), CallCode::Config);
    assert_eq!(second.counters().queued, 0);
    stop(&lab).await;
}

#[tokio::test]
async fn waiting_for_an_offer_ends_at_its_deadline_and_with_its_socket() {
    let lab = lab(json!({})).await;
    let bert = socket(&lab).await;
    let default = CallConfig::default();
    let Err(failure) = within(answer_next(bert.clone(), &default, Duration::from_millis(200))).await else {
        panic!("no offer")
    };
    assert_eq!(failure.code(), CallCode::SignalingTimeout);
    assert!(failure.outcome.message.contains("no offer arrived within 200 ms"), "{failure}");
    let (ended, _) = within(async {
        tokio::join!(answer_next(bert.clone(), &default, 20 * SECOND), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop(&lab).await
        })
    })
    .await;
    assert!(matches!(ended.err().unwrap().code(), CallCode::SignalingClosed(_)));
}

#[tokio::test]
async fn an_offer_that_is_no_sdp_fails_the_answer_and_tells_the_caller() {
    let lab = lab(json!({})).await;
    let bert = socket(&lab).await;
    within(register(&bert, "bert", 5 * SECOND)).await.unwrap();
    let mut stranger = call_support::Stranger::registered(&lab, "stranger").await;
    let offer = jmeter_webrtc::signaling::json::Message::Offer {
        call: "c".into(),
        to: Some("bert".into()),
        from: None,
        sdp: "nonsense".into(),
    };
    stranger.say(offer).await;
    let failure = within(answer_next(bert, &CallConfig::default(), 5 * SECOND)).await.err().unwrap();
    assert_eq!(failure.code(), CallCode::SdpRejected, "{failure}");
    let told = stranger.hear_beyond_candidates().await;
    let jmeter_webrtc::signaling::json::Message::Bye { reason, .. } = told else { panic!("{told:?}") };
    assert_eq!(reason.as_deref(), Some("SDP_REJECTED"));
    stop(&lab).await;
}
