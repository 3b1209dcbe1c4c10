//! Calls that fail on purpose: each verdict names its cause by what the wire showed.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::future::Future;
use std::net::UdpSocket;
use std::time::Duration;

use call_support::{Stranger, config, lab, socket, stop, within};
use jmeter_webrtc::diagnosis::{Cause, Confidence, Verdict};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::peer::{Session, SessionConfig};
use jmeter_webrtc::signaling::call::{Call, place};
use jmeter_webrtc::signaling::json::Message;
use jmeter_webrtc::signaling::outcome::CallFailure;
use serde_json::{Value, json};

fn verdict(result: Result<Call, CallFailure>) -> Verdict {
    let Err(failure) = result else { panic!("must fail") };
    let json = serde_json::to_value(&failure.outcome).unwrap();
    let verdict = failure.outcome.error.unwrap().verdict.expect("a failed call has a verdict");
    assert_eq!(json["error"]["cause"], verdict.cause.as_str(), "the members stand beside `code`");
    assert_eq!(json["error"]["evidence"].as_array().unwrap().len(), verdict.evidence.len());
    verdict
}

async fn verdict_at(lab: &Lab, call: Value) -> Verdict {
    let socket = socket(lab).await;
    let verdict = verdict(within(place(socket, &config(call))).await);
    stop(lab).await;
    verdict
}

fn is(verdict: &Verdict, cause: Cause, confidence: Confidence) {
    assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{verdict:#?}");
}

/// A UDP socket that never answers, and its port.
fn silence() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn without_an_answer_the_signaling_is_silent() {
    let lab = lab(json!({"faults":{"neverAnswer":true}})).await;
    let verdict = verdict_at(&lab, json!({"answerTimeoutMs":300})).await;
    is(&verdict, Cause::SignalingTimeout, Confidence::Likely);
}

#[tokio::test]
async fn an_unknown_callee_is_a_refusal() {
    let lab = lab(json!({})).await;
    let verdict = verdict_at(&lab, json!({"to":"nobody"})).await;
    is(&verdict, Cause::SignalingRefused, Confidence::Certain);
    assert!(verdict.advice.contains("NOT_FOUND"), "{verdict:#?}");
}

#[tokio::test]
async fn a_close_before_the_answer_is_named_with_its_status() {
    let lab = lab(json!({"faults":{"neverAnswer":true,"closeAfterMs":300,"closeCode":1013}})).await;
    let verdict = verdict_at(&lab, json!({})).await;
    is(&verdict, Cause::ClosedByServer, Confidence::Certain);
    assert!(verdict.evidence.iter().any(|evidence| evidence.fact.contains("1013")), "{verdict:#?}");
}

#[tokio::test]
async fn withheld_candidates_are_missing_remote_candidates() {
    let lab = lab(json!({"faults":{"dropCandidates":true}})).await;
    let verdict = verdict_at(&lab, json!({"session":{"connectTimeoutMs":700}})).await;
    is(&verdict, Cause::IceNoRemoteCandidates, Confidence::Certain);
}

#[tokio::test]
async fn an_answer_that_leaves_no_time_for_checks_is_late() {
    let lab = lab(json!({"faults":{"answerDelayMs":2500}})).await;
    let verdict = verdict_at(&lab, json!({"session":{"connectTimeoutMs":2400}})).await;
    is(&verdict, Cause::IceAnswerLate, Confidence::Certain);
}

#[tokio::test]
async fn a_turn_server_that_says_nothing_is_silent_and_not_an_ice_failure() {
    let (_silent, port) = silence();
    let lab = lab(json!({})).await;
    let verdict = verdict_at(&lab, relay_through(port)).await;
    is(&verdict, Cause::TurnSilent, Confidence::Likely);
    assert!(verdict.also.iter().any(|other| other.cause == Cause::IceNoLocalCandidates), "{verdict:#?}");
}

#[tokio::test]
async fn a_turn_port_where_nobody_listens_is_closed() {
    let (silent, port) = silence();
    drop(silent);
    let lab = lab(json!({})).await;
    let verdict = verdict_at(&lab, relay_through(port)).await;
    is(&verdict, Cause::StunPortClosed, Confidence::Certain);
}

fn relay_through(port: u16) -> Value {
    json!({"session":{
        "iceTransportPolicy":"relay","gatherTimeoutMs":2000,"connectTimeoutMs":3000,"sourceAddress":"127.0.0.1",
        "iceServers":[{"urls":[format!("turn:127.0.0.1:{port}")],"username":"user","credential":"password"}],
    }})
}

#[tokio::test]
async fn a_turn_name_that_does_not_exist_is_a_dns_cause() {
    let lab = lab(json!({})).await;
    let mut call = relay_through(1);
    call["session"]["iceServers"][0]["urls"] = json!(["turn:no.such.host.invalid"]);
    let verdict = verdict_at(&lab, call).await;
    assert_eq!(verdict.cause.layer().name(), "DNS", "{verdict:#?}");
}

/// A future that places a call to `name`, to be spawned.
async fn place_to(
    lab: &Lab,
    name: &str,
    more: Value,
) -> impl Future<Output = Result<Call, CallFailure>> + Send + use<> {
    let socket = socket(lab).await;
    let mut json = json!({"to": name});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = config(json);
    async move { place(socket, &config).await }
}

/// How a peer is wrong.
struct Wrong {
    offer: fn(&str) -> String,
    answer: fn(&str) -> String,
    candidate: Box<dyn Fn(&str) -> String + Send>,
    session: SessionConfig,
}

impl Default for Wrong {
    fn default() -> Self {
        Self {
            offer: str::to_owned,
            answer: str::to_owned,
            candidate: Box::new(str::to_owned),
            session: SessionConfig::default(),
        }
    }
}

/// The verdict of a call that a real peer answers in a wrong way.
async fn verdict_of_call_to(wrong: Wrong, call: Value) -> Verdict {
    let lab = lab(json!({})).await;
    let mut stranger = Stranger::registered(&lab, "wrong").await;
    let caller = tokio::spawn(place_to(&lab, "wrong", call).await);
    let Message::Offer { call, sdp, .. } = stranger.hear_beyond_candidates().await else { panic!("offer first") };
    let session = Session::new(wrong.session).await.unwrap();
    let answer = session.create_answer(&(wrong.offer)(&sdp)).await.unwrap();
    stranger.say(Message::Answer { call: call.clone(), sdp: (wrong.answer)(&answer) }).await;
    while let Some(mut candidate) = within(session.next_local_candidate()).await {
        candidate.candidate = (wrong.candidate)(&candidate.candidate);
        stranger.say(Message::Candidate { call: call.clone(), candidate }).await;
    }
    loop {
        match stranger.hear().await {
            Message::Candidate { candidate, .. } => session.add_ice_candidate(candidate).await.unwrap(),
            Message::Bye { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    let verdict = verdict(within(caller).await.unwrap());
    session.close(Duration::from_secs(2)).await;
    stop(&lab).await;
    verdict
}

#[tokio::test]
async fn a_wrong_fingerprint_is_named_as_one() {
    let wrong = Wrong {
        answer: |answer| {
            let at = answer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
            let flipped = if &answer[at..at + 2] == "00" { "11" } else { "00" };
            format!("{}{flipped}{}", &answer[..at], &answer[at + 2..])
        },
        ..Wrong::default()
    };
    let verdict = verdict_of_call_to(wrong, json!({"session":{"connectTimeoutMs":12000}})).await;
    is(&verdict, Cause::DtlsFingerprint, Confidence::Certain);
}

#[tokio::test]
async fn checks_for_another_ufrag_are_a_stale_description() {
    let wrong = Wrong {
        offer: |offer| {
            let at = offer.find("a=ice-ufrag:").unwrap() + "a=ice-ufrag:".len();
            format!("{}stale{}", &offer[..at], &offer[at..])
        },
        ..Wrong::default()
    };
    let verdict = verdict_of_call_to(wrong, json!({"session":{"connectTimeoutMs":3000}})).await;
    is(&verdict, Cause::IceStaleUfrag, Confidence::Certain);
}

/// A candidate with another address and port.
fn moved(candidate: &str, address: &str, port: u16) -> String {
    let mut words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
    if let [_, _, _, _, host, its_port, ..] = &mut words[..] {
        (*host, *its_port) = (address.to_owned(), port.to_string());
    }
    words.join(" ")
}

/// A peer that cannot reach us either: it knows no candidate of ours that works.
fn deaf() -> Wrong {
    Wrong {
        session: SessionConfig { source_address: Some("127.0.0.1".parse().unwrap()), ..SessionConfig::default() },
        offer: |offer| {
            let at = offer.find("a=ice-pwd:").unwrap() + "a=ice-pwd:".len();
            format!("{}wrong{}", &offer[..at], &offer[at..])
        },
        ..Wrong::default()
    }
}

#[tokio::test]
async fn checks_into_silence_are_unanswered() {
    let (_silent, port) = silence();
    let wrong = Wrong { candidate: Box::new(move |candidate| moved(candidate, "127.0.0.1", port)), ..deaf() };
    let call = json!({"session":{"connectTimeoutMs":2500,"sourceAddress":"127.0.0.1"}});
    let verdict = verdict_of_call_to(wrong, call).await;
    is(&verdict, Cause::IceChecksUnanswered, Confidence::Likely);
}

#[tokio::test]
async fn checks_to_a_closed_port_are_unanswered_for_certain() {
    let (silent, port) = silence();
    drop(silent);
    let wrong = Wrong { candidate: Box::new(move |candidate| moved(candidate, "127.0.0.1", port)), ..deaf() };
    let call = json!({"session":{"connectTimeoutMs":2500,"sourceAddress":"127.0.0.1"}});
    let verdict = verdict_of_call_to(wrong, call).await;
    assert_eq!(verdict.cause, Cause::IceChecksUnanswered, "{verdict:#?}");
    assert!(verdict.evidence.iter().any(|evidence| evidence.fact.contains("ICMP")), "{verdict:#?}");
}

#[tokio::test]
async fn candidates_behind_mdns_names_are_named_as_such() {
    let candidate = |candidate: &str| moved(candidate, "5b2d5f0a-1d3f-4f30-8c86-0b0d33f6c4a5.local", 5000);
    let wrong = Wrong { candidate: Box::new(candidate), ..deaf() };
    let verdict = verdict_of_call_to(wrong, json!({"session":{"connectTimeoutMs":1500}})).await;
    is(&verdict, Cause::IceNoCompatiblePairs, Confidence::Certain);
}

#[tokio::test]
async fn candidates_of_the_other_family_make_no_pair() {
    let wrong = Wrong { candidate: Box::new(|candidate| moved(candidate, "2001:db8::1", 5000)), ..deaf() };
    let call = json!({"session":{"connectTimeoutMs":1500,"sourceAddress":"127.0.0.1"}});
    let verdict = verdict_of_call_to(wrong, call).await;
    is(&verdict, Cause::IceNoCompatiblePairs, Confidence::Certain);
}

#[tokio::test]
async fn a_peer_that_sends_no_audio_is_a_missing_medium() {
    let wrong = Wrong { session: SessionConfig { send_audio: false, ..SessionConfig::default() }, ..Wrong::default() };
    let verdict = verdict_of_call_to(wrong, json!({"firstRtpTimeoutMs":500})).await;
    is(&verdict, Cause::MediaNoneIn, Confidence::Likely);
}

#[tokio::test]
async fn a_healthy_call_has_no_verdict_at_any_time() {
    let lab = lab(json!({})).await;
    let call = within(place(socket(&lab).await, &config(json!({})))).await.unwrap();
    assert!(call.outcome().error.is_none());
    let deadline = tokio::time::Instant::now() + Duration::from_millis(1500);
    while tokio::time::Instant::now() < deadline {
        assert_eq!(jmeter_webrtc::diagnosis::diagnose(&call.facts()), None);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = call_support::hang_up(&call).await;
    assert!(report.lost.is_none() && report.verdict.is_none(), "{report:?}");
    stop(&lab).await;
}
