//! The first look at a message: could it hold anything for Auto ICE at all?
//!
//! Guarantees: one pass over the bytes, nothing is allocated, and a message that carries a description, a candidate, an ICE
//! server or a hang-up in any of the known wrappings is never sorted out. The other way round it is only a guess.
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, packed};

/// What stands in every message of interest, however deep it is wrapped.
///
/// `=` may be `\u003d` (Gson), `%3D` (forms) or an entity; base64 shows only how a text begins.
const SIGNS: &[&str] = &[
    // Descriptions (RFC 8866), their fragments (RFC 8840) and candidates (RFC 8839).
    "v=0",
    "u003d0",
    "u003D0",
    "v%3D0",
    "v%3d0",
    "v&#61;0",
    "v&#x3d;0",
    "v&#x3D;0",
    "candidate",
    "ice-ufrag",
    "\"completed",
    // What is left alone, and said so.
    "urn:xmpp:jingle:1",
    "dtlsParameters",
    // ICE servers.
    "stun:",
    "turn:",
    "stuns:",
    "turns:",
    "extdisco",
    "ice-server",
    // The end of a dialog.
    "BYE sip",
    "CANCEL sip",
    "SIP/2.0 4",
    "SIP/2.0 6",
    "bye",
    "Bye",
    "BYE",
    "hang",
    "Hang",
    "HANG",
    "terminate",
    "Terminate",
    "TERMINATE",
    "janus",
    "reject",
    "Reject",
    "REJECT",
    "decline",
    "\"stop",
    "\"leave",
    "\"endCall",
    "\"callEnd",
];

/// How base64 begins of a text that begins with `{"`, `{ "`, `{  `, `{\n `, `{\n\t`, `{\r\n`, `{\t"`, `[{"`, `[ {`, `["`, `[\n `,
/// `v=0`, `candidate` or `a=candidate`.
pub(super) const BASE64_STARTS: &[&str] = &[
    "eyJ",
    "eyAi",
    "eyAg",
    "ewog",
    "ewoJ",
    "ew0K",
    "ewki",
    "W3si",
    "WyB7",
    "WyJ",
    "WwogI",
    "dj0w",
    "Y2FuZGlkYXRl",
    "YT1jYW5k",
];

/// The length of `["bye"]`: nothing that is shorter says anything, though signs of life are.
const SHORTEST: usize = 7;

static SEARCH: LazyLock<Searcher> = LazyLock::new(|| {
    let signs = SIGNS.iter().chain(BASE64_STARTS);
    let by_vector =
        packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder().extend(signs.clone()).build();
    match by_vector {
        Some(search) => Searcher::Vector(search),
        None => Searcher::Automaton(AhoCorasick::new(signs).expect("a fixed list of short words builds")),
    }
});

/// Looks for all signs at once: with vector instructions where the processor has them.
enum Searcher {
    Vector(packed::Searcher),
    Automaton(AhoCorasick),
}

/// Whether a message, or a text inside one, may hold something of interest: `false` is certain, `true` is a guess.
pub fn may_hold(message: &[u8]) -> bool {
    message.len() >= SHORTEST
        && match &*SEARCH {
            Searcher::Vector(search) => search.find(message).is_some(),
            Searcher::Automaton(search) => search.is_match(message),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_messages_are_sorted_out() {
        for message in
            ["", "{}", r#"{"topicName":"channel.metadata","eventBody":{"message":"pong"}}"#, "<iq type='get'/>"]
        {
            assert!(!may_hold(message.as_bytes()), "{message}");
        }
    }

    #[test]
    fn descriptions_show_through_every_wrapping() {
        for message in [
            r#"{"sdp":"v=0\r\no=-"}"#,
            r#"{"sdp":"v\u003d0\r\n"}"#,
            r#"{"d":"{\"s\":\"v\\u003d0\"}"}"#,
            "sdp=v%3D0%0D%0A",
        ] {
            assert!(may_hold(message.as_bytes()), "{message}");
        }
    }

    #[test]
    fn a_sign_shows_however_long_its_message_is() {
        for sign in SIGNS.iter().chain(BASE64_STARTS) {
            for around in 2..100 {
                let message = format!("{}{sign}{}", ".".repeat(around), ".".repeat(around));
                assert!(may_hold(message.as_bytes()), "{message}");
                assert!(!may_hold(".".repeat(message.len()).as_bytes()), "{} points", message.len());
            }
        }
    }
}
