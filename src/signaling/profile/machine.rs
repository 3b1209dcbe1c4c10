//! The interpreter: what happened goes in, what to do comes out.
//!
//! One [`Machine`] is one softphone that speaks one profile. Pure: time, bytes and the seed of its random numbers are
//! arguments; it opens nothing, waits for nothing and never panics on what a server sends. Guarantees:
//! - a message is decoded once; an answer goes to its request, else the first rule that fits is taken, and only it;
//! - every wait of a profile has a deadline ([`Machine::deadline`]); an attempt to register ends by `loginTimeoutMs`;
//! - losing the WebSocket ends no call; what a call says meanwhile is reported as a [`Action::Problem`];
//! - what a server makes us keep is bounded: calls, early candidates, remembered messages, requests.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use super::backoff::Backoff;
use super::calls::Call;
use super::format::{After, Branch, Condition, Do, Expect, Profile, Source, Translation};
use super::messages::{Action, CallKey, EndedBy, HttpCall, Input, Next, Speaker};
use super::parameters::parameters;
use super::rate::{Bucket, Message};
use super::servers::Servers;
use super::template::{Body, RenderError, Scope, Template, text_of};
use crate::config::ConfigError;
use crate::signaling::jingle;
use crate::signaling::keep_alive::next_keep_alive;

/// Requests that may be unanswered at a time.
const MAX_PENDING: usize = 256;
/// Lists of actions within each other.
const MAX_ACTION_DEPTH: usize = 16;

/// One softphone.
pub struct Machine {
    pub(super) profile: Arc<Profile>,
    params: BTreeMap<String, Value>,
    variables: BTreeMap<String, Value>,
    pub(super) calls: BTreeMap<CallKey, Call>,
    pub(super) next_call: CallKey,
    /// Messages that wait for an HTTP response of a call that is being placed.
    held: VecDeque<Value>,
    /// Candidates of calls that are not known yet.
    pub(super) early: VecDeque<(String, usize, Value, Instant)>,
    phase: Phase,
    registered_before: bool,
    /// The user wants it unregistered, which is done by then at the latest.
    stopping: Option<Instant>,
    sequence: Option<Sequence>,
    requests: BTreeMap<String, Pending>,
    exchanges: BTreeMap<u64, Exchange>,
    next_ticket: u64,
    login_end: Option<Instant>,
    heard: Instant,
    keep_alive_at: Option<Instant>,
    /// Of the steps at which keep-alives leave.
    keep_alive_origin: Option<Instant>,
    misses: u32,
    every: Vec<Instant>,
    backoff: Option<Backoff>,
    /// What the user said of the profile's.
    jitter: Option<f64>,
    /// The next attempt does the prologue again.
    renew: bool,
    reused: u32,
    done_once: BTreeSet<String>,
    servers: Servers,
    /// The call that is over for its user, and whose PeerConnection stays for later ones.
    pub(super) standing: Option<CallKey>,
    bucket: Option<Bucket>,
    random: StdRng,
    /// Lists of actions that are being done within each other.
    depth: usize,
    /// A moment on both clocks.
    clock: (Instant, Duration),
    actions: Vec<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Prologue,
    Dialing,
    Login,
    Ready,
    Waiting { until: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Prologue,
    Login,
    Ready,
}

/// Actions that are done one after the other, with waits.
struct Sequence {
    part: Part,
    queue: VecDeque<Do>,
    awaiting: Awaiting,
    message: Option<Value>,
}

enum Awaiting {
    Nothing,
    Http(u64),
    Answers(BTreeSet<String>),
    Message(Expect),
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Sequence,
    KeepAlive,
    Free,
}

struct Pending {
    name: String,
    call: Option<CallKey>,
    extra: Extra,
    until: Instant,
    retries_left: u32,
    purpose: Purpose,
}

struct Exchange {
    name: String,
    call: Option<CallKey>,
    extra: Extra,
    in_sequence: bool,
}

/// Values that are there for one action only.
pub(super) type Extra = Vec<(&'static str, Value)>;

/// What an action is done with.
#[derive(Clone, Default)]
pub(super) struct Context<'a> {
    pub(super) message: Option<&'a Value>,
    pub(super) call: Option<CallKey>,
    pub(super) extra: Extra,
    /// The request it belongs to.
    pub(super) request: Option<&'a str>,
}

/// Whether the actions that follow are done, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Off,
}

impl Speaker for Machine {
    fn new_call(&mut self) -> CallKey {
        Self::new_call(self)
    }

    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }

    fn heard(&self) -> Instant {
        Self::heard(self)
    }

    fn coalesce_keep_alives(&mut self, origin: Instant) {
        self.keep_alive_origin = Some(origin);
    }

    fn is_attempting(&self) -> bool {
        Self::is_attempting(self)
    }

    fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        Self::step(self, input, now)
    }
}

impl Machine {
    /// A softphone that speaks `profile` with the user's `params`. `now` and `since_epoch` are the same moment (for
    /// `${nowMs}`); `seed` makes its identifiers and its jitter.
    ///
    /// # Errors
    /// [`ConfigError`] for a parameter that is missing or unknown; a secret's value is not shown.
    pub fn new(
        profile: Arc<Profile>,
        params: &BTreeMap<String, String>,
        now: Instant,
        since_epoch: Duration,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let values = parameters(&profile, params)?;
        let backoff = profile.socket.reconnect.as_ref().map(Backoff::new);
        let bucket = profile.socket.rate.as_ref().map(|rate| Bucket::new(rate, now));
        let jitter = match values.get("jitter") {
            None => None,
            Some(value) => match text_of(value).parse::<f64>() {
                Ok(jitter) if (0.0..=1.0).contains(&jitter) => Some(jitter),
                _ => return Err(ConfigError::new("params.jitter", text_of(value), "a number from 0 to 1")),
            },
        };
        Ok(Self {
            profile,
            params: values,
            variables: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            held: VecDeque::new(),
            early: VecDeque::new(),
            phase: Phase::Off,
            registered_before: false,
            stopping: None,
            sequence: None,
            requests: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            next_ticket: 1,
            login_end: None,
            heard: now,
            keep_alive_at: None,
            keep_alive_origin: None,
            misses: 0,
            every: Vec::new(),
            backoff,
            jitter,
            renew: true,
            reused: 0,
            done_once: BTreeSet::new(),
            servers: Servers::default(),
            standing: None,
            bucket,
            random: StdRng::seed_from_u64(seed),
            depth: 0,
            clock: (now, since_epoch),
            actions: Vec::new(),
        })
    }

    /// A key for a call that the user is about to place.
    pub fn new_call(&mut self) -> CallKey {
        self.next_call += 1;
        self.next_call - 1
    }

    /// Whether it is registered now.
    pub fn is_registered(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether an attempt to register is being made.
    pub fn is_attempting(&self) -> bool {
        matches!(self.phase, Phase::Prologue | Phase::Dialing | Phase::Login)
    }

    /// When the server was heard last.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// How many calls it knows.
    pub fn calls_open(&self) -> usize {
        self.calls.len()
    }

    /// When [`Input::Tick`] is due at the latest; `None` while nothing is waited for.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        let requests = self.requests.values().map(|request| request.until);
        let silence = self.silence_end();
        let ready = self.phase == Phase::Ready;
        let every = self.every.iter().copied().filter(|_| ready);
        let keep_alive = self.keep_alive_at.filter(|_| ready);
        let rests = self.calls.values().filter_map(Call::rest_end);
        let turn = self.bucket.as_ref().and_then(Bucket::deadline);
        let others = [waiting, self.login_end, keep_alive, silence, self.stopping, turn].into_iter().flatten();
        requests.chain(every).chain(rests).chain(others).min()
    }

    /// Takes what happened at `now` and returns what to do, in order.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::Start => self.start(now),
            Input::Stop => self.stop(now),
            Input::HttpDone { ticket, status, retry_after, body } => {
                self.http_done(ticket, status, retry_after, &body, now);
            }
            Input::HttpFailed { ticket, detail } => self.http_failed(ticket, None, None, &detail, now),
            Input::SocketOpened => self.socket_opened(now),
            Input::SocketFailed { status, retry_after, detail } => {
                if self.phase == Phase::Dialing {
                    self.attempt_failed(After::Retry, status, retry_after, &detail, now);
                }
            }
            Input::SocketClosed { detail } => match self.phase {
                Phase::Login => self.attempt_failed(After::Retry, None, None, &detail, now),
                Phase::Ready => self.lost(After::Retry, &format!("the WebSocket closed: {detail}"), now),
                _ => {}
            },
            Input::Text(text) => self.text(&text, now),
            Input::Tick => self.tick(now),
            Input::Command { call, command } => self.call_command(call, command, now),
            Input::Abandon { call } => {
                let reason = "hung up without the other side's consent".to_owned();
                self.end_call(call, EndedBy::Us, Some(reason));
            }
            Input::Peer { call, peer, event } => self.peer_event(call, peer, event, now),
        }
        self.stop_if_it_may(now);
        std::mem::take(&mut self.actions)
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn problem(&mut self, what: impl Into<String>) {
        self.actions.push(Action::Problem { what: what.into() });
    }

    // --- Registering -------------------------------------------------------------------------------------------

    fn start(&mut self, now: Instant) {
        if self.phase == Phase::Off {
            self.registered_before = false;
            self.renew = true;
            self.begin_attempt(now);
        }
    }

    /// Unregisters, once the calls that are up can do without the WebSocket.
    fn stop(&mut self, now: Instant) {
        let awaits = self.profile.socket.farewell_awaits.as_ref();
        let Some(limit) = awaits.map(|awaits| Duration::from_millis(awaits.within_ms)) else {
            return self.say_farewell(now);
        };
        self.stopping.get_or_insert(now + limit);
        self.stop_if_it_may(now);
    }

    fn stop_if_it_may(&mut self, now: Instant) {
        let Some(until) = self.stopping else { return };
        let awaits = self.profile.socket.farewell_awaits.as_ref();
        let waits = awaits.is_some_and(|awaits| self.has_call_without(&awaits.variable));
        if self.phase != Phase::Ready || now >= until || !waits {
            self.stopping = None;
            self.say_farewell(now);
        }
    }

    fn say_farewell(&mut self, now: Instant) {
        self.end_standing(now);
        if self.phase == Phase::Ready {
            let profile = Arc::clone(&self.profile);
            self.run(&profile.socket.farewell, &Context::default(), now);
        }
        if matches!(self.phase, Phase::Dialing | Phase::Login | Phase::Ready) {
            let abort = self.phase != Phase::Ready;
            self.close_socket(abort, "unregistered");
        }
        if self.phase != Phase::Off {
            self.leave(now);
            self.push(Action::Unregistered { why: "by the user".to_owned(), next: Next::Nothing });
        }
    }

    fn begin_attempt(&mut self, now: Instant) {
        self.login_end = Some(now + Duration::from_millis(self.profile.socket.login_timeout_ms));
        let reuses = self.profile.socket.reconnect.as_ref().map_or(0, |rules| rules.reuses);
        if !self.renew {
            self.reused += 1;
            if self.reused > reuses {
                self.reused = 0;
                self.renew = true;
            }
        }
        if self.renew {
            self.phase = Phase::Prologue;
            let queue = self.profile.prologue.clone();
            self.begin_sequence(Part::Prologue, queue, now);
        } else {
            self.dial(now);
        }
    }

    fn dial(&mut self, now: Instant) {
        self.phase = Phase::Dialing;
        let profile = Arc::clone(&self.profile);
        let context = Context::default();
        let headers = self.headers(&profile.socket.headers, &context, now);
        match (self.fill(&profile.socket.url, &context, now), headers) {
            (Ok(url), Ok(mut headers)) => {
                if let Some(subprotocol) = &profile.socket.subprotocol {
                    headers.push(("Sec-WebSocket-Protocol".to_owned(), subprotocol.clone()));
                }
                self.push(Action::OpenSocket { url, headers });
            }
            (Err(error), _) | (_, Err(error)) => {
                self.attempt_failed(After::Stop, None, None, &format!("socket.url: {error}"), now);
            }
        }
    }

    fn socket_opened(&mut self, now: Instant) {
        if self.phase == Phase::Dialing {
            self.phase = Phase::Login;
            self.heard = now;
            let queue = self.profile.login.clone();
            self.begin_sequence(Part::Login, queue, now);
        }
    }

    fn registered(&mut self, now: Instant) {
        self.phase = Phase::Ready;
        self.registered_before = true;
        self.login_end = None;
        self.misses = 0;
        let profile = Arc::clone(&self.profile);
        self.keep_alive_at = profile
            .socket
            .keep_alive
            .as_ref()
            .filter(|keep_alive| self.holds(&keep_alive.only_if, None))
            .map(|keep_alive| self.next_keep_alive(keep_alive.every_ms, now));
        self.every = profile.every.iter().map(|every| now + Duration::from_millis(every.ms)).collect();
        self.push(Action::Registered);
        self.begin_sequence(Part::Ready, profile.ready.clone(), now);
    }

    /// Forgets what belongs to one WebSocket.
    fn leave(&mut self, now: Instant) {
        // What follows a failed request cannot be sent any more.
        self.phase = Phase::Off;
        self.sequence = None;
        self.login_end = None;
        self.keep_alive_at = None;
        self.misses = 0;
        self.heard = now;
        if let Some(bucket) = &mut self.bucket {
            bucket.clear();
        }
        let free: Vec<Pending> = std::mem::take(&mut self.requests)
            .into_values()
            // Nobody waits for what was asked about a call that is over.
            .filter(|request| {
                request.purpose == Purpose::Free && request.call.is_some_and(|call| self.calls.contains_key(&call))
            })
            .collect();
        self.exchanges.retain(|_, exchange| !exchange.in_sequence);
        for request in free {
            self.request_failed(&request, "the WebSocket is gone", now);
        }
    }

    fn attempt_failed(
        &mut self,
        after: After,
        status: Option<u16>,
        retry_after: Option<Duration>,
        why: &str,
        now: Instant,
    ) {
        if matches!(self.phase, Phase::Dialing | Phase::Login) {
            self.close_socket(true, why);
        }
        self.leave(now);
        self.renew |= after == After::Renew;
        let rules = self.profile.socket.reconnect.clone();
        let stops = rules.as_ref().is_none_or(|rules| status.is_some_and(|status| rules.stop_on.contains(&status)));
        if after == After::Stop || stops || !self.registered_before {
            self.phase = Phase::Off;
            self.push(Action::Unregistered { why: why.to_owned(), next: Next::Nothing });
            return;
        }
        let honoured = retry_after.filter(|_| rules.as_ref().is_some_and(|rules| rules.honor_retry_after));
        if honoured.is_none()
            && let Some(backoff) = &mut self.backoff
        {
            backoff.failed(now);
        }
        self.wait(honoured.unwrap_or_default(), why, now);
    }

    /// A registered softphone's WebSocket is gone.
    fn lost(&mut self, after: After, why: &str, now: Instant) {
        self.leave(now);
        self.renew |= after == After::Renew;
        if after == After::Stop || self.backoff.is_none() {
            self.phase = Phase::Off;
            self.push(Action::Unregistered { why: why.to_owned(), next: Next::Nothing });
            return;
        }
        if let Some(backoff) = &mut self.backoff {
            backoff.begin(now);
        }
        self.wait(Duration::ZERO, why, now);
    }

    fn wait(&mut self, at_least: Duration, why: &str, now: Instant) {
        let rules = self.profile.socket.reconnect.as_ref().map_or(0.0, |rules| rules.jitter);
        let jitter = self.jitter.unwrap_or(rules);
        let chance = self.random.random::<f64>();
        let delay = self.backoff.as_mut().map_or(Duration::ZERO, |backoff| backoff.delay(jitter, chance));
        let delay = at_least + delay;
        self.phase = Phase::Waiting { until: now + delay };
        self.push(Action::Unregistered { why: why.to_owned(), next: Next::Again(delay) });
    }

    /// Ends the WebSocket as the profile says.
    fn fail(&mut self, after: After, why: &str, now: Instant) {
        match self.phase {
            Phase::Prologue | Phase::Dialing | Phase::Login => self.attempt_failed(after, None, None, why, now),
            Phase::Ready => {
                self.close_socket(true, why);
                self.lost(after, why, now);
            }
            Phase::Off | Phase::Waiting { .. } => {}
        }
    }

    /// Gives a WebSocket up that its server does not answer on any more, with `last` as last words.
    fn give_up(&mut self, last: &[Do], why: &str, now: Instant) {
        if self.phase == Phase::Ready {
            self.run(last, &Context::default(), now);
            self.close_socket(last.is_empty(), why);
            self.lost(After::Retry, why, now);
        }
    }

    fn move_away(&mut self, now: Instant) {
        if self.phase != Phase::Ready {
            return;
        }
        let why = "the server asked for another WebSocket";
        let profile = Arc::clone(&self.profile);
        self.run(&profile.socket.farewell, &Context::default(), now);
        self.close_socket(false, why);
        if self.backoff.is_some() {
            return self.lost(After::Retry, why, now);
        }
        self.leave(now);
        self.push(Action::Unregistered { why: why.to_owned(), next: Next::Again(Duration::ZERO) });
        self.begin_attempt(now);
    }

    // --- Sequences ---------------------------------------------------------------------------------------------

    fn begin_sequence(&mut self, part: Part, actions: Vec<Do>, now: Instant) {
        self.sequence = Some(Sequence { part, queue: actions.into(), awaiting: Awaiting::Nothing, message: None });
        self.advance(now);
    }

    /// Does what comes next, up to the next wait.
    fn advance(&mut self, now: Instant) {
        while let Some(sequence) = &mut self.sequence {
            sequence.awaiting = Awaiting::Nothing;
            let part = sequence.part;
            let Some(action) = sequence.queue.pop_front() else {
                self.sequence = None;
                match part {
                    Part::Prologue => {
                        self.renew = false;
                        self.dial(now);
                    }
                    Part::Login => self.registered(now),
                    Part::Ready => {}
                }
                return;
            };
            let message = sequence.message.clone();
            let context = Context { message: message.as_ref(), ..Context::default() };
            match action {
                Do::Expect(expect) => return self.awaiting(Awaiting::Message(expect)),
                Do::If(branch) => {
                    let chosen = self.chosen(&branch, &context).to_vec();
                    if let Some(sequence) = &mut self.sequence {
                        for action in chosen.into_iter().rev() {
                            sequence.queue.push_front(action);
                        }
                    }
                }
                Do::Http(name) => {
                    if let Some(ticket) = self.exchange(&name, &context, true, now) {
                        return self.awaiting(Awaiting::Http(ticket));
                    }
                }
                Do::Request(name) => {
                    if self.ask(vec![name], part, &context, now) == Flow::Off {
                        return;
                    }
                }
                Do::Requests(names) => {
                    if self.ask(names, part, &context, now) == Flow::Off {
                        return;
                    }
                }
                other => {
                    if self.act(&other, &context, now) == Flow::Off {
                        return;
                    }
                }
            }
        }
    }

    /// Makes the requests of a sequence; [`Flow::On`] where there is nothing to wait for.
    fn ask(&mut self, names: Vec<String>, part: Part, context: &Context<'_>, now: Instant) -> Flow {
        let mut ids = BTreeSet::new();
        for name in names {
            match self.request(&name, context, Purpose::Sequence, None, now) {
                Some(id) => {
                    ids.insert(id);
                }
                None if part == Part::Ready => {}
                None => {
                    self.fail(After::Stop, &format!("the request '{name}' could not be made"), now);
                    return Flow::Off;
                }
            }
        }
        if ids.is_empty() {
            return Flow::On;
        }
        self.awaiting(Awaiting::Answers(ids));
        Flow::Off
    }

    fn awaiting(&mut self, awaiting: Awaiting) {
        if let Some(sequence) = &mut self.sequence {
            sequence.awaiting = awaiting;
        }
    }

    fn sequence_message(&mut self, message: Value) {
        if let Some(sequence) = &mut self.sequence {
            sequence.message = Some(message);
        }
    }

    // --- HTTP --------------------------------------------------------------------------------------------------

    /// Makes an HTTP request; nothing if it has been done once for all or cannot be made.
    fn exchange(&mut self, name: &str, context: &Context<'_>, in_sequence: bool, now: Instant) -> Option<u64> {
        let profile = Arc::clone(&self.profile);
        let http = profile.http.get(name)?;
        if http.once && self.done_once.contains(name) {
            return None;
        }
        let made = (|| {
            let url = self.fill(&http.url, context, now)?;
            let mut headers = self.headers(&http.headers, context, now)?;
            let body = http.body.as_ref().map(|body| self.render(body, context, now)).transpose()?;
            if matches!(http.body, Some(Body::Json(_))) {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            }
            Ok((url, headers, body))
        })();
        let (url, headers, body) = match made {
            Ok(made) => made,
            Err(error) => {
                let error: RenderError = error;
                let why = format!("http.{name}: {error}");
                if in_sequence && self.phase == Phase::Prologue {
                    self.attempt_failed(After::Stop, None, None, &why, now);
                } else {
                    self.problem(why);
                    self.run(&http.on_error, context, now);
                }
                return None;
            }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let exchange =
            Exchange { name: name.to_owned(), call: context.call, extra: context.extra.clone(), in_sequence };
        self.exchanges.insert(ticket, exchange);
        let within = Duration::from_millis(http.within_ms);
        let name = name.to_owned();
        self.push(Action::Http(HttpCall { ticket, name, method: http.method, url, headers, body, within }));
        Some(ticket)
    }

    fn http_done(&mut self, ticket: u64, status: u16, retry_after: Option<Duration>, body: &str, now: Instant) {
        if !(200..300).contains(&status) {
            return self.http_failed(ticket, Some(status), retry_after, &format!("HTTP status {status}"), now);
        }
        let Some(exchange) = self.exchanges.get(&ticket) else { return };
        let profile = Arc::clone(&self.profile);
        let Some(http) = profile.http.get(&exchange.name) else { return };
        let needed = !http.set.is_empty() || !http.then.is_empty();
        let message = match serde_json::from_str::<Value>(body) {
            Ok(message) => message,
            Err(error) if needed => {
                return self.http_failed(ticket, None, None, &format!("its response is not JSON: {error}"), now);
            }
            Err(_) => Value::Null,
        };
        let Some(exchange) = self.exchanges.remove(&ticket) else { return };
        let context =
            Context { message: Some(&message), call: exchange.call, extra: exchange.extra.clone(), request: None };
        if let Err(error) = self.set(&http.set, &context, now) {
            self.exchanges.insert(ticket, exchange);
            return self.http_failed(ticket, None, None, &error.to_string(), now);
        }
        if http.once {
            self.done_once.insert(exchange.name.clone());
        }
        self.run(&http.then, &context, now);
        if exchange.in_sequence {
            self.http_awaited(ticket, Some(message), now);
        }
        let held = std::mem::take(&mut self.held);
        for message in held {
            self.rules(message, now);
        }
    }

    fn http_failed(
        &mut self,
        ticket: u64,
        status: Option<u16>,
        retry_after: Option<Duration>,
        detail: &str,
        now: Instant,
    ) {
        let Some(exchange) = self.exchanges.remove(&ticket) else { return };
        let why = format!("the HTTP request '{}' failed: {detail}", exchange.name);
        if exchange.in_sequence && self.phase == Phase::Prologue {
            return self.attempt_failed(After::Retry, status, retry_after, &why, now);
        }
        self.problem(why.clone());
        let profile = Arc::clone(&self.profile);
        if let Some(http) = profile.http.get(&exchange.name) {
            let mut extra = exchange.extra.clone();
            extra.push(("reason", Value::String(why.clone())));
            let context = Context { message: None, call: exchange.call, extra, request: None };
            self.run(&http.on_error, &context, now);
        }
        if let Some(key) = exchange.call.filter(|key| self.calls.get(key).is_some_and(Call::is_being_placed)) {
            self.end_call(key, EndedBy::Failure, Some(why));
        }
        if exchange.in_sequence {
            self.http_awaited(ticket, None, now);
        }
        let held = std::mem::take(&mut self.held);
        for message in held {
            self.rules(message, now);
        }
    }

    fn http_awaited(&mut self, ticket: u64, message: Option<Value>, now: Instant) {
        let ours = self
            .sequence
            .as_ref()
            .is_some_and(|sequence| matches!(sequence.awaiting, Awaiting::Http(awaited) if awaited == ticket));
        if ours {
            if let Some(message) = message {
                self.sequence_message(message);
            }
            self.advance(now);
        }
    }

    // --- Requests ----------------------------------------------------------------------------------------------

    /// Sends a request; its id.
    fn request(
        &mut self,
        name: &str,
        context: &Context<'_>,
        purpose: Purpose,
        retries_left: Option<u32>,
        now: Instant,
    ) -> Option<String> {
        let profile = Arc::clone(&self.profile);
        let request = profile.requests.get(name)?;
        if self.requests.len() >= MAX_PENDING {
            self.problem(format!("the request '{name}' was not made: {MAX_PENDING} others have no answer yet"));
            return None;
        }
        let id = self.uuid();
        let mut with_id = context.clone();
        with_id.extra.push(("id", Value::String(id.clone())));
        if !self.send(&request.send, &with_id, purpose != Purpose::KeepAlive, now) {
            return None;
        }
        let pending = Pending {
            name: name.to_owned(),
            call: context.call,
            extra: context.extra.clone(),
            until: now + Duration::from_millis(request.within_ms),
            retries_left: retries_left.unwrap_or(request.retries),
            purpose,
        };
        self.requests.insert(id.clone(), pending);
        Some(id)
    }

    /// Whether `message` answers a request of ours; if so, it is worked off.
    fn answer(&mut self, message: &Value, now: Instant) -> bool {
        let profile = Arc::clone(&self.profile);
        let Some(replies) = &profile.replies else { return false };
        // An identifier is found at once; what only answers have is a search through the whole message.
        let Some(id) = replies.id.first(message).map(text_of) else { return false };
        if !self.requests.contains_key(&id) || !replies.when.selects(message) {
            return false;
        }
        let Some(pending) = self.requests.remove(&id) else { return false };
        let Some(request) = profile.requests.get(&pending.name) else { return true };
        let name = pending.name.clone();
        let context =
            Context { message: Some(message), call: pending.call, extra: pending.extra.clone(), request: Some(&name) };
        if pending.purpose == Purpose::KeepAlive {
            // A refusal is a sign of life, too.
            self.misses = 0;
            self.keep_alive_again(now);
        } else if replies.error.as_ref().is_some_and(|error| error.selects(message)) {
            self.unanswered(&id, &pending, "it was refused", After::Retry, now);
            return true;
        }
        if let Err(error) = self.set(&request.set, &context, now) {
            self.unanswered(&id, &pending, &error.to_string(), After::Retry, now);
            return true;
        }
        self.run(&request.then, &context, now);
        self.answered_in_sequence(&id, Some(message), now);
        true
    }

    fn answered_in_sequence(&mut self, id: &str, message: Option<&Value>, now: Instant) {
        let Some(Sequence { awaiting: Awaiting::Answers(awaited), .. }) = &mut self.sequence else { return };
        if !awaited.remove(id) {
            return;
        }
        let last = awaited.is_empty();
        if let Some(message) = message {
            self.sequence_message(message.clone());
        }
        if last {
            self.advance(now);
        }
    }

    /// A request has no usable answer.
    fn unanswered(&mut self, id: &str, pending: &Pending, why: &str, after: After, now: Instant) {
        let optional = self.profile.requests.get(&pending.name).is_some_and(|request| request.optional);
        let part = self.sequence.as_ref().map(|sequence| sequence.part);
        if pending.purpose == Purpose::Sequence && part == Some(Part::Login) && !optional {
            return self.fail(after, &format!("the request '{}' failed: {why}", pending.name), now);
        }
        self.request_failed(pending, why, now);
        self.answered_in_sequence(id, None, now);
    }

    fn request_failed(&mut self, pending: &Pending, why: &str, now: Instant) {
        self.problem(format!("the request '{}' failed: {why}", pending.name));
        let profile = Arc::clone(&self.profile);
        if let Some(request) = profile.requests.get(&pending.name) {
            let context = Context {
                message: None,
                call: pending.call,
                extra: pending.extra.clone(),
                request: Some(&pending.name),
            };
            self.run(&request.on_error, &context, now);
        }
    }

    // --- Time --------------------------------------------------------------------------------------------------

    fn silence_end(&self) -> Option<Instant> {
        let silence = self.profile.socket.silence.as_ref()?;
        (self.phase == Phase::Ready && self.holds(&silence.only_if, None))
            .then(|| self.heard + Duration::from_millis(silence.ms))
    }

    fn tick(&mut self, now: Instant) {
        if let Phase::Waiting { until } = self.phase
            && now >= until
        {
            self.begin_attempt(now);
        }
        if self.login_end.is_some_and(|end| now >= end) {
            let limit = self.profile.socket.login_timeout_ms;
            let doing = match self.phase {
                Phase::Prologue => "the HTTP prologue was not done",
                Phase::Dialing => "the WebSocket was not open",
                _ => "the login was not complete",
            };
            self.attempt_failed(After::Retry, None, None, &format!("{doing} within {limit} ms"), now);
        }
        if self.silence_end().is_some_and(|end| now >= end) {
            let ms = now.saturating_duration_since(self.heard).as_millis();
            let profile = Arc::clone(&self.profile);
            let last = profile.socket.silence.as_ref().map_or(&[][..], |silence| &silence.on_error);
            self.give_up(last, &format!("the server was silent for {ms} ms"), now);
        }
        self.requests_due(now);
        self.rests_due(now);
        while let Some(message) = self.bucket.as_mut().and_then(|bucket| bucket.due(now)) {
            self.leaves(message);
        }
        if self.phase == Phase::Ready && self.keep_alive_at.is_some_and(|at| now >= at) {
            self.keep_alive(now);
        }
        let profile = Arc::clone(&self.profile);
        for (number, every) in profile.every.iter().enumerate() {
            if self.phase == Phase::Ready && self.every.get(number).is_some_and(|at| now >= *at) {
                self.every[number] = now + Duration::from_millis(every.ms);
                self.run(&every.then, &Context::default(), now);
            }
        }
        self.early.retain(|(_, _, _, at)| now.saturating_duration_since(*at) < super::calls::EARLY);
    }

    fn requests_due(&mut self, now: Instant) {
        let late: Vec<String> =
            self.requests.iter().filter(|(_, request)| now >= request.until).map(|(id, _)| id.clone()).collect();
        for id in late {
            let Some(pending) = self.requests.remove(&id) else { continue };
            if pending.purpose == Purpose::KeepAlive {
                self.missed(now);
                continue;
            }
            if pending.retries_left > 0 {
                let context = Context {
                    message: None,
                    call: pending.call,
                    extra: pending.extra.clone(),
                    request: Some(&pending.name),
                };
                let left = Some(pending.retries_left - 1);
                if let Some(again) = self.request(&pending.name, &context, pending.purpose, left, now) {
                    if let Some(Sequence { awaiting: Awaiting::Answers(awaited), .. }) = &mut self.sequence
                        && awaited.remove(&id)
                    {
                        awaited.insert(again);
                    }
                    continue;
                }
            }
            let within = self.profile.requests.get(&pending.name).map_or(0, |request| request.within_ms);
            self.unanswered(&id, &pending, &format!("no answer within {within} ms"), After::Retry, now);
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        self.keep_alive_at = None;
        let profile = Arc::clone(&self.profile);
        let Some(keep_alive) = &profile.socket.keep_alive else { return };
        let context = Context::default();
        if let Some(name) = &keep_alive.request {
            if self.request(name, &context, Purpose::KeepAlive, Some(0), now).is_none() {
                self.keep_alive_again(now);
            }
        } else if let Some(name) = &keep_alive.send {
            self.send(name, &context, false, now);
            self.keep_alive_again(now);
        }
    }

    fn keep_alive_again(&mut self, now: Instant) {
        let every = self.profile.socket.keep_alive.as_ref().map(|keep_alive| keep_alive.every_ms);
        self.keep_alive_at = every.map(|ms| self.next_keep_alive(ms, now));
    }

    fn next_keep_alive(&self, every_ms: u64, now: Instant) -> Instant {
        next_keep_alive(now, Duration::from_millis(every_ms), self.keep_alive_origin)
    }

    fn missed(&mut self, now: Instant) {
        self.misses += 1;
        let most = self.profile.socket.keep_alive.as_ref().map_or(u32::MAX, |keep_alive| keep_alive.misses);
        if self.misses >= most {
            let why = format!("{} keep-alive requests in a row had no answer", self.misses);
            let profile = Arc::clone(&self.profile);
            let last = profile.socket.keep_alive.as_ref().map_or(&[][..], |keep_alive| &keep_alive.on_error);
            self.give_up(last, &why, now);
        } else {
            self.keep_alive_again(now);
        }
    }

    // --- Messages ----------------------------------------------------------------------------------------------

    fn text(&mut self, text: &str, now: Instant) {
        if !matches!(self.phase, Phase::Login | Phase::Ready) {
            return;
        }
        self.heard = now;
        let profile = Arc::clone(&self.profile);
        let mut message = match profile.socket.codec.decode(text) {
            Ok(message) => message,
            Err(why) => return self.problem(format!("a message was ignored: {why}")),
        };
        for nested in &profile.socket.nested {
            let Some(text) = nested.at.first(&message).and_then(Value::as_str) else { continue };
            match nested.codec.decode(text) {
                Ok(inner) => {
                    if let Value::Object(members) = &mut message {
                        members.insert(nested.name.clone(), inner);
                    }
                }
                Err(why) => self.problem(format!("'{}' of a message was left as it is: {why}", nested.name)),
            }
        }
        if profile.socket.translate == Some(Translation::Jingle)
            && let Some(translated) = jingle::translated(text)
        {
            match (translated, &mut message) {
                (Ok(translated), Value::Object(members)) => {
                    members.insert("translated".to_owned(), translated);
                }
                (Ok(_), _) => {}
                (Err(why), _) => self.problem(format!("Jingle was not understood: {why}")),
            }
        }
        if self.answer(&message, now) || self.expected(&message, now) {
            return;
        }
        self.rules(message, now);
    }

    /// Whether the sequence waits for `message`; if so, it goes on.
    fn expected(&mut self, message: &Value, now: Instant) -> bool {
        let Some(Sequence { awaiting: Awaiting::Message(expect), .. }) = &self.sequence else { return false };
        let expect = expect.clone();
        let context = Context { message: Some(message), ..Context::default() };
        if let Some(failing) = expect.fail.iter().find(|failing| failing.when.selects(message)) {
            let why = failing.reason.as_ref().and_then(|reason| self.value(reason, &context, now).ok().flatten());
            let why = why.map_or_else(|| "the server refused the login".to_owned(), |why| text_of(&why));
            self.fail(failing.then, &format!("the server refused the login: {why}"), now);
            return true;
        }
        if !expect.when.selects(message) {
            return false;
        }
        if let Err(error) = self.set(&expect.set, &context, now) {
            self.fail(After::Retry, &error.to_string(), now);
            return true;
        }
        self.sequence_message(message.clone());
        self.advance(now);
        true
    }

    pub(super) fn rules(&mut self, message: Value, now: Instant) {
        let profile = Arc::clone(&self.profile);
        for (number, rule) in profile.on.iter().enumerate() {
            if !rule.when.selects(&message) || !self.holds(&rule.only_if, None) {
                continue;
            }
            if rule.joins.is_some() && self.is_placing() {
                if self.held.len() < MAX_PENDING {
                    self.held.push_back(message);
                }
                return;
            }
            return self.apply(number, rule, &message, now);
        }
    }

    /// Whether a call is being placed whose HTTP response is not there yet.
    fn is_placing(&self) -> bool {
        self.exchanges
            .values()
            .any(|exchange| exchange.call.and_then(|key| self.calls.get(&key)).is_some_and(Call::is_being_placed))
    }

    // --- Actions -----------------------------------------------------------------------------------------------

    /// Does a list of actions.
    pub(super) fn run(&mut self, list: &[Do], context: &Context<'_>, now: Instant) -> Flow {
        if self.depth >= MAX_ACTION_DEPTH {
            self.problem("actions were not done: what is to follow a failure fails again and again");
            return Flow::Off;
        }
        self.depth += 1;
        let stopped = list.iter().any(|action| self.act(action, context, now) == Flow::Off);
        self.depth -= 1;
        if stopped { Flow::Off } else { Flow::On }
    }

    fn act(&mut self, action: &Do, context: &Context<'_>, now: Instant) -> Flow {
        match action {
            Do::Send(name) => {
                self.send(name, context, true, now);
            }
            Do::Request(name) => {
                if self.request(name, context, Purpose::Free, None, now).is_none() {
                    let profile = Arc::clone(&self.profile);
                    if let Some(request) = profile.requests.get(name) {
                        return self.run(&request.on_error, context, now);
                    }
                }
            }
            Do::Requests(names) => {
                let each: Vec<Do> = names.iter().cloned().map(Do::Request).collect();
                return self.run(&each, context, now);
            }
            Do::Http(name) => {
                self.exchange(name, context, false, now);
            }
            Do::Set(set) => {
                if let Err(error) = self.set(set, context, now) {
                    self.problem(error.to_string());
                }
            }
            Do::If(branch) => {
                let chosen = self.chosen(branch, context).to_vec();
                return self.run(&chosen, context, now);
            }
            Do::IceServers => {
                let profile = Arc::clone(&self.profile);
                if let (Some(section), Some(message)) = (&profile.ice_servers, context.message) {
                    self.servers.read(section, context.request.unwrap_or_default(), message);
                    let (servers, relay_only) = self.servers.now(section);
                    self.push(Action::IceServers { servers, relay_only });
                }
            }
            Do::Fail { then, reason } => {
                let reason = reason.as_ref().and_then(|reason| self.value(reason, context, now).ok().flatten());
                let why = reason.map_or_else(|| "as the profile says".to_owned(), |reason| text_of(&reason));
                self.fail(*then, &why, now);
                return Flow::Off;
            }
            Do::Move => {
                self.move_away(now);
                return Flow::Off;
            }
            Do::Renew => self.renew = true,
            Do::Problem(text) => match self.fill(text, context, now) {
                Ok(text) => self.problem(text),
                Err(error) => self.problem(error.to_string()),
            },
            // Checked when the profile was read.
            Do::Expect(_) => {}
            call_action => return self.call_action(call_action, context, now),
        }
        Flow::On
    }

    fn chosen<'a>(&self, branch: &'a Branch, context: &Context<'_>) -> &'a [Do] {
        let has =
            branch.has.as_ref().is_none_or(|selector| context.message.is_some_and(|message| selector.selects(message)));
        if has && self.holds(&branch.is, Some(context)) { &branch.then } else { &branch.otherwise }
    }

    /// Whether the variables have the texts of `condition`.
    fn holds(&self, condition: &Condition, context: Option<&Context<'_>>) -> bool {
        condition.iter().all(|(name, wanted)| {
            if name == "standing" {
                return self.standing.is_some() == (wanted == "true");
            }
            let extra = context.and_then(|context| context.extra.iter().find(|(known, _)| known == name));
            let of_call = context
                .and_then(|context| context.call)
                .and_then(|key| self.calls.get(&key))
                .and_then(|call| call.variables.get(name));
            let value = extra
                .map(|(_, value)| value)
                .or(of_call)
                .or_else(|| self.variables.get(name))
                .or_else(|| self.params.get(name));
            match value {
                Some(Value::String(text)) => text == wanted,
                Some(other) => text_of(other) == *wanted,
                None => wanted.is_empty(),
            }
        })
    }

    /// Sends a template, `limited` by the profile's rate; whether it went out, or waits for its turn.
    fn send(&mut self, name: &str, context: &Context<'_>, limited: bool, now: Instant) -> bool {
        if !matches!(self.phase, Phase::Login | Phase::Ready) {
            self.problem(format!("'{name}' was not sent: there is no WebSocket now"));
            return false;
        }
        let profile = Arc::clone(&self.profile);
        let Some(body) = profile.templates.get(name) else { return false };
        match self.render(body, context, now) {
            Ok(text) => {
                let message = Message { text, template: name.to_owned() };
                match self.bucket.as_mut().filter(|_| limited && self.phase == Phase::Ready) {
                    Some(bucket) => match bucket.take(message, now) {
                        Ok(Some(message)) => self.leaves(message),
                        Ok(None) => {}
                        Err(message) => {
                            self.problem(format!("'{}' was not sent: too many messages wait", message.template));
                            return false;
                        }
                    },
                    None => self.leaves(message),
                }
                true
            }
            Err(error) => {
                self.problem(format!("'{name}' was not sent: {error}"));
                false
            }
        }
    }

    fn leaves(&mut self, Message { text, template }: Message) {
        self.push(Action::Send { text, template });
    }

    /// Ends the WebSocket. What waits for its turn leaves before a closing handshake.
    fn close_socket(&mut self, abort: bool, why: &str) {
        while let Some(message) = self.bucket.as_mut().filter(|_| !abort).and_then(|bucket| bucket.take_waiting()) {
            self.leaves(message);
        }
        self.push(Action::CloseSocket { abort, why: why.to_owned() });
    }

    /// Sets variables of the call at hand, or of the softphone.
    pub(super) fn set(
        &mut self,
        set: &BTreeMap<String, Source>,
        context: &Context<'_>,
        now: Instant,
    ) -> Result<(), RenderError> {
        for (name, source) in set {
            let value = self.value(source, context, now)?;
            let variables = match context.call.and_then(|key| self.calls.get_mut(&key)) {
                Some(call) => &mut call.variables,
                None => &mut self.variables,
            };
            match value {
                Some(value) => variables.insert(name.clone(), value),
                None => variables.remove(name),
            };
        }
        Ok(())
    }

    /// The value of a source: for a JSONPath nothing where it selects nothing.
    pub(super) fn value(
        &mut self,
        source: &Source,
        context: &Context<'_>,
        now: Instant,
    ) -> Result<Option<Value>, RenderError> {
        match source {
            Source::Message(selector) => {
                let found = context.message.and_then(|message| selector.first(message));
                Ok(found.filter(|value| !value.is_null()).cloned())
            }
            Source::Text(template) => template.value(&mut self.view(context, now)),
        }
    }

    fn fill(&mut self, template: &Template, context: &Context<'_>, now: Instant) -> Result<String, RenderError> {
        template.render(&mut self.view(context, now))
    }

    fn render(&mut self, body: &Body, context: &Context<'_>, now: Instant) -> Result<String, RenderError> {
        body.render(&mut self.view(context, now))
    }

    fn headers(
        &mut self,
        headers: &BTreeMap<String, Template>,
        context: &Context<'_>,
        now: Instant,
    ) -> Result<Vec<(String, String)>, RenderError> {
        headers.iter().map(|(name, value)| Ok((name.clone(), self.fill(value, context, now)?))).collect()
    }

    fn view<'a>(&'a mut self, context: &'a Context<'_>, now: Instant) -> View<'a> {
        let since_epoch = self.clock.1 + now.saturating_duration_since(self.clock.0);
        View {
            profile: &self.profile,
            params: &self.params,
            variables: &self.variables,
            call: context.call.and_then(|key| self.calls.get(&key)),
            standing: self.standing.is_some(),
            context,
            now_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            random: &mut self.random,
        }
    }

    fn uuid(&mut self) -> String {
        uuid(&mut self.random)
    }

    /// A variable of a call, as text; for its owner's reports.
    pub fn call_variable(&self, call: CallKey, name: &str) -> Option<String> {
        self.calls.get(&call)?.variables.get(name).map(text_of)
    }
}

/// A random UUID (RFC 9562 version 4).
pub(crate) fn uuid(random: &mut StdRng) -> String {
    let (first, second, third): (u32, u16, u16) = random.random();
    let (fourth, fifth): (u16, u64) = random.random();
    let (third, fourth) = (third & 0x0fff | 0x4000, fourth & 0x3fff | 0x8000);
    format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{:012x}", fifth >> 16)
}

/// Where placeholders get their values.
struct View<'a> {
    profile: &'a Profile,
    params: &'a BTreeMap<String, Value>,
    variables: &'a BTreeMap<String, Value>,
    call: Option<&'a Call>,
    standing: bool,
    context: &'a Context<'a>,
    now_ms: u64,
    random: &'a mut StdRng,
}

impl Scope for View<'_> {
    fn variable(&mut self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.context.extra.iter().rev().find(|(known, _)| *known == name) {
            return Some(value.clone());
        }
        match name {
            "uuid" => return Some(Value::String(uuid(self.random))),
            "standing" => return self.standing.then(|| "true".into()),
            "nowMs" => return Some(self.now_ms.into()),
            "call" => return self.call.and_then(|call| call.name.clone()).map(Value::String),
            "direction" => {
                return self.call.map(|call| if call.outgoing { "outbound" } else { "inbound" }.into());
            }
            "subprotocol" => return self.profile.socket.subprotocol.clone().map(Value::String),
            _ => {}
        }
        self.call
            .and_then(|call| call.variables.get(name))
            .or_else(|| self.variables.get(name))
            .or_else(|| self.params.get(name))
            .cloned()
    }

    fn message(&self) -> Option<&Value> {
        self.context.message
    }

    fn template(&self, name: &str) -> Option<Body> {
        self.profile.templates.get(name).cloned()
    }
}
