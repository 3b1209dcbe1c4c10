//! The user agent: its registration, its transactions, and which call a message is of.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rsipstack::sip::Method;
use rsipstack::transaction::key::TransactionKey;

use super::calls::Call;
use super::digest;
use super::message::{Message, parameter, uri_of};
use super::settings::Settings;
use crate::config::ConfigError;
use crate::media::Dtmf;
use crate::signaling::keep_alive::next_keep_alive;
use crate::signaling::profile::{
    Action, Backoff, CallKey, EndedBy, Input, Next, Profile, Speaker, parameters, rendered,
};

/// How long a final response may take: 64 × T1 (RFC 3261 §17.1.1.2, timers B and F).
pub(super) const TRANSACTION: Duration = Duration::from_secs(32);
/// How long a registrar's answer to the farewell is waited for.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the answer to a keep-alive may take (RFC 5626 §4.4.1).
const PONG: Duration = Duration::from_secs(10);
/// Transactions that may be open at a time.
const MAX_TRANSACTIONS: usize = 1024;
/// Methods we take (RFC 3261 §20.5).
pub(super) const ALLOW: &str = "INVITE,ACK,CANCEL,BYE,UPDATE,OPTIONS,INFO,NOTIFY";
/// The most often that one request answers challenges.
const MAX_CHALLENGES: u32 = 2;

/// A SIP softphone.
pub struct UserAgent {
    pub(super) settings: Settings,
    profile: Arc<Profile>,
    url: String,
    headers: Vec<(String, String)>,
    pub(super) calls: BTreeMap<CallKey, Call>,
    pub(super) next_call: CallKey,
    phase: Phase,
    /// The WebSocket is open.
    pub(super) open: bool,
    registered_before: bool,
    login_end: Option<Instant>,
    refresh_at: Option<Instant>,
    keep_alive_at: Option<Instant>,
    /// Of the steps at which keep-alives leave.
    keep_alive_origin: Option<Instant>,
    pong_by: Option<Instant>,
    /// When the server was heard last.
    heard: Instant,
    /// The server has answered a keep-alive, so that a missing answer means something.
    answers_pings: bool,
    backoff: Option<Backoff>,
    jitter: f64,
    /// Seconds that are asked for; a registrar may want more of them.
    expires: u32,
    transactions: BTreeMap<TransactionKey, Transaction>,
    identity: Identity,
    registration: Registration,
    random: StdRng,
    actions: Vec<Action>,
}

/// What stays the same as long as the softphone lives.
struct Identity {
    /// `SIP/2.0/WS` or `SIP/2.0/WSS`.
    via: &'static str,
    /// Nobody can reach a WebSocket client by address (RFC 7118 §5.1).
    host: String,
    user: String,
    /// `+sip.instance` (RFC 5626 §4.1).
    instance: String,
}

struct Registration {
    call_id: String,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Dialing,
    Registering,
    Ready,
    /// Says farewell.
    Leaving,
    Waiting {
        until: Instant,
    },
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Register,
    Invite(CallKey),
    Reinvite(CallKey),
    Update(CallKey),
    Bye(CallKey),
    Cancel(CallKey),
    Tone(CallKey),
    Refer(CallKey),
}

impl Purpose {
    pub(super) fn call(self) -> Option<CallKey> {
        match self {
            Self::Register => None,
            Self::Invite(key)
            | Self::Reinvite(key)
            | Self::Update(key)
            | Self::Bye(key)
            | Self::Cancel(key)
            | Self::Tone(key)
            | Self::Refer(key) => Some(key),
        }
    }
}

/// A request of ours that has no final response yet.
pub(super) struct Transaction {
    pub(super) purpose: Purpose,
    pub(super) request: Message,
    /// An INVITE that rings waits for people, not for a timer.
    until: Option<Instant>,
    challenges: u32,
}

impl Speaker for UserAgent {
    fn new_call(&mut self) -> CallKey {
        self.next_call += 1;
        self.next_call - 1
    }

    fn deadline(&self) -> Option<Instant> {
        let waiting = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        let transactions = self.transactions.values().filter_map(|transaction| transaction.until);
        let calls = self.calls.values().filter_map(Call::deadline);
        let own = [waiting, self.login_end, self.refresh_at, self.keep_alive_at, self.pong_by];
        transactions.chain(calls).chain(own.into_iter().flatten()).min()
    }

    fn heard(&self) -> Instant {
        self.heard
    }

    fn coalesce_keep_alives(&mut self, origin: Instant) {
        self.keep_alive_origin = Some(origin);
    }

    fn is_attempting(&self) -> bool {
        matches!(self.phase, Phase::Dialing | Phase::Registering)
    }

    fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::Start => {
                if self.phase == Phase::Off {
                    self.registered_before = false;
                    self.dial(now);
                }
            }
            Input::Stop => self.stop(now),
            Input::SocketOpened => {
                if self.phase == Phase::Dialing {
                    self.open = true;
                    self.heard = now;
                    self.phase = Phase::Registering;
                    self.register(self.expires, now);
                }
            }
            Input::SocketFailed { status, retry_after, detail } => {
                if self.phase == Phase::Dialing {
                    let stops = self.stops_on(status);
                    self.attempt_failed(stops, retry_after, &detail, now);
                }
            }
            Input::SocketClosed { detail } => self.socket_closed(&detail, now),
            Input::Text(text) => {
                self.heard = now;
                self.text(&text, now);
            }
            Input::Tick => self.tick(now),
            Input::Command { call, command } => self.command(call, command, now),
            Input::Abandon { call } => {
                self.end(call, EndedBy::Us, Some("hung up without the other side's consent".to_owned()));
            }
            Input::Peer { call, event, .. } => self.peer_event(call, event, now),
            // It asks nobody by HTTP.
            Input::HttpDone { .. } | Input::HttpFailed { .. } => {}
        }
        self.close_if_idle();
        std::mem::take(&mut self.actions)
    }
}

impl UserAgent {
    /// A softphone with the user's `params` for `profile`; `seed` makes its identifiers and its jitter.
    ///
    /// # Errors
    /// [`ConfigError`] for a parameter that is missing, unknown or not usable; a secret's value is not shown.
    pub fn new(profile: Arc<Profile>, params: &BTreeMap<String, String>, seed: u64) -> Result<Self, ConfigError> {
        let values = parameters(&profile, params)?;
        let settings = Settings::of(&values)?;
        let url = rendered(&profile.socket.url, &values)
            .map_err(|error| ConfigError::new("socket.url", "(template)", error.to_string()))?;
        let mut headers = Vec::new();
        for (name, value) in &profile.socket.headers {
            let value = rendered(value, &values)
                .map_err(|error| ConfigError::new(format!("socket.headers.{name}"), "(template)", error.to_string()))?;
            headers.push((name.clone(), value));
        }
        let subprotocol = profile.socket.subprotocol.clone().unwrap_or_else(|| "sip".to_owned());
        headers.push(("Sec-WebSocket-Protocol".to_owned(), subprotocol));
        let jitter = match values.get("jitter").map(crate::signaling::profile::text_of) {
            None => profile.socket.reconnect.as_ref().map_or(0.0, |rules| rules.jitter),
            Some(text) => match text.parse::<f64>() {
                Ok(jitter) if (0.0..=1.0).contains(&jitter) => jitter,
                _ => return Err(ConfigError::new("params.jitter", text, "a number from 0 to 1")),
            },
        };
        let mut random = StdRng::seed_from_u64(seed);
        let is_secure = url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss:"));
        let identity = Identity {
            via: if is_secure { "SIP/2.0/WSS" } else { "SIP/2.0/WS" },
            host: format!("{}.invalid", token(&mut random, 12)),
            user: token(&mut random, 8),
            instance: crate::signaling::profile::uuid(&mut random),
        };
        let registration = Registration { call_id: token(&mut random, 22), number: 0 };
        Ok(Self {
            backoff: profile.socket.reconnect.as_ref().map(Backoff::new),
            expires: settings.expires,
            settings,
            profile,
            url,
            headers,
            calls: BTreeMap::new(),
            next_call: 1,
            phase: Phase::Off,
            open: false,
            registered_before: false,
            login_end: None,
            refresh_at: None,
            keep_alive_at: None,
            keep_alive_origin: None,
            pong_by: None,
            heard: Instant::now(),
            answers_pings: false,
            jitter,
            transactions: BTreeMap::new(),
            identity,
            registration,
            random,
            actions: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn problem(&mut self, what: impl Into<String>) {
        self.actions.push(Action::Problem { what: what.into() });
    }

    /// Whether calls may be placed.
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) fn token(&mut self, length: usize) -> String {
        token(&mut self.random, length)
    }

    /// A number of milliseconds from a range.
    pub(super) fn some_ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    /// The value of a new `Via`.
    pub(super) fn via(&mut self) -> String {
        let branch = self.token(10);
        format!("{} {};branch=z9hG4bK{branch}", self.identity.via, self.identity.host)
    }

    /// Our `Contact` within dialogs (RFC 5626 §4.3: `ob` keeps them on this flow).
    pub(super) fn contact(&self) -> String {
        format!("<sip:{}@{};transport=ws;ob>", self.identity.user, self.identity.host)
    }

    /// `From` or `To` of ours.
    pub(super) fn own_address(&self) -> String {
        match self.settings.display_name.as_str() {
            "" => format!("<{}>", self.settings.aor),
            name => format!("\"{name}\" <{}>", self.settings.aor),
        }
    }

    /// Adds what every request ends with.
    pub(super) fn finished(&self, request: Message, supported: &str) -> Message {
        request.with("Allow", ALLOW).with("Supported", supported).with("User-Agent", &self.settings.user_agent)
    }

    /// Sends a message; false when there is no WebSocket.
    pub(super) fn send(&mut self, message: &Message) -> bool {
        if self.open {
            let name = message.status().map_or_else(
                || message.method().map_or_else(String::new, |method| method.to_string()),
                |status| status.to_string(),
            );
            self.push(Action::Send { text: message.to_string(), template: name });
        }
        self.open
    }

    /// Sends a request and waits for its final response; false when there is no WebSocket, or too many wait.
    pub(super) fn ask(&mut self, purpose: Purpose, request: Message, now: Instant) -> bool {
        self.ask_again(purpose, request, 0, now)
    }

    fn ask_again(&mut self, purpose: Purpose, request: Message, challenges: u32, now: Instant) -> bool {
        if self.transactions.len() >= MAX_TRANSACTIONS {
            self.problem(format!("{} was not sent: too many requests have no answer", request.said()));
            return false;
        }
        let Some(key) = request.client_transaction() else {
            self.problem(format!("{} was not sent: its CSeq cannot be read", request.said()));
            return false;
        };
        if !self.send(&request) {
            return false;
        }
        let transaction = Transaction { purpose, request, until: Some(now + TRANSACTION), challenges };
        self.transactions.insert(key, transaction);
        true
    }

    /// Answers a request.
    pub(super) fn respond(&mut self, request: &Message, status: u16, tag: &str) -> bool {
        let mut response = Message::response(request, status, tag);
        if status == 405 || (status == 200 && request.method() == Some(Method::Options)) {
            response.add("Allow", ALLOW);
        }
        if status == 200 && request.method() == Some(Method::Options) {
            response = response.with("Accept", "application/sdp").with("Supported", "timer,ice,outbound");
        }
        self.send(&response)
    }

    pub(super) fn forget_transactions(&mut self, key: CallKey) {
        self.transactions.retain(|_, transaction| transaction.purpose.call() != Some(key));
    }

    // --- Registering -------------------------------------------------------------------------------------------

    fn dial(&mut self, now: Instant) {
        if self.open {
            self.hang_line_up(false, "another one takes its place", now);
        }
        self.phase = Phase::Dialing;
        self.login_end = Some(now + Duration::from_millis(self.profile.socket.login_timeout_ms));
        self.push(Action::OpenSocket { url: self.url.clone(), headers: self.headers.clone() });
    }

    fn register(&mut self, expires: u32, now: Instant) {
        self.registration.number += 1;
        let (via, tag) = (self.via(), self.token(10));
        let aor = self.own_address();
        let Identity { host, user, instance, .. } = &self.identity;
        let contact = format!(
            "<sip:{user}@{host};transport=ws>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:{instance}>\";expires={expires}"
        );
        let request = Message::request(Method::Register, &format!("sip:{}", self.settings.domain))
            .with("Via", via)
            .with("Max-Forwards", 69)
            .with("To", &aor)
            .with("From", format!("{aor};tag={tag}"))
            .with("Call-ID", &self.registration.call_id)
            .with("CSeq", format!("{} REGISTER", self.registration.number))
            .with("Expires", expires)
            .with("Contact", contact);
        let request = self.finished(request, "path,gruu,outbound");
        self.ask(Purpose::Register, request, now);
    }

    fn registered(&mut self, response: &Message, now: Instant) {
        // Only what the registrar says of our own binding counts (RFC 3261 §10.2.4).
        let ours = response
            .list("Contact")
            .into_iter()
            .find(|contact| uri_of(contact).contains(&self.identity.host) || contact.contains(&self.identity.instance));
        let granted = ours.and_then(|contact| parameter(contact, "expires")).and_then(|text| text.parse::<u32>().ok());
        let granted = granted.or_else(|| response.seconds("Expires")).unwrap_or(self.expires).max(1);
        // Somewhere from half of the interval to three quarters: many do not come at once, and a busy machine is not late.
        let part = self.random.random_range(0.5..0.75);
        self.refresh_at = Some(now + Duration::from_secs_f64(f64::from(granted) * part));
        if self.phase == Phase::Ready {
            return;
        }
        let comes_back = self.registered_before;
        self.phase = Phase::Ready;
        self.registered_before = true;
        self.login_end = None;
        self.keep_alive_at = self.next_keep_alive(now);
        self.push(Action::Registered);
        if comes_back {
            // The other sides learn the new flow from a target refresh.
            self.refresh_dialogs(now);
        }
    }

    fn register_answered(&mut self, transaction: &Transaction, response: &Message, now: Instant) {
        let Some(status) = response.status() else { return };
        if self.phase == Phase::Leaving {
            return self.left();
        }
        match status {
            200..=299 => self.registered(response, now),
            423 => match response.seconds("Min-Expires") {
                Some(least) if least > self.expires => {
                    self.expires = least;
                    self.register(least, now);
                }
                _ => self.register_failed(true, None, &response.said(), now),
            },
            401 | 407 => {
                let why = if transaction.challenges > 0 { ": the credentials are refused" } else { "" };
                self.register_failed(true, None, &format!("{}{why}", response.said()), now);
            }
            400..=499 => self.register_failed(!matches!(status, 408 | 429 | 480), None, &response.said(), now),
            _ => {
                let retry_after = response.seconds("Retry-After").map(|seconds| Duration::from_secs(seconds.into()));
                self.register_failed(self.stops_on(Some(status)), retry_after, &response.said(), now);
            }
        }
    }

    fn register_failed(&mut self, stop: bool, retry_after: Option<Duration>, why: &str, now: Instant) {
        let why = format!("REGISTER: {why}");
        match self.phase {
            Phase::Registering => self.attempt_failed(stop, retry_after, &why, now),
            Phase::Ready => {
                self.hang_line_up(true, &why, now);
                self.lost(stop, retry_after, &why, now);
            }
            Phase::Leaving => self.left(),
            Phase::Off | Phase::Dialing | Phase::Waiting { .. } => {}
        }
    }

    fn stops_on(&self, status: Option<u16>) -> bool {
        let rules = self.profile.socket.reconnect.as_ref();
        status.is_some_and(|status| rules.is_some_and(|rules| rules.stop_on.contains(&status)))
    }

    fn attempt_failed(&mut self, stop: bool, retry_after: Option<Duration>, why: &str, now: Instant) {
        if matches!(self.phase, Phase::Dialing | Phase::Registering) {
            self.hang_line_up(true, why, now);
        }
        if stop || self.backoff.is_none() || !self.registered_before {
            return self.over(why);
        }
        let honours = self.profile.socket.reconnect.as_ref().is_some_and(|rules| rules.honor_retry_after);
        let retry_after = retry_after.filter(|_| honours);
        if retry_after.is_none()
            && let Some(backoff) = &mut self.backoff
        {
            backoff.failed(now);
        }
        self.wait(retry_after.unwrap_or_default(), why, now);
    }

    /// A registered softphone is not any more.
    fn lost(&mut self, stop: bool, retry_after: Option<Duration>, why: &str, now: Instant) {
        let Some(backoff) = self.backoff.as_mut().filter(|_| !stop) else { return self.over(why) };
        backoff.begin(now);
        self.wait(retry_after.unwrap_or_default(), why, now);
    }

    fn wait(&mut self, at_least: Duration, why: &str, now: Instant) {
        let chance = self.random.random::<f64>();
        let delay = self.backoff.as_mut().map_or(Duration::ZERO, |backoff| backoff.delay(self.jitter, chance));
        let delay = at_least + delay;
        self.login_end = None;
        self.phase = Phase::Waiting { until: now + delay };
        self.push(Action::Unregistered { why: why.to_owned(), next: Next::Again(delay) });
    }

    fn over(&mut self, why: &str) {
        self.phase = Phase::Off;
        self.login_end = None;
        self.refresh_at = None;
        self.push(Action::Unregistered { why: why.to_owned(), next: Next::Nothing });
    }

    fn stop(&mut self, now: Instant) {
        match self.phase {
            Phase::Off | Phase::Leaving => {}
            Phase::Ready => {
                self.phase = Phase::Leaving;
                self.refresh_at = None;
                self.login_end = Some(now + FAREWELL);
                self.register(0, now);
            }
            Phase::Dialing | Phase::Registering => {
                self.hang_line_up(true, "unregistered", now);
                self.over("by the user");
            }
            Phase::Waiting { .. } => self.over("by the user"),
        }
    }

    fn left(&mut self) {
        self.over("by the user");
    }

    /// Off, the WebSocket stays as long as calls need it.
    fn close_if_idle(&mut self) {
        if self.phase == Phase::Off && self.open && self.calls.is_empty() {
            self.line_gone();
            self.push(Action::CloseSocket { abort: false, why: "unregistered".to_owned() });
        }
    }

    // --- The WebSocket -----------------------------------------------------------------------------------------

    fn line_gone(&mut self) {
        self.open = false;
        self.refresh_at = None;
        self.keep_alive_at = None;
        self.pong_by = None;
    }

    /// Ends the WebSocket, or its dialing, from our side.
    fn hang_line_up(&mut self, abort: bool, why: &str, now: Instant) {
        self.push(Action::CloseSocket { abort, why: why.to_owned() });
        self.line_lost(why, now);
    }

    fn line_lost(&mut self, why: &str, now: Instant) {
        self.line_gone();
        let waiting = std::mem::take(&mut self.transactions);
        for transaction in waiting.into_values() {
            self.unanswered(&transaction, why, now);
        }
        self.calls_without_line(why);
    }

    fn socket_closed(&mut self, detail: &str, now: Instant) {
        let why = format!("the WebSocket closed: {detail}");
        let phase = self.phase;
        // What is told of the transactions below must not begin another attempt.
        self.line_lost(&why, now);
        match phase {
            Phase::Registering => self.attempt_failed(false, None, &why, now),
            Phase::Ready => self.lost(false, None, &why, now),
            Phase::Leaving => self.left(),
            Phase::Off | Phase::Dialing | Phase::Waiting { .. } => {}
        }
    }

    fn text(&mut self, text: &str, now: Instant) {
        // Keep-alives of RFC 5626 §3.5.1: a double CRLF asks, a single one answers.
        if text.trim_matches(['\r', '\n']).is_empty() {
            match text {
                "\r\n\r\n" if self.open => {
                    self.push(Action::Send { text: "\r\n".to_owned(), template: "keep-alive".to_owned() });
                }
                _ => {
                    self.answers_pings |= self.pong_by.is_some();
                    self.pong_by = None;
                }
            }
            return;
        }
        match Message::parse(text) {
            Ok(message) if message.status().is_some() => self.response(&message, now),
            Ok(message) => self.request(&message, now),
            Err(why) => self.problem(format!("a message was ignored: {why}")),
        }
    }

    fn next_keep_alive(&self, now: Instant) -> Option<Instant> {
        self.settings.keep_alive.map(|every| next_keep_alive(now, every, self.keep_alive_origin))
    }

    fn tick(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Phase::Waiting { until } = self.phase
            && until <= now
        {
            self.dial(now);
        }
        if is_due(self.login_end) {
            self.login_end = None;
            if self.phase == Phase::Leaving {
                self.transactions.retain(|_, transaction| transaction.purpose != Purpose::Register);
                self.left();
            } else {
                let ms = self.profile.socket.login_timeout_ms;
                let step =
                    if self.phase == Phase::Dialing { "the WebSocket is not open" } else { "REGISTER has no answer" };
                self.attempt_failed(false, None, &format!("{step} within {ms} ms"), now);
            }
        }
        if is_due(self.refresh_at) {
            self.refresh_at = None;
            self.register(self.expires, now);
        }
        if is_due(self.pong_by) {
            self.pong_by = None;
            if self.answers_pings && self.phase == Phase::Ready {
                let why = "the server did not answer a keep-alive within 10 s";
                self.hang_line_up(true, why, now);
                self.lost(false, None, why, now);
            }
        }
        if is_due(self.keep_alive_at) {
            self.keep_alive_at = self.next_keep_alive(now);
            if self.open {
                self.push(Action::Send { text: "\r\n\r\n".to_owned(), template: "keep-alive".to_owned() });
                self.pong_by.get_or_insert(now + PONG);
            }
        }
        let due = self.transactions.iter().filter(|(_, transaction)| is_due(transaction.until));
        let due: Vec<TransactionKey> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            if let Some(transaction) = self.transactions.remove(&key) {
                self.unanswered(&transaction, "no answer within 32 s", now);
            }
        }
        self.tick_calls(now);
    }

    // --- Responses ---------------------------------------------------------------------------------------------

    fn response(&mut self, response: &Message, now: Instant) {
        let (Some(status), Some((_, method))) = (response.status(), response.cseq()) else { return };
        let key = response.client_transaction();
        let Some((transaction, key)) = key.and_then(|key| Some((self.transactions.get_mut(&key)?, key))) else {
            if method == "INVITE" && (200..300).contains(&status) {
                self.stray_success(response);
            }
            return;
        };
        if status < 200 {
            let purpose = transaction.purpose;
            if matches!(purpose, Purpose::Invite(_)) {
                transaction.until = None;
            }
            return self.provisional(purpose, response, now);
        }
        let Some(transaction) = self.transactions.remove(&key) else { return };
        let mut response = response.clone();
        if method == "INVITE" && status >= 300 {
            self.acknowledge_refusal(&transaction.request, &response);
        }
        if matches!(status, 401 | 407)
            && transaction.challenges < MAX_CHALLENGES
            && self.wants_answer(&transaction, &response)
        {
            match self.with_credentials(&transaction, &response, now) {
                Ok(()) => return,
                Err(why) => response.add("Warning", why),
            }
        }
        match transaction.purpose {
            Purpose::Register => self.register_answered(&transaction, &response, now),
            _ => self.call_answered(&transaction, &response, now),
        }
    }

    /// A second challenge to the same request is answered only where the nonce was merely old (RFC 7616 §3.3).
    fn wants_answer(&self, transaction: &Transaction, response: &Message) -> bool {
        let is_stale = ["WWW-Authenticate", "Proxy-Authenticate"].into_iter().any(|name| {
            response.fields(name).any(|value| value.replace([' ', '"'], "").to_ascii_lowercase().contains("stale=true"))
        });
        let answered_other = match response.status() {
            Some(407) => transaction.request.header("Proxy-Authorization").is_none(),
            _ => transaction.request.header("Authorization").is_none(),
        };
        answered_other || is_stale
    }

    /// Sends the request again with an answer to its challenge.
    fn with_credentials(&mut self, transaction: &Transaction, challenge: &Message, now: Instant) -> Result<(), String> {
        let mut request = transaction.request.clone();
        let (Some(method), uri) = (request.method(), request.uri()) else { return Ok(()) };
        let cnonce = self.token(12);
        let (name, value) = digest::answer(challenge, &request, &uri, &self.settings.credentials, &cnonce)?;
        let number = match transaction.purpose.call() {
            None => {
                self.registration.number += 1;
                self.registration.number
            }
            Some(key) => self.next_number(key).ok_or("the call is over")?,
        };
        let via = self.via();
        request.replace("Via", via);
        request.replace("CSeq", format!("{number} {method}"));
        request.remove(name);
        request.insert_after("CSeq", name, value);
        if !self.ask_again(transaction.purpose, request, transaction.challenges + 1, now) {
            return Err("the WebSocket is gone".to_owned());
        }
        Ok(())
    }

    /// The ACK to a final response other than 2xx belongs to the transaction (RFC 3261 §17.1.1.3).
    fn acknowledge_refusal(&mut self, invite: &Message, response: &Message) {
        let uri = invite.uri();
        let mut ack = Message::request(Method::Ack, &uri);
        for name in ["Via", "Max-Forwards", "Route"] {
            invite.fields(name).for_each(|value| ack.add(name, value));
        }
        let number = invite.cseq().map_or(0, |(number, _)| number);
        let ack = ack
            .with("To", response.header("To").unwrap_or_default())
            .with("From", invite.header("From").unwrap_or_default())
            .with("Call-ID", invite.call_id())
            .with("CSeq", format!("{number} ACK"));
        self.send(&ack);
    }

    fn unanswered(&mut self, transaction: &Transaction, why: &str, now: Instant) {
        match transaction.purpose {
            // A lost WebSocket is told of where it is noticed.
            Purpose::Register if !self.open => {}
            Purpose::Register => self.register_failed(false, None, why, now),
            _ => self.call_unanswered(transaction.purpose, why, now),
        }
    }

    /// An open INVITE transaction of a call, to be cancelled.
    pub(super) fn open_invite(&self, key: CallKey) -> Option<&Message> {
        let mut invites = self.transactions.values().filter(|transaction| transaction.purpose == Purpose::Invite(key));
        invites.next().map(|transaction| &transaction.request)
    }

    /// Bounds an INVITE that was cancelled (RFC 3261 §9.1).
    pub(super) fn bound_invite(&mut self, key: CallKey, now: Instant) {
        for transaction in self.transactions.values_mut() {
            if transaction.purpose == Purpose::Invite(key) {
                transaction.until = Some(now + TRANSACTION);
            }
        }
    }

    /// Whether a tone of this call has no answer; the next ones wait for it.
    pub(super) fn sends_tone(&self, key: CallKey) -> bool {
        self.transactions.values().any(|transaction| transaction.purpose == Purpose::Tone(key))
    }

    /// Whether an offer of ours in this call has no answer.
    pub(super) fn offers(&self, key: CallKey) -> bool {
        self.transactions.values().any(|transaction| transaction.purpose == Purpose::Reinvite(key))
    }
}

/// A random name of small letters and digits.
fn token(random: &mut StdRng, length: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

/// Tones that may wait to be sent in one call.
pub(super) const MAX_TONES: usize = 128;

/// One of them, or a pause: `,`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tone {
    pub(super) digit: char,
    pub(super) duration: Duration,
}

/// Adds tones to those that wait; false where there are too many.
pub(super) fn queue_tones(waiting: &mut VecDeque<Tone>, dtmf: &Dtmf) -> bool {
    if waiting.len() + dtmf.digits().len() > MAX_TONES {
        return false;
    }
    waiting.extend(dtmf.digits().chars().map(|digit| Tone { digit, duration: dtmf.duration() }));
    true
}
