//! Softphones in the language of profiles, against the lab: plain JSON, and Genesys Cloud.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use call_support::{eventually, lab, stop, within};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::net::http::{self, Reach};
use jmeter_webrtc::peer::Session;
use jmeter_webrtc::signaling::profile::{Command, EndedBy, Profile};
use jmeter_webrtc::signaling::softphone::{CallState, Registration, Softphone, SoftphoneConfig, SoftphoneError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

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

/// The profile of Genesys Cloud with other times, by their JSON pointers.
fn hurried(times: &[(&str, u64)]) -> Arc<Profile> {
    let path = format!("{}/profiles/genesys.json", env!("CARGO_MANIFEST_DIR"));
    let mut profile: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (pointer, ms) in times {
        let (section, name) = pointer.rsplit_once('/').unwrap();
        profile.pointer_mut(section).unwrap_or_else(|| panic!("{section}"))[name] = (*ms).into();
    }
    Arc::new(Profile::parse("hurried.json", &profile.to_string()).unwrap_or_else(|error| panic!("{error}")))
}

/// A TLS server for `name` in front of `behind`, and the issuer of its certificate as PEM.
async fn tls_in_front_of(behind: SocketAddr, name: &str) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that refuses the certificate is what some tests are about.
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    (address, issuer.pem())
}

/// Why a softphone did not register.
async fn refused(phone: &Softphone) -> (String, String) {
    match within(phone.registered(SOON)).await {
        Err(SoftphoneError::NotRegistered { why }) => (why, format!("{:?}", phone.view().failure)),
        other => panic!("{other:?}"),
    }
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
    let lab = cloud(json!({"callEveryMs": 50, "callHoldMs": 3000})).await;
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
    let lab = cloud(json!({"callEveryMs": 50, "callHoldMs": 3000, "sdpOverXmpp": false})).await;
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

/// How often the lab's counterpart of Genesys Cloud has heard something of a call.
async fn heard_by(lab: &Lab, word: &str) -> u64 {
    let url = format!("{}/lab/heard", lab.genesys_url().unwrap());
    let heard = within(http::exchange("GET", &url, &[], None, SOON, &Reach::default())).await.unwrap();
    serde_json::from_str::<Value>(&heard.body).unwrap()[word].as_u64().unwrap_or_default()
}

async fn until_heard_by(lab: &Lab, word: &str, times: u64) {
    let begun = std::time::Instant::now();
    while heard_by(lab, word).await < times {
        assert!(begun.elapsed() < SOON, "'{word}' was not heard {times} times");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_of_the_same_ice_that_is_repeated_is_answered_once_and_changes_nothing() {
    let faults = json!({"reinviteAfterMs": 200, "reinviteRepeats": 2});
    let lab = cloud(json!({"callEveryMs": 50, "faults": faults})).await;
    let phone = agent(&lab, "anna", &[]);
    let call = within(phone.next_call(SOON)).await.unwrap();
    let session = within(call.connected(SOON)).await.unwrap();
    heard(&session).await;
    until_heard_by(&lab, "answer", 2).await;
    // By then it was repeated twice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(heard_by(&lab, "answer").await, 2, "once for the call and once for the offer");
    let before = session.counters().packets_received;
    eventually("media goes on", || session.counters().packets_received > before + 5).await;
    assert_eq!(call.view().session.unwrap().started(), session.started(), "the same PeerConnection");
    drop((phone, call, session));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registering_waits_for_ice_servers_that_come_late() {
    let turn = json!({"host": "127.0.0.1", "port": 9, "username": "u", "credential": "p"});
    let lab = cloud(json!({"turn": turn, "faults": {"extdiscoDelayMs": 1500}})).await;
    let begun = std::time::Instant::now();
    let phone = agent(&lab, "anna", &[]);
    within(phone.registered(SOON)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(1500), "it asks for them before it is registered");
    assert_eq!((phone.view().ice_servers, phone.view().relay_only), (2, false));
    drop(phone);
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_with_other_ice_credentials_replaces_the_session_of_the_call() {
    let faults = json!({"reinviteAfterMs": 3000, "reinviteNewIce": true, "candidateBeforeOffer": true});
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
    until_heard_by(&lab, "terminate failed-transport", 1).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_and_websocket_over_tls_trust_the_issuer_that_was_given_and_nobody_else() {
    let lab = cloud(json!({})).await;
    let behind = lab.genesys_url().unwrap().trim_start_matches("http://").parse().unwrap();
    let (address, issuer) = tls_in_front_of(behind, "127.0.0.1").await;
    let (_, other_issuer) = tls_in_front_of(behind, "127.0.0.1").await;
    let (misnamed, its_issuer) = tls_in_front_of(behind, "softphone.test").await;
    let secure = |address: SocketAddr, trust: Value| {
        let (api, streaming) = (format!("https://{address}"), format!("wss://{address}"));
        let params = json!({"token": "anna", "api": api, "streaming": streaming});
        match trust {
            Value::Null => start("genesys", json!({"params": params})),
            trust => start("genesys", json!({"params": params, "trust": trust})),
        }
    };
    for (address, trust, says) in [
        (address, Value::Null, "UnknownIssuer"),
        (address, json!({"pem": other_issuer}), "invalid peer certificate"),
        (misnamed, json!({"pem": its_issuer}), "not valid for name"),
    ] {
        let (why, failure) = refused(&secure(address, trust)).await;
        assert!(why.contains("the HTTP request 'me' failed") && why.contains("tls"), "{why}");
        assert!(failure.contains(says) || why.contains(says), "{says} in {failure}; {why}");
    }
    assert_eq!(lab.counters().sockets_opened, 0, "no WebSocket was asked for");
    let phone = secure(address, json!({"pem": issuer}));
    within(phone.registered(SOON)).await.unwrap();
    assert_eq!(phone.view().problems, Vec::<String>::new());
    within(phone.unregister(SOON)).await.unwrap();
    drop(phone);
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prologue_whose_server_is_silent_ends_at_its_deadline_and_says_which_request_and_how_far() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let profile = hurried(&[("/http/me/withinMs", 300)]);
    for (scheme, phase) in [("http", "http was not done"), ("https", "tls was not done")] {
        let api = format!("{scheme}://{address}");
        let config = json!({"params": {"token": "anna", "api": api, "streaming": "ws://127.0.0.1:9"}});
        let config = SoftphoneConfig::from_json(config.to_string().as_bytes()).unwrap();
        let phone = Softphone::start(Arc::clone(&profile), config).unwrap();
        let (why, _) = refused(&phone).await;
        assert!(why.contains("'me'") && why.contains("no response within 300 ms") && why.contains(phase), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prologue_that_takes_too_long_in_all_ends_at_the_login_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", silent.local_addr().unwrap());
    let config = json!({"params": {"token": "anna", "api": api, "streaming": "ws://127.0.0.1:9"}});
    let config = SoftphoneConfig::from_json(config.to_string().as_bytes()).unwrap();
    let phone = Softphone::start(hurried(&[("/socket/loginTimeoutMs", 300)]), config).unwrap();
    let (why, _) = refused(&phone).await;
    assert!(why.contains("the HTTP prologue was not done within 300 ms"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_full_jid_twice_is_a_conflict_that_the_first_one_hears_of_and_comes_back_from() {
    let lab = cloud(json!({})).await;
    let desk = [("jidResource", "desk"), ("jitter", "0")];
    let first = agent(&lab, "anna", &desk);
    within(first.registered(SOON)).await.unwrap();
    let second = agent(&lab, "anna", &desk);
    within(second.registered(SOON)).await.unwrap();
    for (loser, winner) in [(&first, &second), (&second, &first)] {
        // After 2 s it comes back, and then it is the other one's turn.
        let (watched, mut told) = (loser.clone(), String::new());
        eventually("one of them hears of the other", || {
            let view = watched.view();
            if let Registration::Reconnecting { delay, .. } = view.registration {
                assert_eq!(delay, Duration::from_secs(2), "as after any loss");
                told = format!("{:?}", view.failure);
            }
            !told.is_empty()
        })
        .await;
        assert!(
            told.contains("Refused") && told.contains("conflict") && told.contains("connected elsewhere"),
            "{told}"
        );
        assert!(winner.view().registrations > 0);
    }
    drop((first, second));
    gone(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_pings_is_left_after_two_of_them_and_reached_again() {
    let lab = cloud(json!({"faults": {"dropPongs": true}})).await;
    let times =
        [("/socket/keepAlive/everyMs", 200), ("/requests/ping/withinMs", 300), ("/socket/reconnect/firstMs", 1000)];
    let api = lab.genesys_url().unwrap();
    let params = json!({"token": "anna", "api": api, "streaming": api.replace("http", "ws")});
    let config = SoftphoneConfig::from_json(json!({"params": params}).to_string().as_bytes()).unwrap();
    let phone = Softphone::start(hurried(&times), config).unwrap();
    within(phone.registered(SOON)).await.unwrap();
    let watched = phone.clone();
    let (mut told, mut why_told) = (String::new(), String::new());
    eventually("it was left and reached again", || {
        let view = watched.view();
        if let Registration::Reconnecting { why, delay, .. } = view.registration {
            assert_eq!(delay, Duration::from_secs(1));
            (told, why_told) = (format!("{:?}", view.failure), why);
        }
        !told.is_empty() && view.registrations >= 2
    })
    .await;
    assert!(why_told.contains("2 keep-alive requests in a row had no answer"), "{why_told}");
    assert!(told.contains("PingTimeout"), "{told}");
    drop((phone, watched));
    gone(&lab).await;
}
