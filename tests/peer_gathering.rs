//! Gathering candidates: host, STUN, a server that answers and one that does not; and what comes late.
mod peer_support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use jmeter_webrtc::peer::{IceServer, IceTransportPolicy, PeerError, Session, SessionConfig};
use peer_support::*;
use tokio::net::UdpSocket;

/// The address that [`stun_server`] claims to have seen (TEST-NET-3, RFC 5737).
const MAPPED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)), 40_000);

/// A STUN server (RFC 8489 §14.2) on loopback that lives as long as its runtime.
async fn stun_server() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("stun:{}", socket.local_addr().expect("address"));
    tokio::spawn(async move {
        let mut buffer = [0u8; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            if length < 20 || buffer[..2] != [0, 1] {
                continue;
            }
            let std::net::IpAddr::V4(ip) = MAPPED.ip() else { unreachable!("MAPPED is IPv4") };
            let mut response = vec![0x01, 0x01, 0, 12];
            response.extend_from_slice(&buffer[4..20]);
            response.extend([0x00, 0x20, 0, 8, 0, 1]);
            response.extend((MAPPED.port() ^ 0x2112).to_be_bytes());
            response.extend((u32::from(ip) ^ 0x2112_a442).to_be_bytes());
            if socket.send_to(&response, client).await.is_err() {
                return;
            }
        }
    });
    url
}

fn server(url: &str) -> IceServer {
    let (username, credential) = ("user".into(), "secret".into());
    IceServer { urls: vec![url.into()], username, credential, ..IceServer::default() }
}

async fn offer(change: impl FnOnce(&mut SessionConfig)) -> (Session, String, Duration) {
    let session = session(|config| {
        config.trickle = false;
        change(config);
    })
    .await;
    let started = Instant::now();
    let offer = session.create_offer().await.expect("offer");
    (session, offer, started.elapsed())
}

#[tokio::test]
async fn a_stun_server_gives_a_server_reflexive_candidate() {
    within(async {
        let url = stun_server().await;
        let (session, offer, _) = offer(|config| config.ice_servers = vec![server(&url)]).await;
        assert!(offer.contains("typ host") && offer.contains("203.0.113.5 40000 typ srflx"), "{offer}");
        let facts = session.wire();
        assert_eq!((facts.server_requests_sent, facts.server_responses_received), (1, 1));
        assert_eq!(facts.checks_sent, 0);
        session.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn candidates_are_trickled_as_they_are_found() {
    within(async {
        let url = stun_server().await;
        let session = session(|config| config.ice_servers = vec![server(&url)]).await;
        let offer = session.create_offer().await.expect("offer");
        assert!(!offer.contains("a=candidate"), "{offer}");
        let mut found = Vec::new();
        while let Some(candidate) = session.next_local_candidate().await {
            assert_eq!((candidate.sdp_mid.as_deref(), candidate.sdp_m_line_index), (Some("0"), Some(0)));
            found.push(candidate.candidate);
        }
        assert!(found.iter().any(|candidate| candidate.contains("typ host")), "{found:?}");
        assert!(found.iter().any(|candidate| candidate.contains("typ srflx")), "{found:?}");
        assert!(session.next_local_candidate().await.is_none(), "the end stays the end");
        session.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_stun_server_costs_the_gathering_deadline_and_no_more() {
    within(async {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("stun:{}", silent.local_addr().expect("address"));
        let (session, offer, took) = offer(|config| {
            config.ice_servers = vec![server(&url)];
            config.gather_timeout_ms = 300;
        })
        .await;
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
        assert!(offer.contains("typ host"), "what was found by then is used: {offer}");
        assert!(session.phases().gathered_us.is_some());
        assert!(
            session
                .timeline()
                .iter()
                .any(|(_, machine, value)| (*machine, &**value) == ("iceGatheringState", "deadline"))
        );
        session.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_turn_server_costs_the_gathering_deadline_and_no_more() {
    within(async {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("turn:{}", silent.local_addr().expect("address"));
        let session = session(|config| {
            config.ice_servers = vec![server(&url)];
            config.ice_transport_policy = IceTransportPolicy::Relay;
            config.gather_timeout_ms = 300;
        })
        .await;
        let started = Instant::now();
        session.create_offer().await.expect("offer");
        assert!(session.next_local_candidate().await.is_none(), "no relay, no candidate");
        assert!(started.elapsed() < Duration::from_secs(3));
        assert!(session.wire().server_requests_sent > 0);
        session.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_stun_name_that_does_not_resolve_leaves_the_host_candidate_and_a_word_about_it() {
    within(async {
        let (session, offer, _) = offer(|config| {
            config.ice_servers = vec![server("stun:nowhere.invalid")];
            config.source_address = Some([127, 0, 0, 1].into());
            config.gather_timeout_ms = 2_000;
        })
        .await;
        assert!(offer.contains("typ host"));
        let error = session.wire().last_resolve_error.expect("the resolver's error");
        assert!(error.contains("nowhere.invalid"), "{error}");
        session.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_three_seconds_late_still_connects() {
    within(async {
        let (offerer, answerer) =
            (session(|config| config.trickle = false).await, session(|config| config.trickle = false).await);
        let offer = offerer.create_offer().await.expect("offer");
        let answer = answerer.create_answer(&offer).await.expect("answer");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(answerer.wire().checks_sent > 8, "the answerer goes on checking: {:?}", answerer.wire());
        offerer.set_remote_answer(&answer).await.expect("applied");
        let (left, right) = tokio::join!(offerer.connected(), answerer.connected());
        left.expect("offerer");
        right.expect("answerer");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_refused_with_its_errno() {
    within(async {
        let config = SessionConfig { source_address: Some([192, 0, 2, 77].into()), ..SessionConfig::default() };
        let Err(error) = Session::new(config).await else { panic!("192.0.2.77 is nobody's") };
        let PeerError::UdpSocket { errno, detail } = &error else { panic!("{error:?}") };
        assert_eq!(*errno, Some(99), "EADDRNOTAVAIL");
        assert!(detail.contains("192.0.2.77") && detail.contains("sourceAddress"), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn ipv6_loopback_connects_as_well() {
    within(async {
        let (one, other) = connected(|config| config.source_address = Some(std::net::Ipv6Addr::LOCALHOST.into())).await;
        one.first_rtp().await.expect("audio");
        let (local, _) = one.selected_pair().expect("a pair");
        assert!(local.starts_with("host [::1]:"), "{local}");
        close(&one, &other).await;
    })
    .await;
}
