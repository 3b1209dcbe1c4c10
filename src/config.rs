//! Reading configuration that came from a user, and refusing it by field name.
//!
//! Every configuration crosses the bridge as UTF-8 JSON and is turned into a checked type by [`from_json`]
//! before anything is opened: bad input never causes a packet.

use serde::de::DeserializeOwned;
use serde_json::Value;

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

/// Parses `json` (a UTF-8 JSON object) into `T`.
///
/// # Errors
/// [`ConfigError`] that names the offending field with its value, which is `***` for a field that may
/// hold a secret, or `(configuration)` where the text is no JSON object or lacks a field.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        let whole = serde_json::from_slice::<Value>(json).unwrap_or_default();
        if path == "." {
            // The text itself may hold every secret there is.
            let kind = if whole.is_object() { "the object given" } else { "the text given" };
            return ConfigError::new("(configuration)", kind, reason);
        }
        if may_be_secret(&path) {
            return ConfigError::new(path, "***", "it has the wrong type");
        }
        match value_at(&whole, &path) {
            Some(value @ (Value::Object(_) | Value::Array(_))) => {
                let kind = if value.is_object() { "an object" } else { "a list" };
                ConfigError::new(path, kind, reason)
            }
            Some(Value::String(text)) => ConfigError::new(path, text, reason),
            Some(value) => ConfigError::new(path, value, reason),
            None => ConfigError::new(path, "nothing", reason),
        }
    })
}

/// Whether a field of this name may hold a secret.
fn may_be_secret(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["password", "credential", "secret", "token", "key", "header"].iter().any(|word| path.contains(word))
}

/// The value at a path as `serde_path_to_error` writes it: `iceServers[0].urls`.
fn value_at<'a>(whole: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).filter(|step| !step.is_empty()).try_fold(whole, |value, step| match step.strip_suffix(']') {
        Some(place) => value.get(place.parse::<usize>().ok()?),
        None => value.get(step),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    type Numbers = HashMap<String, Vec<u8>>;

    #[test]
    fn the_field_is_named_with_its_own_value() {
        let error = from_json::<Numbers>(br#"{"a":[1,2],"b":[3,"four"]}"#).expect_err("no number");
        assert_eq!((error.field.as_str(), error.value.as_str()), ("b[1]", "'four'"));
    }

    #[test]
    fn no_secret_is_repeated() {
        for json in [r#"{"headers":["hush"]}"#, r#"{"a":["x"],"b":"hush"}"#, r#"{"a":[1],hush}"#, "hush"] {
            let error = from_json::<Numbers>(json.as_bytes()).expect_err(json);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
