//! What a lab listens on, and the faults it plays; checked by field name before anything is bound.
//!
//! Pure: nothing here opens a socket or reads a clock.
use std::net::IpAddr;

use serde::Deserialize;

use crate::config::{ConfigError, from_json};

/// Longest accepted time of any lab setting, ms (one day).
const MAX_TIME_MS: u64 = 86_400_000;
/// Longest close reason: a control frame carries 125 bytes, two of them the status (RFC 6455 §5.5).
const MAX_REASON_BYTES: usize = 123;

/// What a lab listens on and how it behaves; JSON names are camelCase.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabConfig {
    /// Address to listen on (default 127.0.0.1); another than loopback needs `allowRemote`.
    pub address: IpAddr,
    /// Signaling port (default 0 = any free).
    pub port: u16,
    /// STUN port (default 0 = any free).
    pub stun_port: u16,
    /// Allow a non-loopback address (default false).
    pub allow_remote: bool,
    /// Cut the TCP connection of a client that sent no frame for this long, ms, as an idle load balancer does;
    /// 0 = never (default 0).
    pub idle_cut_ms: u64,
    /// Faults to play (default none).
    pub faults: LabFaults,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            stun_port: 0,
            allow_remote: false,
            idle_cut_ms: 0,
            faults: LabFaults::default(),
        }
    }
}

/// Faults and server habits a lab can play; all off by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabFaults {
    /// WebSocket ping to every client this often, ms; 0 = never (default 0).
    pub ping_interval_ms: u64,
    /// Cut a client that has not answered a ping by a pong within this time, ms (default 10000).
    pub pong_timeout_ms: u64,
    /// Close every WebSocket this long after it opened, with `closeCode` and `closeReason`, ms; 0 = never (default 0).
    pub close_after_ms: u64,
    /// Close status of `closeAfterMs` (RFC 6455 §7.4; default 1001).
    pub close_code: u16,
    /// Close reason of `closeAfterMs`, at most 123 bytes (default empty).
    pub close_reason: String,
    /// Answering peers never answer an offer (default false).
    pub never_answer: bool,
    /// Answering peers hold their answer back this long, ms (default 0).
    pub answer_delay_ms: u64,
    /// Refuse WebSocket upgrades with this HTTP status, 400–599; 0 = accept all (default 0).
    pub upgrade_status: u16,
    /// Refuse only every n-th upgrade, counted from the first: the n-th, 2n-th, … (default 1 = all).
    pub upgrade_status_every: u64,
    /// Withhold all ICE candidates in both directions, in messages and in SDP (default false).
    pub drop_candidates: bool,
}

impl Default for LabFaults {
    fn default() -> Self {
        Self {
            ping_interval_ms: 0,
            pong_timeout_ms: 10_000,
            close_after_ms: 0,
            close_code: 1001,
            close_reason: String::new(),
            never_answer: false,
            answer_delay_ms: 0,
            upgrade_status: 0,
            upgrade_status_every: 1,
            drop_candidates: false,
        }
    }
}

impl LabConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name (`faults.closeCode`).
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types alone cannot: loopback, ranges, close status.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.address.is_loopback() && !self.allow_remote {
            return Err(ConfigError::new(
                "address",
                self.address,
                "a lab listens on loopback only (127.0.0.1 or ::1) unless allowRemote is true",
            ));
        }
        if self.address.is_unspecified() {
            return Err(ConfigError::new(
                "address",
                self.address,
                "name one address of this machine: answering peers offer it as their ICE candidate",
            ));
        }
        let faults = &self.faults;
        for (field, value) in [
            ("idleCutMs", self.idle_cut_ms),
            ("faults.pingIntervalMs", faults.ping_interval_ms),
            ("faults.pongTimeoutMs", faults.pong_timeout_ms),
            ("faults.closeAfterMs", faults.close_after_ms),
            ("faults.answerDelayMs", faults.answer_delay_ms),
        ] {
            if value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("at most {MAX_TIME_MS} ms")));
            }
        }
        if faults.pong_timeout_ms == 0 {
            return Err(ConfigError::new("faults.pongTimeoutMs", 0, "at least 1 ms"));
        }
        // 1004, 1005, 1006 and 1015 never appear on the wire (RFC 6455 §7.4.1).
        if !matches!(faults.close_code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(ConfigError::new(
                "faults.closeCode",
                faults.close_code,
                "a status that may be sent: 1000–1003, 1007–1014, 3000–4999",
            ));
        }
        if faults.close_reason.len() > MAX_REASON_BYTES {
            return Err(ConfigError::new(
                "faults.closeReason",
                &faults.close_reason,
                format!("at most {MAX_REASON_BYTES} bytes of UTF-8"),
            ));
        }
        if faults.upgrade_status != 0 && !(400..=599).contains(&faults.upgrade_status) {
            return Err(ConfigError::new("faults.upgradeStatus", faults.upgrade_status, "0, or 400 to 599"));
        }
        if faults.upgrade_status_every == 0 {
            return Err(ConfigError::new("faults.upgradeStatusEvery", 0, "at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_is_the_default() {
        let config = LabConfig::from_json(b"{}").expect("valid");
        assert!(config.address.is_loopback());
        assert_eq!(config.faults.close_code, 1001);
    }

    #[test]
    fn bad_values_are_refused_by_field_name() {
        for (json, field) in [
            (r#"{"address":"192.0.2.1"}"#, "address"),
            (r#"{"address":"0.0.0.0","allowRemote":true}"#, "address"),
            (r#"{"port":65536}"#, "port"),
            (r#"{"idleCutMs":-1}"#, "idleCutMs"),
            (r#"{"idleCutMs":86400001}"#, "idleCutMs"),
            (r#"{"faults":{"pongTimeoutMs":0}}"#, "faults.pongTimeoutMs"),
            (r#"{"faults":{"closeCode":1006}}"#, "faults.closeCode"),
            (r#"{"faults":{"upgradeStatus":200}}"#, "faults.upgradeStatus"),
            (r#"{"faults":{"upgradeStatusEvery":0}}"#, "faults.upgradeStatusEvery"),
            (r#"{"faults":{"answerDelayMs":"soon"}}"#, "faults.answerDelayMs"),
            (r#"{"faults":{"surprise":1}}"#, "faults.surprise"),
        ] {
            let error = LabConfig::from_json(json.as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
        let long = format!(r#"{{"faults":{{"closeReason":"{}"}}}}"#, "é".repeat(62));
        assert_eq!(LabConfig::from_json(long.as_bytes()).expect_err("124 bytes").field, "faults.closeReason");
    }

    #[test]
    fn another_address_is_accepted_when_it_is_allowed() {
        LabConfig::from_json(br#"{"address":"192.0.2.1","allowRemote":true}"#).expect("explicitly allowed");
    }
}
