//! Live descriptions in the shape of canned ones: what goes out keeps the canned lines, and connects.
mod peer_support;

use std::collections::HashSet;

use jmeter_webrtc::autoice::{Overlay, Shape, ShapeError, Shaped, shaped};
use jmeter_webrtc::media::AudioCodec;
use jmeter_webrtc::peer::{MediaDirection, MediaLine, Session, SessionConfig};
use peer_support::*;

const CANNED: [(&str, &str); 16] = [
    ("chrome-audio", include_str!("canned/chrome-audio.sdp")),
    ("chrome-audio-video-data", include_str!("canned/chrome-audio-video-data.sdp")),
    ("chrome-video-first", include_str!("canned/chrome-video-first.sdp")),
    ("firefox-audio-video", include_str!("canned/firefox-audio-video.sdp")),
    ("jssip-audio", include_str!("canned/jssip-audio.sdp")),
    ("genesys-audio", include_str!("canned/genesys-audio.sdp")),
    ("janus-audio", include_str!("canned/janus-audio.sdp")),
    ("kurento-audio-video", include_str!("canned/kurento-audio-video.sdp")),
    ("aiortc-audio", include_str!("canned/aiortc-audio.sdp")),
    ("mobile-sip-audio", include_str!("canned/mobile-sip-audio.sdp")),
    ("pcmu-only", include_str!("canned/pcmu-only.sdp")),
    ("pcma-only", include_str!("canned/pcma-only.sdp")),
    ("hold-sendonly", include_str!("canned/hold-sendonly.sdp")),
    ("hold-inactive", include_str!("canned/hold-inactive.sdp")),
    ("rejected-video", include_str!("canned/rejected-video.sdp")),
    ("ice-lite-lf", include_str!("canned/ice-lite-lf.sdp")),
];

fn canned(name: &str) -> &'static str {
    CANNED.iter().find(|(known, _)| *known == name).expect(name).1
}

/// A session with these lines that waits for its candidates.
async fn of_lines(media: Vec<MediaLine>) -> Session {
    let config = SessionConfig { media, trickle: false, ..SessionConfig::default() };
    Session::new(config).await.expect("a session")
}

async fn of(canned: &str) -> Session {
    of_lines(Shape::of(canned).expect("a shape").media().to_vec()).await
}

/// One that accepts whatever an offer has.
async fn open_minded() -> Session {
    let everything = canned("chrome-audio-video-data");
    let mut lines = Shape::of(everything).expect("a shape").media().to_vec();
    lines.iter_mut().for_each(|line| line.mid = None);
    of_lines(lines).await
}

/// The sections of a description, each from its `m=` line.
fn sections(sdp: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = vec![];
    for line in sdp.lines() {
        match sections.last_mut() {
            _ if line.starts_with("m=") => sections.push(vec![line]),
            Some(section) => section.push(line),
            None => {}
        }
    }
    sections
}

fn value<'a>(section: &[&'a str], name: &str) -> Option<&'a str> {
    section.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

fn direction<'a>(section: &[&'a str]) -> &'a str {
    let words = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    section.iter().find(|line| words.contains(line)).map_or("sendrecv", |line| &line[2..])
}

/// Number, kind, order, mids and directions are those of the canned offer, but that video is not sent.
fn assert_same_lines(name: &str, canned: &str, live: &str) {
    let (canned, live) = (sections(canned), sections(live));
    assert_eq!(canned.len(), live.len(), "{name}: {live:?}");
    for (canned, live) in canned.iter().zip(&live) {
        let media = |section: &[&str]| section[0].split(' ').next().map(ToOwned::to_owned);
        assert_eq!(media(canned), media(live), "{name}");
        assert_eq!(value(canned, "mid"), value(live, "mid"), "{name}: {live:?}");
        let is_refused = |section: &[&str]| section[0].split(' ').nth(1) == Some("0");
        if is_refused(canned) && !canned.contains(&"a=bundle-only") {
            assert!(is_refused(live), "{name}: {live:?}");
            continue;
        }
        let expected = match (&canned[0][..7], direction(canned)) {
            ("m=video", "sendrecv" | "recvonly") => "recvonly",
            ("m=video", _) => "inactive",
            (_, direction) => direction,
        };
        assert_eq!(direction(live), expected, "{name}: {live:?}");
    }
}

fn assert_nothing_canned_is_left(name: &str, canned: &str, live: &str) {
    for name_of in ["ice-ufrag", "ice-pwd", "fingerprint", "candidate"] {
        for line in canned.lines().filter(|line| line.starts_with(&format!("a={name_of}:"))) {
            assert!(!live.lines().any(|other| other == line), "{name}: {line} is left in\n{live}");
        }
    }
    for line in canned.lines().filter(|line| line.starts_with("a=ssrc:")) {
        let ssrc = line.split_inclusive(' ').next().expect("a word");
        assert!(!live.contains(ssrc), "{name}: {ssrc} is left in\n{live}");
    }
    assert!(!live.contains("a=ice-lite") && !live.contains("a=crypto"), "{name}");
}

/// Places the call of a canned offer to a session that answers.
async fn call(canned: &str, mode: Overlay) -> (Session, Session, Shaped, String) {
    let offerer = of(canned).await;
    let offer = offerer.create_offer().await.expect("offer");
    let shaped = shaped(canned, &offer, mode).expect("shaped");
    let answerer = open_minded().await;
    let answer = answerer.create_answer(&shaped.sdp).await.unwrap_or_else(|error| panic!("{error}\n{}", shaped.sdp));
    offerer.set_remote_answer(&shaped.mids.to_live_description(&answer)).await.expect("answer applied");
    let (left, right) = tokio::join!(offerer.connected(), answerer.connected());
    left.unwrap_or_else(|error| panic!("{error}\n{}\n{answer}", shaped.sdp));
    right.expect("connected");
    (offerer, answerer, shaped, answer)
}

async fn audio_flows_as_agreed(name: &str, offerer: &Session, answerer: &Session) {
    let direction = offerer.current_direction().expect("a direction");
    if direction.receives() {
        offerer.first_rtp().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    if direction.sends() {
        answerer.first_rtp().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    if direction == MediaDirection::Inactive {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (ours, theirs) = (offerer.counters(), answerer.counters());
    assert_eq!(ours.packets_sent > 0, direction.sends(), "{name}: {ours:?}");
    assert_eq!(theirs.packets_sent > 0, direction.receives(), "{name}: {theirs:?}");
}

#[tokio::test]
async fn every_canned_offer_becomes_a_live_call_with_its_lines() {
    within(async {
        for (name, text) in CANNED {
            let (offerer, answerer, shaped, answer) = call(text, Overlay::Whole).await;
            assert_same_lines(name, text, &shaped.sdp);
            assert_nothing_canned_is_left(name, text, &shaped.sdp);
            assert_eq!(sections(&shaped.sdp).len(), sections(&answer).len(), "{name}: {answer}");
            assert_eq!(shaped.sdp.contains("a=group:BUNDLE"), text.contains("a=group:BUNDLE"), "{name}");
            assert!(!shaped.sdp.replace("\r\n", "").contains('\n'), "{name}");
            audio_flows_as_agreed(name, &offerer, &answerer).await;
            close(&offerer, &answerer).await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_canned_offer_becomes_a_live_call_with_its_text_overlaid() {
    within(async {
        for (name, text) in CANNED {
            let (offerer, answerer, shaped, _) = call(text, Overlay::Overlay).await;
            assert_same_lines(name, text, &shaped.sdp);
            assert_nothing_canned_is_left(name, text, &shaped.sdp);
            for line in text.lines().filter(|line| {
                ["a=rtpmap", "a=fmtp", "a=extmap", "s=", "b=", "a=rtcp-fb", "a=ptime"]
                    .iter()
                    .any(|kept| line.starts_with(kept))
            }) {
                assert!(shaped.sdp.lines().any(|other| other == line), "{name}: {line} is gone");
            }
            audio_flows_as_agreed(name, &offerer, &answerer).await;
            close(&offerer, &answerer).await;
        }
    })
    .await;
}

#[tokio::test]
async fn payload_types_on_the_wire_are_those_of_the_canned_offer() {
    within(async {
        for (name, expected) in [
            ("firefox-audio-video", (AudioCodec::Opus, 109)),
            ("aiortc-audio", (AudioCodec::Opus, 96)),
            ("pcmu-only", (AudioCodec::Pcmu, 0)),
            ("pcma-only", (AudioCodec::Pcma, 8)),
        ] {
            for mode in [Overlay::Whole, Overlay::Overlay] {
                let (offerer, answerer, _, _) = call(canned(name), mode).await;
                assert_eq!((offerer.codec(), answerer.codec()), (Some(expected), Some(expected)), "{name}");
                let (heard, heard_too) = tokio::join!(offerer.first_rtp(), answerer.first_rtp());
                heard.expect("audio");
                heard_too.expect("audio");
                close(&offerer, &answerer).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn twenty_sessions_of_one_canned_offer_share_nothing() {
    within(async {
        let canned = canned("chrome-audio-video-data");
        let mut seen = HashSet::new();
        for mode in [Overlay::Whole, Overlay::Overlay] {
            for _ in 0..10 {
                let session = of(canned).await;
                let live = session.create_offer().await.expect("offer");
                let sdp = shaped(canned, &live, mode).expect("shaped").sdp;
                let audio = &sections(&sdp)[0];
                for name in ["ice-ufrag", "ice-pwd", "fingerprint"] {
                    assert!(seen.insert(value(audio, name).expect(name).to_owned()), "{name} twice");
                }
                let ssrc = value(audio, "ssrc").expect("ssrc").split(' ').next().map(ToOwned::to_owned);
                assert!(seen.insert(ssrc.expect("a number")), "SSRC twice");
                session.close(std::time::Duration::from_secs(2)).await;
            }
        }
        assert_eq!(seen.len(), 20 * 4);
    })
    .await;
}

#[tokio::test]
async fn video_of_an_offer_is_received_by_our_answer_and_said_so() {
    within(async {
        // A real offer with its lines in another order than the canned answer's.
        let offerer = of(canned("chrome-video-first")).await;
        let offer = offerer.create_offer().await.expect("offer");
        let canned_answer = canned("chrome-audio-video-data").replace("actpass", "active");
        let answerer = of(&canned_answer).await;
        let live = answerer.create_answer(&offer).await.expect("answer");
        let shaped = shaped(&canned_answer, &live, Overlay::Overlay).expect("shaped");
        let lines = sections(&shaped.sdp);
        assert!(lines[0][0].starts_with("m=video 9 ") && lines[1][0].starts_with("m=audio 9 "), "{}", shaped.sdp);
        // The offerer is one of ours and sends no video.
        assert_eq!((direction(&lines[0]), direction(&lines[1])), ("inactive", "sendrecv"));
        assert_eq!((value(&lines[0], "mid"), value(&lines[1], "mid")), (Some("1"), Some("0")));
        assert!(shaped.notes.iter().any(|note| note.contains("always whole")), "{:?}", shaped.notes);
        let browser = offer.replace("a=recvonly", "a=sendrecv");
        let other = of(&canned_answer).await;
        let live = other.create_answer(&browser).await.expect("answer");
        let lines = sections(&live);
        assert_eq!(direction(&lines[0]), "recvonly");
        let notes = jmeter_webrtc::autoice::shaped(&canned_answer, &live, Overlay::Whole).expect("shaped").notes;
        assert_eq!(notes, ["line 1: video is received and counted, not sent (recvonly)"]);
        offerer.set_remote_answer(&shaped.sdp).await.expect("applied");
        let (heard, heard_too) = tokio::join!(offerer.first_rtp(), answerer.first_rtp());
        heard.expect("audio");
        heard_too.expect("audio");
        close(&offerer, &answerer).await;
        other.close(std::time::Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_a_canned_softphone_refuses_what_the_softphone_had_not() {
    within(async {
        let offerer = of(canned("chrome-audio-video-data")).await;
        let offer = offerer.create_offer().await.expect("offer");
        let canned_answer = canned("janus-audio").replace("actpass", "active");
        let answerer = of(&canned_answer).await;
        let live = answerer.create_answer(&offer).await.expect("answer");
        let ports: Vec<_> =
            sections(&live).iter().map(|section| section[0].split(' ').nth(1).map(str::to_owned)).collect();
        assert_eq!(ports, [Some("9".into()), Some("0".into()), Some("0".into())], "{live}");
        assert!(live.contains("a=group:BUNDLE 0\r\n"), "{live}");
        offerer.set_remote_answer(&live).await.expect("applied");
        offerer.first_rtp().await.expect("audio");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_made_without_the_shape_is_mapped_both_ways() {
    within(async {
        let canned = canned("kurento-audio-video").replace("recvonly", "sendrecv");
        // Prewarmed, so with an audio line only, whose mid is another one.
        let offerer = session(|config| config.trickle = false).await;
        let offer = offerer.create_offer().await.expect("offer");
        let shaped = shaped(&canned, &offer, Overlay::Whole).expect("shaped");
        let lines = sections(&shaped.sdp);
        assert_eq!((lines.len(), value(&lines[0], "mid")), (2, Some("audio0")), "{}", shaped.sdp);
        assert!(lines[1][0].starts_with("m=video 0 "), "{}", shaped.sdp);
        assert!(shaped.sdp.contains("a=group:BUNDLE audio0\r\n"), "{}", shaped.sdp);
        let answerer = session(|config| config.trickle = false).await;
        let answer = answerer.create_answer(&shaped.sdp).await.expect("answer");
        assert!(answer.contains("a=group:BUNDLE audio0\r\n"), "{answer}");
        let mapped = shaped.mids.to_live_description(&answer);
        assert!(mapped.contains("a=group:BUNDLE 0\r\n") && mapped.contains("a=mid:0\r\n"), "{mapped}");
        offerer.set_remote_answer(&mapped).await.expect("applied");
        let candidate = offerer.next_local_candidate().await.expect("a candidate");
        let outgoing = shaped.mids.to_canned_candidate(&candidate);
        assert_eq!((outgoing.sdp_mid.as_deref(), outgoing.sdp_m_line_index), (Some("audio0"), Some(0)));
        assert_eq!(shaped.mids.to_live_candidate(&outgoing), candidate);
        offerer.first_rtp().await.expect("audio");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn an_offer_without_mids_or_bundle_is_answered_in_kind() {
    within(async {
        let offerer = of(canned("mobile-sip-audio")).await;
        let offer = offerer.create_offer().await.expect("offer");
        let shaped = shaped(canned("mobile-sip-audio"), &offer, Overlay::Whole).expect("shaped");
        let answerer = session(|config| config.trickle = false).await;
        let answer = answerer.create_answer(&shaped.sdp).await.expect("answer");
        for text in [&shaped.sdp, &answer] {
            assert!(!text.contains("a=mid:") && !text.contains("a=group:"), "{text}");
        }
        offerer.set_remote_answer(&answer).await.expect("applied");
        offerer.first_rtp().await.expect("audio");
        close(&offerer, &answerer).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_webrtc_has_no_shape() {
    let plain = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    assert_eq!(Shape::of(plain), Err(ShapeError::NotWebRtc { missing: "a=ice-ufrag" }));
    assert_eq!(Shape::of("v=0\r\n"), Err(ShapeError::NoMedia));
    let chrome = canned("chrome-audio");
    assert_eq!(Shape::of(&chrome.replace("m=audio 9", "m=audio 0")), Err(ShapeError::AllRejected));
    let only_g722 = canned("pcmu-only").replace("SAVPF 0 101", "SAVPF 9 101");
    let error = Shape::of(&only_g722).expect_err("nothing to send");
    assert!(error.to_string().contains("offers only G722/8000, telephone-event/8000"), "{error}");
    Shape::of(&only_g722.replace("actpass", "active")).expect("an answer follows the offer");
}

#[tokio::test]
async fn a_shape_tells_full_ice_from_trickle_and_names_the_canned_credentials() {
    assert!(Shape::of(canned("jssip-audio")).expect("a shape").full_ice());
    let shape = Shape::of(canned("chrome-audio")).expect("a shape");
    assert!(!shape.full_ice());
    assert_eq!(shape.ice(), ("ZRh3", "Kk+Cosrp/oY/tTyYeVOqeeSe"));
    assert!(shape.notes().is_empty());
    let shape = Shape::of(canned("mobile-sip-audio")).expect("a shape");
    assert_eq!(shape.ice().0, "a1b2c3d4");
}

#[tokio::test]
async fn the_default_address_of_a_full_offer_is_a_live_candidate() {
    within(async {
        let session = of(canned("jssip-audio")).await;
        let live = session.create_offer().await.expect("offer");
        for mode in [Overlay::Whole, Overlay::Overlay] {
            let sdp = shaped(canned("jssip-audio"), &live, mode).expect("shaped").sdp;
            let port = sections(&sdp)[0][0].split(' ').nth(1).expect("a port").to_owned();
            assert!(
                sdp.contains(&format!(" 127.0.0.1 {port} typ host")) && sdp.contains("c=IN IP4 127.0.0.1"),
                "{sdp}"
            );
        }
        session.close(std::time::Duration::from_secs(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_canned_offer_without_audio_connects_and_sends_none() {
    within(async {
        let everything = canned("chrome-audio-video-data");
        let first = everything.find("m=audio").expect("audio");
        let video = everything.find("m=video").expect("video");
        let data = everything.find("m=application").expect("data");
        let session = &everything[..first];
        let viewer = session.replace("0 1 2", "1") + &everything[video..data].replace("a=sendrecv", "a=recvonly");
        let data_only = session.replace("0 1 2", "2") + &everything[data..];
        for text in [viewer, data_only] {
            for mode in [Overlay::Whole, Overlay::Overlay] {
                let (offerer, answerer, shaped, _) = call(&text, mode).await;
                assert_same_lines("without audio", &text, &shaped.sdp);
                assert_eq!((offerer.current_direction(), offerer.codec()), (None, None));
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                assert_eq!((offerer.counters().packets_sent, answerer.counters().packets_sent), (0, 0));
                close(&offerer, &answerer).await;
            }
        }
    })
    .await;
}
