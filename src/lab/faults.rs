//! The faults and habits of a server that a lab can play, and when they play.
//!
//! Pure: time and counts are arguments.
use std::time::Instant;

use serde::Deserialize;

use super::config::MAX_TIME_MS;
use crate::config::ConfigError;

/// Longest close reason: a control frame carries 125 bytes, two of them the status (RFC 6455 §5.5).
const MAX_REASON_BYTES: usize = 123;
/// Too Many Requests (RFC 6585 §4).
const TOO_MANY_REQUESTS: u16 = 429;

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
    /// Answering peers that play audio play none (default false).
    pub mute: bool,
    /// Refuse WebSocket upgrades with this HTTP status, 400–599; 0 = accept all (default 0).
    pub upgrade_status: u16,
    /// Refuse only every n-th upgrade, counted from the first: the n-th, 2n-th, … (default 1 = all).
    pub upgrade_status_every: u64,
    /// Accept so many upgrades a second, that many at once after a pause, and refuse the others with `upgradeStatus`, or
    /// with 429 where that is 0; 0 = no limit (default 0).
    pub upgrades_per_second: u32,
    /// `Retry-After` of refused upgrades, s (RFC 9110 §10.2.3); 0 = none (default 0).
    pub retry_after_s: u32,
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
            mute: false,
            upgrade_status: 0,
            upgrade_status_every: 1,
            upgrades_per_second: 0,
            retry_after_s: 0,
            drop_candidates: false,
        }
    }
}

impl LabFaults {
    /// Checks what the types alone cannot: times, close status, HTTP status.
    ///
    /// # Errors
    /// [`ConfigError`] by field name, `faults.…`.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("faults.pingIntervalMs", self.ping_interval_ms),
            ("faults.pongTimeoutMs", self.pong_timeout_ms),
            ("faults.closeAfterMs", self.close_after_ms),
            ("faults.answerDelayMs", self.answer_delay_ms),
            ("faults.retryAfterS", u64::from(self.retry_after_s).saturating_mul(1000)),
        ] {
            if value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("at most {MAX_TIME_MS} ms")));
            }
        }
        if self.pong_timeout_ms == 0 {
            return Err(ConfigError::new("faults.pongTimeoutMs", 0, "at least 1 ms"));
        }
        // 1004, 1005, 1006 and 1015 never appear on the wire (RFC 6455 §7.4.1).
        if !matches!(self.close_code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(ConfigError::new(
                "faults.closeCode",
                self.close_code,
                "a status that may be sent: 1000–1003, 1007–1014, 3000–4999",
            ));
        }
        if self.close_reason.len() > MAX_REASON_BYTES {
            return Err(ConfigError::new(
                "faults.closeReason",
                &self.close_reason,
                format!("at most {MAX_REASON_BYTES} bytes of UTF-8"),
            ));
        }
        if self.upgrade_status != 0 && !(400..=599).contains(&self.upgrade_status) {
            return Err(ConfigError::new("faults.upgradeStatus", self.upgrade_status, "0, or 400 to 599"));
        }
        if self.upgrade_status_every == 0 {
            return Err(ConfigError::new("faults.upgradeStatusEvery", 0, "at least 1"));
        }
        Ok(())
    }

    /// The HTTP status that the n-th upgrade is refused with, if it is; `limit` says whether it is within
    /// `upgradesPerSecond`.
    pub(super) fn refused_upgrade(&self, nth: u64, limit: &mut UpgradeLimit, now: Instant) -> Option<u16> {
        if self.upgrades_per_second > 0 {
            let status = if self.upgrade_status == 0 { TOO_MANY_REQUESTS } else { self.upgrade_status };
            return (!limit.admits(self.upgrades_per_second, now)).then_some(status);
        }
        let its_turn = self.upgrade_status != 0 && nth.is_multiple_of(self.upgrade_status_every.max(1));
        its_turn.then_some(self.upgrade_status)
    }
}

/// How many upgrades may still be accepted now: a bucket of tokens that fills up again within a second.
#[derive(Debug, Default)]
pub(super) struct UpgradeLimit {
    /// Tokens, and when there were so many; none before the first upgrade.
    tokens: Option<(f64, Instant)>,
}

impl UpgradeLimit {
    fn admits(&mut self, per_second: u32, now: Instant) -> bool {
        let most = f64::from(per_second);
        let tokens = self.tokens.map_or(most, |(tokens, then)| {
            (tokens + most * now.saturating_duration_since(then).as_secs_f64()).min(most)
        });
        let admitted = tokens >= 1.0;
        self.tokens = Some((if admitted { tokens - 1.0 } else { tokens }, now));
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::LabConfig;

    fn faults(json: &str) -> LabFaults {
        serde_json::from_str(json).expect("valid")
    }

    #[test]
    fn bad_faults_are_refused_by_field_name() {
        for (json, field) in [
            (r#"{"pongTimeoutMs":0}"#, "faults.pongTimeoutMs"),
            (r#"{"closeCode":1006}"#, "faults.closeCode"),
            (r#"{"upgradeStatus":200}"#, "faults.upgradeStatus"),
            (r#"{"upgradeStatusEvery":0}"#, "faults.upgradeStatusEvery"),
            (r#"{"answerDelayMs":"soon"}"#, "faults.answerDelayMs"),
            (r#"{"retryAfterS":86401}"#, "faults.retryAfterS"),
            (r#"{"upgradesPerSecond":-1}"#, "faults.upgradesPerSecond"),
            (r#"{"surprise":1}"#, "faults.surprise"),
        ] {
            let error = LabConfig::from_json(format!(r#"{{"faults":{json}}}"#).as_bytes()).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
        let long = faults(&format!(r#"{{"closeReason":"{}"}}"#, "é".repeat(62)));
        assert_eq!(long.check().expect_err("124 bytes").field, "faults.closeReason");
    }

    #[test]
    fn every_nth_upgrade_is_refused() {
        let faults = faults(r#"{"upgradeStatus":503,"upgradeStatusEvery":3}"#);
        let (mut limit, now) = (UpgradeLimit::default(), Instant::now());
        let refused: Vec<u64> =
            (1..=7).filter(|nth| faults.refused_upgrade(*nth, &mut limit, now) == Some(503)).collect();
        assert_eq!(refused, [3, 6]);
    }

    #[test]
    fn no_more_upgrades_a_second_are_accepted_than_allowed() {
        let faults = faults(r#"{"upgradesPerSecond":10}"#);
        let (mut limit, now) = (UpgradeLimit::default(), Instant::now());
        let mut accepted =
            |at: Duration| (0..25).filter(|nth| faults.refused_upgrade(*nth, &mut limit, now + at).is_none()).count();
        assert_eq!(accepted(Duration::ZERO), 10);
        assert_eq!(accepted(Duration::from_millis(500)), 5);
        assert_eq!(accepted(Duration::from_secs(60)), 10);
        assert_eq!(faults.refused_upgrade(1, &mut limit, now + Duration::from_secs(60)), Some(429));
    }
}
