//! How Auto ICE is to work at one place, checked field by field. Pure.
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

use crate::autoice::Options;
use crate::config::{ConfigError, from_json};
use crate::peer::SessionConfig;

/// Longest accepted wait, ms.
const MOST_MS: u64 = 60_000;

/// What is done with what is found.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// It is replaced by a live one.
    #[default]
    On,
    /// It is told, and nothing is changed.
    Report,
    /// It is not looked for.
    Off,
}

/// The settings of one place; JSON names are camelCase.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::engine) struct AutoIceConfig {
    /// Default on.
    pub(super) mode: Mode,
    /// Keep the canned text and replace only its ICE, DTLS and SSRC lines (default false).
    pub(super) overlay: bool,
    /// The user's own name of the field that holds the dialog's id (default none).
    pub(super) dialog_field: Option<String>,
    /// The sessions' configuration. Its `connectTimeoutMs` counts from the last signaling message; `trickle` has no effect.
    pub(super) session: SessionConfig,
    /// How long a description waits for gathering, ms (default 500).
    pub(super) gather_wait_ms: u64,
    /// How long an answer waits for an offer that was not read yet, ms (default 2000).
    pub(super) answer_wait_ms: u64,
    /// DTLS done → first RTP packet in, ms (default 5000).
    pub(super) first_rtp_timeout_ms: u64,
    /// The other side's host name or address, where the place itself does not know it: decides the local address.
    pub(super) server: Option<String>,
}

impl Default for AutoIceConfig {
    fn default() -> Self {
        Self {
            mode: Mode::On,
            overlay: false,
            dialog_field: None,
            session: SessionConfig::default(),
            gather_wait_ms: 500,
            answer_wait_ms: 2_000,
            first_rtp_timeout_ms: 5_000,
            server: None,
        }
    }
}

impl AutoIceConfig {
    /// Parses and checks JSON; an empty object is the default.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        for (field, value, least) in [
            ("gatherWaitMs", config.gather_wait_ms, 0),
            ("answerWaitMs", config.answer_wait_ms, 0),
            ("firstRtpTimeoutMs", config.first_rtp_timeout_ms, 1),
        ] {
            if !(least..=MOST_MS).contains(&value) {
                return Err(ConfigError::new(field, value, format!("milliseconds from {least} to {MOST_MS}")));
            }
        }
        let session = &config.session;
        session.check().map_err(|error| ConfigError { field: format!("session.{}", error.field), ..error })?;
        Ok(config)
    }

    pub(super) fn gather_wait(&self) -> Duration {
        Duration::from_millis(self.gather_wait_ms)
    }

    pub(super) fn answer_wait(&self) -> Duration {
        Duration::from_millis(self.answer_wait_ms)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.session.connect_timeout_ms)
    }

    pub(super) fn first_rtp_timeout(&self) -> Duration {
        Duration::from_millis(self.first_rtp_timeout_ms)
    }
}

/// The settings of a place and what its reader has to know; places with equal ones share them.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Arc<AutoIceConfig>,
    pub(super) options: Arc<Options>,
}

/// The settings of the latest place: of hundreds that are made in a row most have the same.
#[derive(Default)]
pub(super) struct LatestSettings(Mutex<Option<Settings>>);

impl LatestSettings {
    /// These settings, shared with the place before where that has equal ones.
    pub(super) fn share(&self, config: AutoIceConfig) -> Settings {
        let mut latest = self.0.lock();
        match &*latest {
            Some(settings) if *settings.config == config => settings.clone(),
            _ => {
                let options = Options { dialog_field: config.dialog_field.clone(), ..Options::default() };
                latest.insert(Settings { config: Arc::new(config), options: Arc::new(options) }).clone()
            }
        }
    }
}

/// Takes the member `autoIce` out of the JSON of a socket; `None` where there is none, or it is off.
pub(in crate::engine) fn take_auto_ice(config: &[u8]) -> Result<(Option<AutoIceConfig>, Cow<'_, [u8]>), ConfigError> {
    if !config.windows(9).any(|window| window == b"\"autoIce\"") {
        return Ok((None, Cow::Borrowed(config)));
    }
    // What is not an object is refused by whoever reads the rest.
    let Ok(Value::Object(mut members)) = serde_json::from_slice(config) else {
        return Ok((None, Cow::Borrowed(config)));
    };
    let Some(auto_ice) = members.remove("autoIce") else { return Ok((None, Cow::Borrowed(config))) };
    let auto_ice = AutoIceConfig::from_json(auto_ice.to_string().as_bytes())
        .map_err(|error| ConfigError { field: format!("autoIce.{}", error.field), ..error })?;
    let rest = Value::Object(members).to_string().into_bytes();
    Ok(((auto_ice.mode != Mode::Off).then_some(auto_ice), Cow::Owned(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_with_equal_settings_share_them() {
        let latest = LatestSettings::default();
        let settings = |json: &str| latest.share(AutoIceConfig::from_json(json.as_bytes()).expect("valid"));
        let (first, same, other) = (settings("{}"), settings("{}"), settings(r#"{"dialogField":"leg"}"#));
        assert!(Arc::ptr_eq(&first.config, &same.config) && Arc::ptr_eq(&first.options, &same.options));
        assert!(!Arc::ptr_eq(&first.config, &other.config));
        assert_eq!(other.options.dialog_field.as_deref(), Some("leg"));
        assert_eq!(settings("{}").options.dialog_field, None, "the latest one has its own");
    }

    #[test]
    fn the_settings_are_taken_out_of_a_sockets_configuration() {
        let (config, rest) = take_auto_ice(br#"{"url":"ws://a/","autoIce":{"overlay":true}}"#).expect("valid");
        let config = config.expect("on");
        assert_eq!((config.mode, config.overlay, config.gather_wait_ms), (Mode::On, true, 500));
        assert_eq!(&*rest, br#"{"url":"ws://a/"}"#);
        assert!(take_auto_ice(br#"{"url":"ws://a/"}"#).expect("valid").0.is_none());
        assert!(take_auto_ice(br#"{"autoIce":{"mode":"off"}}"#).expect("valid").0.is_none());
    }

    #[test]
    fn bad_settings_are_refused_by_field_name() {
        for (json, field) in [
            (r#"{"autoIce":{"mode":"perhaps"}}"#, "autoIce.mode"),
            (r#"{"autoIce":{"gatherWaitMs":60001}}"#, "autoIce.gatherWaitMs"),
            (r#"{"autoIce":{"firstRtpTimeoutMs":0}}"#, "autoIce.firstRtpTimeoutMs"),
            (r#"{"autoIce":{"session":{"connectTimeoutMs":0}}}"#, "autoIce.session.connectTimeoutMs"),
            (r#"{"autoIce":{"session":{"iceServers":[{"urls":["x"]}]}}}"#, "autoIce.session.iceServers[0].urls[0]"),
        ] {
            let error = take_auto_ice(json.as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{error}");
        }
    }
}
