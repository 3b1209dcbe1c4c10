//! Softphones by handle and by name, and their calls.
//!
//! A softphone stays registered, and comes back as its profile says, until it is unregistered or its scope closes; both are
//! bounded, and what is left then ends with its last handle. A registration that does not succeed is an outcome, not an error;
//! one that is cancelled leaves nothing behind. A call is a session like any other and goes on without its softphone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::{ConfigError, from_json};
use crate::diagnosis::facts::IdentityFacts;
use crate::diagnosis::{Cause, Verdict};
use crate::media::Dtmf;
use crate::peer::{ConnectionState, DtmfError, PeerError, Session, SessionConfig};
use crate::signaling::profile::{Command, Profile};
use crate::signaling::softphone::{
    self, Attempt, Failure, PhoneCallConfig, Registration, SoftphoneConfig, SoftphoneView,
};
use crate::signaling::softphone::{SoftphoneError, library};
use crate::socket::{SocketError, Trust};

use super::calls::{Placed, Role};
use super::error::EngineError;
use super::explain::Explanation;
use super::gate::{GateConfig, Pass, Start, retry_after, take_gate};
use super::identities::{Login, facts_of};
use super::runtime::Unwatched;
use super::scopes::HANG_UP;
use super::sessions::{Phoned, Softphone};
use super::tables::{Handle, OperationKey, ScopeKey, SessionKey, SoftphoneKey};
use super::{Engine, State, check_name, micros};

/// Beyond the deadline of a registration, for saying how it went.
const SLACK: Duration = Duration::from_secs(1);
/// How long an unregistering may take where the caller gives no time.
const UNREGISTER: Duration = Duration::from_secs(2);
/// A lost connection is looked at with the seconds before it.
const BEFORE_A_LOSS: Duration = Duration::from_secs(5);
/// Longest accepted `byeTimeoutMs` (one hour).
const MAX_BYE_MS: u64 = 3_600_000;

/// A softphone as the tables know it.
pub(super) struct SoftphoneEntry {
    pub(super) name: String,
    scope: ScopeKey,
    pub(super) phone: Arc<Registered>,
}

/// A registered softphone, and what the engine knows of it.
pub(super) struct Registered {
    phone: softphone::Softphone,
    session: SessionConfig,
    bye_timeout: Duration,
    /// It counts as its user until it is gone.
    login: Option<Login>,
    missed: AtomicU32,
    /// Shared by its calls, which it counts.
    calls: Arc<()>,
}

impl Registered {
    /// What is known of it now.
    pub(super) fn view(&self) -> SoftphoneView {
        self.phone.view()
    }

    fn identity(&self, at: Instant) -> IdentityFacts {
        facts_of(self.login.as_slice(), at)
    }
}

/// What became of a registration.
#[derive(Debug)]
pub struct Registering {
    /// How it went, as JSON.
    pub outcome: Value,
    /// The softphone, when it is registered.
    pub softphone: Option<SoftphoneKey>,
}

/// How a softphone is registered; JSON names are camelCase.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterConfig {
    /// Name of a profile, or path of a file.
    profile: String,
    /// The user's own profiles.
    #[serde(default)]
    profiles_dir: Option<PathBuf>,
    #[serde(default)]
    params: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    session: SessionConfig,
    #[serde(default)]
    trust: Trust,
    /// Hang-up: how long the other side's consent is waited for, ms.
    #[serde(default = "bye_timeout_ms")]
    bye_timeout_ms: u64,
}

fn bye_timeout_ms() -> u64 {
    5_000
}

/// What a call is told to do.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Control {
    command: String,
    #[serde(default)]
    digits: Option<String>,
    #[serde(default)]
    duration_ms: Option<u64>,
    #[serde(default)]
    gap_ms: Option<u64>,
    #[serde(default)]
    by: Option<DtmfBy>,
    #[serde(default)]
    to: Option<String>,
}

/// How DTMF is to be sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum DtmfBy {
    /// As the profile's client does; where it is left to the call, as telephone events where the other side takes them.
    #[default]
    Auto,
    /// As telephone events (RFC 4733), or not at all.
    TelephoneEvent,
    /// By a message of the protocol.
    Signaling,
}

impl Control {
    fn command(&self) -> Result<Command, ConfigError> {
        let of_dtmf = [
            ("digits", self.digits.clone()),
            ("durationMs", self.duration_ms.map(|ms| ms.to_string())),
            ("gapMs", self.gap_ms.map(|ms| ms.to_string())),
            ("by", self.by.map(|by| format!("{by:?}"))),
        ];
        let of_transfer = [("to", self.to.clone())];
        let unused = of_dtmf.into_iter().filter(|_| self.command != "dtmf");
        for (field, value) in unused.chain(of_transfer.into_iter().filter(|_| self.command != "transfer")) {
            if let Some(value) = value {
                return Err(ConfigError::new(field, value, format!("command '{}' does not use it", self.command)));
            }
        }
        Ok(match self.command.as_str() {
            "mute" => Command::Mute,
            "unmute" => Command::Unmute,
            "hold" => Command::Hold,
            "resume" => Command::Resume,
            "restartIce" => Command::RestartIce,
            "dtmf" => {
                let digits = self.digits.as_deref().unwrap_or_default();
                Command::Dtmf(Dtmf::new(digits, self.duration_ms, self.gap_ms)?)
            }
            "transfer" => {
                let to = self.to.clone().unwrap_or_default();
                if to.trim().is_empty() || to.chars().any(char::is_control) {
                    return Err(ConfigError::new("to", to, "whom to transfer to, without control characters"));
                }
                Command::Transfer { to }
            }
            other => {
                return Err(ConfigError::new(
                    "command",
                    other,
                    "mute, unmute, hold, resume, restartIce, dtmf or transfer",
                ));
            }
        })
    }
}

impl State {
    fn registered(&self, key: SoftphoneKey) -> Result<Arc<Registered>, EngineError> {
        self.tables().softphones.get(key).map(|entry| Arc::clone(&entry.phone)).ok_or_else(|| key.stale())
    }

    /// Forgets a softphone, by its key; `None` when it was forgotten before.
    fn forget_softphone(&self, key: SoftphoneKey) -> Option<SoftphoneEntry> {
        let mut tables = self.tables();
        let entry = tables.softphones.remove(key)?;
        if let Some(scope) = tables.scopes.get_mut(entry.scope)
            && scope.softphones.get(&entry.name) == Some(&key)
        {
            scope.softphones.remove(&entry.name);
        }
        Some(entry)
    }

    /// Unregisters a softphone that has no handle any more; its last report. Goes on to its bounded end when it is dropped.
    pub(super) async fn say_farewell(self: &Arc<Self>, phone: Arc<Registered>, within: Duration) -> Value {
        let state = Arc::clone(self);
        let leaving = tokio::spawn(async move {
            let begun = Instant::now();
            // Before it, which is the end of what there is to be seen.
            let mut report = state.report_softphone(&phone);
            // While there is a connection to say it on.
            phone.phone.refuse_waiting(within / 2).await;
            if let Err(error) = phone.phone.unregister(within).await {
                log::debug!("a softphone was not unregistered in time: {error}");
                report["unfinished"] = error.to_string().into();
            }
            report["unregisterUs"] = micros(begun.elapsed()).into();
            state.tables().tally.registrations.ended += 1;
            report
        });
        leaving.await.unwrap_or_else(|error| json!({"unfinished": format!("unregistering failed: {error}")}))
    }

    async fn register_softphone(
        self: Arc<Self>,
        (scope, name): (ScopeKey, String),
        profile: Arc<Profile>,
        config: RegisterConfig,
        deadline: Duration,
        (gate, pass): (Option<GateConfig>, Option<Pass>),
    ) -> Result<Registering, EngineError> {
        let waited = pass.as_ref().map(|pass| pass.waited);
        let before = self.tables().scope(scope)?.softphones.get(&name).copied();
        if let Some(entry) = before.and_then(|key| self.forget_softphone(key)) {
            self.say_farewell(entry.phone, UNREGISTER).await;
        }
        let identity = self.identities.of_softphone(&profile.name, &profile.identity(&config.params));
        let RegisterConfig { params, session, trust, bye_timeout_ms, .. } = config;
        let began = Instant::now();
        let made = SoftphoneConfig { params, session: session.clone(), trust };
        let phone = softphone::Softphone::start(profile, made).map_err(|error| match error {
            SoftphoneError::Config(error) => EngineError::Config(error),
            other => EngineError::Runtime { detail: other.to_string() },
        })?;
        self.tables().tally.registrations.started += 1;
        let login = identity.map(|identity| self.identities.login(identity));
        let phone = Registered {
            phone,
            session,
            bye_timeout: Duration::from_millis(bye_timeout_ms),
            login,
            missed: AtomicU32::new(0),
            calls: Arc::default(),
        };
        let result = phone.phone.registered(deadline).await;
        drop(pass);
        let outcome = self.outcome_of_registration(&phone, result, began, waited);
        if outcome["success"] != true {
            self.tables().tally.registrations.failed += 1;
            if let (Some(gate), Some(wait)) = (gate, asked_to_wait(&phone.view())) {
                self.gates.gate(Start::WebSocket, gate).hold_back(&phone.phone.profile().name, wait);
            }
            return Ok(Registering { outcome, softphone: None });
        }
        self.tables().tally.registrations.registered += 1;
        let phone = Arc::new(phone);
        let (key, before) = match self.keep_softphone(scope, name, Arc::clone(&phone)) {
            Ok(kept) => kept,
            Err(closed) => {
                self.say_farewell(phone, UNREGISTER).await;
                return Err(closed);
            }
        };
        // Somebody else may have registered under the name meanwhile.
        if let Some(entry) = before.and_then(|key| self.forget_softphone(key)) {
            let state = Arc::clone(&self);
            tokio::spawn(async move { state.say_farewell(entry.phone, UNREGISTER).await });
        }
        self.watch_generator();
        Ok(Registering { outcome, softphone: Some(key) })
    }

    /// Takes a softphone into its scope, unless that has closed meanwhile; with the one that had the name.
    fn keep_softphone(
        &self,
        scope: ScopeKey,
        name: String,
        phone: Arc<Registered>,
    ) -> Result<(SoftphoneKey, Option<SoftphoneKey>), EngineError> {
        let mut tables = self.tables();
        tables.scope(scope)?;
        let key = tables.softphones.insert(SoftphoneEntry { name: name.clone(), scope, phone });
        let before = tables.scope_mut(scope)?.softphones.insert(name, key);
        Ok((key, before))
    }

    fn outcome_of_registration(
        &self,
        phone: &Registered,
        result: Result<(), SoftphoneError>,
        began: Instant,
        waited: Option<Duration>,
    ) -> Value {
        let now = Instant::now();
        let view = phone.view();
        let since = |at: Option<Instant>| at.map(|at| micros(at.saturating_duration_since(began)));
        let attempt = &view.attempt;
        let identity = phone.identity(now);
        let same_user_here = identity.same_user_here;
        let mut outcome = json!({
            "success": result.is_ok(),
            "elapsedUs": since(attempt.registered.filter(|_| result.is_ok()).or(Some(now))),
            "connectUs": since(attempt.opened),
            "latencyUs": since(attempt.answered),
            "phases": phases(attempt, !phone.phone.profile().prologue.is_empty()),
            "profile": phone.phone.profile().name,
            "server": attempt.server.as_deref().or_else(|| unreached(&view)),
            "relayOnly": view.relay_only,
            "iceServers": view.ice_servers,
            "registrations": view.registrations,
            "problems": view.problems,
            "notice": view.notice,
            "identity": {"sameUserHere": same_user_here},
        });
        let mut members = match result {
            Ok(()) => {
                let starved = self.starved_reasons(began, now);
                let mut members = Explanation { verdict: None, starved_reasons: starved }.members();
                members.insert("code".to_owned(), "200".into());
                members.insert("message".to_owned(), "OK".into());
                members
            }
            Err(error) => self.refusal(&view, &error, identity, (began, now)),
        };
        members.entry("verdict").or_insert(Value::Null);
        if let Some(waited) = waited {
            members.insert("gateWaitUs".to_owned(), json!(micros(waited)));
        }
        if let Value::Object(outcome) = &mut outcome {
            outcome.extend(members);
        }
        outcome
    }

    /// Code, message and verdict of a registration that did not succeed.
    fn refusal(
        &self,
        view: &SoftphoneView,
        error: &SoftphoneError,
        identity: IdentityFacts,
        times: (Instant, Instant),
    ) -> Map<String, Value> {
        let failure = match (&view.failure, error) {
            (Some(failure), SoftphoneError::NotRegistered { .. }) => failure.clone(),
            // The caller's deadline came before the profile's.
            _ => Failure::Late { why: error.to_string(), waited: times.1.saturating_duration_since(times.0) },
        };
        let why = match error {
            SoftphoneError::NotRegistered { why } => why.clone(),
            other => match (&view.attempt.server, view.attempt.opened) {
                (Some(server), Some(_)) => format!("{other}; the login at {server} is not complete"),
                (Some(server), None) => format!("{other}; the connection to {server} is not open"),
                (None, _) => format!("{other}; what comes before the connection is not done"),
            },
        };
        let same_user_here = identity.same_user_here;
        let explanation = self.explain_registration(&failure, identity, times);
        let cause = explanation.verdict.as_ref().map_or_else(|| fallback(&failure), |verdict| verdict.cause);
        let mut members = explanation.members();
        members.insert("code".to_owned(), json!(cause));
        let twice = twice(explanation.verdict.as_ref(), same_user_here);
        members.insert("message".to_owned(), format!("not registered: {why}{twice}").into());
        members
    }

    fn report_softphone(&self, phone: &Registered) -> Value {
        let view = phone.view();
        let now = Instant::now();
        let (state, why, next, ended) = match &view.registration {
            Registration::Pending => ("pending", None, None, now),
            Registration::Registered(_) => ("registered", None, None, now),
            Registration::Reconnecting { why, delay, since } => {
                let left = delay.saturating_sub(now.saturating_duration_since(*since));
                ("reconnecting", Some(why.clone()), Some(left), *since)
            }
            Registration::Ended { why } => ("ended", Some(why.clone()), None, now),
        };
        let registered_ms = match view.registration {
            Registration::Registered(since) => Some(millis(now.saturating_duration_since(since))),
            _ => None,
        };
        let identity = phone.identity(ended);
        let same_user_here = identity.same_user_here;
        let verdict = view.failure.as_ref().and_then(|failure| {
            let from = ended.checked_sub(BEFORE_A_LOSS).unwrap_or(ended);
            self.explain_registration(failure, identity, (from, ended)).verdict
        });
        let why = why.map(|why| format!("{why}{}", twice(verdict.as_ref(), same_user_here)));
        let loss = view.loss.as_ref().map(|loss| {
            let from = loss.at.checked_sub(BEFORE_A_LOSS).unwrap_or(loss.at);
            let verdict = self.explain_registration(&loss.failure, phone.identity(loss.at), (from, loss.at)).verdict;
            json!({
                "registration": loss.registration,
                "why": format!("{}{}", loss.why, twice(verdict.as_ref(), same_user_here)),
                "agoMs": millis(now.saturating_duration_since(loss.at)),
                "cause": verdict.as_ref().map_or_else(|| fallback(&loss.failure), |verdict| verdict.cause),
                "verdict": verdict,
            })
        });
        json!({
            "state": state,
            "why": why,
            "nextAttemptMs": next.map(millis),
            "delayMs": match view.registration {
                Registration::Reconnecting { delay, .. } => Some(millis(delay)),
                _ => None,
            },
            "registrations": view.registrations,
            "registeredMs": registered_ms,
            "problems": view.problems,
            "notice": view.notice,
            "calls": Arc::strong_count(&phone.calls) - 1,
            "callsWaiting": phone.phone.calls_waiting(),
            "callsMissed": phone.missed.load(Ordering::Relaxed),
            "verdict": verdict,
            "lastLoss": loss,
            "identity": {"sameUserHere": same_user_here},
        })
    }

    async fn set_up_phone_call(
        self: Arc<Self>,
        role: Role,
        (scope, name): (ScopeKey, String),
        phone: Arc<Registered>,
        config: PhoneCallConfig,
        pass: Option<Pass>,
    ) -> Result<Placed, EngineError> {
        let waited = pass.as_ref().map(|pass| pass.waited);
        self.make_room(scope, &name).await?;
        let turn = self.identities.of_turn(&phone.session).map(|identity| self.identities.login(identity));
        let result = match role {
            Role::Calling => {
                self.tables().tally.softphones_started += 1;
                softphone::call::place(&phone.phone, &config, move || drop(pass)).await
            }
            Role::Answering(_) => {
                let missed = || {
                    phone.missed.fetch_add(1, Ordering::Relaxed);
                    self.tables().tally.registrations.calls_missed += 1;
                };
                softphone::call::answer(&phone.phone, &config, missed).await
            }
        };
        let result = match result {
            Ok(mut call) => {
                call.starved(self.starved_reasons(call.started(), Instant::now()));
                // A call that is up has a session.
                let first = call.session().ok_or(PeerError::Closed)?;
                let rang = call.rang();
                let counted = Arc::clone(&phone.calls);
                let phoned = Phoned { call, bye_timeout: phone.bye_timeout, _counted: counted, first };
                Ok((Softphone::of_phone(phoned, turn), rang))
            }
            Err(failure) => {
                let identity = phone.identity(Instant::now());
                Err((failure, identity, turn.as_ref().map_or(0, Login::others)))
            }
        };
        let rang = result.as_ref().ok().and_then(|(_, rang)| *rang);
        let result = result.map(|(softphone, _)| softphone);
        let mut placed = self.placed(&role, (scope, name), result, waited)?;
        if let (Some(rang), Value::Object(outcome)) = (rang, &mut placed.outcome) {
            outcome.insert("ringUs".to_owned(), json!(micros(rang)));
        }
        Ok(placed)
    }
}

/// The phases of an attempt, each a duration in µs; `null` where it was not reached or is not there.
fn phases(attempt: &Attempt, has_prologue: bool) -> Value {
    let between = |from: Option<Instant>, to: Option<Instant>| {
        from.zip(to).map(|(from, to)| micros(to.saturating_duration_since(from)))
    };
    let phases = attempt.phases.as_ref();
    json!({
        "dns": phases.and_then(|phases| phases.dns_us),
        "tcp": phases.and_then(|phases| phases.tcp_us),
        "tls": phases.and_then(|phases| phases.tls_us),
        "upgrade": phases.and_then(|phases| phases.upgrade_us),
        "http": between(Some(attempt.began).filter(|_| has_prologue), attempt.dialed),
        "login": between(attempt.opened, attempt.registered),
    })
}

/// The server that was not reached, or that refused what comes before the connection.
fn unreached(view: &SoftphoneView) -> Option<&str> {
    match view.failure.as_ref()? {
        Failure::Unreached { server, .. } => Some(server),
        _ => None,
    }
}

/// How long the server that refused asks to be left alone.
fn asked_to_wait(view: &SoftphoneView) -> Option<Duration> {
    match view.failure.as_ref()? {
        Failure::Unreached { error, .. } => match &**error {
            SocketError::Status { headers, .. } => retry_after(headers, SystemTime::now()),
            _ => None,
        },
        _ => None,
    }
}

/// What a verdict of the same user twice adds to a message.
fn twice(verdict: Option<&Verdict>, same_user_here: u32) -> String {
    if verdict.is_none_or(|verdict| verdict.cause != Cause::DuplicateIdentity) {
        return String::new();
    }
    match same_user_here {
        0 => "; the same user is logged in elsewhere, and not by this process: look at the other workers".to_owned(),
        1 => "; another softphone of this process is the same user".to_owned(),
        others => format!("; {others} other softphones of this process are the same user"),
    }
}

/// The word for a failure without a verdict.
fn fallback(failure: &Failure) -> Cause {
    match failure {
        Failure::Unreached { error, .. } => crate::diagnosis::cause_of_socket_error(error),
        Failure::Closed { cause, .. } => crate::diagnosis::cause_of_close(cause),
        Failure::Refused { .. } => Cause::SignalingRefused,
        Failure::Late { .. } => Cause::SignalingTimeout,
        Failure::Ours { .. } => Cause::Cancelled,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Engine {
    /// Registers a softphone in the language of a profile and keeps it in `scope` under `name`; one that the scope has under the
    /// name is unregistered first. With a member `gate` ([`super::GateConfig`]) in the configuration it first waits for its
    /// start, which `deadline` does not count. That it does not succeed within `deadline` is an outcome, too.
    ///
    /// # Errors
    /// [`EngineError::Config`] before any packet; a stale scope or operation; a cancel.
    pub fn register_softphone(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Registering, EngineError> {
        check_name(name)?;
        let (gate, config) = take_gate(config)?;
        let config: RegisterConfig = from_json(&config)?;
        if config.bye_timeout_ms == 0 || config.bye_timeout_ms > MAX_BYE_MS {
            let accepted = format!("1 to {MAX_BYE_MS} ms");
            return Err(ConfigError::new("byeTimeoutMs", config.bye_timeout_ms, accepted).into());
        }
        let profile = library::open(&config.profile, config.profiles_dir.as_deref())
            .map_err(|error| ConfigError::new("profile", &config.profile, error.to_string()))?;
        let ending = self.state.tables().scope(scope)?.ending.clone();
        let pass = self.pass_gate(Start::WebSocket, gate, &profile.name, operation, scope)?;
        let registering = Arc::clone(&self.state).register_softphone(
            (scope, name.to_owned()),
            profile,
            config,
            deadline,
            (gate, pass),
        );
        let _busy = self.state.opening(&self.runtime);
        let outer = deadline.saturating_add(SLACK).saturating_add(UNREGISTER);
        self.wait("register softphone", operation, outer, Unwatched::Drop, async move {
            tokio::select! {
                () = ending.cancelled() => Err(scope.stale()),
                done = registering => done,
            }
        })
    }

    /// The softphone of that name in `scope` or above.
    ///
    /// # Errors
    /// A stale scope.
    pub fn find_softphone(&self, scope: ScopeKey, name: &str) -> Result<Option<SoftphoneKey>, EngineError> {
        self.state.tables().look_up(scope, |entry| entry.softphones.get(name).copied())
    }

    /// Whether it is registered now; `false` for a stale key.
    pub fn is_softphone_registered(&self, key: SoftphoneKey) -> bool {
        let phone = self.state.registered(key);
        phone.is_ok_and(|phone| matches!(phone.view().registration, Registration::Registered(_)))
    }

    /// What is known of a softphone now.
    ///
    /// # Errors
    /// A stale key.
    pub fn softphone_report(&self, key: SoftphoneKey) -> Result<Value, EngineError> {
        Ok(self.state.report_softphone(&*self.state.registered(key)?))
    }

    /// Places a call; the session is kept in `scope` under `name`. A member `gate` is as in [`Engine::place_call`].
    ///
    /// # Errors
    /// [`EngineError::Config`] before any packet; a stale softphone, scope or operation; the deadline, a cancel.
    pub fn softphone_call(
        &self,
        key: SoftphoneKey,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        self.phone_call(("softphone call", Role::Calling), key, (scope, operation, name), config, deadline)
    }

    /// Takes and answers the next call that comes in; otherwise as [`Engine::softphone_call`]. Answering does not pass a gate.
    ///
    /// # Errors
    /// As [`Engine::softphone_call`].
    pub fn softphone_answer(
        &self,
        key: SoftphoneKey,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        let what = ("softphone answer", Role::Answering(deadline));
        self.phone_call(what, key, (scope, operation, name), config, deadline)
    }

    fn phone_call(
        &self,
        (what, role): (&'static str, Role),
        key: SoftphoneKey,
        (scope, operation, name): (ScopeKey, OperationKey, &str),
        config: &[u8],
        deadline: Duration,
    ) -> Result<Placed, EngineError> {
        check_name(name)?;
        let (gate, config) = take_gate(config)?;
        let config = PhoneCallConfig::from_json(&config)?;
        let phone = self.state.registered(key)?;
        let ending = self.state.tables().scope(scope)?.ending.clone();
        let pass = match role {
            Role::Calling => self.pass_gate(Start::Call, gate, &phone.phone.profile().name, operation, scope)?,
            Role::Answering(_) => None,
        };
        let setting_up = Arc::clone(&self.state).set_up_phone_call(role, (scope, name.to_owned()), phone, config, pass);
        let _busy = self.state.opening(&self.runtime);
        self.wait(what, operation, deadline, Unwatched::Drop, async move {
            tokio::select! {
                () = ending.cancelled() => Err(scope.stale()),
                placed = setting_up => placed,
            }
        })
    }

    /// Unregisters a softphone and forgets it; its last report. Calls go on.
    ///
    /// # Errors
    /// A stale key; a cancel, which ends the wait, not the unregistering.
    pub fn unregister_softphone(
        &self,
        key: SoftphoneKey,
        operation: OperationKey,
        deadline: Duration,
    ) -> Result<Value, EngineError> {
        self.cancellation(operation)?;
        let entry = self.state.forget_softphone(key).ok_or_else(|| key.stale())?;
        let state = Arc::clone(&self.state);
        let outer = deadline.saturating_add(HANG_UP);
        self.wait("unregister softphone", operation, outer, Unwatched::Continue, async move {
            Ok(state.say_farewell(entry.phone, deadline).await)
        })
    }

    /// Unregisters within two seconds and forgets; `false` when that was done before.
    ///
    /// # Errors
    /// A panic inside.
    pub fn close_softphone(&self, key: SoftphoneKey) -> Result<bool, EngineError> {
        match self.unregister_softphone(key, OperationKey::default(), UNREGISTER) {
            Ok(_) => Ok(true),
            Err(EngineError::Stale { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells a call to do something: `mute`, `unmute`, `hold`, `resume`, `restartIce`, `dtmf` with `digits`, `transfer` with
    /// `to`. Muting stops our audio whether or not the profile tells the other side.
    ///
    /// `dtmf` may have `durationMs`, `gapMs` ([`Dtmf`]) and `by`: `telephone-event` (RFC 4733), of any session, `signaling`, as the
    /// profile says, or `auto` (default): as the profile says where it is data, as its client does, and otherwise as telephone
    /// events where the other side takes them. Telephone events are waited for; what was used is the result's member `dtmf`.
    ///
    /// # Errors
    /// [`EngineError::Config`]; [`EngineError::Unsupported`] where nobody knows how; [`PeerError::Closed`] where the call is
    /// over; a stale key, the deadline, a cancel.
    pub fn control_session(
        &self,
        key: SessionKey,
        operation: OperationKey,
        command: &[u8],
        deadline: Duration,
    ) -> Result<Value, EngineError> {
        let control: Control = from_json(command)?;
        let command = control.command()?;
        let softphone = self.state.softphone(key)?;
        self.wait("control call", operation, deadline, Unwatched::Drop, async move {
            let begun = Instant::now();
            let call = softphone.phoned().map(|phoned| phoned.call.inner());
            let before = call.map_or(0, |call| call.phone().problems_so_far);
            let session = softphone.session();
            let way = match &command {
                Command::Dtmf(dtmf) => {
                    let profile = call.map(|call| &**call.profile());
                    Some(dtmf_way(control.by.unwrap_or_default(), dtmf, &session, profile)?)
                }
                _ => None,
            };
            let mut sent = Value::Null;
            match (call, &command) {
                (_, Command::Dtmf(dtmf)) if way == Some(DtmfWay::TelephoneEvents) => {
                    sent = as_telephone_events(&session, dtmf, deadline).await?;
                }
                (Some(call), command) if call.profile().knows(command) => {
                    let over = EngineError::Peer(PeerError::Closed);
                    if matches!(call.view().state, softphone::CallState::Ended { .. }) {
                        return Err(over);
                    }
                    call.command(command.clone()).await.map_err(|_| over)?;
                    if let Some(DtmfWay::Signaling { way, because }) = way {
                        session.note_dtmf("signaling");
                        sent = json!({"by": way, "because": because.map(|why| why.to_string())});
                    }
                }
                (_, Command::Mute) => softphone.session().stop_audio(),
                (_, Command::Unmute) => softphone.session().start_audio(),
                (Some(call), _) => {
                    let why = format!("profile '{}' does not say how", call.profile().name);
                    return Err(EngineError::Unsupported { command: control.command, why });
                }
                (None, _) => {
                    let why = "the call is not one of a registered softphone, whose profile would say how".to_owned();
                    return Err(EngineError::Unsupported { command: control.command, why });
                }
            }
            let problems = call.map_or_else(Vec::new, |call| {
                let view = call.phone();
                let new = usize::try_from(view.problems_so_far.saturating_sub(before)).unwrap_or(usize::MAX);
                view.problems.into_iter().take(new).collect()
            });
            let mut done = json!({
                "command": control.command,
                "elapsedUs": micros(begun.elapsed()),
                "state": softphone.session().connection_state(),
                "problems": problems,
            });
            if !sent.is_null() {
                done["dtmf"] = sent;
            }
            Ok(done)
        })
    }
}

/// How DTMF goes to the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DtmfWay {
    TelephoneEvents,
    Signaling {
        way: &'static str,
        /// Why not as telephone events, where that was not the plan's or the profile's wish.
        because: Option<DtmfError>,
    },
}

/// Chooses it.
///
/// # Errors
/// [`EngineError::Unsupported`] where there is none.
fn dtmf_way(by: DtmfBy, dtmf: &Dtmf, session: &Session, profile: Option<&Profile>) -> Result<DtmfWay, EngineError> {
    let own = profile.and_then(Profile::dtmf_way);
    // Data say what the real client does; a driver speaks for many clients.
    let is_clients_way = profile.is_some_and(|profile| profile.driver.is_none());
    let events = session.can_insert_dtmf(dtmf).map(|_| DtmfWay::TelephoneEvents);
    let unsupported = |why: String| Err(EngineError::Unsupported { command: "dtmf".to_owned(), why });
    match (by, own, events) {
        (DtmfBy::Signaling, Some(way), _) => Ok(DtmfWay::Signaling { way, because: None }),
        (DtmfBy::Auto, Some(way), _) if is_clients_way => Ok(DtmfWay::Signaling { way, because: None }),
        (DtmfBy::Signaling, None, _) => unsupported(match profile {
            Some(profile) => format!("profile '{}' does not say how", profile.name),
            None => "the call is not one of a registered softphone, whose profile would say how".to_owned(),
        }),
        (_, _, Ok(events)) => Ok(events),
        (DtmfBy::Auto, Some(way), Err(error)) => Ok(DtmfWay::Signaling { way, because: Some(error) }),
        (DtmfBy::Auto, None, Err(error)) => unsupported(match profile {
            Some(profile) => format!("{error}, and profile '{}' does not say another way", profile.name),
            None => format!("{error}, and there is no profile that would say another way"),
        }),
        (DtmfBy::TelephoneEvent, _, Err(error)) => unsupported(error.to_string()),
    }
}

/// Sends it as telephone events, all of them.
async fn as_telephone_events(session: &Session, dtmf: &Dtmf, deadline: Duration) -> Result<Value, EngineError> {
    if dtmf.takes() > deadline {
        let (takes, deadline) = (dtmf.takes().as_millis(), deadline.as_millis());
        let accepted = format!("no more than the deadline of {deadline} ms has time for; these take {takes} ms");
        return Err(ConfigError::new("digits", dtmf.digits(), accepted).into());
    }
    let unsupported = |why: DtmfError| EngineError::Unsupported { command: "dtmf".to_owned(), why: why.to_string() };
    let events = session.can_insert_dtmf(dtmf).map_err(unsupported)?;
    let sent = session.insert_dtmf(dtmf).await.map_err(|error| match session.connection_state() {
        ConnectionState::Closed => EngineError::Peer(PeerError::Closed),
        _ => unsupported(error),
    })?;
    Ok(json!({
        "by": "telephone-event",
        "payloadType": events.payload_type,
        "clockRate": events.clock_rate,
        "tones": sent.tones,
        "packets": sent.packets,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(json: &str) -> Result<Command, ConfigError> {
        from_json::<Control>(json.as_bytes())?.command()
    }

    #[test]
    fn a_command_is_read_with_what_it_needs() {
        assert_eq!(command(r#"{"command":"mute"}"#).expect("usable"), Command::Mute);
        let dtmf = command(r#"{"command":"dtmf","digits":"12#A"}"#).expect("usable");
        assert_eq!(dtmf, Command::Dtmf(Dtmf::new("12#A", None, None).expect("usable")));
        let dtmf = r#"{"command":"dtmf","digits":"1,2","durationMs":60,"gapMs":40,"by":"telephone-event"}"#;
        assert_eq!(
            command(dtmf).expect("usable"),
            Command::Dtmf(Dtmf::new("1,2", Some(60), Some(40)).expect("usable"))
        );
        assert_eq!(command(r#"{"command":"restartIce"}"#).expect("usable"), Command::RestartIce);
        let transfer = command(r#"{"command":"transfer","to":"+49 30"}"#).expect("usable");
        assert_eq!(transfer, Command::Transfer { to: "+49 30".to_owned() });
    }

    #[test]
    fn a_command_that_cannot_be_done_is_refused_by_field() {
        for (json, field) in [
            (r#"{"command":"dance"}"#, "command"),
            (r#"{"command":"dtmf"}"#, "digits"),
            (r#"{"command":"dtmf","digits":"12x"}"#, "digits"),
            (r#"{"command":"transfer","to":" "}"#, "to"),
            (r#"{"command":"dtmf","digits":"1","durationMs":39}"#, "durationMs"),
            (r#"{"command":"dtmf","digits":"1","gapMs":6001}"#, "gapMs"),
            (r#"{"command":"mute","to":"x"}"#, "to"),
            (r#"{"command":"mute","by":"auto"}"#, "by"),
            (r#"{"command":"hold","gapMs":70}"#, "gapMs"),
        ] {
            assert_eq!(command(json).expect_err(json).field, field, "{json}");
        }
    }
}
