//! How the SIP counterpart of a lab behaves. Pure.
use serde::Deserialize;

use crate::config::ConfigError;
use crate::lab::config::MAX_TIME_MS;

/// The SIP counterpart of a lab: registrar, proxy and answering peers over WebSocket; JSON names are camelCase.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SipConfig {
    /// Port (default 0 = any free).
    pub port: u16,
    /// Realm of digest challenges (default `lab`).
    pub realm: String,
    /// Password of every user (default `secret`).
    pub password: String,
    /// Calls are challenged as well (407; default true).
    pub challenge_calls: bool,
    /// Longest registration that is granted, s (default 600).
    pub max_expires_s: u32,
    /// Each softphone is called this long after it registered first, and again this long after each call, ms; 0 = never
    /// (default 0).
    pub call_every_ms: u64,
    /// A call is ended by BYE this long after it connected, ms; 0 = never (default 0).
    pub call_hold_ms: u64,
    /// A call is answered this much later than it rings, ms (default 0).
    pub answer_delay_ms: u64,
    /// Session interval that is asked for and answered, s (RFC 4028); 0 = what the other side asks for (default 0).
    pub session_expires_s: u32,
    /// The lab refreshes sessions instead of the other side (default false).
    pub refreshes: bool,
    /// Faults (default none).
    pub faults: SipFaults,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            port: 0,
            realm: "lab".to_owned(),
            password: "secret".to_owned(),
            challenge_calls: true,
            max_expires_s: 600,
            call_every_ms: 0,
            call_hold_ms: 0,
            answer_delay_ms: 0,
            session_expires_s: 0,
            refreshes: false,
            faults: SipFaults::default(),
        }
    }
}

impl std::fmt::Debug for SipConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipConfig").field("port", &self.port).field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// Faults of the SIP counterpart; all off by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SipFaults {
    /// Answer every REGISTER with this status, such as 401 for ever, 403 or 503; 0 = none (default 0).
    pub register_status: u16,
    /// Answer every INVITE with this final status, such as 403, 480, 486 or 503; 0 = none (default 0).
    pub call_status: u16,
    /// `Retry-After` of these, s; 0 = none (default 0).
    pub retry_after_s: u32,
    /// Ring and never answer (default false).
    pub no_answer: bool,
    /// The lab cancels its own calls this long after they ring, ms; 0 = never (default 0).
    pub cancel_after_ms: u64,
    /// Do not answer keep-alives after the first one (default false).
    pub drop_pongs: bool,
    /// Cut the first WebSocket of each user this long after it registered, ms; 0 = never (default 0).
    pub cut_after_ms: u64,
    /// Send a re-INVITE this long after a call connected, ms; 0 = never (default 0).
    pub reinvite_after_ms: u64,
    /// That re-INVITE restarts ICE (default false).
    pub restart_ice: bool,
    /// Be the refresher of sessions, and do not refresh (default false).
    pub no_refresh: bool,
}

impl SipConfig {
    /// Checks what the types alone cannot.
    pub(in crate::lab) fn check(&self) -> Result<(), ConfigError> {
        let faults = &self.faults;
        for (field, value) in [
            ("sip.callEveryMs", self.call_every_ms),
            ("sip.callHoldMs", self.call_hold_ms),
            ("sip.answerDelayMs", self.answer_delay_ms),
            ("sip.faults.cancelAfterMs", faults.cancel_after_ms),
            ("sip.faults.cutAfterMs", faults.cut_after_ms),
            ("sip.faults.reinviteAfterMs", faults.reinvite_after_ms),
            ("sip.faults.retryAfterS", u64::from(faults.retry_after_s).saturating_mul(1000)),
            ("sip.sessionExpiresS", u64::from(self.session_expires_s).saturating_mul(1000)),
            ("sip.maxExpiresS", u64::from(self.max_expires_s).saturating_mul(1000)),
        ] {
            if value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("at most {MAX_TIME_MS} ms")));
            }
        }
        if self.max_expires_s == 0 {
            return Err(ConfigError::new("sip.maxExpiresS", 0, "at least 1 s"));
        }
        for (field, status) in
            [("sip.faults.registerStatus", faults.register_status), ("sip.faults.callStatus", faults.call_status)]
        {
            if status != 0 && !(300..700).contains(&status) {
                return Err(ConfigError::new(field, status, "0, or a final status from 300 to 699"));
            }
        }
        if self.realm.contains(['"', '\r', '\n']) {
            return Err(ConfigError::new("sip.realm", &self.realm, "no quotation marks and no line ends"));
        }
        Ok(())
    }
}
