//! Which frame a reader waits for.
//!
//! Pure: a matcher is checked when it is made and answers for one frame at a time.

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::config::{ConfigError, from_json};
use crate::socket::{Frame, Opcode};

/// Longest pattern accepted, in characters.
const LONGEST_PATTERN: usize = 16 * 1024;

/// The conditions as they are written; all that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Conditions {
    text: Option<String>,
    regex: Option<String>,
    json_path: Option<String>,
    value: Option<Value>,
    opcode: Option<String>,
}

/// Tells whether a frame is the one that is waited for.
#[derive(Debug)]
pub struct Matcher {
    opcode: Option<Opcode>,
    text: Option<String>,
    regex: Option<Regex>,
    json_path: Option<(JsonPath, Option<Value>)>,
}

impl Matcher {
    /// Parses `{"text":…,"regex":…,"jsonPath":…,"value":…,"opcode":…}`.
    ///
    /// `text` is contained in the payload; `regex` (Rust `regex` syntax) is found in it; `jsonPath` (RFC 9535) selects
    /// something in it, and one selected node equals `value` where that is given (a number or boolean also equals its
    /// text); `opcode` is `continuation`, `text`, `binary`, `close`, `ping` or `pong`. Without `opcode` only text, binary
    /// and continuation frames are looked at.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field: unknown, malformed, or no condition at all.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let conditions: Conditions = from_json(json)?;
        for (field, pattern) in
            [("text", &conditions.text), ("regex", &conditions.regex), ("jsonPath", &conditions.json_path)]
        {
            if pattern.as_ref().is_some_and(|pattern| pattern.chars().count() > LONGEST_PATTERN) {
                return Err(ConfigError::new(field, "(long text)", format!("at most {LONGEST_PATTERN} characters")));
            }
        }
        if conditions.value.is_some() && conditions.json_path.is_none() {
            return Err(ConfigError::new(
                "value",
                "without jsonPath",
                "it is what the node that jsonPath selects equals",
            ));
        }
        let matcher = Self {
            opcode: conditions.opcode.as_deref().map(opcode).transpose()?,
            text: conditions.text,
            regex: conditions.regex.as_deref().map(pattern).transpose()?,
            json_path: conditions.json_path.as_deref().map(path).transpose()?.map(|path| (path, conditions.value)),
        };
        if matcher.opcode.is_none() && matcher.text.is_none() && matcher.regex.is_none() && matcher.json_path.is_none()
        {
            return Err(ConfigError::new("matcher", "{}", "give one of text, regex, jsonPath and opcode"));
        }
        Ok(matcher)
    }

    /// Whether `frame` fulfils every condition.
    pub fn matches(&self, frame: &Frame) -> bool {
        let right_opcode = match self.opcode {
            Some(wanted) => frame.opcode == wanted,
            None => matches!(frame.opcode, Opcode::Text | Opcode::Binary | Opcode::Continuation),
        };
        right_opcode && self.payload_matches(&frame.payload)
    }

    fn payload_matches(&self, payload: &[u8]) -> bool {
        if self.text.is_none() && self.regex.is_none() && self.json_path.is_none() {
            return true;
        }
        let text = String::from_utf8_lossy(payload);
        self.text.as_ref().is_none_or(|wanted| text.contains(wanted.as_str()))
            && self.regex.as_ref().is_none_or(|wanted| wanted.is_match(&text))
            && self.json_path.as_ref().is_none_or(|(path, value)| selects(path, value.as_ref(), payload))
    }
}

fn selects(path: &JsonPath, value: Option<&Value>, payload: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<Value>(payload) else { return false };
    let nodes = path.query(&document);
    match value {
        None => !nodes.is_empty(),
        Some(value) => nodes.iter().any(|node| equals(node, value)),
    }
}

/// Equal as JSON, or a scalar whose text is the wanted text: a plan's fields are all texts.
fn equals(node: &Value, wanted: &Value) -> bool {
    node == wanted
        || match (node, wanted) {
            (Value::Number(number), Value::String(text)) => number.to_string() == text.as_str(),
            (Value::Bool(truth), Value::String(text)) => text == if *truth { "true" } else { "false" },
            (Value::Null, Value::String(text)) => text == "null",
            _ => false,
        }
}

fn opcode(name: &str) -> Result<Opcode, ConfigError> {
    Ok(match name {
        "continuation" => Opcode::Continuation,
        "text" => Opcode::Text,
        "binary" => Opcode::Binary,
        "close" => Opcode::Close,
        "ping" => Opcode::Ping,
        "pong" => Opcode::Pong,
        _ => {
            return Err(ConfigError::new("opcode", name, "one of continuation, text, binary, close, ping and pong"));
        }
    })
}

fn pattern(text: &str) -> Result<Regex, ConfigError> {
    Regex::new(text).map_err(|error| ConfigError::new("regex", text, error.to_string()))
}

fn path(text: &str) -> Result<JsonPath, ConfigError> {
    JsonPath::parse(text).map_err(|error| ConfigError::new("jsonPath", text, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::socket::Payload;

    fn frame(opcode: Opcode, payload: &str) -> Frame {
        let payload = Payload::from(payload.as_bytes());
        let wire_payload_bytes = payload.len();
        let at = Instant::now();
        Frame {
            opcode,
            fin: true,
            compressed: false,
            payload,
            header_bytes: 2,
            wire_payload_bytes,
            at,
            arriving_us: 0,
            lapse: None,
        }
    }

    fn matches(conditions: &str, payload: &str) -> bool {
        Matcher::from_json(conditions.as_bytes()).expect("a matcher").matches(&frame(Opcode::Text, payload))
    }

    fn refused(conditions: &str) -> String {
        Matcher::from_json(conditions.as_bytes()).expect_err("refused").field
    }

    #[test]
    fn text_is_contained() {
        assert!(matches(r#"{"text":"ell"}"#, "hello"));
        assert!(!matches(r#"{"text":"elk"}"#, "hello"));
    }

    #[test]
    fn a_regular_expression_is_found() {
        assert!(matches(r#"{"regex":"\"id\":\\s*\\d+"}"#, r#"{"id": 17}"#));
        assert!(!matches(r#"{"regex":"^id"}"#, r#"{"id": 17}"#));
    }

    #[test]
    fn a_json_path_selects_a_node_and_may_ask_for_its_value() {
        let message = r#"{"type":"answer","call":{"id":17,"up":true}}"#;
        assert!(matches(r#"{"jsonPath":"$.call.id"}"#, message));
        assert!(matches(r#"{"jsonPath":"$.type","value":"answer"}"#, message));
        assert!(matches(r#"{"jsonPath":"$.call.id","value":17}"#, message));
        assert!(matches(r#"{"jsonPath":"$.call.id","value":"17"}"#, message));
        assert!(matches(r#"{"jsonPath":"$..up","value":"true"}"#, message));
        assert!(!matches(r#"{"jsonPath":"$.type","value":"offer"}"#, message));
        assert!(!matches(r#"{"jsonPath":"$.gone"}"#, message));
        assert!(!matches(r#"{"jsonPath":"$.type"}"#, "no json"));
    }

    #[test]
    fn all_conditions_must_hold() {
        let both = r#"{"text":"a","regex":"b"}"#;
        assert!(matches(both, "ab"));
        assert!(!matches(both, "a"));
        assert!(!matches(both, "b"));
    }

    #[test]
    fn control_frames_match_only_when_they_are_asked_for() {
        let ping = frame(Opcode::Ping, "x");
        assert!(Matcher::from_json(br#"{"opcode":"ping"}"#).expect("a matcher").matches(&ping));
        assert!(!Matcher::from_json(br#"{"text":"x"}"#).expect("a matcher").matches(&ping));
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_name() {
        assert_eq!(refused(r#"{"regex":"("}"#), "regex");
        assert_eq!(refused(r#"{"jsonPath":"nonsense["}"#), "jsonPath");
        assert_eq!(refused(r#"{"opcode":"pang"}"#), "opcode");
        assert_eq!(refused(r#"{"value":1}"#), "value");
        assert_eq!(refused("{}"), "matcher");
        assert_eq!(refused(r#"{"text":7}"#), "text");
        assert_eq!(refused(r#"{"txt":"a"}"#), "txt");
    }
}
