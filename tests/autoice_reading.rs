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
    // Whether base64 is padded cannot be told from a text that needs no padding.
    let unpadded = |text: &[u8]| String::from_utf8_lossy(text).replace('=', "");
    assert_eq!(unpadded(&back), unpadded(message), "and back again");
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

#[test]
fn a_description_in_xml_is_found() {
    let xml_text = |sdp: &str| sdp.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = format!(
        "<iq type='set' id='1'><call xmlns='x' sid='s-1'><offer>{}</offer></call></iq>",
        OFFER.replace("\r\n", "\n")
    );
    let finding = only(&text);
    assert_eq!((kind_of(&finding), finding.path.as_str()), (Some(SdpType::Offer), "XMPP iq/call/offer"));
    assert_eq!(finding.dialog.id.as_deref(), Some("s-1"));
    let expected = text.replace(&OFFER.replace("\r\n", "\n"), &xml_text(&LIVE.replace("\r\n", "\n")));
    assert_eq!(String::from_utf8(swapped(&text)).expect("UTF-8"), expected);
    for newline in ["&#xD;&#xA;", "&#13;&#10;", "&#xa;"] {
        let attribute = format!("<jsep type='offer' sdp=\"{}\"/>", OFFER.replace("\r\n", newline));
        assert_eq!(
            (kind_of(&only(&attribute)), only(&attribute).path),
            (Some(SdpType::Offer), "XML jsep/@sdp".to_owned())
        );
        let after = String::from_utf8(swapped(&attribute)).expect("UTF-8");
        assert_eq!(after.matches(newline).count(), LIVE.lines().count(), "{after}");
    }
    let cdata = format!("<m><sdp type='offer'><![CDATA[{OFFER}]]></sdp></m>");
    assert_eq!(String::from_utf8(swapped(&cdata)).expect("UTF-8"), cdata.replace(OFFER, LIVE));
}

#[test]
fn sibling_elements_say_what_a_description_in_xml_is() {
    let text = format!("<call><callId>c-1</callId><type>answer</type><sdp>{OFFER}</sdp></call>");
    let finding = only(&text);
    assert_eq!((kind_of(&finding), finding.dialog.id.as_deref()), (Some(SdpType::Answer), Some("c-1")));
}

#[test]
fn a_description_in_base64_is_found() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let pretty = serde_json::to_string_pretty(&serde_json::json!({"type": "offer", "sdp": OFFER})).expect("JSON");
    let compact = format!(r#"{{"type":"offer","sdp":{}}}"#, json(OFFER));
    // The action of Kinesis Video Streams names it again.
    for (name, engine) in [
        ("standard", &STANDARD),
        ("URL", &URL_SAFE),
        ("unpadded", &STANDARD_NO_PAD),
        ("URL, unpadded", &URL_SAFE_NO_PAD),
    ] {
        for text in [OFFER.to_owned(), compact.clone(), pretty.clone(), pretty.replace('\n', "\r\n")] {
            let message = format!(r#"{{"action":"SDP_OFFER","messagePayload":"{}"}}"#, engine.encode(&text));
            let finding = only(&message);
            assert_eq!(kind_of(&finding), Some(SdpType::Offer), "{name}");
            assert!(finding.path.starts_with("JSON messagePayload → base64"), "{}", finding.path);
            let after = swapped(&message);
            let after: serde_json::Value = serde_json::from_slice(&after).expect("JSON");
            STANDARD.decode(after["messagePayload"].as_str().expect("text").replace('-', "+").replace('_', "/")).ok();
        }
        assert_eq!(only(engine.encode(&compact)).path, "base64 → JSON sdp");
    }
    let lines: Vec<String> =
        STANDARD.encode(OFFER).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    for end in ["\r\n", "\n"] {
        let wrapped = lines.join(end);
        assert!(String::from_utf8(swapped(&wrapped)).expect("UTF-8").lines().all(|line| line.len() <= 76));
    }
}

#[test]
fn broken_base64_is_no_base64() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(OFFER);
    for broken in [
        format!("{}*{}", &encoded[..50], &encoded[51..]),
        format!("{encoded}="),
        encoded[..encoded.len() - 5].to_owned() + "=====",
    ] {
        assert!(read(broken.as_bytes(), Direction::Outgoing, &Options::default()).is_none(), "{broken}");
    }
}

#[test]
fn packets_of_socket_io_are_found() {
    for prefix in ["42", "421", "42/calls,", "42/calls,17", "5:::"] {
        let message = format!(r#"{prefix}["offer",{{"callId":7,"sdp":{}}}]"#, json(OFFER));
        let finding = only(&message);
        assert_eq!((kind_of(&finding), finding.dialog.id.as_deref()), (Some(SdpType::Offer), Some("7")), "{prefix}");
        assert_eq!(finding.path, "Socket.IO → JSON [1].sdp");
        swapped(&message);
    }
    let packet = |sdp: &str| format!(r#"42["message",{{"type":"offer","sdp":{},"name":"Zoë 😀"}}]"#, json(sdp));
    let polled = |sdp: &str| format!("2:40{}:{}1:3", packet(sdp).encode_utf16().count(), packet(sdp));
    assert_eq!(String::from_utf8(swapped(polled(OFFER))).expect("UTF-8"), polled(LIVE), "the length is counted again");
    let separated = format!("40\u{1e}{}", packet(OFFER));
    assert_eq!(only(&separated).path, "record 2 → Socket.IO → JSON [1].sdp");
    swapped(&separated);
}

#[test]
fn several_records_of_signal_r_are_found() {
    let record = |target: &str, sdp: &str| {
        format!(r#"{{"type":1,"target":"{target}","arguments":["c-1",{}]}}"#, json(sdp)) + "\u{1e}"
    };
    let message = format!("{}{}{{\"type\":6}}\u{1e}", record("SendOffer", OFFER), record("SendAnswer", &answer()));
    let reading = reading(&message, Direction::Outgoing);
    let kinds: Vec<_> = reading.findings.iter().map(|finding| (kind_of(finding), finding.path.as_str())).collect();
    assert_eq!(
        kinds,
        [
            (Some(SdpType::Offer), "record 1 → JSON arguments[1]"),
            (Some(SdpType::Answer), "record 2 → JSON arguments[1]")
        ]
    );
    let after = reading.replaced(message.as_bytes(), &[Replacement::Keep, Replacement::Description(LIVE.to_owned())]);
    assert_eq!(after, message.replace(&json(&answer()), &json(LIVE)).into_bytes(), "each is replaced for itself");
}

#[test]
fn frames_of_stomp_are_found_and_counted() {
    let frame = |sdp: &str| {
        let body = format!(r#"{{"type":"offer","sdp":{}}}"#, json(sdp));
        format!("SEND\ndestination:/app/call\ncontent-length:{}\n\n{body}\0\n", body.len())
    };
    assert_eq!(only(frame(OFFER)).path, "STOMP body → JSON sdp");
    assert_eq!(String::from_utf8(swapped(frame(OFFER))).expect("UTF-8"), frame(LIVE));
    let sock_js = |sdp: &str| format!("[{}]", json(&frame(sdp)));
    assert_eq!(String::from_utf8(swapped(sock_js(OFFER))).expect("UTF-8"), sock_js(LIVE));
    let received = format!("a{}", sock_js(&answer()));
    assert_eq!(reading(&received, Direction::Incoming).findings[0].path, "SockJS → JSON [0] → STOMP body → JSON sdp");
}

#[test]
fn fields_of_a_form_are_found() {
    let encode = |text: &str, upper: bool| {
        text.bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
                b' ' => "+".to_owned(),
                _ if upper => format!("%{byte:02X}"),
                _ => format!("%{byte:02x}"),
            })
            .collect::<String>()
    };
    for upper in [true, false] {
        let form = |sdp: &str| format!("callId=c-9&sdpOffer={}&x=1", encode(sdp, upper));
        let finding = only(form(OFFER));
        assert_eq!((kind_of(&finding), finding.path.as_str()), (Some(SdpType::Offer), "form field sdpOffer"));
        assert_eq!(String::from_utf8(swapped(form(OFFER))).expect("UTF-8"), form(LIVE));
    }
    let nested = format!("data={}", encode(&format!(r#"{{"type":"offer","sdp":{}}}"#, json(OFFER)), true));
    assert_eq!(only(&nested).path, "form field data → JSON sdp");
    swapped(&nested);
}

#[test]
fn fragments_are_found_and_take_candidates() {
    let whip = format!(
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={CANDIDATE}\r\na={CANDIDATE}\r\na=end-of-candidates\r\n"
    );
    let finding = only(&whip);
    assert_eq!(finding.content, Content::Fragment { sdpfrag: whip.clone() });
    let reading = reading(&whip, Direction::Outgoing);
    assert_eq!(reading.replaced(whip.as_bytes(), &[Replacement::Fragment(whip.clone())]), whip.as_bytes());
    let live = IceCandidateInit {
        candidate: "candidate:9 1 udp 1 127.0.0.1 1 typ host".to_owned(),
        ..IceCandidateInit::default()
    };
    let after = reading.replaced(whip.as_bytes(), &[Replacement::Candidate(live)]);
    let expected = whip
        .replacen(CANDIDATE, "candidate:9 1 udp 1 127.0.0.1 1 typ host", 1)
        .replace(&format!("a={CANDIDATE}\r\n"), "");
    assert_eq!(String::from_utf8_lossy(&after), expected);
}

#[test]
fn the_messages_of_kurento_are_understood() {
    let gson = |text: &str| json(text).replace('=', "\\u003d");
    let process = format!(
        r#"{{"id":12,"method":"invoke","params":{{"object":"ep","operation":"processOffer","operationParams":{{"offer":{}}},"sessionId":"s-5"}},"jsonrpc":"2.0"}}"#,
        gson(OFFER)
    );
    let finding = only(&process);
    assert_eq!((kind_of(&finding), finding.dialog.id.as_deref()), (Some(SdpType::Offer), Some("s-5")));
    swapped(&process);
    let result = format!(r#"{{"id":12,"result":{{"value":{},"sessionId":"s-5"}},"jsonrpc":"2.0"}}"#, gson(&answer()));
    let found = reading(&result, Direction::Incoming).findings.remove(0);
    assert_eq!((kind_of(&found), found.dialog.id.as_deref()), (Some(SdpType::Answer), Some("s-5")));
    let tutorial = format!(r#"{{"id":"viewer","sdpOffer":{}}}"#, json(OFFER));
    assert_eq!((kind_of(&only(&tutorial)), only(&tutorial).dialog.id), (Some(SdpType::Offer), None));
    let event = format!(
        r#"{{"jsonrpc":"2.0","method":"onEvent","params":{{"value":{{"data":{{"candidate":{{"module":"kurento","candidate":"{CANDIDATE}","sdpMid":"audio","sdpMLineIndex":0}},"source":"ep","type":"IceCandidateFound"}},"object":"ep"}}}}}}"#
    );
    assert!(
        matches!(&reading(&event, Direction::Incoming).findings[0].content, Content::Candidate(init) if init.sdp_mid.as_deref() == Some("audio"))
    );
}

#[test]
fn the_messages_of_other_servers_are_understood() {
    let offer = json(OFFER);
    for (message, dialog) in [
        (
            format!(
                r#"{{"jsonrpc":"2.0","id":4,"method":"verto.invite","params":{{"sessid":"login","sdp":{offer},"dialogParams":{{"callID":"v-1","destination_number":"9"}}}}}}"#
            ),
            Some("v-1"),
        ),
        (
            format!(r#"{{"type":"invite","version":"1.6","payload":{{"callsid":"CA1","sdp":{offer},"twilio":{{}}}}}}"#),
            Some("CA1"),
        ),
        (
            format!(
                r#"{{"jsonrpc":"2.0","method":"invite","params":{{"sdp":{offer},"candidates":[],"callContextToken":"t"}},"id":"1"}}"#
            ),
            None,
        ),
        (format!(r#"{{"offer":{{"type":"offer","sdp":{offer}}}}}"#), None),
        (
            format!(
                r#"{{"event":"client-sdp","channel":"private-1","data":{}}}"#,
                json(&format!(r#"{{"sdp":{offer},"type":"offer"}}"#))
            ),
            None,
        ),
        (format!(r#"["3","7","room:1","offer",{{"sdp":{offer}}}]"#), None),
        (
            format!(
                r#"{{"command":"message","identifier":"{{\"channel\":\"Call\"}}","data":{}}}"#,
                json(&format!(r#"{{"action":"offer","sdp":{offer}}}"#))
            ),
            None,
        ),
    ] {
        let finding = only(&message);
        assert_eq!((kind_of(&finding), finding.dialog.id.as_deref()), (Some(SdpType::Offer), dialog), "{message}");
        swapped(&message);
    }
    let live_kit = format!(
        r#"{{"trickle":{{"candidateInit":{},"target":"PUBLISHER"}}}}"#,
        json(&format!(r#"{{"candidate":"{CANDIDATE}","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}"#))
    );
    assert!(matches!(only(&live_kit).content, Content::Candidate(init) if init.sdp_m_line_index == Some(0)));
    let app_rtc = format!(
        r#"{{"cmd":"send","msg":{}}}"#,
        json(&format!(r#"{{"type":"candidate","label":0,"id":"audio","candidate":"{CANDIDATE}"}}"#))
    );
    assert!(
        matches!(only(&app_rtc).content, Content::Candidate(init) if init.sdp_mid.as_deref() == Some("audio") && init.sdp_m_line_index == Some(0))
    );
}

#[test]
fn several_candidates_in_one_message_are_found_one_by_one() {
    let message = format!(
        r#"{{"type":"offer","sdp":{},"candidates":["{CANDIDATE}",{{"candidate":"{CANDIDATE}","sdpMid":"0"}}]}}"#,
        json(OFFER)
    );
    assert_eq!(reading(&message, Direction::Outgoing).findings.len(), 3);
}

#[test]
fn end_marks_of_candidates_are_found() {
    for message in [
        r#"{"janus":"trickle","handle_id":2,"candidate":{"completed":true}}"#,
        r#"{"janus":"trickle","handle_id":2,"candidate":null}"#,
        r#"{"type":"candidate","candidate":""}"#,
        r#"{"candidate":{"candidate":"","sdpMid":"0","sdpMLineIndex":0}}"#,
    ] {
        let finding = only(message);
        assert!(matches!(&finding.content, Content::Candidate(init) if init.candidate.is_empty()), "{message}");
        let reading = reading(message, Direction::Outgoing);
        let end = Replacement::Candidate(IceCandidateInit::default());
        assert_eq!(reading.replaced(message.as_bytes(), &[end]), message.as_bytes(), "an end stays an end");
    }
    for message in [
        r#"{"candidate":null,"vote":1}"#,
        r#"{"candidate":"","name":"x"}"#,
        r#"{"candidate":{"completed":true,"name":"x"}}"#,
    ] {
        assert!(read(message.as_bytes(), Direction::Outgoing, &Options::default()).is_none(), "{message}");
    }
}

#[test]
fn a_sip_message_says_what_its_body_is() {
    let response = |status: &str, cseq: &str, sdp: &str| {
        format!(
            "SIP/2.0 {status}\r\nTo: <sip:b@lab>;tag=t\r\ni: call-7\r\nCSeq: 2 {cseq}\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    };
    let silent = OFFER.replace("a=setup:actpass\r\n", "");
    for (message, kind) in [
        (response("200 OK", "INVITE", &answer()), Some(SdpType::Answer)),
        (response("200 OK", "INVITE", OFFER), Some(SdpType::Offer)),
        (response("200 OK", "INVITE", &silent), None),
        (response("183 Session Progress", "INVITE", &answer()), Some(SdpType::Pranswer)),
        (sip("l", OFFER).replace("INVITE", "ACK"), Some(SdpType::Answer)),
        (sip("l", &silent), Some(SdpType::Offer)),
    ] {
        let found = reading(&message, Direction::Incoming).findings.remove(0);
        assert_eq!((kind_of(&found), found.dialog.id.as_deref()), (kind, Some("call-7")), "{message}");
    }
    let again = sip("l", OFFER).replace("To: <sip:bob@lab>", "To: <sip:bob@lab>;tag=x");
    assert!(only(&again).dialog.established, "a To tag proves the dialog");
}

#[test]
fn the_end_of_a_dialog_is_found() {
    let bye =
        "BYE sip:b@lab SIP/2.0\r\nTo: <sip:b@lab>;tag=t\r\nCall-ID: call-7\r\nCSeq: 3 BYE\r\nContent-Length: 0\r\n\r\n";
    let busy = "SIP/2.0 486 Busy Here\r\nTo: <sip:b@lab>;tag=t\r\nCall-ID: call-7\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    for message in [
        bye.to_owned(),
        bye.replace("BYE", "CANCEL"),
        busy.to_owned(),
        r#"{"type":"bye","callId":"call-7"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","method":"verto.bye","params":{"dialogParams":{"callID":"call-7"}}}"#.to_owned(),
        r#"{"type":"hangup","payload":{"callsid":"call-7"}}"#.to_owned(),
        r#"42["hang-up",{"callId":"call-7"}]"#.to_owned(),
        r#"{"type":1,"target":"HangUp","callId":"call-7"}"#.to_owned(),
    ] {
        let found = reading(&message, Direction::Incoming).findings.remove(0);
        assert_eq!((found.content, found.dialog.id.as_deref()), (Content::HangUp, Some("call-7")), "{message}");
    }
    for message in [
        busy.replace("486 Busy Here", "401 Unauthorized"),
        busy.replace("486 Busy Here", "488 Not Acceptable Here"),
        busy.replace("INVITE", "REGISTER"),
        r#"{"type":"chat","text":"bye"}"#.to_owned(),
        r#"{"calls":[{"type":"bye","callId":"call-7"}]}"#.to_owned(),
        r#"{"type":"leave","user":"x"}"#.to_owned(),
    ] {
        assert!(read(message.as_bytes(), Direction::Incoming, &Options::default()).is_none(), "{message}");
    }
}

#[test]
fn ice_servers_are_found_in_what_is_received() {
    let servers = |message: &str| match reading(message, Direction::Incoming).findings.remove(0).content {
        Content::IceServers(servers) => servers
            .into_iter()
            .map(|server| (server.urls.join(" "), server.username, server.credential))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let turn = |url: &str| (url.to_owned(), "u".to_owned(), "p".to_owned());
    let stun = ("stun:s.example:3478".to_owned(), String::new(), String::new());
    for (message, expected) in [
        (
            r#"{"iceServers":[{"urls":"stun:s.example:3478"},{"urls":["turn:t.example","turns:t.example:443?transport=tcp"],"username":"u","credential":"p"}]}"#,
            vec![stun.clone(), turn("turn:t.example turns:t.example:443?transport=tcp")],
        ),
        (
            r#"{"v":{"iceServers":{"url":"turn:t.example","username":"u","credential":"p"}}}"#,
            vec![turn("turn:t.example")],
        ),
        (
            r#"{"IceServerList":[{"Uris":["turn:t.example"],"Username":"u","Password":"p","Ttl":300}]}"#,
            vec![turn("turn:t.example")],
        ),
        (r#"{"username":"u","password":"p","ttl":86400,"uris":["turn:t.example"]}"#, vec![turn("turn:t.example")]),
        (
            r#"<iq type="result"><services xmlns="urn:xmpp:extdisco:2"><service type="turn" host="t.example" port="3478" transport="tcp" username="u" password="p"/><service type="stun" host="s.example" port="3478"/></services></iq>"#,
            vec![turn("turn:t.example:3478?transport=tcp"), stun.clone()],
        ),
    ] {
        assert_eq!(servers(message), expected, "{message}");
        assert!(
            read(message.as_bytes(), Direction::Outgoing, &Options::default()).is_none(),
            "the plan's own are its own"
        );
    }
    let link = r#"<turn:t.example>; rel="ice-server"; username="u"; credential="p"; credential-type="password""#;
    let created = format!(
        "HTTP/1.1 201 Created\r\nLink: {link}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
        answer().len(),
        answer()
    );
    let found = reading(&created, Direction::Incoming).findings;
    assert_eq!((kind_of(&found[0]), &found[1].path), (Some(SdpType::Answer), &"HTTP Link header".to_owned()));
    let options = Options { headers: Some(format!("Link: {link}")), ..Options::default() };
    let found = read(answer().as_bytes(), Direction::Incoming, &options).expect("findings").findings;
    assert!(matches!(&found[1].content, Content::IceServers(servers) if servers[0].credential == "p"));
    assert!(!format!("{found:?}").contains("credential: "), "a password is never shown");
}

/// Why an outgoing message is left alone as a whole.
fn left(message: impl AsRef<[u8]>, options: &Options) -> String {
    let message = message.as_ref();
    let reading = read(message, Direction::Outgoing, options).expect("a reason");
    assert_eq!(reading.findings, [], "nothing is to be changed");
    reading.left[0].reason.clone()
}

#[test]
fn what_is_signed_is_left_alone_with_the_reason() {
    let none = Options::default();
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let signed = format!(r#"{{"payload":{{"type":"offer","sdp":{}}},"signature":"{hash}"}}"#, json(OFFER));
    assert!(left(&signed, &none).contains("`signature`"));
    let counted = format!(r#"{{"type":"offer","sdpLength":{},"sdp":{}}}"#, OFFER.len(), json(OFFER));
    assert!(left(&counted, &none).contains("`sdpLength`"));
    let digest =
        sip("l", OFFER).replace("CSeq", "Authorization: Digest username=\"a\", qop=\"auth-int\", nc=00000001\r\nCSeq");
    assert!(left(&digest, &none).contains("auth-int"));
    for header in ["Content-MD5: x", "X-Amz-Content-Sha256: abc", "Signature: sig1=:x:"] {
        let options =
            Options { headers: Some(format!("Content-Type: application/sdp\r\n{header}\r\n")), ..Options::default() };
        assert!(!left(OFFER, &options).is_empty(), "{header}");
    }
    for message in [&signed, &counted, &digest] {
        assert_eq!(reading(message, Direction::Incoming).findings.len(), 1, "what is received is only read");
    }
}

#[test]
fn a_repeated_fingerprint_or_password_is_left_alone() {
    let fingerprint = OFFER.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 ")).expect("fingerprint");
    for beside in
        [fingerprint.to_owned(), fingerprint.replace(':', "").to_lowercase(), "XpFDDc76s84+DZlMsHAllQGa".to_owned()]
    {
        let message = format!(r#"{{"type":"offer","sdp":{},"dtls":"{beside}"}}"#, json(OFFER));
        assert!(left(&message, &Options::default()).contains("repeats"), "{beside}");
    }
    let twice = format!(r#"{{"a":{{"type":"offer","sdp":{0}}},"b":{{"type":"offer","sdp":{0}}}}}"#, json(OFFER));
    assert_eq!(reading(&twice, Direction::Outgoing).findings.len(), 2, "in two descriptions it is no repetition");
}

#[test]
fn what_has_no_description_as_text_is_left_alone() {
    let none = Options::default();
    let mut protobuf = vec![0x0a, 0x9c, 0x04, 0x0a, 0x05];
    protobuf.extend_from_slice(b"offer\x12\x92\x04");
    protobuf.extend_from_slice(OFFER.as_bytes());
    assert!(left(&protobuf, &none).contains("binary"));
    let ortc = r#"{"request":true,"id":1,"method":"connectWebRtcTransport","data":{"transportId":"t","dtlsParameters":{"role":"client","fingerprints":[]}}}"#;
    assert!(left(ortc, &none).contains("ORTC"));
    let jingle = "<iq type='set'><jingle xmlns='urn:xmpp:jingle:1' action='session-accept' sid='s'/></iq>";
    assert!(left(jingle, &none).contains("Jingle"));
    let rtp = OFFER
        .lines()
        .filter(|line| !line.starts_with("a="))
        .map(|line| format!("{line}\r\n"))
        .collect::<String>()
        .replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    assert!(left(&rtp, &none).contains("plain RTP"));
    assert!(left(format!("INFO sent\n{OFFER}"), &none).contains("not known"));
    assert!(left(format!(r#"{{"sdp":{},"#, json(OFFER)), &none).contains("broken at byte"));
    let log = format!(r#"{{"level":"debug","message":{}}}"#, json(OFFER));
    assert!(left(&log, &none).contains("log"));
    let telemetry = format!(r#"["setLocalDescription","PC_0",{{"type":"offer","sdp":{}}},1]"#, json(OFFER));
    assert!(left(&telemetry, &none).contains("setLocalDescription"));
}

#[test]
fn the_users_own_field_names_the_dialog() {
    let message = format!(r#"{{"callId":"c-1","leg":{{"uid":42}},"type":"offer","sdp":{}}}"#, json(OFFER));
    for field in ["uid", "leg.uid"] {
        let options = Options { dialog_field: Some(field.to_owned()), ..Options::default() };
        let found = read(message.as_bytes(), Direction::Outgoing, &options).expect("finding").findings.remove(0);
        assert_eq!(found.dialog.id.as_deref(), Some("42"));
    }
    let options = Options { dialog_field: Some("X-Call".to_owned()), ..Options::default() };
    let invite = sip("l", OFFER).replace("CSeq", "X-Call: own\r\nCSeq");
    let found = read(invite.as_bytes(), Direction::Outgoing, &options).expect("finding").findings.remove(0);
    assert_eq!(found.dialog.id.as_deref(), Some("own"));
}

#[test]
fn a_replacement_that_does_not_fit_changes_nothing() {
    let message = format!(r#"{{"type":"offer","sdp":{}}}"#, json(OFFER));
    let reading = reading(&message, Direction::Outgoing);
    for replacement in [
        Replacement::Keep,
        Replacement::Candidate(IceCandidateInit { candidate: CANDIDATE.to_owned(), ..IceCandidateInit::default() }),
    ] {
        assert_eq!(reading.replaced(message.as_bytes(), &[replacement]), message.as_bytes());
    }
    assert_eq!(reading.replaced(b"another message", &[Replacement::Description(LIVE.to_owned())]), b"another message");
}
