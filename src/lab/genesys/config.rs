//! How the Genesys Cloud counterpart of a lab behaves. Pure.
use serde::Deserialize;

use crate::config::ConfigError;
use crate::lab::config::MAX_TIME_MS;

/// The Genesys Cloud counterpart of a lab: REST, streaming WebSocket and calls; JSON names are camelCase.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GenesysConfig {
    /// Port of REST and WebSocket (default 0 = any free).
    pub port: u16,
    /// Each softphone is called this long after it subscribed to its conversations, and again this long after each call,
    /// ms; 0 = only by `POST /lab/calls` (default 0).
    pub call_every_ms: u64,
    /// A call is terminated this long after it connected, ms; 0 = never (default 0).
    pub call_hold_ms: u64,
    /// Calls are proposed with `inin-autoanswer` (default true).
    pub auto_answer: bool,
    /// Calls are offered as SDP over XMPP (default true), or in Jingle.
    pub sdp_over_xmpp: bool,
    /// Stations have a persistent connection (default false): the session of a call stays for later ones, which have conversation
    /// events and REST calls only.
    pub persistent: bool,
    /// So long a persistent connection stays without a call, ms (default 600000).
    pub persistent_idle_ms: u64,
    /// Reason of the lab's `terminate` (default `success`).
    pub terminate_reason: String,
    /// A TURN service to name to clients (default none).
    pub turn: Option<TurnService>,
    /// A STUN service is named: the lab's own (default true); false is what a station's "force TURN" comes to.
    pub stun: bool,
    /// The customer of a chat (`POST /lab/chats`) writes this often, ms (default 5000).
    pub chat_every_ms: u64,
    /// Server pings to clients that asked for them, ms (default 30000).
    pub ping_interval_ms: u64,
    /// Faults (default none).
    pub faults: GenesysFaults,
}

impl Default for GenesysConfig {
    fn default() -> Self {
        Self {
            port: 0,
            call_every_ms: 0,
            call_hold_ms: 0,
            auto_answer: true,
            sdp_over_xmpp: true,
            persistent: false,
            persistent_idle_ms: 600_000,
            terminate_reason: "success".to_owned(),
            turn: None,
            stun: true,
            chat_every_ms: 5_000,
            ping_interval_ms: 30_000,
            faults: GenesysFaults::default(),
        }
    }
}

/// A TURN service as extdisco (XEP-0215) names it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnService {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `udp` (default) or `tcp`.
    #[serde(default = "udp")]
    pub transport: String,
    /// User name; a wrong or expired one is a fault to play.
    pub username: String,
    /// Password.
    pub credential: String,
}

fn udp() -> String {
    "udp".to_owned()
}

impl std::fmt::Debug for TurnService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnService").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Faults of the Genesys Cloud counterpart; all off by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GenesysFaults {
    /// Refuse the first so many REST requests with 429 and `Retry-After` (default 0).
    pub too_many_requests: u64,
    /// `Retry-After` of these, s (default 0).
    pub retry_after_s: u32,
    /// Answer extdisco this much later, ms (default 0).
    pub extdisco_delay_ms: u64,
    /// Do not answer clients' pings (default false).
    pub drop_pongs: bool,
    /// Refuse the login with this SASL condition (RFC 6120 §6.5), such as `not-authorized` (default empty = accept).
    pub sasl_failure: String,
    /// Ask the client to move to another WebSocket (XEP-0051) this long after its login, ms; 0 = never (default 0).
    pub move_after_ms: u64,
    /// Offer again this long after a call connected, ms; 0 = never (default 0).
    pub reinvite_after_ms: u64,
    /// That offer has other ICE credentials, so that it is another PeerConnection (default false).
    pub reinvite_new_ice: bool,
    /// Repeat that offer so often, a second apart, answered or not, as a gateway that hears of the answer late; without an answer it
    /// is repeated anyway (default 0).
    pub reinvite_repeats: u32,
    /// In Jingle, restart ICE by `transport-info` this long after a call connected, ms; 0 = never (default 0).
    pub restart_ice_after_ms: u64,
    /// Conversation events come this much later, ms (default 0).
    pub event_delay_ms: u64,
    /// Send a candidate before the offer it belongs to (default false).
    pub candidate_before_offer: bool,
    /// The TURN service named is a port of the lab at which nobody answers (default false).
    pub dead_relay: bool,
}

impl GenesysConfig {
    /// Checks what the types alone cannot.
    pub(in crate::lab) fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("genesys.callEveryMs", self.call_every_ms),
            ("genesys.callHoldMs", self.call_hold_ms),
            ("genesys.chatEveryMs", self.chat_every_ms),
            ("genesys.persistentIdleMs", self.persistent_idle_ms),
            ("genesys.pingIntervalMs", self.ping_interval_ms),
            ("genesys.faults.extdiscoDelayMs", self.faults.extdisco_delay_ms),
            ("genesys.faults.moveAfterMs", self.faults.move_after_ms),
            ("genesys.faults.reinviteAfterMs", self.faults.reinvite_after_ms),
            ("genesys.faults.eventDelayMs", self.faults.event_delay_ms),
            ("genesys.faults.restartIceAfterMs", self.faults.restart_ice_after_ms),
            ("genesys.faults.retryAfterS", u64::from(self.faults.retry_after_s).saturating_mul(1000)),
        ] {
            if value > MAX_TIME_MS {
                return Err(ConfigError::new(field, value, format!("at most {MAX_TIME_MS} ms")));
            }
        }
        if self.ping_interval_ms == 0 {
            return Err(ConfigError::new("genesys.pingIntervalMs", 0, "at least 1 ms"));
        }
        if !self.sdp_over_xmpp && (self.faults.reinvite_after_ms > 0 || self.faults.candidate_before_offer) {
            let reason = "reinviteAfterMs and candidateBeforeOffer are of SDP over XMPP";
            return Err(ConfigError::new("genesys.sdpOverXmpp", false, reason));
        }
        if self.sdp_over_xmpp && self.faults.restart_ice_after_ms > 0 {
            let reason = "it is of Jingle: sdpOverXmpp has to be false";
            return Err(ConfigError::new("genesys.faults.restartIceAfterMs", self.faults.restart_ice_after_ms, reason));
        }
        if !self.terminate_reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            let reason = "a reason has small letters and '-' only";
            return Err(ConfigError::new("genesys.terminateReason", &self.terminate_reason, reason));
        }
        let condition = &self.faults.sasl_failure;
        if !condition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            let reason = "a SASL condition has small letters and '-' only";
            return Err(ConfigError::new("genesys.faults.saslFailure", condition, reason));
        }
        Ok(())
    }
}
