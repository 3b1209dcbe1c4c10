//! The messages of plain JSON signaling, spoken by the lab and by `WebRTC Call`.
//!
//! One WebSocket text frame carries one message: a JSON object whose `type` names it. A call is named by its
//! caller; the name has to be unique on both sockets that take part. Guarantees: [`Message::decode`] never
//! panics and refuses what is not a message by saying where; unknown fields are ignored, so that a server may
//! add its own; [`Message::encode`] writes exactly one JSON object. Pure: nothing is opened, nothing waits.
use serde::{Deserialize, Serialize};

use crate::peer::{IceCandidateInit, MediaCounters};

/// Longest accepted name of a call or of a registered client, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// One signaling message; `type` tells which.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Message {
    /// Client → lab: be reachable under a name.
    Register {
        /// Up to [`MAX_NAME_BYTES`].
        name: String,
    },
    /// Lab → client.
    Registered {
        /// As asked for.
        name: String,
    },
    /// Either way. `to` is a registered name, or `echo` / `tone` (the lab's own answering peers; `tone` when absent).
    /// The lab sets `from` to the caller's registered name when it relays.
    Offer {
        /// Names the call in every message of it, up to [`MAX_NAME_BYTES`]; the caller's choice.
        call: String,
        /// Whom to call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Who calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Session description (RFC 8866), with CRLF.
        sdp: String,
    },
    /// Either way: the answer to the offer of this call.
    Answer {
        /// The offer's.
        call: String,
        /// Session description (RFC 8866), with CRLF.
        sdp: String,
    },
    /// Empty `candidate.candidate` = end of candidates.
    Candidate {
        /// The offer's.
        call: String,
        /// W3C `RTCIceCandidateInit`.
        candidate: IceCandidateInit,
    },
    /// Hang up; each side states its own packet accounts. The receiver stops sending, waits (≤ 1.5 s) until it has
    /// received `packetsSent` packets, and answers with its own `Bye`. The answer to a `Bye` is not answered.
    Bye {
        /// The offer's.
        call: String,
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What the sender of this message has sent and received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media: Option<MediaCounters>,
    },
    /// Something was refused; with `call`, that call is over.
    Error {
        /// The call that is over, if it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// A fixed word, such as `NOT_FOUND`.
        code: String,
        /// What was refused and why, for people.
        message: String,
    },
    /// Application keep-alive.
    Ping,
    /// Answer to [`Message::Ping`].
    Pong,
}

/// Why a text is no signaling message; its text says where, without repeating the whole message.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a signaling message: {detail}")]
pub struct MessageError {
    /// What was expected and found where (line and column, 1-based).
    pub detail: String,
}

impl Message {
    /// The message as JSON text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and options always have a JSON form")
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`MessageError`] for what is no JSON object, has no known `type`, lacks a field, or names a call or a client
    /// with nothing or with more than [`MAX_NAME_BYTES`] bytes.
    pub fn decode(text: &str) -> Result<Self, MessageError> {
        let message: Self =
            serde_json::from_str(text).map_err(|error| MessageError { detail: shorten(&error.to_string()) })?;
        if let Some(call) = message.call() {
            check_name("call", call)?;
        }
        match &message {
            Self::Register { name } | Self::Registered { name } => check_name("name", name)?,
            Self::Offer { to: Some(to), .. } => check_name("to", to)?,
            _ => {}
        }
        Ok(message)
    }

    /// The call this message belongs to, if any.
    pub fn call(&self) -> Option<&str> {
        match self {
            Self::Offer { call, .. }
            | Self::Answer { call, .. }
            | Self::Candidate { call, .. }
            | Self::Bye { call, .. }
            | Self::Error { call: Some(call), .. } => Some(call),
            Self::Register { .. }
            | Self::Registered { .. }
            | Self::Error { call: None, .. }
            | Self::Ping
            | Self::Pong => None,
        }
    }
}

fn check_name(field: &str, name: &str) -> Result<(), MessageError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(MessageError {
            detail: format!("`{field}` needs 1 to {MAX_NAME_BYTES} bytes without control characters"),
        });
    }
    Ok(())
}

/// A deserializer's text can quote the whole value; 200 characters are enough to find it.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_its_json_form() {
        let text = Message::Bye { call: "c-1".into(), reason: None, media: Some(MediaCounters::default()) }.encode();
        assert!(text.contains(r#""type":"bye""#), "{text}");
        assert!(text.contains(r#""packetsSent":0"#), "{text}");
        assert!(!text.contains("reason"), "absent values are left out: {text}");
        assert_eq!(Message::decode(&text).expect("own text").call(), Some("c-1"));
    }

    #[test]
    fn an_offer_without_target_is_accepted() {
        let message = Message::decode(r#"{"type":"offer","call":"c","sdp":"v=0","later":1}"#).expect("valid");
        assert!(matches!(message, Message::Offer { to: None, .. }));
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_place() {
        for text in ["", "null", "[]", "{", r#"{"type":"nonsense"}"#, r#"{"type":"offer","call":"c"}"#, "\u{0}"] {
            let error = Message::decode(text).expect_err(text);
            assert!(error.to_string().starts_with("not a signaling message: "), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(Message::decode(&deep).is_err());
    }

    #[test]
    fn empty_and_absurd_names_are_refused_by_field() {
        for (text, field) in [
            (r#"{"type":"bye","call":""}"#.to_owned(), "`call`"),
            (format!(r#"{{"type":"bye","call":"{}"}}"#, "x".repeat(129)), "`call`"),
            (r#"{"type":"register","name":""}"#.to_owned(), "`name`"),
            (r#"{"type":"register","name":"a\nb"}"#.to_owned(), "`name`"),
            (r#"{"type":"offer","call":"c","to":"","sdp":"v=0"}"#.to_owned(), "`to`"),
        ] {
            let error = Message::decode(&text).expect_err(&text);
            assert!(error.detail.contains(field), "{error}");
        }
    }
}
