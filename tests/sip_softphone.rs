//! SIP softphones against the lab's registrar, proxy and answering peers.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::sync::Arc;
use std::time::Duration;

use call_support::{eventually, lab, stop, within};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::media::Dtmf;
use jmeter_webrtc::peer::{MediaDirection, Session};
use jmeter_webrtc::signaling::profile::{Command, EndedBy, Profile};
use jmeter_webrtc::signaling::softphone::{
    CallState, Registration, Softphone, SoftphoneCall, SoftphoneConfig, SoftphoneError, library,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn profile() -> Arc<Profile> {
    library::find("sip", None).unwrap()
}

async fn exchange(sip: Value) -> Lab {
    lab(json!({"sip": sip})).await
}

fn phone_with(lab: &Lab, user: &str, more: &[(&str, &str)]) -> Softphone {
    let mut params = json!({"server": lab.sip_url().unwrap(), "aor": format!("sip:{user}@lab"), "password": "secret",
        "jitter": "0.9"});
    for (name, value) in more {
        params[*name] = (*value).into();
    }
    let config = SoftphoneConfig::from_json(json!({"params": params}).to_string().as_bytes()).unwrap();
    Softphone::start(profile(), config).unwrap()
}

async fn phone(lab: &Lab, user: &str) -> Softphone {
    let phone = phone_with(lab, user, &[]);
    within(phone.registered(SOON)).await.unwrap();
    phone
}

async fn heard(session: &Session) {
    within(session.first_rtp()).await.unwrap();
}

/// Packets go on to come in from now.
async fn goes_on(session: &Session, what: &str) {
    let before = session.counters().packets_received;
    eventually(what, || session.counters().packets_received > before + 10).await;
}

async fn connected(call: &SoftphoneCall) -> Session {
    let session = within(call.connected(SOON)).await.unwrap();
    heard(&session).await;
    session
}

/// Everything of a lab is gone: nothing a test opened stays open.
async fn gone(lab: &Lab) {
    let watched = lab.clone();
    eventually("no socket is open", || watched.counters().sockets_open == 0).await;
    let counters = stop(lab).await;
    assert_eq!((counters.sockets_open, counters.calls_open), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_registers_calls_the_lab_hears_it_and_hangs_up() {
    let lab = exchange(json!({})).await;
    let phone = phone(&lab, "alice").await;
    assert_eq!(lab.sip_registered(), 1);
    let call = within(phone.place("tone")).await.unwrap();
    connected(&call).await;
    assert_eq!(within(call.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    within(phone.unregister(SOON)).await.unwrap();
    eventually("the binding is gone", || lab.sip_registered() == 0).await;
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    let counters = lab.counters();
    assert_eq!((counters.calls_answered, counters.calls_failed), (1, 0));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_softphones_talk_through_the_proxy_and_the_callee_hangs_up() {
    let lab = exchange(json!({})).await;
    let (alice, bob) = (phone(&lab, "alice").await, phone(&lab, "bob").await);
    let out = within(alice.place("bob")).await.unwrap();
    let incoming = within(bob.next_call(SOON)).await.unwrap();
    assert_eq!(incoming.view().state, CallState::Incoming);
    let watched = out.clone();
    eventually("it rings at the other side", || watched.view().state == CallState::Ringing).await;
    within(incoming.accept()).await.unwrap();
    connected(&out).await;
    connected(&incoming).await;
    within(incoming.hang_up(SOON)).await.unwrap();
    let (by, reason) = within(out.ended(SOON)).await.unwrap();
    assert_eq!((by, reason.as_deref()), (EndedBy::Peer, Some("BYE")));
    drop((alice, bob, out, incoming, watched));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_gives_up_cancels_and_a_callee_that_refuses_is_busy() {
    let lab = exchange(json!({})).await;
    let (alice, bob) = (phone(&lab, "alice").await, phone(&lab, "bob").await);
    let out = within(alice.place("bob")).await.unwrap();
    let incoming = within(bob.next_call(SOON)).await.unwrap();
    let watched = out.clone();
    eventually("it rings", || watched.view().state == CallState::Ringing).await;
    assert_eq!(within(out.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    let (by, reason) = within(incoming.ended(SOON)).await.unwrap();
    assert_eq!((by, reason.as_deref()), (EndedBy::Peer, Some("CANCEL")));
    drop(incoming);

    let second = within(alice.place("bob")).await.unwrap();
    let incoming = within(bob.next_call(SOON)).await.unwrap();
    within(incoming.command(Command::Reject)).await.unwrap();
    let (by, reason) = within(second.ended(SOON)).await.unwrap();
    assert_eq!((by, reason.as_deref()), (EndedBy::Refusal, Some("486 Busy Here")));
    drop((alice, bob, out, second, incoming, watched));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_call_ends_with_the_status_and_what_the_server_says() {
    for (faults, by, says) in [
        (json!({"callStatus": 403}), EndedBy::Refusal, "403 Forbidden"),
        (json!({"callStatus": 480}), EndedBy::Refusal, "480 Temporarily Unavailable"),
        (json!({"callStatus": 486}), EndedBy::Refusal, "486 Busy Here"),
        (
            json!({"callStatus": 503, "retryAfterS": 7}),
            EndedBy::Failure,
            "503 Service Unavailable, to be tried again after 7 s",
        ),
    ] {
        let lab = exchange(json!({"faults": faults})).await;
        let phone = phone(&lab, "alice").await;
        let call = within(phone.place("tone")).await.unwrap();
        let ended = within(call.ended(SOON)).await.unwrap();
        assert_eq!(ended, (by, Some(says.to_owned())));
        drop((phone, call));
        gone(&lab).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_answers_is_cancelled_by_hanging_up() {
    let lab = exchange(json!({"faults": {"noAnswer": true}})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("tone")).await.unwrap();
    let watched = call.clone();
    eventually("it rings", || watched.view().state == CallState::Ringing).await;
    let (by, reason) = within(call.hang_up(SOON)).await.unwrap();
    assert_eq!((by, reason.as_deref()), (EndedBy::Us, Some("487 Request Terminated")));
    let nobody = within(phone.place("nobody")).await.unwrap();
    let (by, reason) = within(nobody.ended(SOON)).await.unwrap();
    assert_eq!((by, reason.as_deref()), (EndedBy::Refusal, Some("404 Not Found")));
    drop((phone, call, nobody, watched));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_or_a_refusing_registrar_ends_registering_and_says_why() {
    for (faults, password, says) in [
        (json!({}), "wrong", "401 Unauthorized: the credentials are refused"),
        (json!({"registerStatus": 401}), "secret", "401 Unauthorized: the credentials are refused"),
        (json!({"registerStatus": 403}), "secret", "403 Forbidden"),
        (json!({"registerStatus": 503, "retryAfterS": 3}), "secret", "503 Service Unavailable"),
    ] {
        let lab = exchange(json!({"faults": faults})).await;
        let phone = phone_with(&lab, "alice", &[("password", password)]);
        match within(phone.registered(SOON)).await {
            Err(SoftphoneError::NotRegistered { why }) => {
                assert!(why.contains(says) && !why.contains(password), "{why}");
            }
            other => panic!("{other:?}"),
        }
        drop(phone);
        gone(&lab).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_stops_the_media_and_resume_brings_it_back() {
    let lab = exchange(json!({})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("echo")).await.unwrap();
    let session = connected(&call).await;
    within(call.command(Command::Hold)).await.unwrap();
    eventually("it is on hold", || session.current_direction() == Some(MediaDirection::Sendonly)).await;
    within(call.command(Command::Resume)).await.unwrap();
    eventually("it is resumed", || session.current_direction() == Some(MediaDirection::Sendrecv)).await;
    goes_on(&session, "media goes on").await;
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ice_restart_by_either_side_keeps_the_call_and_its_media() {
    let faults = json!({"reinviteAfterMs": 300, "restartIce": true});
    let lab = exchange(json!({"callEveryMs": 50, "faults": faults})).await;
    let phone = phone_with(&lab, "alice", &[("autoAnswer", "true")]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    let session = connected(&call).await;
    let restarts = |by: &str| {
        session.timeline().iter().filter(|(_, machine, side)| *machine == "iceRestart" && side == by).count()
    };
    eventually("the lab has restarted ICE", || restarts("remote") == 1).await;
    goes_on(&session, "media goes on after the lab's restart").await;
    within(call.command(Command::RestartIce)).await.unwrap();
    eventually("we have restarted ICE", || restarts("local") == 1).await;
    goes_on(&session, "media goes on after our restart").await;
    assert_eq!(call.view().state, CallState::Connected);
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tones_arrive_as_telephone_events_in_their_order_or_by_info() {
    let lab = exchange(json!({})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("tone")).await.unwrap();
    let session = connected(&call).await;
    let dtmf = |digits: &str| Dtmf::new(digits, Some(60), Some(30)).unwrap();
    within(call.command(Command::Dtmf(dtmf("19*#")))).await.unwrap();
    let events = session.can_insert_dtmf(&dtmf("5")).unwrap();
    assert_eq!((events.payload_type, events.clock_rate), (110, 48_000));
    let sent = within(session.insert_dtmf(&dtmf("0123456789*#ABCD"))).await.unwrap();
    assert_eq!((sent.tones, sent.packets), (16, 16 * 5));
    goes_on(&session, "audio goes on").await;
    within(call.hang_up(SOON)).await.unwrap();
    eventually("the lab heard the tones", || lab.sip_tones() == ["19*#"]).await;
    eventually("the call is over", || lab.counters().calls_open == 0).await;
    assert_eq!(lab.dtmf_heard(), ["0123456789*#ABCD"]);
    let (ours, theirs) = (session.counters(), lab.counters());
    assert_eq!((theirs.packets_received, theirs.packets_lost), (ours.packets_sent, 0), "each packet counts once");
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_refreshed_by_whoever_is_to_and_ends_when_the_other_side_does_not() {
    for refreshes in [false, true] {
        let lab = exchange(json!({"sessionExpiresS": 6, "refreshes": refreshes})).await;
        let phone = phone(&lab, "alice").await;
        let call = within(phone.place("tone")).await.unwrap();
        let session = connected(&call).await;
        // Longer than the interval: without a refresh it would be over.
        tokio::time::sleep(Duration::from_secs(8)).await;
        goes_on(&session, "media goes on").await;
        assert_eq!(call.view().state, CallState::Connected, "refreshes: {refreshes}");
        drop((phone, call, session));
        gone(&lab).await;
    }
    let lab = exchange(json!({"sessionExpiresS": 2, "faults": {"noRefresh": true}})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("tone")).await.unwrap();
    let (by, reason) = within(call.ended(SOON)).await.unwrap();
    assert_eq!(by, EndedBy::Failure);
    assert!(reason.as_deref().is_some_and(|why| why.contains("session timer of 2 s expired")), "{reason:?}");
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_websocket_ends_no_call_and_the_softphone_comes_back() {
    let lab = exchange(json!({"faults": {"cutAfterMs": 1500}})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("tone")).await.unwrap();
    let session = connected(&call).await;
    let watched = phone.clone();
    eventually("the softphone is registered again", || watched.view().registrations >= 2).await;
    goes_on(&session, "media goes on").await;
    assert_eq!(call.view().state, CallState::Connected);
    // The dialog goes on over the new WebSocket.
    assert_eq!(within(call.hang_up(SOON)).await.unwrap().0, EndedBy::Us);
    eventually("the lab knows that it is over", || lab.counters().calls_open == 0).await;
    assert_eq!(lab.counters().sockets_cut, 1);
    drop((phone, watched, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_the_lab_that_is_cancelled_ends_by_the_peer() {
    let lab = exchange(json!({"callEveryMs": 50, "faults": {"cancelAfterMs": 200}})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.next_call(SOON)).await.unwrap();
    assert_eq!(within(call.ended(SOON)).await.unwrap(), (EndedBy::Peer, Some("CANCEL".to_owned())));
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_ends_the_call_once_the_other_one_is_up() {
    let lab = exchange(json!({})).await;
    let phone = phone(&lab, "alice").await;
    let call = within(phone.place("tone")).await.unwrap();
    connected(&call).await;
    within(call.command(Command::Transfer { to: "bob".to_owned() })).await.unwrap();
    assert_eq!(within(call.ended(SOON)).await.unwrap().0, EndedBy::Us);
    assert_eq!(phone.view().problems, Vec::<String>::new());
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_outlive_several_of_their_intervals() {
    const PHONES: usize = 50;
    let lab = exchange(json!({"maxExpiresS": 6})).await;
    let mut phones = Vec::new();
    for number in 0..PHONES {
        phones.push(phone_with(&lab, &format!("user{number}"), &[("keepAliveMs", "500")]));
    }
    for phone in &phones {
        within(phone.registered(SOON)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(lab.sip_registered(), PHONES);
    let counters = lab.counters();
    assert_eq!((counters.sockets_opened, counters.registrations_expired), (PHONES as u64, 0));
    for phone in &phones {
        let view = phone.view();
        assert!(matches!(view.registration, Registration::Registered(_)), "{view:?}");
        assert_eq!((view.registrations, view.problems.len()), (1, 0), "{view:?}");
    }
    drop(phones);
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_that_nobody_holds_is_gone_with_its_calls() {
    let lab = exchange(json!({"callEveryMs": 50})).await;
    let phone = phone_with(&lab, "alice", &[("autoAnswer", "true")]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    connected(&call).await;
    drop((phone, call));
    gone(&lab).await;
}
