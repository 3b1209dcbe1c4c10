//! How the WHIP and WHEP counterpart of a lab behaves. Pure.
use serde::Deserialize;

use crate::config::ConfigError;
use crate::lab::config::MAX_TIME_MS;

/// The WHIP and WHEP counterpart of a lab; JSON names are camelCase.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WhipConfig {
    /// Port (default 0 = any free).
    pub port: u16,
    /// The bearer token that is asked for (default empty = none).
    pub token: String,
    /// Name the lab's STUN service in `Link` header fields (default false).
    pub stun: bool,
    /// Faults (default none).
    pub faults: WhipFaults,
}

/// Faults of the WHIP and WHEP counterpart; all off by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WhipFaults {
    /// Answer offers with this status, such as 404, 409, 422 or 503; 0 = accept (default 0).
    pub offer_status: u16,
    /// So many offers only; 0 = all (default 0).
    pub offer_refusals: u64,
    /// `Retry-After` of refusals, s; 0 = none (default 0).
    pub retry_after_s: u32,
    /// Answer offers this much later, ms (default 0).
    pub answer_delay_ms: u64,
    /// Redirect each offer so many times with 307 (default 0).
    pub redirects: u8,
    /// Leave out `Location` (default false).
    pub no_location: bool,
    /// Leave out `ETag`, as a server does that cannot restart ICE (default false).
    pub no_etag: bool,
    /// Answer trickled candidates and ICE restarts with this status, such as 405, 412 or 422; 0 = accept (default 0).
    pub patch_status: u16,
    /// WHEP: make the offer oneself, with 406 (default false).
    pub counter_offer: bool,
    /// Forget a session this long after its answer, so that requests for it get 404, ms; 0 = never (default 0).
    pub forget_after_ms: u64,
}

impl WhipConfig {
    /// Checks what the types alone cannot.
    pub(in crate::lab) fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("whip.faults.answerDelayMs", self.faults.answer_delay_ms),
            ("whip.faults.forgetAfterMs", self.faults.forget_after_ms),
            ("whip.faults.retryAfterS", u64::from(self.faults.retry_after_s).saturating_mul(1000)),
        ] {
            if value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("at most {MAX_TIME_MS} ms")));
            }
        }
        for (field, status) in [
            ("whip.faults.offerStatus", self.faults.offer_status),
            ("whip.faults.patchStatus", self.faults.patch_status),
        ] {
            if status != 0 && !(400..600).contains(&status) {
                return Err(ConfigError::new(field, status, "0, or an error status from 400 to 599"));
            }
        }
        Ok(())
    }
}
