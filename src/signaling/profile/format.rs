//! The file format of a signaling profile, as data.
//!
//! One JSON object. Pure. Guarantees of [`Profile::parse`]: every error says line and column, what was found and what is
//! accepted; unknown members are errors; selectors and templates are compiled here, once; a template, request, HTTP request or
//! parameter that is referred to exists.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::codec::Codec;
use super::messages::Command;
use super::place;
use super::selector::Selector;
use super::template::{Body, Reference, Template, is_name};

/// The version of the format that is understood.
pub const VERSION: u32 = 1;
/// Longest accepted time, ms: a day.
const MAX_MS: u64 = 86_400_000;
/// Largest accepted file, bytes.
const MAX_FILE_BYTES: usize = 1 << 20;
/// Deepest nesting of `if`.
const MAX_BRANCHES: usize = 8;

/// Variables that the interpreter sets itself.
const BUILT_IN: [&str; 16] = [
    "uuid",
    "id",
    "nowMs",
    "call",
    "sdp",
    "candidate",
    "sdpMid",
    "sdpMLineIndex",
    "usernameFragment",
    "reason",
    "to",
    "digits",
    "subprotocol",
    "direction",
    "media",
    "standing",
];

/// Why a profile cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name}:{line}:{column}: {message}")]
pub struct ProfileError {
    /// The file or profile, as it was named to the parser.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What was found and what is accepted.
    pub message: String,
}

/// A signaling protocol, as a client speaks it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Profile {
    /// For editors; not used.
    #[serde(rename = "$schema", default)]
    pub schema: Option<String>,
    /// Version of this format: 1.
    pub profile: u32,
    /// Name by which it is chosen.
    pub name: String,
    /// What it speaks and how far that was proved.
    #[serde(default)]
    pub description: String,
    /// Domains of a vendor whose rules for load tests are `notice`; they and all their subdomains count.
    #[serde(default)]
    pub vendor_domains: Vec<String>,
    /// What has to be known before a load test against `vendorDomains`; reported when a URL leads there.
    #[serde(default)]
    pub notice: String,
    /// What speaks the protocol, where data alone do not suffice. A profile with it has parameters and, where the driver uses a
    /// WebSocket, its `url`, `subprotocol`, `headers`, `loginTimeoutMs` and `reconnect`, and nothing else of what follows.
    #[serde(default)]
    pub driver: Option<Driver>,
    /// What the user gives, by name; a parameter without a default has to be given.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// HTTP requests by name.
    #[serde(default)]
    pub http: BTreeMap<String, HttpRequest>,
    /// What is done before the WebSocket is opened: `http`, `set` and `if`.
    #[serde(default)]
    pub prologue: Vec<Do>,
    /// The WebSocket; needed unless a driver has none.
    #[serde(default)]
    pub socket: SocketSection,
    /// Frames and parts of them by name.
    #[serde(default)]
    pub templates: BTreeMap<String, Body>,
    /// How answers are told from other messages; needed by `requests`.
    #[serde(default)]
    pub replies: Option<Replies>,
    /// Frames that are answered, by name.
    #[serde(default)]
    pub requests: BTreeMap<String, Request>,
    /// What is done on the open WebSocket until the softphone is registered. A `request` waits for its answer.
    #[serde(default)]
    pub login: Vec<Do>,
    /// What is done once it is registered, each time. A `request` waits for its answer.
    #[serde(default)]
    pub ready: Vec<Do>,
    /// What is done again and again while it is registered.
    #[serde(default)]
    pub every: Vec<Every>,
    /// How ICE servers are read from a message, by the action `iceServers`.
    #[serde(default)]
    pub ice_servers: Option<IceServersSection>,
    /// Which local candidates are told.
    #[serde(default)]
    pub candidates: CandidatesSection,
    /// What incoming messages mean; the first rule that fits is taken.
    #[serde(default)]
    pub on: Vec<Rule>,
    /// What the user's commands do.
    #[serde(default)]
    pub commands: Commands,
    /// What happenings of a call's PeerConnection do.
    #[serde(default)]
    pub events: Events,
}

/// A protocol that is spoken by code; it reads the profile's parameters by their names.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Driver {
    /// SIP over WebSocket (RFC 7118).
    Sip,
    /// WebRTC-HTTP ingestion (RFC 9725): we send.
    Whip,
    /// WebRTC-HTTP egress (draft-ietf-wish-whep): we receive.
    Whep,
}

impl Driver {
    /// Whether it speaks over a WebSocket.
    pub fn has_socket(self) -> bool {
        self == Self::Sip
    }
}

/// Something the user gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Param {
    /// Taken when none is given; may refer to parameters that do not refer to others.
    #[serde(default)]
    pub default: Option<Template>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Never shown (default false).
    #[serde(default)]
    pub secret: bool,
    /// Names the user: two softphones with the same value are the same user twice (default false).
    #[serde(default)]
    pub identity: bool,
}

/// One HTTP request. A status from 200 to 299 is success.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Method,
    /// `http://` or `https://` URL.
    pub url: Template,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// Body; a `json` one sets `Content-Type`.
    #[serde(default)]
    pub body: Option<Body>,
    /// Deadline of the whole exchange, ms (default 15000).
    #[serde(default = "fifteen_seconds")]
    pub within_ms: u64,
    /// Done once only: a later turn of the prologue keeps what it set (default false).
    #[serde(default)]
    pub once: bool,
    /// Variables from the response's body, which has to be JSON then.
    #[serde(default)]
    pub set: BTreeMap<String, Source>,
    /// What is done with a successful response; the message at hand is its body.
    #[serde(default, rename = "do")]
    pub then: Vec<Do>,
    /// What is done otherwise, outside of the prologue (where it fails the attempt).
    #[serde(default)]
    pub on_error: Vec<Do>,
}

/// HTTP methods (RFC 9110 §9, RFC 5789).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Method {
    /// Read.
    Get,
    /// Create or do.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The WebSocket, and what keeps it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SocketSection {
    /// `ws://` or `wss://` URL.
    pub url: Template,
    /// `Sec-WebSocket-Protocol` (RFC 6455 §11.3.4).
    #[serde(default)]
    pub subprotocol: Option<String>,
    /// Further header fields of the upgrade.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// How frames become JSON (default json).
    #[serde(default)]
    pub codec: Codec,
    /// Strings in a message that are messages themselves.
    #[serde(default)]
    pub nested: Vec<Nested>,
    /// What of a message also becomes a session description: the member `translated` of its root.
    #[serde(default)]
    pub translate: Option<Translation>,
    /// From the first HTTP request or the dial to registered, ms (default 15000).
    #[serde(default = "fifteen_seconds")]
    pub login_timeout_ms: u64,
    /// What is sent to keep it alive.
    #[serde(default)]
    pub keep_alive: Option<KeepAlive>,
    /// For how long the server may be silent.
    #[serde(default)]
    pub silence: Option<Silence>,
    /// How many messages a registered softphone sends at a time, keep-alives not counted (default: no limit).
    #[serde(default)]
    pub rate: Option<Rate>,
    /// What follows the loss of a registered softphone's WebSocket (default: nothing).
    #[serde(default)]
    pub reconnect: Option<Reconnect>,
    /// What is done before it is closed.
    #[serde(default)]
    pub farewell: Vec<Do>,
    /// What unregistering waits for before the farewell (default: nothing).
    #[serde(default)]
    pub farewell_awaits: Option<FarewellAwaits>,
}

/// Unregistering waits until every call that is up can be hung up without the WebSocket.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FarewellAwaits {
    /// The variable that each of them has to have by then.
    pub variable: String,
    /// At most so long, ms (default 1500).
    #[serde(default = "one_and_a_half_seconds")]
    pub within_ms: u64,
}

/// A way to describe sessions that is not SDP.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Translation {
    /// A `jingle` element (XEP-0166, XEP-0167) becomes `action`, `sid`, and `sdp`, `fragment` or `reason`. The filter `jingle` is
    /// the way back.
    Jingle,
}

impl Default for SocketSection {
    /// No WebSocket: its URL is empty.
    fn default() -> Self {
        Self {
            url: Template::default(),
            subprotocol: None,
            headers: BTreeMap::new(),
            codec: Codec::default(),
            nested: Vec::new(),
            translate: None,
            login_timeout_ms: fifteen_seconds(),
            keep_alive: None,
            silence: None,
            rate: None,
            reconnect: None,
            farewell: Vec::new(),
            farewell_awaits: None,
        }
    }
}

/// A string that is a message itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Nested {
    /// Selects the string.
    pub at: Selector,
    /// What it is.
    pub codec: Codec,
    /// The member of the message's root that it becomes.
    #[serde(rename = "as")]
    pub name: String,
}

/// Keeping a WebSocket alive.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KeepAlive {
    /// Only if these variables have these values.
    #[serde(default, rename = "if")]
    pub only_if: Condition,
    /// The request that is made; or `send`.
    #[serde(default)]
    pub request: Option<String>,
    /// The template that is sent; or `request`.
    #[serde(default)]
    pub send: Option<String>,
    /// From registered to the first one, and from one's answer (or its absence; without answers, from sending) to the next, ms. Of 8000
    /// and more, up to 500 less: the softphones of a process send theirs together.
    pub every_ms: u64,
    /// So many requests in a row without an answer end the WebSocket (default 2).
    #[serde(default = "two")]
    pub misses: u32,
    /// What is done before it is closed for that; without anything it is left without a closing handshake.
    #[serde(default)]
    pub on_error: Vec<Do>,
}

/// Silence of the server that ends a WebSocket.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Silence {
    /// Only if these variables have these values.
    #[serde(default, rename = "if")]
    pub only_if: Condition,
    /// Without any text frame for so long, ms.
    pub ms: u64,
    /// What is done before the WebSocket is closed for that; without anything it is left without a closing handshake.
    #[serde(default)]
    pub on_error: Vec<Do>,
}

/// A token bucket: what is over the limit waits, in order.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rate {
    /// So many messages at once, 1 to 10000.
    pub burst: u32,
    /// So many come again in each second, 1 to 10000.
    pub per_second: u32,
}

/// How a registered softphone comes back.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reconnect {
    /// Delay of the first attempt, ms; 0 = at once.
    pub first_ms: u64,
    /// Each further delay is so many times as long (default 2).
    #[serde(default = "double")]
    pub factor: f64,
    /// Longest delay, ms.
    pub max_ms: u64,
    /// Random part of each delay: between `1 - jitter` and `1` times as long (0 to 1; default 0). The parameter `jitter`
    /// overrides it, if the profile has one.
    #[serde(default)]
    pub jitter: f64,
    /// Failures are remembered over successful attempts: the next series begins with twice the last remembered delay, which
    /// halves each time five times its length has passed, and is forgotten an hour after the last failure (default false).
    #[serde(default)]
    pub remember: bool,
    /// So many attempts keep what the prologue set; the next does the prologue again (default 0 = always again).
    #[serde(default)]
    pub reuses: u32,
    /// HTTP statuses that end all attempts.
    #[serde(default)]
    pub stop_on: Vec<u16>,
    /// Wait as `Retry-After` (RFC 9110 §10.2.3) says, before the delay (default true).
    #[serde(default = "yes")]
    pub honor_retry_after: bool,
}

/// How answers are told from other messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Replies {
    /// Selects something in an answer only.
    pub when: Selector,
    /// The `${id}` of the request.
    pub id: Selector,
    /// Selects something in an answer that refuses.
    #[serde(default)]
    pub error: Option<Selector>,
}

/// A frame that is answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Request {
    /// Its template, which has to use `${id}`.
    pub send: String,
    /// How long its answer may take, ms (default 15000).
    #[serde(default = "fifteen_seconds")]
    pub within_ms: u64,
    /// How often it is repeated without an answer (default 0).
    #[serde(default)]
    pub retries: u32,
    /// Whether a login goes on without its answer (default false).
    #[serde(default)]
    pub optional: bool,
    /// Variables from the answer.
    #[serde(default)]
    pub set: BTreeMap<String, Source>,
    /// What is done with the answer.
    #[serde(default, rename = "do")]
    pub then: Vec<Do>,
    /// What is done with a refusal, or without an answer.
    #[serde(default)]
    pub on_error: Vec<Do>,
}

/// Something done again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Every {
    /// How often, ms.
    pub ms: u64,
    /// What.
    #[serde(rename = "do")]
    pub then: Vec<Do>,
}

/// How ICE servers are read from a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IceServersSection {
    /// Selects one value for each server; the other selectors here start at that value.
    pub from: Selector,
    /// Its URLs (one, or an array of them), if the message has URLs.
    #[serde(default)]
    pub urls: Option<Selector>,
    /// `stun`, `turn` or `turns`.
    #[serde(default, rename = "type")]
    pub kind: Option<Selector>,
    /// Host.
    #[serde(default)]
    pub host: Option<Selector>,
    /// Port.
    #[serde(default)]
    pub port: Option<Selector>,
    /// Transport; written into the URL unless it is `udp`.
    #[serde(default)]
    pub transport: Option<Selector>,
    /// User name.
    #[serde(default)]
    pub username: Option<Selector>,
    /// Password.
    #[serde(default)]
    pub credential: Option<Selector>,
    /// Without any server of this type only relayed candidates are used (W3C `iceTransportPolicy` `relay`).
    #[serde(default)]
    pub relay_only_if_no: Option<String>,
}

/// Which local candidates are told.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidatesSection {
    /// Descriptions wait until gathering is complete, and candidates are not told (default false).
    #[serde(default)]
    pub full: bool,
    /// TCP candidates are not told (default false).
    #[serde(default)]
    pub skip_tcp: bool,
    /// IPv6 host candidates are not told (default false).
    #[serde(default)]
    pub skip_ipv6_host: bool,
}

/// What an incoming message means.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rule {
    /// Selects something in a message it is for.
    pub when: Selector,
    /// Only if these variables have these values.
    #[serde(default, rename = "if")]
    pub only_if: Condition,
    /// The call's name in the protocol. A rule with it is for calls that are known, unless it `starts` them.
    #[serde(default)]
    pub call: Option<Source>,
    /// `call` is not the call's name but the value of this variable of it.
    #[serde(default)]
    pub by: Option<String>,
    /// The message may start a call (default false).
    #[serde(default)]
    pub starts: bool,
    /// A variable: a call that the user placed and that has the same value in it is the one that starts here.
    #[serde(default)]
    pub joins: Option<String>,
    /// A message is taken once only.
    #[serde(default)]
    pub dedupe: Option<Dedupe>,
    /// Variables: of the call, or without one of the softphone.
    #[serde(default)]
    pub set: BTreeMap<String, Source>,
    /// What is done.
    #[serde(default, rename = "do")]
    pub then: Vec<Do>,
    /// What is done instead by a rule that `starts`, for a known call that was accepted, or placed by us.
    #[serde(default)]
    pub again: Vec<Do>,
}

/// Taking a message once only.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dedupe {
    /// What is the same in a repetition.
    pub id: Source,
    /// How many are remembered for each call (default 16).
    #[serde(default = "sixteen")]
    pub keep: usize,
    /// For how long, ms (default 60000).
    #[serde(default = "one_minute")]
    pub for_ms: u64,
}

/// A value: a JSONPath into the message at hand (text that begins with `$` and not with `${`), or a template.
#[derive(Clone, Debug)]
pub enum Source {
    /// What a JSONPath selects first.
    Message(Selector),
    /// A text with placeholders.
    Text(Template),
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let compiled = if text.starts_with('$') && !text.starts_with("${") {
            Selector::compile(&text).map(Self::Message)
        } else {
            Template::compile(&text).map(Self::Text)
        };
        compiled.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Source {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "JSONPath into the message at hand ($…), or a template"})
    }
}

/// Variables and the texts they have to have; a variable without a value has the empty one.
pub type Condition = BTreeMap<String, String>;

/// One action.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Do {
    /// Sends a template.
    Send(String),
    /// Makes a request.
    Request(String),
    /// Makes several requests at once; in `login` and `ready` all answers are waited for.
    Requests(Vec<String>),
    /// Makes an HTTP request.
    Http(String),
    /// Sets variables: of the call at hand, or without one of the softphone.
    Set(BTreeMap<String, Source>),
    /// Waits for a message; in `login` only.
    Expect(Expect),
    /// Does the one or the other.
    If(Branch),
    /// Reads ICE servers from the message at hand.
    IceServers,
    /// A call comes in: the user is told and may answer; where `auto` has the text `true`, it is answered at once.
    Ring {
        /// When to answer without being asked.
        #[serde(default)]
        auto: Option<Source>,
    },
    /// The other side rings.
    Ringing,
    /// Makes an offer; `events.localOffer` follows.
    Offer,
    /// Applies an offer and makes an answer; `events.localAnswer` follows.
    RemoteOffer {
        /// Session description.
        sdp: Source,
        /// A later offer with another ICE user fragment or password makes a new PeerConnection, instead of an ICE restart
        /// (default false).
        #[serde(default)]
        new_peer_if_ice_changed: bool,
    },
    /// Applies an answer.
    RemoteAnswer {
        /// Session description.
        sdp: Source,
    },
    /// Adds a candidate (W3C `RTCIceCandidateInit`).
    RemoteCandidate {
        /// `candidate:…`; empty = the end of them.
        candidate: Source,
        /// Media line, by its `a=mid`.
        #[serde(default)]
        sdp_mid: Option<Source>,
        /// Media line, by its number.
        #[serde(default)]
        sdp_m_line_index: Option<Source>,
        /// ICE user fragment.
        #[serde(default)]
        username_fragment: Option<Source>,
    },
    /// Adds the candidates of a fragment of a session description (RFC 8840 §9).
    RemoteCandidateFragment {
        /// The fragment.
        sdp: Source,
        /// A fragment with another ICE user fragment than the last offer, and with a password, is an ICE restart (XEP-0176): the
        /// offer is applied with these credentials, and `events.localRestart` follows (default false).
        #[serde(default)]
        restarts_ice: bool,
    },
    /// Sends no more audio, waits until every packet is where it belongs, and then does `then`, where `${media}` are this side's
    /// packet accounts: an object with the names of webrtc-stats, such as `packetsSent` and `packetsReceived`. What has left is
    /// final only when the last packet has left, what has come only when the other side's last one is in. Bounded, 3 s at most;
    /// without a PeerConnection there is nothing to wait for, and no `${media}`.
    Rest {
        /// How many packets the other side says it has sent; they are waited for, 1.5 s at most.
        #[serde(default)]
        packets: Option<Source>,
        /// What follows.
        then: Vec<Self>,
    },
    /// The other side's packet accounts of the call, for the report at its end; ignored where the message has none.
    RemoteMedia {
        /// RTP packets that it has sent (webrtc-stats `outbound-rtp`).
        packets_sent: Source,
        /// RTP packets that it has received (webrtc-stats `inbound-rtp`).
        packets_received: Source,
    },
    /// The call is over by the other side.
    Closed {
        /// Why.
        #[serde(default)]
        reason: Option<Source>,
    },
    /// The other side refuses the call.
    Refused {
        /// Why.
        #[serde(default)]
        reason: Option<Source>,
    },
    /// The call is over by the other side, or by us where we asked for it, and its PeerConnection stays for later calls of this
    /// softphone; `${standing}` is `true` as long as it does.
    Release {
        /// Why.
        #[serde(default)]
        reason: Option<Source>,
    },
    /// The call is up on the PeerConnection that an earlier call has left: there is no new ICE.
    UseStanding,
    /// The call is over by us.
    End,
    /// Fails the attempt to register, or ends the WebSocket of a registered softphone.
    Fail {
        /// What follows.
        then: After,
        /// Why.
        #[serde(default)]
        reason: Option<Source>,
    },
    /// Leaves the WebSocket with its farewell and comes back after the first delay of `reconnect`, without delay where it has none.
    Move,
    /// The next attempt does the prologue again.
    Renew,
    /// Reports something that was not done.
    Problem(Template),
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum After {
    /// Another attempt with what the prologue set.
    Retry,
    /// Another attempt with the prologue done again.
    Renew,
    /// None: the credentials are refused.
    Stop,
}

/// Doing the one or the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Branch {
    /// These variables have these values.
    #[serde(default)]
    pub is: Condition,
    /// The message at hand has this.
    #[serde(default)]
    pub has: Option<Selector>,
    /// Then.
    #[serde(default, rename = "do")]
    pub then: Vec<Do>,
    /// Otherwise.
    #[serde(default, rename = "else")]
    pub otherwise: Vec<Do>,
}

/// Waiting for a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Expect {
    /// Selects something in it.
    pub when: Selector,
    /// Variables from it.
    #[serde(default)]
    pub set: BTreeMap<String, Source>,
    /// Messages that mean that it will not come; the first that fits.
    #[serde(default)]
    pub fail: Vec<Failing>,
}

/// A message that ends an attempt to register.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failing {
    /// Selects something in it.
    pub when: Selector,
    /// What follows.
    pub then: After,
    /// Why.
    #[serde(default)]
    pub reason: Option<Source>,
}

/// What the user's commands do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Commands {
    /// Place a call to `${to}`.
    pub place: Vec<Do>,
    /// Answer a call that rings.
    pub accept: Vec<Do>,
    /// Refuse a call that rings.
    pub reject: Vec<Do>,
    /// End a call.
    pub hang_up: Vec<Do>,
    /// Send no audio.
    pub mute: Vec<Do>,
    /// Send audio again.
    pub unmute: Vec<Do>,
    /// Hold.
    pub hold: Vec<Do>,
    /// End holding.
    pub resume: Vec<Do>,
    /// Transfer to `${to}`.
    pub transfer: Vec<Do>,
    /// Send the tones `${digits}`.
    pub dtmf: Vec<Do>,
}

/// What happenings of a call's PeerConnection do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Events {
    /// An offer is made: `${sdp}`.
    pub local_offer: Vec<Do>,
    /// An answer is made: `${sdp}`.
    pub local_answer: Vec<Do>,
    /// An answer to an ICE restart that came as a fragment is made: `${sdp}`.
    pub local_restart: Vec<Do>,
    /// A candidate is there: `${candidate}`, `${sdpMid}`, `${sdpMLineIndex}`, `${usernameFragment}`.
    pub local_candidate: Vec<Do>,
    /// There are no more candidates.
    pub end_of_candidates: Vec<Do>,
    /// ICE and DTLS are connected.
    pub connected: Vec<Do>,
    /// The connection is interrupted (W3C `disconnected`).
    pub disconnected: Vec<Do>,
    /// The connection has failed (W3C `failed`).
    pub failed: Vec<Do>,
    /// The softphone unregisters, and a PeerConnection stays that no call uses; it is closed after this.
    pub leaving: Vec<Do>,
}

fn fifteen_seconds() -> u64 {
    15_000
}
fn one_and_a_half_seconds() -> u64 {
    1_500
}
fn one_minute() -> u64 {
    60_000
}
fn sixteen() -> usize {
    16
}
fn two() -> u32 {
    2
}
fn double() -> f64 {
    2.0
}
fn yes() -> bool {
    true
}

impl Profile {
    /// Whether it says how `command` is done.
    pub fn knows(&self, command: &Command) -> bool {
        match self.driver {
            // Muting is not signaled.
            Some(Driver::Sip) => return !matches!(command, Command::Mute | Command::Unmute),
            Some(Driver::Whip | Driver::Whep) => {
                return matches!(command, Command::Place { .. } | Command::HangUp | Command::RestartIce);
            }
            None => {}
        }
        let commands = &self.commands;
        let list = match command {
            Command::Place { .. } => &commands.place,
            Command::Accept => &commands.accept,
            Command::Reject => &commands.reject,
            Command::HangUp => &commands.hang_up,
            Command::Mute => &commands.mute,
            Command::Unmute => &commands.unmute,
            Command::Hold => &commands.hold,
            Command::Resume => &commands.resume,
            Command::Transfer { .. } => &commands.transfer,
            Command::Dtmf(_) => &commands.dtmf,
            Command::RestartIce => return false,
        };
        !list.is_empty()
    }

    /// How its `dtmf` command goes to the other side; `None` where it knows none.
    pub fn dtmf_way(&self) -> Option<&'static str> {
        match self.driver {
            Some(Driver::Sip) => Some("SIP INFO (application/dtmf-relay)"),
            Some(Driver::Whip | Driver::Whep) => None,
            None => (!self.commands.dtmf.is_empty()).then_some("the profile's own way"),
        }
    }

    /// Whether a URL leads to the vendor: to one of `vendorDomains`, or to a host below one.
    pub fn is_vendors(&self, url: &str) -> bool {
        let Ok(url) = url::Url::parse(url) else { return false };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        self.vendor_domains.iter().any(|domain| {
            let rest = host.strip_suffix(&domain.to_ascii_lowercase());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Whether the other side's packet accounts come with its messages.
    pub fn carries_accounts(&self) -> bool {
        self.lists().iter().any(|(_, list)| takes_accounts(list))
    }

    /// What tells users apart among softphones with these parameters: whatever names the user, and whatever says where the
    /// server is; empty where nothing names the user.
    pub fn identity<'a>(&self, params: &'a BTreeMap<String, String>) -> Vec<&'a str> {
        let is_identity = |name: &String| self.params.get(name).is_some_and(|param| param.identity);
        if !params.keys().any(&is_identity) {
            return Vec::new();
        }
        let tells = params.iter().filter(|(name, value)| is_identity(name) || value.contains("://"));
        tells.map(|(_, value)| value.as_str()).collect()
    }

    /// Parses and checks a profile; `name` is what errors call it, such as its file.
    ///
    /// # Errors
    /// [`ProfileError`] with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let fail = |(line, column), message| ProfileError { name: name.to_owned(), line, column, message };
        if text.len() > MAX_FILE_BYTES {
            return Err(fail((1, 1), format!("{} bytes are more than {MAX_FILE_BYTES}", text.len())));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let profile: Self = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let message = inner.to_string();
            // serde_json says the place, too; ours stands in front.
            let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
            let message = if path == "." { message.to_owned() } else { format!("{path}: {message}") };
            let place = match inner.classify() {
                serde_json::error::Category::Data => place::of(text, &path),
                _ => (inner.line().max(1), inner.column().max(1)),
            };
            fail(place, message)
        })?;
        deserializer
            .end()
            .map_err(|rest| fail((rest.line(), rest.column()), "something follows the profile's object".to_owned()))?;
        profile.check().map_err(|(path, message)| fail(place::of(text, &path), format!("{path}: {message}")))?;
        Ok(profile)
    }

    /// Checks what the types alone cannot; a path and what is wrong there.
    fn check(&self) -> Result<(), (String, String)> {
        if self.profile != VERSION {
            return Err(("profile".into(), format!("{} is not usable: this version reads {VERSION}", self.profile)));
        }
        if !is_name(&self.name) {
            return Err(("name".into(), NAME_RULE.into()));
        }
        for (section, names) in [
            ("params", self.params.keys().collect::<Vec<_>>()),
            ("http", self.http.keys().collect()),
            ("templates", self.templates.keys().collect()),
            ("requests", self.requests.keys().collect()),
        ] {
            for name in names {
                if !is_name(name) {
                    return Err((format!("{section}.{name}"), NAME_RULE.into()));
                }
            }
        }
        for name in self.params.keys() {
            if BUILT_IN.contains(&name.as_str()) {
                return Err((format!("params.{name}"), "this name is the interpreter's own".into()));
            }
        }
        for (name, param) in &self.params {
            for reference in param.default.iter().flat_map(Template::references) {
                let plain = match reference {
                    Reference::Variable(other) => self
                        .params
                        .get(other)
                        .is_some_and(|other| other.default.iter().flat_map(Template::references).next().is_none()),
                    Reference::Template(_) => false,
                };
                if !plain {
                    let why = "a default refers to parameters only, and only to such whose default is plain";
                    return Err((format!("params.{name}.default"), why.into()));
                }
            }
        }
        self.check_driver()?;
        Check { profile: self, variables: self.variables() }.all()
    }

    /// A profile with a driver has parameters that the driver knows, and nothing that the driver does itself.
    fn check_driver(&self) -> Checked {
        let Some(driver) = self.driver else {
            let lacks_socket = self.socket.url.is_empty();
            return if lacks_socket { Err((".".into(), "missing field `socket`".into())) } else { Ok(()) };
        };
        let list = self.lists().into_iter().find(|(_, list)| !list.is_empty()).map(|(at, _)| at);
        let section = [
            ("http", self.http.is_empty()),
            ("socket", self.socket.url.is_empty() || driver.has_socket()),
            ("templates", self.templates.is_empty()),
            ("requests", self.requests.is_empty()),
            ("replies", self.replies.is_none()),
            ("every", self.every.is_empty()),
            ("on", self.on.is_empty()),
            ("iceServers", self.ice_servers.is_none()),
            ("socket.nested", self.socket.nested.is_empty()),
            ("socket.keepAlive", self.socket.keep_alive.is_none()),
            ("socket.silence", self.socket.silence.is_none()),
            ("socket.rate", self.socket.rate.is_none()),
            ("socket.codec", self.socket.codec == Codec::default()),
            ("socket.translate", self.socket.translate.is_none()),
            ("socket.farewellAwaits", self.socket.farewell_awaits.is_none()),
            ("candidates", self.candidates == CandidatesSection::default()),
        ];
        let section = section.into_iter().find(|(_, is_empty)| !is_empty).map(|(at, _)| at.to_owned());
        if let Some(at) = section.or(list) {
            return Err((at, "a profile with a driver has none: the driver speaks the protocol".into()));
        }
        let needed = match driver {
            Driver::Sip => "aor",
            Driver::Whip | Driver::Whep => "endpoint",
        };
        if !self.params.contains_key(needed) {
            return Err(("params".into(), format!("the driver needs a parameter '{needed}'")));
        }
        if !driver.has_socket() {
            let known = crate::signaling::whip::PARAMS;
            if let Some(name) = self.params.keys().find(|name| !known.contains(&name.as_str())) {
                let why = format!("the driver has no such parameter; it has {}", known.join(", "));
                return Err((format!("params.{name}"), why));
            }
        }
        Ok(())
    }

    /// Every variable that is set anywhere.
    fn variables(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = BUILT_IN.into_iter().collect();
        names.extend(self.params.keys().map(String::as_str));
        let mut sets: Vec<&BTreeMap<String, Source>> = Vec::new();
        sets.extend(self.http.values().map(|http| &http.set));
        sets.extend(self.requests.values().map(|request| &request.set));
        sets.extend(self.on.iter().map(|rule| &rule.set));
        for (_, list) in self.lists() {
            collect_sets(list, &mut sets);
        }
        names.extend(sets.into_iter().flat_map(|set| set.keys().map(String::as_str)));
        names
    }

    /// Every list of actions, with its path.
    fn lists(&self) -> Vec<(String, &[Do])> {
        let mut lists: Vec<(String, &[Do])> = vec![
            ("prologue".into(), &self.prologue),
            ("login".into(), &self.login),
            ("ready".into(), &self.ready),
            ("socket.farewell".into(), &self.socket.farewell),
        ];
        if let Some(keep_alive) = &self.socket.keep_alive {
            lists.push(("socket.keepAlive.onError".into(), &keep_alive.on_error));
        }
        if let Some(silence) = &self.socket.silence {
            lists.push(("socket.silence.onError".into(), &silence.on_error));
        }
        for (name, http) in &self.http {
            lists.push((format!("http.{name}.do"), &http.then));
            lists.push((format!("http.{name}.onError"), &http.on_error));
        }
        for (name, request) in &self.requests {
            lists.push((format!("requests.{name}.do"), &request.then));
            lists.push((format!("requests.{name}.onError"), &request.on_error));
        }
        for (number, every) in self.every.iter().enumerate() {
            lists.push((format!("every[{number}].do"), &every.then));
        }
        for (number, rule) in self.on.iter().enumerate() {
            lists.push((format!("on[{number}].do"), &rule.then));
            lists.push((format!("on[{number}].again"), &rule.again));
        }
        let Commands { place, accept, reject, hang_up, mute, unmute, hold, resume, transfer, dtmf } = &self.commands;
        let Events {
            local_offer,
            local_answer,
            local_restart,
            local_candidate,
            end_of_candidates,
            connected,
            disconnected,
            failed,
            leaving,
        } = &self.events;
        let named: [(&str, &[Do]); 19] = [
            ("commands.place", place),
            ("commands.accept", accept),
            ("commands.reject", reject),
            ("commands.hangUp", hang_up),
            ("commands.mute", mute),
            ("commands.unmute", unmute),
            ("commands.hold", hold),
            ("commands.resume", resume),
            ("commands.transfer", transfer),
            ("commands.dtmf", dtmf),
            ("events.localOffer", local_offer),
            ("events.localAnswer", local_answer),
            ("events.localRestart", local_restart),
            ("events.localCandidate", local_candidate),
            ("events.endOfCandidates", end_of_candidates),
            ("events.connected", connected),
            ("events.disconnected", disconnected),
            ("events.failed", failed),
            ("events.leaving", leaving),
        ];
        lists.extend(named.into_iter().map(|(path, list)| (path.to_owned(), list)));
        lists
    }
}

const NAME_RULE: &str = "a name begins with a letter and has letters, digits, '-' and '_' only";

fn collect_sets<'a>(list: &'a [Do], into: &mut Vec<&'a BTreeMap<String, Source>>) {
    for action in list {
        match action {
            Do::Set(set) => into.push(set),
            Do::Expect(expect) => into.push(&expect.set),
            Do::If(branch) => {
                collect_sets(&branch.then, into);
                collect_sets(&branch.otherwise, into);
            }
            Do::Rest { then, .. } => collect_sets(then, into),
            _ => {}
        }
    }
}

fn takes_accounts(list: &[Do]) -> bool {
    list.iter().any(|action| match action {
        Do::RemoteMedia { .. } => true,
        Do::If(branch) => takes_accounts(&branch.then) || takes_accounts(&branch.otherwise),
        Do::Rest { then, .. } => takes_accounts(then),
        _ => false,
    })
}

type Checked = Result<(), (String, String)>;

struct Check<'a> {
    profile: &'a Profile,
    variables: BTreeSet<&'a str>,
}

impl Check<'_> {
    fn all(&self) -> Checked {
        let profile = self.profile;
        if profile.driver.is_some_and(|driver| !driver.has_socket()) {
            return Ok(());
        }
        self.template("socket.url", &profile.socket.url)?;
        for (name, header) in &profile.socket.headers {
            self.template(&format!("socket.headers.{name}"), header)?;
        }
        self.socket(&profile.socket)?;
        for (name, http) in &profile.http {
            let at = format!("http.{name}");
            time(&format!("{at}.withinMs"), http.within_ms)?;
            self.template(&format!("{at}.url"), &http.url)?;
            for (header, value) in &http.headers {
                self.template(&format!("{at}.headers.{header}"), value)?;
            }
            if let Some(body) = &http.body {
                self.body(&format!("{at}.body"), body)?;
            }
            self.set(&format!("{at}.set"), &http.set)?;
        }
        for (name, body) in &profile.templates {
            let at = format!("templates.{name}");
            self.body(&at, body)?;
            self.no_circle(&at, name, &mut Vec::new())?;
        }
        for (name, request) in &profile.requests {
            let at = format!("requests.{name}");
            if profile.replies.is_none() {
                return Err((at, "requests need `replies`, which tell their answers from other messages".into()));
            }
            time(&format!("{at}.withinMs"), request.within_ms)?;
            self.exists(&format!("{at}.send"), "template", &request.send, profile.templates.keys())?;
            if !self.uses_id(&request.send, 0) {
                let why = format!("the template '{}' does not use ${{id}}: its answer could not be told", request.send);
                return Err((format!("{at}.send"), why));
            }
            self.set(&format!("{at}.set"), &request.set)?;
        }
        for (number, every) in profile.every.iter().enumerate() {
            time(&format!("every[{number}].ms"), every.ms)?;
        }
        for (number, rule) in profile.on.iter().enumerate() {
            let at = format!("on[{number}]");
            self.condition(&format!("{at}.if"), &rule.only_if)?;
            self.set(&format!("{at}.set"), &rule.set)?;
            if let Some(call) = &rule.call {
                self.source(&format!("{at}.call"), call)?;
            }
            if let Some(variable) = &rule.by {
                self.variable(&format!("{at}.by"), variable)?;
            }
            if rule.starts && (rule.call.is_none() || rule.by.is_some()) {
                return Err((format!("{at}.starts"), "a rule that starts calls has to say their name: `call`".into()));
            }
            if let Some(joins) = &rule.joins
                && !rule.set.contains_key(joins)
            {
                return Err((format!("{at}.joins"), format!("the rule's `set` has no '{joins}'")));
            }
            if let Some(dedupe) = &rule.dedupe {
                time(&format!("{at}.dedupe.forMs"), dedupe.for_ms)?;
                self.source(&format!("{at}.dedupe.id"), &dedupe.id)?;
                if !(1..=1024).contains(&dedupe.keep) {
                    return Err((format!("{at}.dedupe.keep"), "1 to 1024".into()));
                }
            }
        }
        if let Some(servers) = &profile.ice_servers
            && servers.urls.is_none()
            && (servers.kind.is_none() || servers.host.is_none())
        {
            return Err(("iceServers".into(), "either `urls`, or `type` and `host`".into()));
        }
        for (at, list) in profile.lists() {
            self.list(&at, list, 0)?;
        }
        Ok(())
    }

    fn socket(&self, socket: &SocketSection) -> Checked {
        time("socket.loginTimeoutMs", socket.login_timeout_ms)?;
        for (number, nested) in socket.nested.iter().enumerate() {
            if !is_name(&nested.name) {
                return Err((format!("socket.nested[{number}].as"), NAME_RULE.into()));
            }
        }
        if let Some(keep_alive) = &socket.keep_alive {
            time("socket.keepAlive.everyMs", keep_alive.every_ms)?;
            self.condition("socket.keepAlive.if", &keep_alive.only_if)?;
            match (&keep_alive.request, &keep_alive.send) {
                (Some(name), None) => {
                    self.exists("socket.keepAlive.request", "request", name, self.profile.requests.keys())?;
                }
                (None, Some(name)) => {
                    self.exists("socket.keepAlive.send", "template", name, self.profile.templates.keys())?;
                }
                _ => return Err(("socket.keepAlive".into(), "either `request` or `send`".into())),
            }
        }
        if let Some(silence) = &socket.silence {
            time("socket.silence.ms", silence.ms)?;
            self.condition("socket.silence.if", &silence.only_if)?;
        }
        if let Some(rate) = &socket.rate {
            for (name, value) in [("burst", rate.burst), ("perSecond", rate.per_second)] {
                if !(1..=10_000).contains(&value) {
                    return Err((format!("socket.rate.{name}"), format!("{value} is not usable: 1 to 10000")));
                }
            }
        }
        if let Some(awaits) = &socket.farewell_awaits {
            time("socket.farewellAwaits.withinMs", awaits.within_ms)?;
            self.variable("socket.farewellAwaits.variable", &awaits.variable)?;
        }
        if let Some(reconnect) = &socket.reconnect {
            time("socket.reconnect.maxMs", reconnect.max_ms)?;
            if reconnect.first_ms > reconnect.max_ms {
                return Err(("socket.reconnect.firstMs".into(), "it is more than maxMs".into()));
            }
            if !(1.0..=100.0).contains(&reconnect.factor) {
                return Err(("socket.reconnect.factor".into(), "1 to 100".into()));
            }
            if !(0.0..=1.0).contains(&reconnect.jitter) {
                return Err(("socket.reconnect.jitter".into(), "0 to 1".into()));
            }
        }
        Ok(())
    }

    fn list(&self, at: &str, list: &[Do], depth: usize) -> Checked {
        if depth > MAX_BRANCHES {
            return Err((at.to_owned(), format!("`if` and `rest` are nested deeper than {MAX_BRANCHES}")));
        }
        for (number, action) in list.iter().enumerate() {
            self.action(&format!("{at}[{number}]"), action, depth)?;
        }
        Ok(())
    }

    fn action(&self, at: &str, action: &Do, depth: usize) -> Checked {
        let profile = self.profile;
        let section = at.split(['[', '.']).next().unwrap_or_default();
        if section == "prologue" && !matches!(action, Do::Http(_) | Do::Set(_) | Do::If(_)) {
            return Err((at.to_owned(), "before the WebSocket is open there are `http`, `set` and `if` only".into()));
        }
        match action {
            Do::Send(name) => self.exists(&format!("{at}.send"), "template", name, profile.templates.keys()),
            Do::Request(name) => self.exists(&format!("{at}.request"), "request", name, profile.requests.keys()),
            Do::Requests(names) => names.iter().enumerate().try_for_each(|(number, name)| {
                self.exists(&format!("{at}.requests[{number}]"), "request", name, profile.requests.keys())
            }),
            Do::Http(name) => self.exists(&format!("{at}.http"), "HTTP request", name, profile.http.keys()),
            Do::Set(set) => self.set(&format!("{at}.set"), set),
            Do::Expect(expect) => {
                if section != "login" {
                    return Err((format!("{at}.expect"), "`expect` is for `login` only; elsewhere use a rule".into()));
                }
                self.set(&format!("{at}.expect.set"), &expect.set)?;
                for (number, failing) in expect.fail.iter().enumerate() {
                    self.maybe(&format!("{at}.expect.fail[{number}].reason"), failing.reason.as_ref())?;
                }
                Ok(())
            }
            Do::If(branch) => {
                self.condition(&format!("{at}.if.is"), &branch.is)?;
                self.list(&format!("{at}.if.do"), &branch.then, depth + 1)?;
                self.list(&format!("{at}.if.else"), &branch.otherwise, depth + 1)
            }
            Do::IceServers if profile.ice_servers.is_none() => {
                Err((at.to_owned(), "the profile does not say how ICE servers are read: `iceServers`".into()))
            }
            Do::Ring { auto } => self.maybe(&format!("{at}.ring.auto"), auto.as_ref()),
            Do::RemoteOffer { sdp, .. } => self.source(&format!("{at}.remoteOffer.sdp"), sdp),
            Do::RemoteAnswer { sdp } => self.source(&format!("{at}.remoteAnswer.sdp"), sdp),
            Do::RemoteCandidateFragment { restarts_ice: true, .. } if profile.events.local_restart.is_empty() => Err((
                at.to_owned(),
                "the profile does not say how an ICE restart is answered: `events.localRestart`".into(),
            )),
            Do::RemoteCandidateFragment { sdp, .. } => self.source(&format!("{at}.remoteCandidateFragment.sdp"), sdp),
            Do::RemoteCandidate { candidate, sdp_mid, sdp_m_line_index, username_fragment } => {
                self.source(&format!("{at}.remoteCandidate.candidate"), candidate)?;
                self.maybe(&format!("{at}.remoteCandidate.sdpMid"), sdp_mid.as_ref())?;
                self.maybe(&format!("{at}.remoteCandidate.sdpMLineIndex"), sdp_m_line_index.as_ref())?;
                self.maybe(&format!("{at}.remoteCandidate.usernameFragment"), username_fragment.as_ref())
            }
            Do::Rest { packets, then } => {
                self.maybe(&format!("{at}.rest.packets"), packets.as_ref())?;
                self.list(&format!("{at}.rest.then"), then, depth + 1)
            }
            Do::RemoteMedia { packets_sent, packets_received } => {
                self.source(&format!("{at}.remoteMedia.packetsSent"), packets_sent)?;
                self.source(&format!("{at}.remoteMedia.packetsReceived"), packets_received)
            }
            Do::Closed { reason } => self.maybe(&format!("{at}.closed.reason"), reason.as_ref()),
            Do::Release { reason } => self.maybe(&format!("{at}.release.reason"), reason.as_ref()),
            Do::Refused { reason } => self.maybe(&format!("{at}.refused.reason"), reason.as_ref()),
            Do::Fail { reason, .. } => self.maybe(&format!("{at}.fail.reason"), reason.as_ref()),
            Do::Problem(text) => self.template(&format!("{at}.problem"), text),
            Do::IceServers | Do::Ringing | Do::Offer | Do::UseStanding | Do::End | Do::Move | Do::Renew => Ok(()),
        }
    }

    fn set(&self, at: &str, set: &BTreeMap<String, Source>) -> Checked {
        for (name, source) in set {
            let at = format!("{at}.{name}");
            if !is_name(name) {
                return Err((at, NAME_RULE.into()));
            }
            if self.profile.params.contains_key(name) {
                return Err((at, "this is a parameter; parameters are the user's".into()));
            }
            self.source(&at, source)?;
        }
        Ok(())
    }

    fn condition(&self, at: &str, condition: &Condition) -> Checked {
        condition.keys().try_for_each(|name| self.variable(&format!("{at}.{name}"), name))
    }

    fn maybe(&self, at: &str, source: Option<&Source>) -> Checked {
        source.map_or(Ok(()), |source| self.source(at, source))
    }

    fn source(&self, at: &str, source: &Source) -> Checked {
        match source {
            Source::Message(_) => Ok(()),
            Source::Text(template) => self.template(at, template),
        }
    }

    fn body(&self, at: &str, body: &Body) -> Checked {
        let mut result = Ok(());
        body.each(&mut |template| {
            if result.is_ok() {
                result = self.template(at, template);
            }
        });
        result
    }

    fn template(&self, at: &str, template: &Template) -> Checked {
        template.references().try_for_each(|reference| match reference {
            Reference::Variable(name) => self.variable(at, name),
            Reference::Template(name) => self.exists(at, "template", name, self.profile.templates.keys()),
        })
    }

    fn variable(&self, at: &str, name: &str) -> Checked {
        if self.variables.contains(name) {
            return Ok(());
        }
        let why = format!("there is no variable '{name}': it is no parameter, and nothing sets it");
        Err((at.to_owned(), why))
    }

    fn exists<'n>(&self, at: &str, what: &str, name: &str, names: impl Iterator<Item = &'n String>) -> Checked {
        let mut known = Vec::new();
        for other in names {
            if other == name {
                return Ok(());
            }
            known.push(other.as_str());
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err((at.to_owned(), format!("there is no {what} '{name}'; there is {known}")))
    }

    fn uses_id(&self, name: &str, depth: usize) -> bool {
        let Some(body) = self.profile.templates.get(name).filter(|_| depth <= 8) else { return false };
        let mut found = false;
        body.each(&mut |template| {
            found |= template.references().any(|reference| match reference {
                Reference::Variable(name) => name == "id",
                Reference::Template(name) => self.uses_id(name, depth + 1),
            });
        });
        found
    }

    fn no_circle<'n>(&'n self, at: &str, name: &'n str, above: &mut Vec<&'n str>) -> Checked {
        if above.contains(&name) {
            return Err((at.to_owned(), format!("it contains itself: {} → {name}", above.join(" → "))));
        }
        above.push(name);
        let mut result = Ok(());
        if let Some(body) = self.profile.templates.get(name) {
            body.each(&mut |template| {
                for reference in template.references() {
                    if let (Reference::Template(inner), true) = (reference, result.is_ok()) {
                        result = self.no_circle(at, inner, above);
                    }
                }
            });
        }
        above.pop();
        result
    }
}

fn time(at: &str, ms: u64) -> Checked {
    if (1..=MAX_MS).contains(&ms) {
        Ok(())
    } else {
        Err((at.to_owned(), format!("{ms} is not usable: 1 to {MAX_MS} ms")))
    }
}
