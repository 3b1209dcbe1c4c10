//! Calls that do not come up: each failure names what failed, with its evidence.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::future::Future;
use std::time::{Duration, Instant};

use call_support::{Stranger, config, eventually, hang_up, lab, socket, stop, within};
use jmeter_webrtc::peer::{Session, SessionConfig};
use jmeter_webrtc::signaling::call::{CallConfig, place};
use jmeter_webrtc::signaling::json::Message;
use jmeter_webrtc::signaling::outcome::{CallCode, CallFailure};
use serde_json::json;

fn failed<T>(result: Result<T, CallFailure>) -> CallFailure {
    let Err(failure) = result else { panic!("must fail") };
    let outcome = &failure.outcome;
    assert!(!outcome.success);
    let error = outcome.error.as_ref().expect("a failure says what failed");
    assert_eq!(error.code, outcome.code);
    assert!(!outcome.message.is_empty());
    failure
}

#[tokio::test]
async fn without_an_answer_signaling_timed_out_and_not_ice() {
    let lab = lab(json!({"faults":{"neverAnswer":true}})).await;
    let begun = Instant::now();
    let failure = failed(within(place(socket(&lab).await, &config(json!({"answerTimeoutMs":300})))).await);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(failure.code(), CallCode::SignalingTimeout);
    assert!(failure.outcome.message.contains("300 ms"), "{failure}");
    assert!(failure.outcome.elapsed_us >= 300_000);
    assert!(failure.outcome.offer_sdp.is_some() && failure.outcome.answer_sdp.is_none());
    eventually("the lab heard the bye", || lab.counters().calls_open == 0).await;
    stop(&lab).await;
}

#[tokio::test]
async fn an_unknown_name_is_refused_with_the_servers_code() {
    let lab = lab(json!({})).await;
    let failure = failed(within(place(socket(&lab).await, &config(json!({"to":"nobody"})))).await);
    assert_eq!(failure.code(), CallCode::SignalingRefused);
    assert_eq!(failure.outcome.error.as_ref().unwrap().details["code"], "NOT_FOUND");
    assert!(failure.to_string().contains("nobody is registered as 'nobody'"), "{failure}");
    stop(&lab).await;
}

#[tokio::test]
async fn a_socket_that_closes_before_the_answer_is_no_ice_failure() {
    let lab =
        lab(json!({"faults":{"neverAnswer":true,"closeAfterMs":300,"closeCode":1013,"closeReason":"later"}})).await;
    let failure = failed(within(place(socket(&lab).await, &CallConfig::default())).await);
    assert!(matches!(failure.code(), CallCode::SignalingClosed(_)), "{failure}");
    assert!(failure.outcome.message.contains("1013"), "{failure}");
    stop(&lab).await;
}

#[tokio::test]
async fn a_closed_socket_is_known_before_a_session_is_made() {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    call_support::close(&socket).await;
    let failure = failed(within(place(socket, &CallConfig::default())).await);
    assert!(matches!(failure.code(), CallCode::SignalingClosed(_)), "{failure}");
    assert!(failure.outcome.timeline.is_empty());
    stop(&lab).await;
}

#[tokio::test]
async fn without_candidates_ice_times_out_with_the_wire_as_evidence() {
    let lab = lab(json!({"faults":{"dropCandidates":true}})).await;
    let failure = failed(within(place(socket(&lab).await, &config(json!({"session":{"connectTimeoutMs":700}})))).await);
    assert_eq!(failure.code(), CallCode::IceTimeout, "{failure}");
    let details = &failure.outcome.error.as_ref().unwrap().details;
    assert_eq!(details["wire"]["checkResponsesReceived"], 0, "{details}");
    assert_eq!(details["pending"]["phase"], "ICE");
    assert!(failure.outcome.phases.signaling_us.is_some() && failure.outcome.phases.ice_us.is_none());
    stop(&lab).await;
}

#[tokio::test]
async fn an_answer_that_is_no_sdp_is_rejected_by_name() {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "stranger").await;
    let caller = tokio::spawn(place_to(&lab, "stranger", json!({})).await);
    let Message::Offer { call, .. } = stranger.hear().await else { panic!("offer first") };
    stranger.say(Message::Answer { call, sdp: "nonsense".into() }).await;
    let failure = failed(within(caller).await.unwrap());
    assert_eq!(failure.code(), CallCode::SdpRejected, "{failure}");
    assert_eq!(failure.outcome.answer_sdp.as_deref(), Some("nonsense"));
    let Message::Bye { reason, .. } = stranger.hear_beyond_candidates().await else { panic!("bye") };
    assert_eq!(reason.as_deref(), Some("SDP_REJECTED"), "the peer hears why");
    stop(&lab).await;
}

/// A future that places a call to `name`, to be spawned.
async fn place_to(
    lab: &jmeter_webrtc::lab::Lab,
    name: &str,
    more: serde_json::Value,
) -> impl Future<Output = Result<jmeter_webrtc::signaling::call::Call, CallFailure>> + Send + 'static {
    let socket = socket(lab).await;
    let mut json = json!({"to": name});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = config(json);
    async move { place(socket, &config).await }
}

/// Answers the stranger's next offer with a real session, its answer altered by `alter`.
async fn answer_with(
    stranger: &mut Stranger,
    config: SessionConfig,
    alter: impl Fn(&str) -> String,
) -> (Session, String) {
    let Message::Offer { call, sdp, .. } = stranger.hear_beyond_candidates().await else { panic!("offer first") };
    let session = Session::new(config).await.unwrap();
    let answer = session.create_answer(&sdp).await.unwrap();
    stranger.say(Message::Answer { call: call.clone(), sdp: alter(&answer) }).await;
    while let Some(candidate) = within(session.next_local_candidate()).await {
        stranger.say(Message::Candidate { call: call.clone(), candidate }).await;
    }
    (session, call)
}

/// Feeds the caller's candidates to the session until something else arrives.
async fn carry(stranger: &mut Stranger, session: &Session) -> Message {
    loop {
        match stranger.hear().await {
            Message::Candidate { candidate, .. } => session.add_ice_candidate(candidate).await.unwrap(),
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_wrong_fingerprint_is_a_dtls_failure_and_not_ice() {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "liar").await;
    let caller = tokio::spawn(place_to(&lab, "liar", json!({"session":{"connectTimeoutMs":12000}})).await);
    let (session, _) = answer_with(&mut stranger, SessionConfig::default(), |answer| {
        let at = answer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let flipped = if &answer[at..at + 2] == "00" { "11" } else { "00" };
        format!("{}{flipped}{}", &answer[..at], &answer[at + 2..])
    })
    .await;
    let bye = carry(&mut stranger, &session).await;
    assert!(matches!(bye, Message::Bye { .. }), "{bye:?}");
    let failure = failed(within(caller).await.unwrap());
    assert!(matches!(failure.code(), CallCode::DtlsFailed | CallCode::DtlsTimeout), "{failure}");
    assert!(failure.outcome.message.starts_with("DTLS "), "{failure}");
    assert!(failure.outcome.connect_us.is_some() && failure.outcome.latency_us.is_none());
    session.close(Duration::from_secs(2)).await;
    stop(&lab).await;
}

#[tokio::test]
async fn a_peer_that_is_silent_is_a_media_failure() {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "mute").await;
    let caller = tokio::spawn(place_to(&lab, "mute", json!({"firstRtpTimeoutMs":500})).await);
    let silent = SessionConfig { send_audio: false, ..SessionConfig::default() };
    let (session, _) = answer_with(&mut stranger, silent, str::to_owned).await;
    carry(&mut stranger, &session).await;
    let failure = failed(within(caller).await.unwrap());
    assert_eq!(failure.code(), CallCode::MediaNoneIn, "{failure}");
    assert!(failure.outcome.latency_us.is_some());
    assert_eq!(failure.outcome.error.as_ref().unwrap().details["media"]["packetsReceived"], 0);
    session.close(Duration::from_secs(2)).await;
    stop(&lab).await;
}

#[tokio::test]
async fn a_peer_that_hangs_up_during_the_set_up_is_named() {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "busy").await;
    let caller = tokio::spawn(place_to(&lab, "busy", json!({})).await);
    let Message::Offer { call, .. } = stranger.hear().await else { panic!("offer first") };
    stranger.say(Message::Bye { call, reason: Some("in a meeting".into()), media: None }).await;
    let failure = failed(within(caller).await.unwrap());
    assert_eq!(failure.code(), CallCode::EndedByPeer);
    assert!(failure.outcome.message.contains("in a meeting"), "{failure}");
    stop(&lab).await;
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_bye_leaves_the_report_without_its_accounts() {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "rude").await;
    let caller = tokio::spawn(place_to(&lab, "rude", json!({"byeTimeoutMs":400})).await);
    let (session, _) = answer_with(&mut stranger, SessionConfig::default(), str::to_owned).await;
    let rude = tokio::spawn(async move {
        let bye = carry(&mut stranger, &session).await;
        (stranger, session, bye)
    });
    let call = within(caller).await.unwrap().unwrap();
    let report = hang_up(&call).await;
    assert!(!report.agrees && report.peer_media.is_none());
    assert_eq!(report.peer_media_missing.as_deref(), Some("the peer did not answer our bye in time"));
    let (_stranger, session, bye) = within(rude).await.unwrap();
    let Message::Bye { media: Some(media), .. } = bye else { panic!("{bye:?}") };
    assert_eq!(media.packets_sent, report.media.packets_sent);
    session.close(Duration::from_secs(2)).await;
    stop(&lab).await;
}

#[test]
fn bad_configuration_is_refused_by_field_name() {
    for (json, field) in [
        (json!({"to":""}), "to"),
        (json!({"to":"x".repeat(129)}), "to"),
        (json!({"answerTimeoutMs":0}), "answerTimeoutMs"),
        (json!({"answerTimeoutMs":-1}), "answerTimeoutMs"),
        (json!({"firstRtpTimeoutMs":3_600_001}), "firstRtpTimeoutMs"),
        (json!({"byeTimeoutMs":"soon"}), "byeTimeoutMs"),
        (json!({"awaitMedia":1}), "awaitMedia"),
        (json!({"surprise":1}), "surprise"),
        (json!({"session":{"connectTimeoutMs":0}}), "session.connectTimeoutMs"),
        (json!({"session":{"codecs":[]}}), "session.codecs"),
        (json!({"session":{"iceServers":[{"urls":["http://x"]}]}}), "session.iceServers[0].urls[0]"),
    ] {
        let error = CallConfig::from_json(json.to_string().as_bytes()).err().unwrap_or_else(|| panic!("{json}"));
        assert_eq!(error.field, field, "{json}: {error}");
    }
}

#[tokio::test]
async fn a_bad_configuration_placed_anyway_fails_before_any_packet_leaves() {
    let lab = lab(json!({})).await;
    let socket = socket(&lab).await;
    let config = CallConfig { to: Some(String::new()), ..CallConfig::default() };
    let sent = socket.counters().frames_sent;
    let failure = failed(within(place(socket.clone(), &config)).await);
    assert_eq!(failure.code(), CallCode::Config);
    assert_eq!(failure.outcome.error.as_ref().unwrap().details["field"], "to");
    assert_eq!(socket.counters().frames_sent, sent);
    stop(&lab).await;
}
