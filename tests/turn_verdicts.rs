//! TURN servers that refuse in every way they have: the verdict names the code, never a timeout.
mod peer_support;
mod turn_support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jmeter_webrtc::diagnosis::facts::{End, Step};
use jmeter_webrtc::diagnosis::{Cause, Confidence, Verdict, diagnose};
use jmeter_webrtc::peer::{IceServer, IceTransportPolicy, Session};
use jmeter_webrtc::socket::Trust;
use peer_support::{close, connected, session, until, within};
use turn_support::scripted::{Says, Scripted};
use turn_support::{Coturn, Over, SECRET, free_port, relay_only};

/// What a diagnosis says of a session whose ICE failed.
fn verdict_of(session: &Session) -> Verdict {
    let mut facts = session.facts();
    facts.end = End::SetUp(Step::Ice);
    diagnose(&facts).expect("a verdict")
}

/// The verdict of a session that may use relays of these servers only, at the end of its gathering.
async fn verdict(servers: Vec<IceServer>) -> Verdict {
    let session = session(|config| {
        config.ice_servers = servers;
        config.ice_transport_policy = IceTransportPolicy::Relay;
        config.gather_timeout_ms = 5_000;
    })
    .await;
    session.create_offer().await.expect("offer");
    while session.next_local_candidate().await.is_some() {}
    let verdict = verdict_of(&session);
    session.close(Duration::from_secs(5)).await;
    assert!(!format!("{verdict:?}").contains("wonderland"), "a secret is no evidence");
    verdict
}

fn is(verdict: &Verdict, cause: Cause, confidence: Confidence) {
    assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{verdict:#?}");
}

#[tokio::test]
async fn a_wrong_password_is_a_rejection_over_every_transport() {
    within(async {
        let server = Coturn::start(16, &[]);
        for over in [Over::Udp, Over::Tcp, Over::Tls] {
            let wrong = IceServer { credential: "queen".to_owned(), ..server.ice_server(over) };
            is(&verdict(vec![wrong]).await, Cause::TurnCredentialsRejected, Confidence::Certain);
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_name_whose_time_has_passed_is_expired() {
    within(async {
        let secret = format!("--static-auth-secret={SECRET}");
        let server = Coturn::start_with(16, &["--use-auth-secret", &secret]);
        let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - 3600;
        let expired = IceServer {
            username: format!("{hour_ago}:alice"),
            credential: "made an hour ago".to_owned(),
            ..server.ice_server(Over::Udp)
        };
        let verdict = verdict(vec![expired]).await;
        is(&verdict, Cause::TurnCredentialsExpired, Confidence::Certain);
        assert!(verdict.evidence[0].fact.contains("360"), "an hour and at most nine seconds: {verdict:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_users_quota_and_a_full_server_are_told_apart() {
    within(async {
        let one_each = Coturn::start(16, &["--user-quota=1"]);
        let holder = session(|config| relay_only(config, one_each.ice_server(Over::Udp))).await;
        holder.create_offer().await.expect("offer");
        while holder.next_local_candidate().await.is_some() {}
        is(&verdict(vec![one_each.ice_server(Over::Udp)]).await, Cause::TurnQuota, Confidence::Certain);
        holder.close(Duration::from_secs(5)).await;

        let full = Scripted::start(&[Says::Refuse(401, "one"), Says::Refuse(508, "one")]).await;
        is(&verdict(vec![full.ice_server()]).await, Cause::TurnCapacity, Confidence::Certain);
    })
    .await;
}

#[tokio::test]
async fn codes_of_their_own_have_causes_of_their_own() {
    within(async {
        let stale = Scripted::start(&[Says::Refuse(401, "a"), Says::Refuse(438, "b")]).await;
        is(&verdict(vec![stale.ice_server()]).await, Cause::TurnStaleNonce, Confidence::Certain);
        let other = Scripted::start(&[Says::Refuse(401, "a"), Says::Refuse(442, "a")]).await;
        let verdict = verdict(vec![other.ice_server()]).await;
        is(&verdict, Cause::TurnRefused, Confidence::Certain);
        assert!(verdict.advice.contains("442"), "{verdict:#?}");
    })
    .await;
}

#[tokio::test]
async fn an_alternate_server_that_does_not_serve_is_a_redirection() {
    within(async {
        let alternate = format!("--alternate-server=127.0.0.1:{}", free_port());
        let server = Coturn::start(16, &[&alternate]);
        let verdict = verdict(vec![server.ice_server(Over::Udp)]).await;
        is(&verdict, Cause::TurnRefused, Confidence::Certain);
        assert!(verdict.also.iter().any(|other| other.cause == Cause::StunPortClosed), "{verdict:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_forbidden_peer_is_the_reason_why_a_relay_is_useless() {
    within(async {
        let server = Coturn::start(16, &["--denied-peer-ip=127.0.0.1"]);
        let offerer = session(|config| relay_only(config, server.ice_server(Over::Udp))).await;
        let answerer = session(|config| relay_only(config, server.ice_server(Over::Udp))).await;
        peer_support::signal(&offerer, &answerer).await;
        until("the server forbids the peer", || {
            offerer.wire().transactions.iter().any(|transaction| transaction.error_code == Some(403))
        })
        .await;
        let verdict = verdict_of(&offerer);
        is(&verdict, Cause::TurnPeerForbidden, Confidence::Certain);
        assert!(verdict.advice.contains("127.0.0.1"), "{verdict:#?}");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn connections_to_a_turn_server_fail_like_any_other() {
    within(async {
        let server = Coturn::start(16, &[]);
        let closed = IceServer {
            urls: vec![format!("turn:127.0.0.1:{}?transport=tcp", free_port())],
            ..server.ice_server(Over::Tcp)
        };
        is(&verdict(vec![closed]).await, Cause::ConnectRefused, Confidence::Certain);
        let nobody = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key").cert.pem();
        let untrusted = IceServer { trust: Trust::Pem(nobody), ..server.ice_server(Over::Tls) };
        is(&verdict(vec![untrusted]).await, Cause::TlsFailed, Confidence::Certain);
    })
    .await;
}

#[tokio::test]
async fn a_relayed_call_that_works_has_no_verdict_though_it_was_challenged_first() {
    within(async {
        let server = Coturn::start(16, &[]);
        let (offerer, answerer) = connected(|config| relay_only(config, server.ice_server(Over::Tcp))).await;
        assert_eq!(diagnose(&offerer.facts()), None);
        assert_eq!(diagnose(&answerer.facts()), None);
        close(&offerer, &answerer).await;
    })
    .await;
}
