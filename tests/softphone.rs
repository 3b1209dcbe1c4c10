//! Softphones in the language of profiles, against the lab: plain JSON, and Genesys Cloud.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::sync::Arc;
use std::time::Duration;

use call_support::{eventually, lab, stop, within};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::peer::Session;
use jmeter_webrtc::signaling::profile::{Command, EndedBy, Profile};
use jmeter_webrtc::signaling::softphone::{CallState, Registration, Softphone, SoftphoneConfig, SoftphoneError};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn profile(name: &str) -> Arc<Profile> {
    let path = format!("{}/profiles/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    Arc::new(Profile::parse(&path, &text).unwrap_or_else(|error| panic!("{error}")))
}

fn start(name: &str, config: Value) -> Softphone {
    let config = SoftphoneConfig::from_json(config.to_string().as_bytes()).unwrap();
    Softphone::start(profile(name), config).unwrap()
}

async fn json_phone(lab: &Lab, user: &str) -> Softphone {
    let phone = start("json", json!({"params": {"url": lab.signaling_url(), "user": user}}));
    within(phone.registered(SOON)).await.unwrap();
    phone
}

fn agent(lab: &Lab, token: &str, more: &[(&str, &str)]) -> Softphone {
    let api = lab.genesys_url().unwrap();
    let mut params = json!({"token": token, "api": api, "streaming": api.replace("http", "ws"), "jitter": "0.9"});
    for (name, value) in more {
        params[*name] = (*value).into();
    }
    start("genesys", json!({"params": params}))
}

async fn cloud(genesys: Value) -> Lab {
    lab(json!({"genesys": genesys})).await
}

async fn heard(session: &Session) {
    within(session.first_rtp()).await.unwrap();
}

/// Everything of a lab is gone: nothing a test opened stays open.
async fn gone(lab: &Lab) {
    let watched = lab.clone();
    eventually("no socket is open", || watched.counters().sockets_open == 0).await;
    let counters = stop(lab).await;
    assert_eq!((counters.sockets_open, counters.calls_open), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_json_softphones_talk_through_the_lab_and_one_hangs_up() {
    let lab = lab(json!({})).await;
    let (anna, bert) = (json_phone(&lab, "anna").await, json_phone(&lab, "bert").await);
    let outgoing = within(anna.place("bert")).await.unwrap();
    let incoming = within(bert.next_call(SOON)).await.unwrap();
    assert_eq!(incoming.view().state, CallState::Incoming, "nobody answers for the user");
    within(incoming.accept()).await.unwrap();
    heard(&within(outgoing.connected(SOON)).await.unwrap()).await;
    heard(&within(incoming.connected(SOON)).await.unwrap()).await;
    assert_eq!(within(outgoing.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    assert_eq!(within(incoming.ended(SOON)).await.unwrap().0, EndedBy::Peer);
    drop((anna, bert, outgoing, incoming));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_nobody_is_refused_with_the_servers_words() {
    let lab = lab(json!({})).await;
    let anna = json_phone(&lab, "anna").await;
    let call = within(anna.place("nobody")).await.unwrap();
    match within(call.connected(SOON)).await {
        Err(SoftphoneError::Ended { by: EndedBy::Refusal, reason }) => {
            assert!(reason.contains("NOT_FOUND"), "{reason}")
        }
        other => panic!("{:?}", other.err()),
    }
    drop((anna, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_in_use_ends_the_registration_with_the_servers_words() {
    let lab = lab(json!({})).await;
    let first = json_phone(&lab, "anna").await;
    let second = start("json", json!({"params": {"url": lab.signaling_url(), "user": "anna"}}));
    match within(second.registered(SOON)).await {
        Err(SoftphoneError::NotRegistered { why }) => assert!(why.contains("NAME_IN_USE"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop((first, second));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_logs_in_takes_a_call_and_is_terminated_by_the_server() {
    let lab = cloud(json!({"callEveryMs": 50, "callHoldMs": 300})).await;
    let phone = agent(&lab, "anna", &[]);
    within(phone.registered(SOON)).await.unwrap();
    let call = within(phone.next_call(SOON)).await.unwrap();
    heard(&within(call.connected(SOON)).await.unwrap()).await;
    assert_eq!(within(call.ended(SOON)).await.unwrap(), (EndedBy::Peer, Some("success".to_owned())));
    let next = within(phone.next_call(SOON)).await.unwrap();
    within(next.connected(SOON)).await.unwrap();
    within(phone.unregister(SOON)).await.unwrap();
    assert!(matches!(phone.view().registration, Registration::Ended { .. }));
    assert!(phone.view().problems.iter().all(|problem| problem.contains("WebSocket")), "{:?}", phone.view().problems);
    drop((phone, call, next));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_takes_a_call_in_jingle_mode_and_is_terminated_by_the_server() {
    let lab = cloud(json!({"callEveryMs": 50, "callHoldMs": 300, "sdpOverXmpp": false})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    heard(&within(call.connected(SOON)).await.unwrap()).await;
    within(call.command(Command::Mute)).await.unwrap();
    assert_eq!(within(call.ended(SOON)).await.unwrap(), (EndedBy::Peer, Some("success".to_owned())));
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_ice_in_jingle_mode_keeps_the_call_and_its_media() {
    let faults = json!({"restartIceAfterMs": 300});
    let lab = cloud(json!({"callEveryMs": 50, "sdpOverXmpp": false, "faults": faults})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    heard(&session).await;
    let restarts = || session.timeline().iter().filter(|(_, machine, _)| *machine == "iceRestart").count();
    eventually("the lab has restarted ICE", || restarts() == 1).await;
    let checked = session.wire().check_responses_received;
    eventually("new checks are answered", || session.wire().check_responses_received > checked).await;
    let before = session.counters();
    eventually("media goes on both ways", || {
        let now = session.counters();
        now.packets_received > before.packets_received + 25 && now.packets_sent > before.packets_sent + 25
    })
    .await;
    assert_eq!((restarts(), call.view().state), (1, CallState::Connected));
    assert_eq!(call.view().session.unwrap().started(), session.started(), "the session is the same");
    assert_eq!(within(call.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    assert_eq!(phone.view().problems, Vec::<String>::new());
    assert_eq!(lab.counters().calls_failed, 0);
    drop((phone, call, session));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_hangs_up_in_jingle_mode() {
    let lab = cloud(json!({"callEveryMs": 50, "sdpOverXmpp": false})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    assert_eq!(within(call.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_places_a_call_and_hangs_up_by_rest() {
    let lab = cloud(json!({})).await;
    let phone = agent(&lab, "anna", &[("serverPings", "true")]);
    within(phone.registered(SOON)).await.unwrap();
    let call = within(phone.place("+49301234567")).await.unwrap();
    heard(&within(call.connected(SOON)).await.unwrap()).await;
    within(call.command(Command::Mute)).await.unwrap();
    assert_eq!(within(call.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_outlives_its_websocket_and_the_agent_comes_back() {
    let lab = cloud(json!({"callEveryMs": 50, "faults": {"moveAfterMs": 1500}})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    let watched = phone.clone();
    eventually("the agent is registered again", || watched.view().registrations >= 2).await;
    let before = session.counters().packets_received;
    eventually("media goes on", || session.counters().packets_received > before + 5).await;
    assert_eq!(call.view().state, CallState::Connected);
    drop((phone, watched, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_with_other_ice_credentials_replaces_the_session_of_the_call() {
    let faults = json!({"reinviteAfterMs": 200, "reinviteNewIce": true, "candidateBeforeOffer": true});
    let lab = cloud(json!({"callEveryMs": 50, "faults": faults})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    let first = within(call.connected(SOON)).await.unwrap();
    let started = first.started();
    let watched = call.clone();
    eventually("another session is there", || {
        watched.view().session.is_some_and(|session| session.started() != started)
    })
    .await;
    let second = call.view().session.unwrap();
    within(second.connected()).await.unwrap();
    heard(&second).await;
    drop((phone, watched, call, first, second));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_relay_without_stun_fails_the_call_and_says_failed_transport_to_the_gateway() {
    let lab = cloud(json!({"callEveryMs": 50, "stun": false, "faults": {"deadRelay": true}})).await;
    let api = lab.genesys_url().unwrap();
    let params = json!({"token": "anna", "api": api, "streaming": api.replace("http", "ws")});
    let session = json!({"connectTimeoutMs": 2000, "gatherTimeoutMs": 1000});
    let phone = start("genesys", json!({"params": params, "session": session}));
    let call = within(phone.next_call(SOON)).await.unwrap();
    match within(call.connected(SOON)).await {
        Err(SoftphoneError::Ended { by: EndedBy::Failure, reason }) => {
            assert!(reason.contains("no candidate pair works") && reason.contains(" 0 local "), "{reason}");
        }
        other => panic!("{:?}", other.err()),
    }
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_refused_says_which_step_and_why() {
    for (faults, says) in [
        (json!({"saslFailure": "not-authorized"}), "not-authorized"),
        (json!({"tooManyRequests": 1, "retryAfterS": 1}), "HTTP status 429"),
    ] {
        let lab = cloud(json!({"faults": faults})).await;
        let phone = agent(&lab, "anna", &[]);
        match within(phone.registered(SOON)).await {
            Err(SoftphoneError::NotRegistered { why }) => assert!(why.contains(says), "{why}"),
            other => panic!("{other:?}"),
        }
        drop(phone);
        gone(&lab).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_websocket_on_a_channel_closes_the_first() {
    let lab = cloud(json!({})).await;
    let phone = agent(&lab, "anna", &[]);
    within(phone.registered(SOON)).await.unwrap();
    // The first channel of a lab is number 1.
    let url = format!("{}/stream/channels/streaming-1", lab.genesys_url().unwrap().replace("http", "ws"));
    let (intruder, _) = within(tokio_tungstenite::connect_async(url)).await.unwrap();
    let watched = phone.clone();
    eventually("the first one is lost", || matches!(watched.view().registration, Registration::Reconnecting { .. }))
        .await;
    eventually("the agent is back", || watched.view().registrations == 2).await;
    drop((phone, watched, intruder));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_that_nobody_holds_is_gone_with_its_calls() {
    let lab = cloud(json!({"callEveryMs": 50})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    drop((phone, call));
    gone(&lab).await;
}
