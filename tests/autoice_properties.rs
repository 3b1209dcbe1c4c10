//! What holds for every message: nothing changes but what is replaced, and what is taken out can be put back the same.
#[path = "autoice/support.rs"]
#[allow(dead_code, reason = "each test takes what it needs")]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jmeter_webrtc::autoice::reading::{MAX_FINDINGS, MAX_MESSAGE_BYTES};
use jmeter_webrtc::autoice::{Content, Direction, Options, Reading, Replacement, read};
use proptest::prelude::*;
use support::{LIVE, OFFER};

/// One wrapping, with what is free in it.
#[derive(Clone, Debug)]
enum Wrap {
    Json { before: String, escapes: Vec<u8>, spaces: usize },
    Xml { escapes: Vec<u8>, attribute: bool },
    Base64(u8),
    Form { lower: bool, all: bool },
    SocketIo,
    SignalR,
    Stomp,
    Sip { compact: bool },
    Multipart,
}

fn wraps() -> impl Strategy<Value = Vec<Wrap>> {
    let escapes = || proptest::collection::vec(any::<u8>(), 1..40);
    let wrap = prop_oneof![
        4 => ("[ -~é\u{1f600}]{0,20}", escapes(), 0..3usize).prop_map(|(before, escapes, spaces)| Wrap::Json { before, escapes, spaces }),
        2 => (escapes(), any::<bool>()).prop_map(|(escapes, attribute)| Wrap::Xml { escapes, attribute }),
        1 => (0..4u8).prop_map(Wrap::Base64),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(lower, all)| Wrap::Form { lower, all }),
        1 => Just(Wrap::SocketIo),
        1 => Just(Wrap::SignalR),
        1 => Just(Wrap::Stomp),
        1 => any::<bool>().prop_map(|compact| Wrap::Sip { compact }),
        1 => Just(Wrap::Multipart),
    ];
    proptest::collection::vec(wrap, 0..5)
}

fn json_string(text: &str, escapes: &[u8]) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        let choice = escapes[index % escapes.len()];
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str(if choice < 40 { "\\u000a" } else { "\\n" }),
            '\r' => out.push_str(if choice < 40 { "\\u000D" } else { "\\r" }),
            '\u{0}'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            '/' if choice < 128 => out.push_str("\\/"),
            // What libraries escape beyond need: letters and digits never.
            '=' | '<' | '>' | '&' | '\'' | '+' if choice < 100 => {
                let code = u32::from(character);
                out.push_str(&if choice < 50 { format!("\\u{code:04x}") } else { format!("\\u{code:04X}") });
            }
            _ => out.push(character),
        }
    }
    out
}

fn xml_text(text: &str, escapes: &[u8]) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        let choice = escapes[index % escapes.len()];
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str(if choice < 128 { "&#xD;" } else { "&#13;" }),
            '\n' => out.push_str(if choice < 128 { "&#xA;" } else { "&#10;" }),
            '>' | '\'' | '+' if choice < 100 => out.push_str(&format!("&#{};", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

fn form_value(text: &str, lower: bool, all: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
            b'/' | b':' | b';' if !all => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Puts `text` into one wrapping.
fn wrap(text: &str, how: &Wrap) -> String {
    match how {
        Wrap::Json { before, escapes, spaces } => {
            let space = " ".repeat(*spaces);
            format!(
                "{{{space}\"a\":{space}{},\"sdp\" :\"{}\",\"n\":1.50e+3{space}}}",
                serde_json::json!(before),
                json_string(text, escapes)
            )
        }
        Wrap::Xml { escapes, attribute: true } => format!("<iq id=\"1\"><x sdp=\"{}\"/></iq>", xml_text(text, escapes)),
        Wrap::Xml { escapes, .. } => format!("<iq id='1'><x>{}</x><y/></iq>", xml_text(text, escapes)),
        Wrap::Base64(0) => STANDARD.encode(text),
        Wrap::Base64(1) => STANDARD_NO_PAD.encode(text),
        Wrap::Base64(2) => URL_SAFE.encode(text),
        Wrap::Base64(_) => URL_SAFE_NO_PAD.encode(text),
        Wrap::Form { lower, all } => format!("a=1&sdp={}&b=", form_value(text, *lower, *all)),
        Wrap::SocketIo => format!("42[\"x\",{}]", serde_json::json!(text)),
        Wrap::SignalR => format!("{{\"type\":1,\"arguments\":[{}]}}\u{1e}", serde_json::json!(text)),
        Wrap::Stomp => format!("SEND\ncontent-length:{}\n\n{text}\0", text.len()),
        Wrap::Sip { compact } => {
            let name = if *compact { "l" } else { "Content-Length" };
            format!("INVITE sip:b@lab SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{name}: {}\r\n\r\n{text}", text.len())
        }
        Wrap::Multipart => format!("--b\r\nContent-Length: {}\r\n\r\n{text}\r\n--b--\r\n", text.len()),
    }
}

fn wrapped(text: &str, wraps: &[Wrap]) -> String {
    wraps.iter().fold(text.to_owned(), |text, how| wrap(&text, how))
}

/// Wrappings that real messages combine: what the reader has to unwrap is told by how a text begins.
fn is_real(wraps: &[Wrap]) -> bool {
    wraps.iter().enumerate().all(|(index, how)| match how {
        // Base64 is looked for in texts that begin as JSON or a description does.
        Wrap::Base64(_) => index == 0 || matches!(wraps[index - 1], Wrap::Json { .. } | Wrap::SignalR),
        // A form holds a description or JSON, and is the body of a request.
        Wrap::Form { .. } => index + 1 == wraps.len() && index <= 1,
        // XML has no control characters.
        Wrap::Xml { .. } => !wraps[..index].iter().any(|inner| matches!(inner, Wrap::SignalR | Wrap::Stomp)),
        // Records and frames that end with a control character are not put into another.
        Wrap::SignalR | Wrap::Stomp => {
            index + 1 == wraps.len() || matches!(wraps[index + 1], Wrap::Json { .. } | Wrap::SocketIo)
        }
        _ => true,
    })
}

fn description(reading: &Reading) -> Option<&str> {
    reading.findings.iter().find_map(|finding| match &finding.content {
        Content::Description { sdp, .. } => Some(sdp.as_str()),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_wrapped_is_found_and_can_be_put_back(wraps in wraps(), newline in prop_oneof![Just("\r\n"), Just("\n")], ended in any::<bool>()) {
        prop_assume!(is_real(&wraps));
        let sdp = OFFER.replace("\r\n", newline);
        let sdp = if ended { sdp.as_str() } else { sdp.trim_end() };
        let message = wrapped(sdp, &wraps);
        let reading = read(message.as_bytes(), Direction::Outgoing, &Options::default());
        let reading = reading.ok_or_else(|| TestCaseError::fail(format!("nothing found in {message}")))?;
        prop_assert_eq!(description(&reading), Some(sdp), "{}", &message);
        let same = reading.replaced(message.as_bytes(), &[Replacement::Description(OFFER.to_owned())]);
        prop_assert_eq!(String::from_utf8_lossy(&same), message.as_str());
        // Something else: found again, and nothing around it is different.
        let after = reading.replaced(message.as_bytes(), &[Replacement::Description(LIVE.to_owned())]);
        let again = read(&after, Direction::Outgoing, &Options::default());
        let again = again.ok_or_else(|| TestCaseError::fail(format!("nothing found in {}", String::from_utf8_lossy(&after))))?;
        let found = description(&again).expect("a description");
        prop_assert!(found.lines().eq(LIVE.lines()), "{} in {}", found, String::from_utf8_lossy(&after));
        prop_assert_eq!(found.ends_with('\n'), ended);
        prop_assert_eq!(&again.findings[0].path, &reading.findings[0].path);
        // Base64 writes the end of a text otherwise by its length.
        if !wraps.iter().any(|how| matches!(how, Wrap::Base64(_))) {
            prop_assert_eq!(around(&after), around(message.as_bytes()));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        harmless(&bytes);
    }

    #[test]
    fn pieces_of_signaling_in_any_order_are_read_without_harm(pieces in proptest::collection::vec(piece(), 0..30)) {
        harmless(&pieces.concat());
    }
}

/// A message without its description: all that may not change.
fn around(message: &[u8]) -> String {
    let reading = read(message, Direction::Incoming, &Options::default()).expect("a finding");
    let emptied = reading.replaced(message, &[Replacement::Description("v=0\r\n".to_owned())]);
    String::from_utf8_lossy(&emptied).trim_end().to_owned()
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static str> = vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u003d",
        "\\u",
        "\\r\\n",
        "<",
        ">",
        "</",
        "<![CDATA[",
        "]]>",
        "&#xD;",
        "&",
        "<iq a='",
        "'",
        "\"sdp\":\"",
        "\"candidate\":",
        "v=0\r\n",
        "o=- 1 1 IN IP4 0\r\n",
        "s=-\r\n",
        "t=0 0\r\n",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n",
        "a=end-of-candidates\r\n",
        "42[",
        "5:::",
        "2:40",
        "\u{1e}",
        "\0",
        "SEND\n",
        "INVITE sip:b@lab SIP/2.0\r\n",
        "Content-Length: 99\r\n",
        "\r\n",
        "--b\r\n",
        "--b--",
        "eyJ0eXBlIjoib2ZmZXIi",
        "dj0wDQpv",
        "sdp=v%3D0%0D%0A",
        "a[",
        "\"type\":\"bye\"",
        "\"iceServers\":[{\"urls\":\"stun:x\"}]",
        "HTTP/1.1 201 Created\r\n",
        "Link: <turn:x>; rel=\"ice-server\"\r\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => Just(OFFER.as_bytes().to_vec()),
    ]
}

/// Whatever is read: it does not panic, and what is put back is the same.
fn harmless(message: &[u8]) {
    for direction in [Direction::Outgoing, Direction::Incoming] {
        let Some(reading) = read(message, direction, &Options::default()) else { continue };
        assert_eq!(reading.replaced(message, &support::same(&reading)), message);
        if !reading.findings.iter().any(|finding| support::is_swap(&finding.content)) {
            assert_eq!(reading.replaced(message, &support::other(&reading)), message);
        }
        let after = reading.replaced(message, &support::other(&reading));
        read(&after, direction, &Options::default());
    }
}

#[test]
fn hostile_messages_are_read_within_bounds() {
    let many = |text: &str, bytes: usize| text.repeat(bytes / text.len());
    let size = MAX_MESSAGE_BYTES - 64;
    let candidate = "{\"candidate\":\"candidate:1 1 udp 1 127.0.0.1 9 typ host\",\"sdpMid\":\"0\"},";
    for message in [
        many("v=0\r\n", size),
        many(OFFER, size),
        many("{\"candidate\":", size),
        many("[", size),
        many("<a sdp='v=0'>", size),
        format!("[{}0]", many(candidate, size)),
        format!("[{}0]", many("{\"type\":\"bye\"},", size)),
        format!("{{\"x\":{{{}\"z\":0}}}}", many("\"candidate\":null,", size)),
        format!("[{}0]", many("\"eyJ0eXBlIjoib2ZmZXIiLCJzZHAiOiJ2PTAiLCJhIjoiYiIsImMiOiJkIn0=\",", size)),
        many("v=0\u{1e}", size),
        many("--b\r\nv=0\r\n", size),
        many("1:4", size),
        format!("\"{}\"", many("\\u003d\\\\\\\"v=0", size)),
        format!("SEND\n{}", many("candidate:v=0\n", size)),
        format!("<x>{}</x>", many("&#61;v=0", size)),
        format!("sdp={}", many("v%3D0%", size)),
        format!("data:;base64,{}", many("eyJ0", size)),
        many("a=end-of-candidates\r\n", size),
    ] {
        harmless(message.as_bytes());
        for direction in [Direction::Outgoing, Direction::Incoming] {
            if let Some(reading) = read(message.as_bytes(), direction, &Options::default()) {
                assert!(reading.findings.len() <= MAX_FINDINGS && reading.left.len() <= 2 * MAX_FINDINGS);
            }
        }
    }
}

#[test]
fn nested_wrappings_end_somewhere() {
    let mut message = OFFER.to_owned();
    let mut found = 0;
    for depth in 1..16 {
        message = format!("{{\"d\":{}}}", serde_json::json!(message));
        if message.len() > 4 * MAX_MESSAGE_BYTES {
            break;
        }
        let reading = read(message.as_bytes(), Direction::Outgoing, &Options::default());
        if reading.as_ref().and_then(description).is_some() {
            found = depth;
        }
        harmless(message.as_bytes());
    }
    assert!(found >= 6, "found at {found} wrappings");
}

#[test]
fn a_message_of_ten_megabytes_is_left_alone_with_the_reason() {
    let message =
        format!("{{\"type\":\"offer\",\"sdp\":{},\"image\":\"{}\"}}", serde_json::json!(OFFER), "A".repeat(10_000_000));
    let reading = read(message.as_bytes(), Direction::Outgoing, &Options::default()).expect("a reason");
    assert!(reading.findings.is_empty() && reading.left[0].reason.contains("bytes"), "{reading:?}");
    let image = format!("{{\"image\":\"{}\"}}", STANDARD.encode(vec![7; 7_500_000]));
    assert!(read(image.as_bytes(), Direction::Outgoing, &Options::default()).is_none());
}

#[test]
fn truncated_messages_are_read_without_harm() {
    let message = format!("{{\"name\":\"Zoë \u{1f600}\",\"type\":\"offer\",\"sdp\":{}}}", serde_json::json!(OFFER));
    for end in 0..message.len() {
        harmless(&message.as_bytes()[..end]);
        harmless(&message.as_bytes()[end..]);
    }
}
