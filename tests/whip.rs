//! WHIP and WHEP softphones against the lab.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::time::Duration;

use call_support::{descriptors, eventually, lab, stop, within};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::signaling::profile::{Command, EndedBy};
use jmeter_webrtc::signaling::softphone::{
    Refusal, Registration, Softphone, SoftphoneCall, SoftphoneConfig, SoftphoneError, library,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn gateway(whip: Value) -> Lab {
    lab(json!({"whip": whip})).await
}

fn start(driver: &str, lab: &Lab, params: &[(&str, &str)]) -> Softphone {
    let mut all = json!({"endpoint": format!("{}/{driver}/live", lab.whip_url().unwrap())});
    for (name, value) in params {
        all[*name] = (*value).into();
    }
    let config = SoftphoneConfig::from_json(json!({"params": all}).to_string().as_bytes()).unwrap();
    Softphone::start(library::find(driver, None).unwrap(), config).unwrap()
}

async fn phone(driver: &str, lab: &Lab, params: &[(&str, &str)]) -> Softphone {
    let phone = start(driver, lab, params);
    within(phone.registered(SOON)).await.unwrap();
    phone
}

async fn refused(call: &SoftphoneCall) -> String {
    match within(call.connected(SOON)).await {
        Err(SoftphoneError::Ended { by: EndedBy::Refusal, reason }) => reason,
        other => panic!("{:?}", other.err()),
    }
}

/// The lab hears what is sent.
async fn heard(lab: &Lab) {
    let before = lab.counters().packets_received;
    let watched = lab.clone();
    eventually("the lab hears", || watched.counters().packets_received > before + 5).await;
}

async fn gone(lab: &Lab) {
    let watched = lab.clone();
    eventually("no session is open", || watched.counters().calls_open == 0).await;
    stop(lab).await;
}

fn no_problems(phone: &Softphone) {
    assert_eq!(phone.view().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_posted_trickled_heard_and_deleted() {
    let lab = gateway(json!({"token": "s3cret"})).await;
    let phone = phone("whip", &lab, &[("token", "s3cret")]).await;
    let call = within(phone.place("")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    heard(&lab).await;
    assert_eq!(call.view().name.as_deref(), Some("/session/1"));
    assert_eq!(within(call.hang_up(SOON)).await.unwrap(), (EndedBy::Us, None));
    assert_eq!(lab.counters().calls_open, 0, "DELETE has ended it at the server");
    no_problems(&phone);
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_session_plays_what_the_server_sends() {
    let lab = gateway(json!({})).await;
    let phone = phone("whep", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    within(session.first_rtp()).await.unwrap();
    within(call.hang_up(SOON)).await.unwrap();
    assert_eq!(lab.counters().packets_received, 0, "egress sends nothing");
    no_problems(&phone);
    drop((phone, call, session));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_server_may_make_the_offer_itself() {
    let lab = gateway(json!({"faults": {"counterOffer": true}})).await;
    let phone = phone("whep", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    within(session.first_rtp()).await.unwrap();
    within(call.hang_up(SOON)).await.unwrap();
    drop((phone, call, session));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ice_is_restarted_by_patch_and_media_goes_on() {
    let lab = gateway(json!({})).await;
    let phone = phone("whip", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    heard(&lab).await;
    let pair = session.selected_pair();
    within(call.command(Command::RestartIce)).await.unwrap();
    let restarts = || session.timeline().iter().filter(|(_, _, state)| state == "checking").count();
    eventually("ICE checks again", || restarts() > 1).await;
    heard(&lab).await;
    assert!(pair.is_some() && session.selected_pair().is_some());
    within(call.command(Command::RestartIce)).await.unwrap();
    eventually("and once more, with the ETag of the first restart", || restarts() > 2).await;
    heard(&lab).await;
    no_problems(&phone);
    within(call.hang_up(SOON)).await.unwrap();
    drop((phone, call, session));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_tells_its_status_and_when_to_come_again() {
    for (faults, status, wait) in [
        (json!({"offerStatus": 404}), 404, None),
        (json!({"offerStatus": 409}), 409, None),
        (json!({"offerStatus": 422}), 422, None),
        (json!({"offerStatus": 503, "retryAfterS": 7, "offerRefusals": 1}), 503, Some(7)),
    ] {
        let lab = gateway(json!({"faults": faults})).await;
        let phone = phone("whip", &lab, &[]).await;
        let call = within(phone.place("")).await.unwrap();
        let reason = refused(&call).await;
        assert!(reason.contains(&format!("HTTP status {status}")) && reason.contains("refused by the lab"), "{reason}");
        assert_eq!(call.view().refusal, Some(Refusal { status, retry_after: wait.map(Duration::from_secs) }));
        drop((phone, call));
        gone(&lab).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused_and_stands_nowhere() {
    let lab = gateway(json!({"token": "right"})).await;
    let phone = phone("whip", &lab, &[("token", "wr0ng")]).await;
    let call = within(phone.place("")).await.unwrap();
    let reason = refused(&call).await;
    assert!(reason.contains("401") && !reason.contains("wr0ng"), "{reason}");
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_up_to_a_limit() {
    let lab = gateway(json!({"token": "t", "faults": {"redirects": 2}})).await;
    let phone = phone("whip", &lab, &[("token", "t")]).await;
    let call = within(phone.place("")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    within(call.hang_up(SOON)).await.unwrap();
    drop((phone, call));
    gone(&lab).await;
    let lab = gateway(json!({"faults": {"redirects": 9}})).await;
    let phone = crate::phone("whip", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    match within(call.connected(SOON)).await {
        Err(SoftphoneError::Ended { by: EndedBy::Failure, reason }) => {
            assert!(reason.contains("more than 5 redirects"), "{reason}")
        }
        other => panic!("{:?}", other.err()),
    }
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_not_support_is_said_and_the_call_goes_on() {
    for (faults, says) in [
        (json!({"patchStatus": 405}), "takes no candidates by PATCH (HTTP status 405"),
        (json!({"patchStatus": 422}), "takes no candidates by PATCH (HTTP status 422"),
        (json!({"patchStatus": 412}), "candidates were refused: HTTP status 412"),
        (json!({"noLocation": true}), "no usable Location"),
    ] {
        let lab = gateway(json!({"faults": faults})).await;
        let phone = phone("whip", &lab, &[]).await;
        let call = within(phone.place("")).await.unwrap();
        within(call.connected(SOON)).await.unwrap();
        let watched = phone.clone();
        eventually(says, || watched.view().problems.iter().any(|problem| problem.contains(says))).await;
        within(call.hang_up(SOON)).await.unwrap();
        drop((phone, watched, call));
        // Without Location nothing could be deleted: the server would find out by consent alone.
        match says {
            "no usable Location" => drop(stop(&lab).await),
            _ => gone(&lab).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_etag_is_not_asked_to_restart() {
    let lab = gateway(json!({"faults": {"noEtag": true}})).await;
    let phone = phone("whip", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    within(call.command(Command::RestartIce)).await.unwrap();
    let watched = phone.clone();
    eventually("it is said", || watched.view().problems.iter().any(|problem| problem.contains("gave no ETag"))).await;
    heard(&lab).await;
    drop((phone, watched, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_may_have_its_candidates_itself() {
    let lab = gateway(json!({"faults": {"patchStatus": 405}})).await;
    let phone = phone("whip", &lab, &[("trickle", "false")]).await;
    let call = within(phone.place("")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    heard(&lab).await;
    no_problems(&phone);
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ice_servers_of_the_endpoint_are_used() {
    let lab = gateway(json!({"stun": true})).await;
    let phone = phone("whip", &lab, &[]).await;
    let call = within(phone.place("other")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    assert!(lab.counters().stun_requests > 0);
    no_problems(&phone);
    drop((phone, call));
    gone(&lab).await;
    let lab = gateway(json!({"stun": true})).await;
    let phone = crate::phone("whip", &lab, &[("options", "false")]).await;
    let call = within(phone.place("")).await.unwrap();
    within(call.connected(SOON)).await.unwrap();
    let problems = phone.view().problems;
    assert!(problems.iter().any(|problem| problem.contains("from the next call on")), "{problems:?}");
    drop((phone, call));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_not_there_ends_the_registration() {
    let lab = gateway(json!({})).await;
    let url = lab.whip_url().unwrap();
    stop(&lab).await;
    let config = json!({"params": {"endpoint": format!("{url}/whip/live?jwt=s3cret"), "withinMs": "5000"}});
    let config = SoftphoneConfig::from_json(config.to_string().as_bytes()).unwrap();
    let phone = Softphone::start(library::find("whip", None).unwrap(), config).unwrap();
    match within(phone.registered(SOON)).await {
        Err(SoftphoneError::NotRegistered { why }) => {
            assert!(why.contains("does not answer") && !why.contains("s3cret"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    let call = within(phone.place("")).await.unwrap();
    assert!(within(call.connected(SOON)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_is_waited_for_no_longer_than_said_and_leaves_no_session() {
    let lab = gateway(json!({"faults": {"answerDelayMs": 4000}})).await;
    let phone = phone("whip", &lab, &[("withinMs", "1500")]).await;
    let call = within(phone.place("")).await.unwrap();
    match within(call.connected(SOON)).await {
        Err(SoftphoneError::Ended { by: EndedBy::Failure, reason }) => {
            assert!(reason.contains("no response within"), "{reason}")
        }
        other => panic!("{:?}", other.err()),
    }
    drop((phone, call));
    stop(&lab).await;
    let lab = gateway(json!({"faults": {"answerDelayMs": 700}})).await;
    let phone = crate::phone("whip", &lab, &[]).await;
    let call = within(phone.place("")).await.unwrap();
    let watched = lab.clone();
    eventually("the offer is there", || watched.counters().calls_open == 1).await;
    assert_eq!(within(call.hang_up(SOON)).await.unwrap(), (EndedBy::Us, None));
    assert_eq!(lab.counters().calls_open, 0, "the session that came after the hang-up is deleted");
    drop((phone, call, watched));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_that_cannot_be_used_are_refused_by_name() {
    for (params, field) in [
        (json!({}), "params.endpoint"),
        (json!({"endpoint": "ws://h/"}), "params.endpoint"),
        (json!({"endpoint": "http://h/", "trickle": "yes"}), "params.trickle"),
        (json!({"endpoint": "http://h/", "withinMs": "0"}), "params.withinMs"),
        (json!({"endpoint": "http://h/", "token": "a b"}), "params.token"),
        (json!({"endpoint": "http://h/", "user": "x"}), "params.user"),
    ] {
        let config = SoftphoneConfig::from_json(json!({"params": params}).to_string().as_bytes()).unwrap();
        let error = Softphone::start(library::find("whip", None).unwrap(), config).err().unwrap().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_that_nobody_holds_deletes_its_session_and_leaves_no_descriptor() {
    let lab = gateway(json!({})).await;
    let before = descriptors();
    for _ in 0..3 {
        let phone = phone("whip", &lab, &[]).await;
        let call = within(phone.place("")).await.unwrap();
        within(call.connected(SOON)).await.unwrap();
        within(phone.unregister(SOON)).await.unwrap();
        assert!(matches!(phone.view().registration, Registration::Ended { .. }));
        heard(&lab).await;
        drop((phone, call));
        let watched = lab.clone();
        eventually("the session is deleted", || watched.counters().calls_open == 0).await;
    }
    eventually("every descriptor is closed", || descriptors() <= before).await;
    gone(&lab).await;
}
