//! A call between two sessions: connecting, negotiating, talking.
mod peer_support;

use std::time::Duration;

use jmeter_webrtc::media::{AudioCodec, Dtmf};
use jmeter_webrtc::peer::{ConnectionState, DtmfError, MediaDirection, PeerError};
use peer_support::*;

#[tokio::test]
async fn two_sessions_that_trickle_connect_and_hear_each_other() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        let (heard, heard_too) = tokio::join!(one.first_rtp(), other.first_rtp());
        heard.expect("audio");
        heard_too.expect("audio");
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn two_sessions_with_complete_descriptions_connect() {
    within(async {
        let (one, other) =
            (session(|config| config.trickle = false).await, session(|config| config.trickle = false).await);
        let offer = one.create_offer().await.expect("offer");
        assert!(offer.contains("a=candidate:") && offer.contains("127.0.0.1"), "{offer}");
        let answer = other.create_answer(&offer).await.expect("answer");
        one.set_remote_answer(&answer).await.expect("answer applied");
        let (left, right) = tokio::join!(one.connected(), other.connected());
        left.expect("offerer");
        right.expect("answerer");
        for side in [&one, &other] {
            let (local, remote) = side.selected_pair().expect("a pair");
            assert!(local.starts_with("host 127.0.0.1:") && remote.starts_with("host 127.0.0.1:"), "{local} {remote}");
        }
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_whose_candidates_never_come_is_found_by_its_checks() {
    within(async {
        let (one, other) = (session(|_| {}).await, session(|_| {}).await);
        let offer = one.create_offer().await.expect("offer");
        let answer = other.create_answer(&offer).await.expect("answer");
        one.set_remote_answer(&answer).await.expect("answer applied");
        trickle(&one, &other).await;
        one.connected().await.expect("connected");
        let (_, remote) = one.selected_pair().expect("a pair");
        assert!(remote.starts_with("prflx 127.0.0.1:"), "{remote}");
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn digits_go_both_ways_and_each_of_their_packets_counts_once() {
    within(async {
        let (one, other) = connected(|config| config.codecs = vec![AudioCodec::Pcmu]).await;
        other.first_rtp().await.expect("audio");
        // A muted side dials as well.
        other.stop_audio();
        let skipped_before = other.counters().packets_skipped;
        let dtmf = |digits: &str| Dtmf::new(digits, Some(60), Some(40)).expect("usable");
        assert_eq!(one.can_insert_dtmf(&dtmf("1")).expect("negotiated").clock_rate, 8_000);
        let (there, back) = (dtmf("159D#"), dtmf("0,0"));
        let (sent, answered) = tokio::join!(one.insert_dtmf(&there), other.insert_dtmf(&back));
        assert_eq!(sent.expect("sent").tones, 5);
        let sent = u64::from(answered.expect("sent").packets);
        let skipped = other.counters().packets_skipped - skipped_before;
        assert!(sent <= 2 * 5 && sent + skipped >= 2 * 5, "{sent} packets, {skipped} that came too late");
        let (left, right) = drained(&one, &other).await;
        assert_eq!((&*other.dtmf_heard(), &*one.dtmf_heard()), ("159D#", "00"));
        for (from, to) in [(left, right), (right, left)] {
            assert_eq!((from.packets_sent, to.packets_lost), (to.packets_received + to.socket_drops, 0));
        }
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn digits_are_refused_where_they_would_not_be_heard() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        let dtmf = Dtmf::new("12", Some(500), None).expect("usable");
        let dialling = one.clone();
        let (ended, ()) = tokio::join!(dialling.insert_dtmf(&dtmf), async {
            until("the first digit is heard", || other.dtmf_heard() == "1").await;
            one.stop_audio();
        });
        match ended {
            Err(DtmfError::Ended { sent, tones: 2, .. }) => assert!(sent.tones < 2, "{sent:?}"),
            other => panic!("{other:?}"),
        }
        other.set_direction(MediaDirection::Sendonly).expect("usable");
        let offer = other.create_offer().await.expect("offer");
        let answer = one.create_answer(&offer).await.expect("answer");
        other.set_remote_answer(&answer).await.expect("answer applied");
        let held = one.insert_dtmf(&dtmf).await.expect_err("nobody listens");
        assert_eq!(held, DtmfError::OnHold { direction: "recvonly" });
        close(&one, &other).await;
        let closed = one.insert_dtmf(&dtmf).await.expect_err("it is over");
        assert!(matches!(closed, DtmfError::NotConnected { .. } | DtmfError::OnHold { .. }), "{closed}");
    })
    .await;
}

#[tokio::test]
async fn every_packet_sent_is_received_or_dropped_by_the_receivers_kernel() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let (left, right) = drained(&one, &other).await;
        assert!(left.packets_sent >= 30 && right.packets_sent >= 30, "{left:?} {right:?}");
        for (from, to) in [(left, right), (right, left)] {
            assert_eq!(from.packets_sent, to.packets_received + to.socket_drops);
            assert_eq!(to.packets_lost, i64::try_from(to.socket_drops).expect("few"));
            assert_eq!(from.bytes_sent > 0, to.bytes_received > 0);
        }
        close(&one, &other).await;
        assert_eq!(one.counters().packets_received, left.packets_received, "the account outlives the socket");
    })
    .await;
}

#[tokio::test]
async fn audio_leaves_fifty_times_a_second() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        one.first_rtp().await.expect("audio");
        let started = tokio::time::Instant::now();
        let ahead = || {
            let now = one.counters();
            (now.packets_sent + now.packets_skipped) as f64 - started.elapsed().as_secs_f64() * 50.0
        };
        // At any moment the pacer may be late and make up for it; early it never is, so that the most is where it is on time.
        let mut on_time = ahead();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            on_time = on_time.max(ahead());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        until("as many packet times as are due", || (ahead() - on_time).abs() <= 3.0).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn stopped_audio_can_be_started_again() {
    within(async {
        let (one, other) = connected(|config| config.send_audio = false).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(one.counters().packets_sent, 0, "sendAudio was off");
        for _ in 0..2 {
            let before = one.counters().packets_sent;
            one.start_audio();
            until("packets leave", || one.counters().packets_sent > before + 3).await;
            one.stop_audio();
            // A packet may be under way between schedule and socket.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let stopped = one.counters().packets_sent;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(one.counters().packets_sent, stopped);
        }
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn an_echoing_session_sends_back_what_it_receives() {
    within(async {
        let (one, other) = connected(|config| config.send_audio = false).await;
        other.echo_audio();
        one.start_audio();
        one.first_rtp().await.expect("the echo");
        until("a second of echo", || one.counters().packets_received >= 50).await;
        one.stop_audio();
        until("every packet has come back", || {
            other.counters().packets_sent == other.counters().packets_received
                && one.counters().packets_received == other.counters().packets_sent
                && one.counters().packets_sent == other.counters().packets_received
        })
        .await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn both_sides_agree_on_the_first_codec_of_the_offer() {
    within(async {
        let offerer = session(|config| config.codecs = vec![AudioCodec::Pcmu, AudioCodec::Opus]).await;
        let answerer = session(|_| {}).await;
        signal(&offerer, &answerer).await;
        let (left, right) = tokio::join!(offerer.first_rtp(), answerer.first_rtp());
        left.expect("audio");
        right.expect("audio");
        assert_eq!(offerer.codec(), Some((AudioCodec::Pcmu, 0)));
        assert_eq!(answerer.codec(), Some((AudioCodec::Pcmu, 0)));
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn a_pcmu_only_peer_is_answered_in_pcmu() {
    within(async {
        let offerer = session(|_| {}).await;
        let answerer = session(|config| config.codecs = vec![AudioCodec::Pcmu]).await;
        signal(&offerer, &answerer).await;
        let (left, right) = tokio::join!(offerer.first_rtp(), answerer.first_rtp());
        left.expect("audio");
        right.expect("audio");
        assert_eq!(offerer.codec(), Some((AudioCodec::Pcmu, 0)));
        let (left, _) = drained(&offerer, &answerer).await;
        let per_packet = left.bytes_sent / left.packets_sent;
        assert!((172..200).contains(&per_packet), "160 octets of G.711 and headers, not {per_packet}");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn the_payload_type_of_the_other_side_is_used() {
    within(async {
        let (offerer, answerer) = (session(|_| {}).await, session(|_| {}).await);
        // An offerer that calls Opus 96, as some do.
        let offer = offerer.create_offer().await.expect("offer");
        let offer = offer.replace("SAVPF 111", "SAVPF 96").replace(":111 ", ":96 ");
        let answer = answerer.create_answer(&offer).await.expect("answer");
        assert!(answer.contains("a=rtpmap:96 opus/48000/2"), "{answer}");
        assert_eq!(answerer.codec(), Some((AudioCodec::Opus, 96)));
        // Back to the number that our own offerer really wrote.
        offerer
            .set_remote_answer(&answer.replace("SAVPF 96", "SAVPF 111").replace(":96 ", ":111 "))
            .await
            .expect("applied");
        tokio::join!(trickle(&offerer, &answerer), trickle(&answerer, &offerer));
        offerer.first_rtp().await.expect("packets of type 96");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn an_offer_without_a_codec_of_ours_is_refused_by_name() {
    within(async {
        let offerer = session(|config| config.codecs = vec![AudioCodec::Opus]).await;
        let answerer = session(|config| config.codecs = vec![AudioCodec::Pcmu]).await;
        let offer = offerer.create_offer().await.expect("offer");
        let error = answerer.create_answer(&offer).await.expect_err("no common codec");
        assert!(matches!(error, PeerError::Sdp { operation: "setRemoteDescription(offer)", .. }));
        assert!(error.to_string().contains("here PCMU, there opus/48000/2"), "{error}");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_description_is_refused() {
    within(async {
        let one = session(|_| {}).await;
        for text in ["", "hello", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"] {
            let error = one.create_answer(text).await.expect_err(text);
            assert!(matches!(error, PeerError::Sdp { operation: "setRemoteDescription(offer)", .. }), "{error:?}");
        }
        let error = one.set_remote_answer("v=0\r\n").await.expect_err("no answer");
        assert!(matches!(error, PeerError::Sdp { .. }), "{error:?}");
        one.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_candidate_that_comes_before_the_offer_is_kept_for_it() {
    within(async {
        let (offerer, answerer) = (session(|_| {}).await, session(|_| {}).await);
        let offer = offerer.create_offer().await.expect("offer");
        trickle(&offerer, &answerer).await;
        let answer = answerer.create_answer(&offer).await.expect("answer");
        // Nothing of the answerer's is trickled: it must reach the offerer by the candidate it kept.
        offerer.set_remote_answer(&answer).await.expect("applied");
        answerer.connected().await.expect("connected by the early candidate");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn a_bad_candidate_is_refused_with_its_text() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        let bad =
            jmeter_webrtc::peer::IceCandidateInit { candidate: "candidate:nonsense".into(), ..Default::default() };
        let error = one.add_ice_candidate(bad).await.expect_err("nonsense");
        assert!(error.to_string().contains("candidate:nonsense"), "{error}");
        one.add_ice_candidate(Default::default()).await.expect("end of candidates");
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn phases_follow_each_other_and_the_timeline_tells_them() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        one.first_rtp().await.expect("audio");
        let phases = one.phases();
        let gathered = phases.gathered_us.expect("gathered");
        let ice = phases.ice_connected_us.expect("ICE");
        let dtls = phases.dtls_connected_us.expect("DTLS");
        assert!(gathered <= ice && ice < dtls && dtls <= phases.first_rtp_us.expect("RTP"), "{phases:?}");
        let timeline = one.timeline();
        assert!(timeline.is_sorted_by_key(|(at_us, _, _)| *at_us), "{timeline:?}");
        for expected in
            [("iceConnectionState", "connected"), ("connectionState", "connected"), ("iceGatheringState", "complete")]
        {
            assert!(timeline.iter().any(|(_, machine, value)| (*machine, value.as_str()) == expected), "{timeline:?}");
        }
        assert_eq!(one.pending_phase(), None);
        assert_eq!(one.connection_state(), ConnectionState::Connected);
        let (local, remote) = one.selected_pair().expect("a pair");
        assert!(local.starts_with("host 127.0.0.1:") && remote.ends_with(" udp"), "{local} {remote}");
        close(&one, &other).await;
        assert_eq!(one.connection_state(), ConnectionState::Closed);
    })
    .await;
}

#[tokio::test]
async fn statistics_have_the_words_of_webrtc_stats_and_the_figures_of_the_wire() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        until("audio", || one.counters().packets_received > 20).await;
        drained(&one, &other).await;
        let stats = one.stats().await;
        let object = |kind: &str| {
            let objects = stats.as_object().expect("a map");
            objects.values().find(|object| object["type"] == kind).unwrap_or_else(|| panic!("no {kind}"))
        };
        let inbound = object("inbound-rtp");
        assert_eq!(inbound["packetsReceived"], one.counters().packets_received);
        assert_eq!(inbound["packetsLost"], one.counters().packets_lost);
        let jitter = inbound["jitter"].as_f64().expect("a number");
        assert!((0.0..1.0).contains(&jitter), "seconds: {jitter}");
        assert_eq!(object("outbound-rtp")["packetsSent"], one.counters().packets_sent);
        assert_eq!(object("candidate-pair")["nominated"], true);
        assert_eq!(object("transport")["dtlsState"], "connected");
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn rtcp_reports_flow_and_a_goodbye_ends_the_call() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        until("RTCP both ways", || one.counters().rtcp_received > 0 && other.counters().rtcp_received > 0).await;
        let before = other.counters().rtcp_received;
        one.close(Duration::from_secs(2)).await;
        until("the BYE", || other.counters().rtcp_received > before).await;
        other.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn the_round_trip_of_rtcp_is_measured() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        let measured = async {
            loop {
                let stats = one.stats().await;
                let mut objects = stats.as_object().expect("a map").values();
                if let Some(report) = objects.find(|object| object["type"] == "remote-inbound-rtp")
                    && report["roundTripTimeMeasurements"].as_u64() > Some(0)
                {
                    return report.clone();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let report = measured.await;
        let time = report["roundTripTime"].as_f64().expect("seconds");
        assert!((0.0..5.0).contains(&time), "{report}");
        assert_eq!(report["packetsLost"], 0);
        close(&one, &other).await;
    })
    .await;
}
