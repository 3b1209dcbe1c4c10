//! Reading configuration that came from a user, and refusing it by field name.
//!
//! Every configuration crosses the bridge as UTF-8 JSON and is turned into a checked type by [`from_json`]
//! before anything is opened: bad input never causes a packet.

use serde::de::DeserializeOwned;

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
/// [`ConfigError`] that names the offending field, or `(configuration)` where the text is no JSON object.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "(configuration)".to_owned() } else { path };
        let text = String::from_utf8_lossy(json);
        ConfigError::new(field, text, error.into_inner().to_string())
    })
}
