//! Auto ICE finds what a message carries in every wrapping, and puts something else there without touching the rest.
use jmeter_webrtc::autoice::{Content, Direction, Finding, Options, Reading, Replacement, SdpType, read};
use jmeter_webrtc::peer::IceCandidateInit;

const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:bZR5\r\na=ice-pwd:XpFDDc76s84+DZlMsHAllQGa\r\n\
    a=fingerprint:sha-256 1F:4A:F0:4A:FD:0B:2E:EF:21:6B:BD:B7:84:4F:3A:6A:CC:F9:B8:D7:4B:38:8C:FB:7D:29:9A:51:D7:D2:15:79\r\n\
    a=setup:actpass\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

const LIVE: &str = "v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4711 UDP/TLS/RTP/SAVPF 111 0\r\n\
    c=IN IP4 127.0.0.1\r\na=candidate:1 1 udp 2122 127.0.0.1 4711 typ host\r\na=ice-ufrag:Live\r\n\
    a=ice-pwd:liveliveliveliveli/e&v<>=\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\n";

const CANDIDATE: &str = "candidate:1510613869 1 udp 2122063615 127.0.0.1 47211 typ host generation 0 ufrag bZR5";

fn answer() -> String {
    OFFER.replace("actpass", "active")
}

fn reading(message: impl AsRef<[u8]>, direction: Direction) -> Reading {
    let message = message.as_ref();
    read(message, direction, &Options::default())
        .unwrap_or_else(|| panic!("nothing found in {}", String::from_utf8_lossy(message)))
}

/// The only finding of an outgoing message.
fn only(message: impl AsRef<[u8]>) -> Finding {
    let reading = reading(message, Direction::Outgoing);
    assert_eq!(reading.left, [], "nothing is left alone");
    assert_eq!(reading.findings.len(), 1, "{:?}", reading.findings);
    reading.findings[0].clone()
}

fn sdp_of(finding: &Finding) -> &str {
    match &finding.content {
        Content::Description { sdp, .. } => sdp,
        other => panic!("no description: {other:?}"),
    }
}

fn kind_of(finding: &Finding) -> Option<SdpType> {
    match &finding.content {
        Content::Description { kind, .. } => *kind,
        other => panic!("no description: {other:?}"),
    }
}

/// Puts LIVE into the only description of `message`, and reads it again.
fn swapped(message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    let before = reading(message, Direction::Outgoing);
    let kept = before.replaced(message, &[Replacement::Description(OFFER.to_owned())]);
    assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(message), "the same text gives the same bytes");
    let after = before.replaced(message, &[Replacement::Description(LIVE.to_owned())]);
    let again = reading(&after, Direction::Outgoing);
    assert!(sdp_of(&again.findings[0]).lines().eq(LIVE.lines()), "what went in comes out: {again:?}");
    assert_eq!(again.findings[0].path, before.findings[0].path);
    let back = again.replaced(&after, &[Replacement::Description(OFFER.to_owned())]);
    assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(message), "and back again");
    after
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("JSON")
}

#[test]
fn a_raw_description_is_found() {
    let finding = only(OFFER);
    assert_eq!((sdp_of(&finding), kind_of(&finding), finding.path.as_str()), (OFFER, Some(SdpType::Offer), "text"));
    assert_eq!(swapped(OFFER), LIVE.as_bytes());
    assert_eq!(kind_of(&only(answer())), Some(SdpType::Answer));
}

#[test]
fn line_ends_of_the_plan_are_kept() {
    let text = OFFER.replace("\r\n", "\n");
    let text = text.trim_end();
    assert_eq!(swapped(text), LIVE.replace("\r\n", "\n").trim_end().as_bytes());
}

#[test]
fn a_description_in_a_json_string_is_found() {
    let message = format!(
        r#"{{ "callId":"c-1", "big": 9007199254740993, "jsep":{{"type":"offer","sdp":{}}},"x":[1.0,2e3] }}"#,
        json(OFFER)
    );
    let finding = only(&message);
    assert_eq!((sdp_of(&finding), kind_of(&finding)), (OFFER, Some(SdpType::Offer)));
    assert_eq!((finding.path.as_str(), finding.dialog.id.as_deref()), ("JSON jsep.sdp", Some("c-1")));
    assert_eq!(swapped(&message), message.replace(&json(OFFER), &json(LIVE)).into_bytes());
}

#[test]
fn json_in_a_json_string_in_a_json_string_is_found() {
    let inner = format!(r#"{{"type":"answer","sdp":{}}}"#, json(&answer()));
    let message = format!(r#"{{"data":{},"n":1}}"#, json(&format!(r#"{{"payload":{}}}"#, json(&inner))));
    let finding = only(&message);
    assert_eq!((sdp_of(&finding), kind_of(&finding)), (answer().as_str(), Some(SdpType::Answer)));
    assert_eq!(finding.path, "JSON data → JSON payload → JSON sdp");
}

#[test]
fn the_escapes_of_the_place_are_used_again() {
    // Gson escapes `=`, `<`, `>` and `&`; PHP escapes the slash.
    let gson = format!(r#"{{"sdpOffer":{}}}"#, json(OFFER).replace('=', "\\u003d"));
    let swapped_gson = String::from_utf8(swapped(&gson)).expect("UTF-8");
    assert!(
        swapped_gson.contains("v\\u003d0\\r\\n") && swapped_gson.contains("e\\u0026v\\u003c\\u003e\\u003d"),
        "{swapped_gson}"
    );
    let php = format!(r#"{{"sdpOffer":{}}}"#, json(OFFER).replace('/', "\\/"));
    assert!(String::from_utf8(swapped(&php)).expect("UTF-8").contains("UDP\\/TLS\\/RTP\\/SAVPF"));
    let double = OFFER.replace("\r\n", "\\r\\n");
    assert_eq!(swapped(&double), LIVE.replace("\r\n", "\\r\\n").into_bytes());
}

fn sip(content_length: &str, body: &str) -> String {
    format!(
        "INVITE sip:bob@lab SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nTo: <sip:bob@lab>\r\nFrom: <sip:alice@lab>;tag=a\r\n\
         Call-ID: call-7\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n{content_length}: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_length_of_a_sip_body_is_counted_again() {
    for header in ["Content-Length", "l"] {
        let message = sip(header, OFFER);
        let finding = only(&message);
        assert_eq!((kind_of(&finding), finding.path.as_str()), (Some(SdpType::Offer), "SIP INVITE body"));
        assert_eq!((finding.dialog.id.as_deref(), finding.dialog.established), (Some("call-7"), false));
        assert_eq!(String::from_utf8(swapped(&message)).expect("UTF-8"), sip(header, LIVE));
    }
}

#[test]
fn the_parts_of_a_sip_body_are_found() {
    let parts = |sdp: &str| {
        format!(
            "--boundary1\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}\r\n--boundary1\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\n--boundary1--\r\n",
            sdp.len()
        )
    };
    let message = sip("Content-Length", &parts(OFFER))
        .replace("application/sdp\r\nContent-Length: 9", "multipart/mixed;boundary=boundary1\r\nContent-Length: 9");
    assert_eq!(only(&message).path, "SIP INVITE body → part 1");
    assert_eq!(kind_of(&only(&message)), Some(SdpType::Offer));
    let after = String::from_utf8(swapped(&message)).expect("UTF-8");
    assert!(after.contains(&format!("Content-Length: {}\r\n\r\n--boundary1", parts(LIVE).len())), "{after}");
    assert!(after.ends_with(&parts(LIVE)));
}

#[test]
fn a_candidate_is_found_with_what_stands_beside_it() {
    let message = format!(
        r#"{{"janus":"trickle","session_id":1,"handle_id":8244467842892561,"candidate":{{"candidate":"{CANDIDATE}","sdpMid":"0","sdpMLineIndex":0}},"transaction":"t7"}}"#
    );
    let finding = only(&message);
    let expected = IceCandidateInit {
        candidate: CANDIDATE.to_owned(),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    assert_eq!(finding.content, Content::Candidate(expected.clone()));
    assert_eq!(
        (finding.dialog.id.as_deref(), finding.path.as_str()),
        (Some("8244467842892561"), "JSON candidate.candidate")
    );
    let reading = reading(&message, Direction::Outgoing);
    assert_eq!(reading.replaced(message.as_bytes(), &[Replacement::Candidate(expected)]), message.as_bytes());
    let live = IceCandidateInit {
        candidate: "candidate:9 1 udp 1 127.0.0.1 1 typ host".to_owned(),
        sdp_mid: Some("audio".to_owned()),
        sdp_m_line_index: Some(12),
        username_fragment: Some("Live".to_owned()),
    };
    let after = reading.replaced(message.as_bytes(), &[Replacement::Candidate(live)]);
    let expected = message
        .replace(CANDIDATE, "candidate:9 1 udp 1 127.0.0.1 1 typ host")
        .replace(r#""sdpMid":"0""#, r#""sdpMid":"audio""#)
        .replace(r#"Index":0"#, r#"Index":12"#);
    assert_eq!(String::from_utf8_lossy(&after), expected);
}
