//! Reading configuration that came from a user, and refusing it by field name.
//!
//! Every configuration crosses the bridge as UTF-8 JSON and is turned into a checked type by [`from_json`]
//! before anything is opened: bad input never causes a packet.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// A configuration value that cannot be used; its text names the field, the value and what is accepted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {value} is not usable: {reason}")]
pub struct ConfigError {
    /// The field, as the user sees it in the configuration (`iceServers[0].urls`, `connectTimeoutMs`).
    pub field: String,
    /// The value that was refused, shortened to 80 characters; a secret is shown as `***`.
    pub value: String,
    /// What would be accepted instead.
    pub reason: String,
}

impl ConfigError {
    /// An error for `field`, whose `value` is refused because of `reason`.
    pub fn new(field: impl Into<String>, value: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        let value: String = value.to_string().chars().take(80).collect();
        Self { field: field.into(), value: format!("'{value}'"), reason: reason.into() }
    }
}

/// Fields whose values are never shown, in lower case.
const SECRETS: [&str; 6] = ["credential", "headers", "keypem", "params", "password", "secret"];

/// What is shown instead of a secret.
const HIDDEN: &str = "***";

/// Parses `json` (a UTF-8 JSON object) into `T`.
///
/// # Errors
/// [`ConfigError`] that names the offending field and its value, or `(configuration)` where the text is no JSON object.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let value = value_at(json, error.path());
        let field = if path == "." { "(configuration)".to_owned() } else { path };
        // serde repeats the value in its text.
        let reason = if value == HIDDEN { "it has the wrong type".to_owned() } else { error.into_inner().to_string() };
        ConfigError::new(field, value, reason)
    })
}

/// The value at `path`: never the whole text, which may hold secrets beside the offending field.
fn value_at(json: &[u8], path: &Path) -> String {
    let Ok(whole) = serde_json::from_slice::<Value>(json) else { return "(not JSON)".into() };
    let mut here = Some(&whole);
    for segment in path.iter() {
        here = match segment {
            Segment::Seq { index } => here.and_then(|value| value.get(*index)),
            Segment::Map { key } if SECRETS.contains(&&*key.to_lowercase()) => return HIDDEN.into(),
            Segment::Map { key } => here.and_then(|value| value.get(key)),
            Segment::Enum { .. } | Segment::Unknown => here,
        };
    }
    match here {
        None => "(missing)".into(),
        Some(Value::Object(_)) => "{…}".into(),
        Some(Value::Array(values)) => format!("[{} values]", values.len()),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Server {
        #[serde(rename = "port")]
        _port: u16,
        #[serde(rename = "credential")]
        _credential: String,
    }

    fn refused(json: &str) -> String {
        from_json::<Vec<Server>>(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn the_error_shows_the_offending_value_and_nothing_beside_it() {
        let error = refused(r#"[{"credential":"s3cret","port":"http"}]"#);
        assert!(error.starts_with("[0].port: 'http' is not usable") && !error.contains("s3cret"), "{error}");
        assert!(!refused(r#"[{"credential":"s3cret"}]"#).contains("s3cret"));
        assert!(!refused(r#"[{"credential":"s3cret","port":1},"#).contains("s3cret"));
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_shown_by_us() {
        assert!(refused(r#"[{"port":1,"credential":["s3cret"]}]"#).starts_with("[0].credential: '***'"));
    }
}
