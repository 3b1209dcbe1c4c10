//! How a call is to be placed or answered, checked field by field before any packet leaves. Pure.
use serde::Deserialize;

use crate::config::{ConfigError, from_json};
use crate::peer::SessionConfig;
use crate::signaling::json::MAX_NAME_BYTES;

/// Longest accepted time of any call setting, ms (one hour).
const MAX_TIME_MS: u64 = 3_600_000;

/// How a call is placed or answered; JSON names are camelCase.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CallConfig {
    /// Whom to call: a registered name, or `tone` / `echo` at a lab; absent = the server's default. Not used by
    /// [`answer_next`](super::answer_next).
    pub to: Option<String>,
    /// The session's own configuration; its `connectTimeoutMs` (default 30000) runs from the offer (answering: from the
    /// answer) to DTLS done.
    pub session: SessionConfig,
    /// Offer sent → answer received, ms (default 10000).
    pub answer_timeout_ms: u64,
    /// DTLS done → first RTP packet in, ms (default 5000).
    pub first_rtp_timeout_ms: u64,
    /// Whether a call is up only with its first RTP packet in (default true), or with DTLS done.
    pub await_media: bool,
    /// Hang-up: how long the peer's `Bye` is waited for, ms (default 5000: a peer on a starved machine was seen to need
    /// more than 2 s when 200 calls hung up at once); the hang-up's own deadline counts, too.
    pub bye_timeout_ms: u64,
}

impl Default for CallConfig {
    fn default() -> Self {
        Self {
            to: None,
            session: SessionConfig::default(),
            answer_timeout_ms: 10_000,
            first_rtp_timeout_ms: 5_000,
            await_media: true,
            bye_timeout_ms: 5_000,
        }
    }
}

impl CallConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name (`session.iceServers[0].urls[0]`).
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(to) = &self.to {
            check_name("to", to)?;
        }
        for (field, value) in [
            ("answerTimeoutMs", self.answer_timeout_ms),
            ("firstRtpTimeoutMs", self.first_rtp_timeout_ms),
            ("byeTimeoutMs", self.bye_timeout_ms),
        ] {
            if value == 0 || value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("1 to {MAX_TIME_MS} ms")));
            }
        }
        self.session.check().map_err(|error| ConfigError { field: format!("session.{}", error.field), ..error })
    }
}

/// Checks the name of a client, as the field `field`.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ConfigError::new(
            field,
            name,
            format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters"),
        ));
    }
    Ok(())
}
