//! What a lab listens on; checked by field name before anything is bound.
//!
//! Pure: nothing here opens a socket or reads a clock.
use std::net::IpAddr;

use serde::Deserialize;

use super::faults::LabFaults;
use super::genesys::GenesysConfig;
use super::sip::SipConfig;
use super::whip::WhipConfig;
use crate::config::{ConfigError, from_json};

/// Longest accepted time of any lab setting, ms (one day).
pub(super) const MAX_TIME_MS: u64 = 86_400_000;

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
    /// A counterpart for Genesys Cloud softphones, on a port of its own (default none).
    pub genesys: Option<GenesysConfig>,
    /// A counterpart for SIP softphones, on a port of its own (default none).
    pub sip: Option<SipConfig>,
    /// A counterpart for WHIP and WHEP clients, on a port of its own (default none).
    pub whip: Option<WhipConfig>,
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
            genesys: None,
            sip: None,
            whip: None,
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

    /// Checks what the types alone cannot: loopback, ranges, and the faults.
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
        if self.idle_cut_ms > MAX_TIME_MS {
            return Err(ConfigError::new("idleCutMs", self.idle_cut_ms, format!("at most {MAX_TIME_MS} ms")));
        }
        self.faults.check()?;
        self.genesys.as_ref().map_or(Ok(()), GenesysConfig::check)?;
        self.sip.as_ref().map_or(Ok(()), SipConfig::check)?;
        self.whip.as_ref().map_or(Ok(()), WhipConfig::check)
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
            (r#"{"faults":{"closeCode":1006}}"#, "faults.closeCode"),
            (r#"{"whip":{"faults":{"patchStatus":204}}}"#, "whip.faults.patchStatus"),
            (r#"{"genesys":{"pingIntervalMs":0}}"#, "genesys.pingIntervalMs"),
            (r#"{"genesys":{"faults":{"restartIceAfterMs":1}}}"#, "genesys.faults.restartIceAfterMs"),
            (r#"{"genesys":{"faults":{"saslFailure":"<x/>"}}}"#, "genesys.faults.saslFailure"),
            (r#"{"sip":{"maxExpiresS":0}}"#, "sip.maxExpiresS"),
            (r#"{"sip":{"faults":{"callStatus":200}}}"#, "sip.faults.callStatus"),
        ] {
            let error = LabConfig::from_json(json.as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
    }

    #[test]
    fn another_address_is_accepted_when_it_is_allowed() {
        LabConfig::from_json(br#"{"address":"192.0.2.1","allowRemote":true}"#).expect("explicitly allowed");
    }
}
