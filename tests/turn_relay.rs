//! Relayed calls through a real TURN server, and what the wire says when there is no relay.
mod peer_support;
mod turn_support;

use std::time::Duration;

use jmeter_webrtc::net::facts::{IceServerState, StunMethod, WireFacts};
use jmeter_webrtc::peer::{IceServer, IceTransportPolicy, Session};
use jmeter_webrtc::socket::Trust;
use peer_support::{close, connected, drained, session, until, within};
use tokio::net::UdpSocket;
use turn_support::scripted::{Says, Scripted};
use turn_support::{Coturn, Over, SECRET, free_port, relay_only};

/// Offers with these ICE servers and relays only, until gathering has ended; returns the session and what was seen.
async fn gathered(servers: Vec<IceServer>, gather_timeout_ms: u64) -> (Session, WireFacts) {
    let session = session(|config| {
        config.ice_servers = servers;
        config.ice_transport_policy = IceTransportPolicy::Relay;
        config.gather_timeout_ms = gather_timeout_ms;
    })
    .await;
    session.create_offer().await.expect("offer");
    while session.next_local_candidate().await.is_some() {}
    let facts = session.wire();
    (session, facts)
}

async fn closed(session: &Session) {
    session.close(Duration::from_secs(5)).await;
}

async fn calls(over: Over) {
    within(async {
        let server = Coturn::start(16, &[]);
        let (offerer, answerer) = connected(|config| relay_only(config, server.ice_server(over))).await;
        let (left, right) = tokio::join!(offerer.first_rtp(), answerer.first_rtp());
        left.expect("audio to the offerer");
        right.expect("audio to the answerer");
        until("audio goes both ways", || {
            [&offerer, &answerer].iter().all(|session| session.counters().packets_received >= 10)
        })
        .await;
        let (sent, received) = drained(&offerer, &answerer).await;
        assert!(sent.packets_lost == 0 && received.packets_lost == 0, "{sent:?} {received:?}");
        until("an allocation for each side", || server.allocations() == 2).await;
        let pair = offerer.selected_pair().expect("a pair");
        assert!(pair.0.starts_with("relay 127.0.0.1:"), "{pair:?}");
        let facts = offerer.wire();
        assert_eq!(facts.ice_servers[0].state, IceServerState::Ready, "{facts:?}");
        let nominated = facts.pairs.iter().find(|pair| pair.nominated_us.is_some() && pair.relay.is_some());
        let (answered, nominated) = nominated.map(|pair| (pair.first_answered_us, pair.nominated_us)).expect("a pair");
        // ICE stacks wait 2 s for something better than a relay, of which there is none here.
        let waited = nominated.zip(answered).map_or(0, |(nominated, answered)| nominated.saturating_sub(answered));
        assert!(waited < 1_900_000, "{facts:?}");
        close(&offerer, &answerer).await;
        assert!(offerer.wire().ice_servers[0].released && answerer.wire().ice_servers[0].released);
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_goes_through_a_relay_over_udp_and_leaves_no_allocation() {
    calls(Over::Udp).await;
}

#[tokio::test]
async fn a_call_goes_through_a_relay_over_tcp_and_leaves_no_allocation() {
    calls(Over::Tcp).await;
}

#[tokio::test]
async fn a_call_goes_through_a_relay_over_tls_and_leaves_no_allocation() {
    calls(Over::Tls).await;
}

#[tokio::test]
async fn a_relayed_call_renegotiates_and_restarts_ice_on_its_allocation() {
    within(async {
        let server = Coturn::start(16, &[]);
        let (one, other) = connected(|config| relay_only(config, server.ice_server(Over::Udp))).await;
        for restart in [false, true] {
            if restart {
                one.restart_ice();
            }
            let offer = one.create_offer().await.expect("offer");
            assert!(offer.contains(" typ relay "), "{offer}");
            let answer = other.create_answer(&offer).await.expect("answer");
            one.set_remote_answer(&answer).await.expect("applied");
            let before = (one.counters().packets_received, other.counters().packets_received);
            until("audio goes on both ways", || {
                one.counters().packets_received > before.0 + 10 && other.counters().packets_received > before.1 + 10
            })
            .await;
            let pair = one.selected_pair().expect("a pair");
            assert!(pair.0.starts_with("relay 127.0.0.1:"), "{pair:?}");
        }
        until("the relays of the first description are used", || server.allocations() == 2).await;
        close(&one, &other).await;
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_over_ipv6_gets_a_relay_of_that_family() {
    within(async {
        let credentials = format!("--user={}:{}", turn_support::USER, turn_support::PASSWORD);
        let server = Coturn::start_at("::1", 16, &["--lt-cred-mech", &credentials]);
        let (offerer, answerer) = connected(|config| {
            relay_only(config, server.ice_server(Over::Udp));
            config.source_address = Some("::1".parse().expect("an address"));
        })
        .await;
        offerer.first_rtp().await.expect("audio");
        assert!(offerer.selected_pair().is_some_and(|(local, _)| local.starts_with("relay [::1]:")));
        until("an allocation for each side", || server.allocations() == 2).await;
        close(&offerer, &answerer).await;
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_a_401_to_a_signed_request() {
    within(async {
        let server = Coturn::start(16, &[]);
        let wrong = IceServer { credential: "queen".to_owned(), ..server.ice_server(Over::Udp) };
        let (session, facts) = gathered(vec![wrong], 12_000).await;
        let [challenge, refused] = &facts.transactions[..] else { panic!("{facts:?}") };
        assert!(challenge.is_challenge() && refused.credentials_refused(), "{facts:?}");
        assert_eq!(refused.nonce_changed, Some(false));
        assert_eq!(facts.ice_servers[0].state, IceServerState::Failed);
        assert!(facts.ice_servers[0].failure.as_ref().is_some_and(|why| why.contains("password refused")));
        closed(&session).await;
    })
    .await;
}

#[tokio::test]
async fn time_limited_credentials_are_made_from_the_secret() {
    within(async {
        let secret = format!("--static-auth-secret={SECRET}");
        let server = Coturn::start_with(16, &["--use-auth-secret", &secret]);
        let made = IceServer {
            credential: String::new(),
            secret: SECRET.to_owned(),
            ttl_s: Some(60),
            ..server.ice_server(Over::Tcp)
        };
        let (session, facts) = gathered(vec![made], 12_000).await;
        assert_eq!(facts.ice_servers[0].state, IceServerState::Ready, "{facts:?}");
        closed(&session).await;
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_quota_is_a_486_and_the_place_is_free_again_after_closing() {
    within(async {
        let server = Coturn::start(16, &["--user-quota=1"]);
        let (first, facts) = gathered(vec![server.ice_server(Over::Udp)], 12_000).await;
        assert_eq!(facts.ice_servers[0].state, IceServerState::Ready, "{facts:?}");
        let (second, facts) = gathered(vec![server.ice_server(Over::Udp)], 12_000).await;
        let last = facts.transactions.last().expect("asked");
        assert_eq!((last.error_code, last.with_integrity), (Some(486), true), "{facts:?}");
        closed(&first).await;
        closed(&second).await;
        assert!(first.wire().ice_servers[0].released, "{:?}", first.wire());
        // Coturn counts a moment after it has answered.
        loop {
            let (third, facts) = gathered(vec![server.ice_server(Over::Udp)], 12_000).await;
            closed(&third).await;
            if facts.ice_servers[0].state == IceServerState::Ready {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_alternate_server_is_followed() {
    within(async {
        let target = Coturn::start(16, &[]);
        let alternate = format!("--alternate-server=127.0.0.1:{}", target.port);
        let first = Coturn::start(16, &[&alternate]);
        let (session, facts) = gathered(vec![first.ice_server(Over::Udp)], 12_000).await;
        let server = &facts.ice_servers[0];
        assert_eq!(server.state, IceServerState::Ready, "{facts:?}");
        assert_eq!(server.alternate_server.map(|address| address.port()), Some(target.port));
        assert!(facts.transactions.iter().any(|transaction| transaction.error_code == Some(300)), "{facts:?}");
        until("only the other one has an allocation", || (first.allocations(), target.allocations()) == (0, 1)).await;
        closed(&session).await;
        until("the server has no allocation left", || target.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_stale_nonce_is_answered_with_the_new_one() {
    within(async {
        let server = Coturn::start(16, &["--stale-nonce=1"]);
        let (offerer, answerer) = connected(|config| relay_only(config, server.ice_server(Over::Udp))).await;
        // Coturn calls a nonce stale a second later; closing is then the next thing that is signed.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        close(&offerer, &answerer).await;
        for session in [&offerer, &answerer] {
            let facts = session.wire();
            assert!(facts.transactions.iter().any(|asked| asked.error_code == Some(438)), "{facts:?}");
            assert!(facts.ice_servers[0].nonce_retries > 0 && facts.ice_servers[0].released, "{facts:?}");
        }
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_ends_at_the_gathering_deadline_with_its_requests_in_the_facts() {
    within(async {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let address = silent.local_addr().expect("address");
        let server = IceServer {
            urls: vec![format!("turn:{address}")],
            username: "u".to_owned(),
            credential: "c".to_owned(),
            ..IceServer::default()
        };
        let (session, facts) = gathered(vec![server], 2_500).await;
        let [asked] = &facts.transactions[..] else { panic!("{facts:?}") };
        // At once, after 0.5 s and after 1.5 s; the next would be after 3.5 s.
        assert_eq!((asked.method, asked.server, asked.sends), (StunMethod::Allocate, Some(address), 3));
        assert!(asked.is_unanswered());
        // Both clocks end at about the same time.
        until("the server is given up", || session.wire().ice_servers[0].state == IceServerState::Failed).await;
        assert!(session.wire().ice_servers[0].failure.as_ref().is_some_and(|why| why.contains("no answer")));
        closed(&session).await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_port_is_known_before_the_deadline_and_the_next_server_serves() {
    within(async {
        let server = Coturn::start(16, &[]);
        let closed_udp = IceServer {
            urls: vec![
                format!("turn:127.0.0.1:{}", free_port()),
                format!("turn:127.0.0.1:{}?transport=tcp", free_port()),
            ],
            ..server.ice_server(Over::Udp)
        };
        let servers = || vec![closed_udp.clone(), server.ice_server(Over::Tls)];
        let (session, facts) = gathered(servers(), 12_000).await;
        let [udp, tcp, tls] = &facts.ice_servers[..] else { panic!("{facts:?}") };
        assert!(udp.failure.as_ref().is_some_and(|why| why.contains("ICMP")), "{udp:?}");
        assert!(facts.icmp_errors.iter().any(|error| error.is_port_unreachable()), "{facts:?}");
        assert_eq!(tcp.errno, Some(libc::ECONNREFUSED), "{tcp:?}");
        assert_eq!(tls.state, IceServerState::Ready, "{tls:?}");
        closed(&session).await;
        // What was dead a moment ago is asked last, so not at all.
        let (session, facts) = gathered(servers(), 12_000).await;
        assert_eq!(facts.ice_servers[0].state, IceServerState::Unused, "{facts:?}");
        assert_eq!(facts.ice_servers[2].state, IceServerState::Ready, "{facts:?}");
        closed(&session).await;
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_unless_everybody_is_trusted() {
    within(async {
        let server = Coturn::start(16, &[]);
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key").cert.pem();
        let untrusted = IceServer { trust: Trust::Pem(other), ..server.ice_server(Over::Tls) };
        let (session, facts) = gathered(vec![untrusted], 12_000).await;
        let failed = &facts.ice_servers[0];
        assert!(
            failed.failure.as_ref().is_some_and(|why| why.contains("TLS") && why.contains("certificate")),
            "{failed:?}"
        );
        closed(&session).await;
        let trusted = IceServer { trust: Trust::All, ..server.ice_server(Over::Tls) };
        let (session, facts) = gathered(vec![trusted], 12_000).await;
        assert_eq!(facts.ice_servers[0].state, IceServerState::Ready, "{facts:?}");
        closed(&session).await;
    })
    .await;
}

#[tokio::test]
async fn a_forbidden_peer_is_a_403_with_its_address() {
    within(async {
        let server = Coturn::start(16, &["--denied-peer-ip=127.0.0.1"]);
        let (offerer, answerer) = (
            session(|config| relay_only(config, server.ice_server(Over::Udp))).await,
            session(|config| relay_only(config, server.ice_server(Over::Udp))).await,
        );
        peer_support::signal(&offerer, &answerer).await;
        let forbidden = || {
            let facts = offerer.wire();
            facts.transactions.into_iter().find(|transaction| transaction.error_code == Some(403))
        };
        until("the server forbids the peer", || forbidden().is_some()).await;
        let forbidden = forbidden().expect("seen");
        assert_eq!(forbidden.method, StunMethod::CreatePermission);
        assert_eq!(forbidden.peer_address.map(|address| address.ip()), Some([127, 0, 0, 1].into()));
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn an_allocate_with_a_stale_nonce_is_sent_again_with_the_new_one() {
    within(async {
        let script = &[Says::Refuse(401, "one"), Says::Refuse(438, "two"), Says::Grant];
        let server = Scripted::start(script).await;
        let (session, facts) = gathered(vec![server.ice_server()], 12_000).await;
        let known = &facts.ice_servers[0];
        assert_eq!((known.state, known.nonce_retries), (IceServerState::Ready, 1), "{facts:?}");
        let codes: Vec<_> = facts.transactions.iter().map(|transaction| transaction.error_code).collect();
        assert_eq!(codes, [Some(401), Some(438), None]);
        assert_eq!(facts.transactions[1].nonce_changed, Some(true));
        closed(&session).await;
        assert!(session.wire().ice_servers[0].released);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_calls_every_nonce_stale_is_given_up() {
    within(async {
        let stale = [Says::Refuse(401, "a"), Says::Refuse(438, "b"), Says::Refuse(438, "c"), Says::Refuse(438, "d")];
        let server = Scripted::start(Box::leak(Box::new([stale[0], stale[1], stale[2], stale[3], stale[1]]))).await;
        let (session, facts) = gathered(vec![server.ice_server()], 12_000).await;
        assert!(facts.ice_servers[0].failure.as_ref().is_some_and(|why| why.starts_with("438")), "{facts:?}");
        assert_eq!(server.asked().len(), 5);
        closed(&session).await;
    })
    .await;
}

#[tokio::test]
async fn an_allocation_mismatch_is_answered_with_another_socket() {
    within(async {
        let script =
            &[Says::Refuse(401, "one"), Says::Refuse(437, "one"), Says::Refuse(401, "two"), Says::Grant, Says::Grant];
        let server = Scripted::start(script).await;
        let (session, facts) = gathered(vec![server.ice_server()], 12_000).await;
        assert_eq!(facts.ice_servers[0].state, IceServerState::Ready, "{facts:?}");
        closed(&session).await;
        let asked = server.asked();
        assert!(asked.len() >= 5, "the allocation is deleted at the end: {asked:?}");
        assert_eq!(asked[0], asked[1]);
        assert!(asked[2] != asked[0] && asked[2..].iter().all(|source| *source == asked[2]), "{asked:?}");
        assert!(session.wire().ice_servers[0].released);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_asks_for_no_credentials_serves_too() {
    within(async {
        let server = Coturn::start_with(16, &["--no-auth"]);
        let (offerer, answerer) = connected(|config| relay_only(config, server.ice_server(Over::Udp))).await;
        offerer.first_rtp().await.expect("audio");
        close(&offerer, &answerer).await;
        assert!(offerer.wire().ice_servers[0].released);
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn something_else_on_the_port_is_silence_at_the_deadline() {
    within(async {
        let server = Scripted::start(&[Says::Nonsense]).await;
        let (session, facts) = gathered(vec![server.ice_server()], 600).await;
        assert!(facts.other_datagrams > 0 && facts.transactions[0].is_unanswered(), "{facts:?}");
        closed(&session).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_closes_while_it_allocates_leaves_nothing_behind() {
    within(async {
        let server = Coturn::start(16, &[]);
        for over in [Over::Udp, Over::Tcp] {
            for after_us in [0, 300, 600, 900, 1_200, 1_500, 2_000, 4_000, 8_000] {
                let session = session(|config| relay_only(config, server.ice_server(over))).await;
                session.create_offer().await.expect("offer");
                tokio::time::sleep(Duration::from_micros(after_us)).await;
                closed(&session).await;
            }
        }
        until("the server has no allocation left", || server.allocations() == 0).await;
    })
    .await;
}
