//! 100,000 and more messages that are no signaling, or only quote it: nothing in them is ever changed.
//!
//! Each family has a name and its own seed, so that the messages are the same in every run.
#[path = "autoice/support.rs"]
#[allow(dead_code, reason = "each test takes what it needs")]
mod support;

use base64::Engine as _;
use jmeter_webrtc::autoice::{Content, Direction, Options, read};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use support::{LIVE, OFFER};

/// Messages of each family.
const EACH: usize = 4_200;

/// What is like signaling, word for word, and is none.
const NEAR_MISSES: &[&str] = &[
    "v=0",
    "v=0\\r\\n",
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n",
    "v=0; a=rsa-sha256; p=MIIB",
    "candidate",
    "candidate: Jane Doe",
    "candidate:1 1 udp",
    "a=candidate",
    "a=end-of-candidates-list",
    "the a=fingerprint line",
    "a=ice-ufrag",
    "the offer was accepted",
    "please answer my offer",
    "iceServers",
    "stun guns",
    "return:",
    "turn: left",
    "eyJ is how base64 of JSON begins",
    "dj0w",
    "goodbye",
    "hang on",
    "terminated",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "urn:xmpp:jingle:1",
    "INVITE sip:bob@lab SIP/2.0",
    "sdp",
    "\u{1f600} Zo\u{eb}",
];

const WORDS: &[&str] = &[
    "order",
    "user",
    "presence",
    "queue",
    "agent",
    "status",
    "metric",
    "topic",
    "note",
    "wrap-up",
    "skill",
    "evaluation",
    "routing",
    "heartbeat",
];

type Family = fn(&mut StdRng) -> Vec<u8>;

const FAMILIES: &[(&str, Family)] = &[
    ("JSON events", |rng| json_value(rng, 4).to_string().into_bytes()),
    ("JSON events, pretty", |rng| serde_json::to_vec_pretty(&json_value(rng, 4)).expect("JSON")),
    ("JSON in JSON", |rng| {
        serde_json::json!({"event": word(rng), "data": json_value(rng, 3).to_string()}).to_string().into_bytes()
    }),
    ("chat", |rng| {
        serde_json::json!({"type": "chat", "from": word(rng), "text": sentence(rng)}).to_string().into_bytes()
    }),
    ("XMPP", xmpp),
    ("SIP without a description", sip),
    ("STOMP", |rng| {
        format!("MESSAGE\ndestination:/topic/{}\nmessage-id:{}\n\n{}\0", word(rng), rng.next_u32(), json_value(rng, 2))
            .into_bytes()
    }),
    ("base64 images", |rng| {
        let image = base64::engine::general_purpose::STANDARD.encode(bytes(rng, 3_000));
        serde_json::json!({"name": word(rng), "image": format!("data:image/png;base64,{image}"), "raw": image})
            .to_string()
            .into_bytes()
    }),
    ("tokens", |rng| {
        let part =
            |value: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!(
            "{}.{}.{}",
            part(serde_json::json!({"alg": "RS256", "typ": "JWT"})),
            part(json_value(rng, 2)),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes(rng, 300))
        );
        serde_json::json!({"id": rng.next_u32(), "token": token, "authorization": format!("Bearer {token}")})
            .to_string()
            .into_bytes()
    }),
    ("protobuf", protobuf),
    ("random bytes", |rng| bytes(rng, 2_000)),
    ("pages", |rng| {
        format!(
            "<!DOCTYPE html><html><head><title>{}</title></head><body><pre>{}{}</pre><p>{}</p></body></html>",
            word(rng),
            OFFER,
            sentence(rng),
            sentence(rng)
        )
        .into_bytes()
    }),
    ("logs", |rng| {
        format!(
            "2026-11-25T10:{:02}:00Z {} {} {}\n{OFFER}",
            rng.random_range(0..60),
            ["INFO", "DEBUG"].choose(rng).expect("some"),
            word(rng),
            sentence(rng)
        )
        .into_bytes()
    }),
    ("logs as JSON", |rng| {
        serde_json::json!({"level": "debug", "logger": word(rng), "message": OFFER, "n": rng.next_u32()})
            .to_string()
            .into_bytes()
    }),
    ("reports on the API", |rng| {
        serde_json::json!(["setRemoteDescription", format!("PC_{}", rng.next_u32()), {"type": "offer", "sdp": OFFER}, rng.next_u32()]).to_string().into_bytes()
    }),
    ("messages for people that quote a description", |rng| {
        serde_json::json!({"type": "comment", "author": word(rng), "text": OFFER}).to_string().into_bytes()
    }),
    ("texts around a description", |rng| {
        serde_json::json!({"body": format!("{}\r\n{OFFER}", sentence(rng)), "reply": format!("{OFFER}\r\nand {}", sentence(rng))}).to_string().into_bytes()
    }),
    ("descriptions of plain RTP", |rng| {
        format!(
            "v=0\r\no=- {} 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n",
            rng.next_u32(),
            rng.random_range(10_000..20_000)
        )
        .into_bytes()
    }),
    ("cut descriptions", |rng| {
        let whole = serde_json::json!({"type": "offer", "sdp": OFFER}).to_string();
        whole.as_bytes()[..rng.random_range(0..whole.len() - 1)].to_vec()
    }),
    ("elections", |rng| {
        serde_json::json!({"type": "candidate", "candidate": sentence(rng), "votes": rng.next_u32(), "candidates": [{"candidate": {"name": word(rng), "completed": true}}, word(rng)]}).to_string().into_bytes()
    }),
    ("forms", |rng| {
        format!("v=0&candidate={}&q={}%20{}&data=%7B%22a%22%3A1%7D", word(rng), word(rng), rng.next_u32()).into_bytes()
    }),
    ("Socket.IO", |rng| format!("42[{},{}]", serde_json::json!(word(rng)), json_value(rng, 2)).into_bytes()),
    ("GraphQL", |rng| {
        serde_json::json!({"query": format!("mutation {{ vote(candidate: \"{}\") {{ id v=0 }} }}", word(rng)), "variables": json_value(rng, 2)}).to_string().into_bytes()
    }),
    ("near misses", |rng| {
        let mut text = String::new();
        for _ in 0..rng.random_range(1..6) {
            text.push_str(NEAR_MISSES.choose(rng).expect("some"));
            text.push_str([" ", "\n", "\r\n", ""].choose(rng).expect("some"));
        }
        text.into_bytes()
    }),
];

fn word(rng: &mut StdRng) -> &'static str {
    WORDS.choose(rng).expect("some")
}

fn sentence(rng: &mut StdRng) -> String {
    let words: Vec<&str> = (0..rng.random_range(1..8))
        .map(|_| if rng.random_bool(0.3) { NEAR_MISSES.choose(rng).expect("some") } else { word(rng) })
        .collect();
    words.join(" ")
}

fn bytes(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(1..most)];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn json_value(rng: &mut StdRng, depth: usize) -> serde_json::Value {
    match rng.random_range(0..if depth == 0 { 4 } else { 7 }) {
        0 => serde_json::json!(rng.random::<i64>()),
        1 => serde_json::json!(rng.random_bool(0.5)),
        2 => serde_json::Value::Null,
        3 => serde_json::json!(sentence(rng)),
        4 => (0..rng.random_range(0..4)).map(|_| json_value(rng, depth - 1)).collect(),
        _ => {
            let keys = [
                "id",
                "type",
                "sdp",
                "candidate",
                "sessionId",
                "topicName",
                "eventBody",
                "method",
                "params",
                "offer",
                "level",
            ];
            let object = (0..rng.random_range(1..5))
                .map(|_| ((*keys.choose(rng).expect("some")).to_owned(), json_value(rng, depth - 1)));
            serde_json::Value::Object(object.collect())
        }
    }
}

fn xmpp(rng: &mut StdRng) -> Vec<u8> {
    let text = sentence(rng).replace('&', "&amp;").replace('<', "&lt;");
    match rng.random_range(0..4) {
        0 => format!("<message to='{}@x' type='chat'><body>{text}</body></message>", word(rng)),
        1 => format!("<iq type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>", rng.next_u32()),
        2 => format!(
            "<message><event><items node='{}'><item><json>{}</json></item></items></event></message>",
            word(rng),
            json_value(rng, 2).to_string().replace('&', "&amp;").replace('<', "&lt;")
        ),
        _ => format!("<presence from='{}@x'><status>{text}</status></presence>", word(rng)),
    }
    .into_bytes()
}

fn sip(rng: &mut StdRng) -> Vec<u8> {
    let method = ["REGISTER", "OPTIONS", "NOTIFY", "MESSAGE", "INFO", "INVITE"].choose(rng).expect("some");
    let start = match rng.random_range(0..3) {
        0 => format!("{method} sip:bob@lab SIP/2.0"),
        1 => format!("SIP/2.0 {} Trying", [100, 180, 200, 202, 401, 407].choose(rng).expect("some")),
        _ => "SIP/2.0 491 Request Pending".to_owned(),
    };
    let body = if rng.random_bool(0.5) { sentence(rng) } else { String::new() };
    format!("{start}\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK{}\r\nCall-ID: {}\r\nCSeq: 1 {method}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", rng.next_u32(), rng.next_u32(), body.len()).into_bytes()
}

fn protobuf(rng: &mut StdRng) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        let field = if rng.random_bool(0.3) { OFFER.as_bytes().to_vec() } else { bytes(rng, 100) };
        // Field 2, length-delimited, with the length as a varint.
        message.push(0x12);
        let mut length = field.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).expect("seven bits"));
        message.extend_from_slice(&field);
    }
    message
}

#[test]
fn nothing_is_ever_changed_in_messages_that_are_no_signaling() {
    let options = Options::default();
    let mut messages = 0;
    let mut looked_into = 0;
    for (seed, (family, make)) in (0..).zip(FAMILIES) {
        let mut rng = StdRng::seed_from_u64(seed);
        for number in 0..EACH {
            let message = make(&mut rng);
            messages += 1;
            for direction in [Direction::Outgoing, Direction::Incoming] {
                let Some(reading) = read(&message, direction, &options) else { continue };
                looked_into += 1;
                let found = reading
                    .findings
                    .iter()
                    .find(|finding| support::is_swap(&finding.content) || finding.content == Content::HangUp);
                assert_eq!(found, None, "{family} {number}: {}", String::from_utf8_lossy(&message));
                let same = reading.replaced(&message, &support::other(&reading));
                assert_eq!(same, message, "{family} {number}");
            }
        }
    }
    assert!(messages >= 100_000, "{messages} messages");
    assert!(looked_into > 10_000, "{looked_into} of them were worth a look: the families are near enough");
}

#[test]
fn the_same_families_with_a_description_are_found() {
    // The check above can fail: what it calls false swaps are swaps as soon as the message is signaling.
    for message in [
        serde_json::json!({"type": "offer", "from": "agent", "sdp": OFFER}).to_string(),
        format!("<iq type='set'><offer>{OFFER}</offer></iq>"),
        format!("42[\"offer\",{}]", serde_json::json!({"sdp": OFFER})),
        OFFER.to_owned(),
    ] {
        let reading = read(message.as_bytes(), Direction::Outgoing, &Options::default()).expect("a finding");
        let swapped = reading.replaced(message.as_bytes(), &support::other(&reading));
        let again = read(&swapped, Direction::Outgoing, &Options::default()).expect("a finding");
        assert!(
            matches!(&again.findings[0].content, Content::Description { sdp, .. } if sdp.lines().eq(LIVE.lines())),
            "{message}"
        );
    }
}
