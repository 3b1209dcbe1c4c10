//! Offers and answers after the first: hold, new lines, ICE restart, offers that cross.
mod peer_support;

use std::time::Duration;

use jmeter_webrtc::autoice::Shape;
use jmeter_webrtc::media::AudioCodec;
use jmeter_webrtc::peer::{ConnectionState, MediaDirection, MediaLine, PeerError, Session};
use peer_support::*;

/// Two connected sessions that hear each other and put every candidate in their descriptions.
async fn talking() -> (Session, Session) {
    let (one, other) = (session(|config| config.trickle = false).await, session(|config| config.trickle = false).await);
    exchange(&one, &other).await;
    let (heard, heard_too) = tokio::join!(one.first_rtp(), other.first_rtp());
    heard.expect("audio");
    heard_too.expect("audio");
    (one, other)
}

/// Offer and answer; gives both.
async fn exchange(offerer: &Session, answerer: &Session) -> (String, String) {
    let offer = offerer.create_offer().await.expect("offer");
    let answer = answerer.create_answer(&offer).await.unwrap_or_else(|error| panic!("{error}\n{offer}"));
    offerer.set_remote_answer(&answer).await.unwrap_or_else(|error| panic!("{error}\n{answer}"));
    (offer, answer)
}

/// Both go on hearing each other, and have heard everything.
async fn still_talking(one: &Session, other: &Session) {
    audio_goes_on(one, other).await;
    for side in [one, other] {
        let counters = side.counters();
        assert_eq!(counters.packets_lost, i64::try_from(counters.socket_drops).expect("few"), "{counters:?}");
    }
}

/// Both go on hearing each other; at a restart of ICE a packet may have been under way.
async fn audio_goes_on(one: &Session, other: &Session) {
    let before = (one.counters().packets_received, other.counters().packets_received);
    until("audio goes on both ways", || {
        one.counters().packets_received > before.0 + 10 && other.counters().packets_received > before.1 + 10
    })
    .await;
    for side in [one, other] {
        assert_eq!(side.connection_state(), ConnectionState::Connected);
    }
}

fn value<'a>(sdp: &'a str, name: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).expect("the attribute")
}

fn version(sdp: &str) -> (String, u64) {
    let words: Vec<_> = sdp.lines().find_map(|line| line.strip_prefix("o=")).expect("o=").split(' ').collect();
    (words[1].to_owned(), words[2].parse().expect("a version"))
}

fn with_direction(direction: MediaDirection) -> Vec<MediaLine> {
    let offer = include_str!("canned/janus-audio.sdp");
    let mut lines = Shape::of(offer).expect("a shape").media().to_vec();
    lines[0].direction = direction;
    lines
}

#[tokio::test]
async fn a_second_offer_keeps_the_transport_and_counts_its_version_on() {
    within(async {
        let (one, other) = talking().await;
        let first = exchange(&one, &other).await;
        let second = exchange(&one, &other).await;
        for (first, second) in [(&first.0, &second.0), (&first.1, &second.1)] {
            assert_eq!(value(first, "ice-ufrag"), value(second, "ice-ufrag"));
            assert_eq!(value(first, "fingerprint"), value(second, "fingerprint"));
            assert_eq!(version(first).0, version(second).0);
            assert!(version(second).1 > version(first).1, "{second}");
            assert!(second.contains("a=candidate:"), "{second}");
        }
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn the_side_that_answered_offers_next() {
    within(async {
        let (one, other) = talking().await;
        let (offer, answer) = exchange(&other, &one).await;
        assert_eq!(value(&offer, "mid"), value(&answer, "mid"));
        exchange(&one, &other).await;
        exchange(&other, &one).await;
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn an_ice_restart_has_new_credentials_on_both_sides_and_audio_goes_on() {
    within(async {
        let (one, other) = talking().await;
        for (offerer, answerer) in [(&one, &other), (&other, &one)] {
            let before = exchange(offerer, answerer).await;
            offerer.restart_ice();
            let checks = |session: &Session| session.wire().check_responses_received;
            let checked = (checks(offerer), checks(answerer));
            let after = exchange(offerer, answerer).await;
            for (before, after) in [(&before.0, &after.0), (&before.1, &after.1)] {
                assert_ne!(value(before, "ice-ufrag"), value(after, "ice-ufrag"));
                assert_ne!(value(before, "ice-pwd"), value(after, "ice-pwd"));
                assert!(after.contains("a=candidate:"), "{after}");
            }
            until("new checks are answered", || checks(offerer) > checked.0 && checks(answerer) > checked.1).await;
            until("both are connected", || {
                [offerer, answerer].iter().all(|side| side.connection_state() == ConnectionState::Connected)
            })
            .await;
            let again = exchange(offerer, answerer).await;
            assert_eq!(value(&again.0, "ice-ufrag"), value(&after.0, "ice-ufrag"), "only the next offer restarts");
            audio_goes_on(&one, &other).await;
        }
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn a_trickled_restart_carries_the_candidates_in_its_descriptions() {
    within(async {
        let (one, other) = connected(|_| {}).await;
        one.restart_ice();
        let (offer, answer) = exchange(&one, &other).await;
        assert!(offer.contains("a=candidate:") && answer.contains("a=candidate:"), "{offer}{answer}");
        audio_goes_on(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn hold_stops_audio_and_its_end_starts_it_again() {
    within(async {
        let (one, other) = talking().await;
        for (held, ours, theirs) in [
            (MediaDirection::Sendonly, MediaDirection::Sendonly, MediaDirection::Recvonly),
            (MediaDirection::Inactive, MediaDirection::Inactive, MediaDirection::Inactive),
            (MediaDirection::Recvonly, MediaDirection::Recvonly, MediaDirection::Sendonly),
        ] {
            one.set_media(with_direction(held)).expect("usable");
            let (offer, _) = exchange(&one, &other).await;
            assert!(offer.contains(&format!("a={}\r\n", held.name())), "{offer}");
            assert_eq!((one.current_direction(), other.current_direction()), (Some(ours), Some(theirs)));
            // A packet may be under way between schedule and socket.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let sides = [(&one, ours), (&other, theirs)].map(|(side, now)| (side, now, side.counters().packets_sent));
            tokio::time::sleep(Duration::from_millis(200)).await;
            for (side, now, before) in sides.into_iter().filter(|(_, now, _)| now.sends()) {
                until(&format!("{held:?}: {now:?}, and packets leave"), || side.counters().packets_sent > before).await;
            }
            for (side, now, before) in sides.into_iter().filter(|(_, now, _)| !now.sends()) {
                assert_eq!(side.counters().packets_sent, before, "{held:?}: {now:?}");
            }
            one.set_media(with_direction(MediaDirection::Sendrecv)).expect("usable");
            exchange(&one, &other).await;
            still_talking(&one, &other).await;
        }
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn a_remote_hold_is_answered_and_kept() {
    within(async {
        let (one, other) = talking().await;
        let offer = one.create_offer().await.expect("offer");
        let answer = other.create_answer(&offer.replace("a=sendrecv", "a=inactive")).await.expect("answer");
        assert!(answer.contains("a=inactive\r\n"), "{answer}");
        assert_eq!(other.current_direction(), Some(MediaDirection::Inactive));
        one.set_remote_answer(&answer).await.expect("applied");
        assert_eq!(one.current_direction(), Some(MediaDirection::Inactive));
        exchange(&one, &other).await;
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn video_and_data_channels_can_join_a_call() {
    within(async {
        let (one, other) = talking().await;
        let everything = Shape::of(include_str!("canned/chrome-audio-video-data.sdp")).expect("a shape");
        for side in [&one, &other] {
            side.set_media(everything.media().to_vec()).expect("usable");
        }
        let (offer, answer) = exchange(&one, &other).await;
        for text in [&offer, &answer] {
            assert!(text.contains("a=group:BUNDLE 0 1 2\r\n"), "{text}");
            assert!(text.contains("m=video 9 ") && text.contains("m=application 9 "), "{text}");
        }
        still_talking(&one, &other).await;
        // Audio alone again: the places of the others stay.
        let mut lines = everything.media().to_vec();
        lines[1..].iter_mut().for_each(|line| line.rejected = true);
        one.set_media(lines).expect("usable");
        let (offer, answer) = exchange(&one, &other).await;
        for text in [&offer, &answer] {
            assert!(text.contains("m=video 0 ") && text.contains("m=application 0 "), "{text}");
        }
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn an_offer_without_answer_can_be_made_again() {
    within(async {
        let (one, other) =
            (session(|config| config.trickle = false).await, session(|config| config.trickle = false).await);
        let unanswered = one.create_offer().await.expect("offer");
        let (offer, _) = exchange(&one, &other).await;
        assert_eq!(value(&unanswered, "ice-ufrag"), value(&offer, "ice-ufrag"));
        one.first_rtp().await.expect("audio");
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn a_remote_offer_that_crosses_ours_wins() {
    within(async {
        let (one, other) =
            (session(|config| config.trickle = false).await, session(|config| config.trickle = false).await);
        one.create_offer().await.expect("offer that crosses");
        exchange(&other, &one).await;
        one.first_rtp().await.expect("audio");
        one.create_offer().await.expect("offer that crosses");
        exchange(&other, &one).await;
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn another_certificate_in_a_new_description_is_refused() {
    within(async {
        let (one, other) = talking().await;
        let stranger = session(|config| config.trickle = false).await;
        let offer = stranger.create_offer().await.expect("offer");
        let error = other.create_answer(&offer).await.expect_err("another peer");
        assert!(matches!(error, PeerError::Sdp { operation: "setRemoteDescription(offer)", .. }), "{error}");
        assert!(error.to_string().contains("changed its certificate"), "{error}");
        still_talking(&one, &other).await;
        close(&one, &other).await;
        stranger.close(Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_leaves_the_call_as_it_is() {
    within(async {
        let (one, other) = talking().await;
        for text in
            ["", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 9\r\n"]
        {
            other.create_answer(text).await.expect_err(text);
        }
        exchange(&one, &other).await;
        assert_eq!(other.codec(), Some((AudioCodec::Opus, 111)));
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_within_an_association_keeps_the_dtls_role_whoever_offers() {
    within(async {
        let (one, other) = talking().await;
        // The first offer is ready for either role; who answered it became the client (RFC 8842 §5.3).
        for (offerer, answerer, role) in
            [(&one, &other, "active"), (&other, &one, "passive"), (&one, &other, "active"), (&other, &one, "passive")]
        {
            let (offer, answer) = exchange(offerer, answerer).await;
            assert_eq!((value(&offer, "setup"), value(&answer, "setup")), ("actpass", role), "{answer}");
        }
        still_talking(&one, &other).await;
        close(&one, &other).await;
    })
    .await;
}
