//! A softphone that does what it is told, step by step, and says after each step what came of it.
//!
//! Made for provoking causes of failure by the hundred: it stands on the same [`Engine`] as JMeter's samplers and needs no
//! JVM. Its only argument is a JSON array of steps; each ends with one JSON line on standard output:
//! `{"step":"call","ok":false,"elapsedMs":31.2,"result":{…}}`, where `result` is what the engine answered. The first step that
//! is not `ok` is the last one, unless it says `"mayFail": true`. Every wait has a deadline; what is open at the end is closed.
//! Exit codes: 0 = the steps were done (ok or not), 2 = the steps cannot be read, 1 = the engine did not start.
use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jmeter_webrtc::engine::{Engine, EngineError, OperationKey, Placed, ScopeKey, SessionKey, SocketKey, cause_json};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Deserialize;
use serde_json::{Value, json};

/// How often an open call or socket is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long closing everything may take at the end.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);
/// RFC 6455 §7.4.1: normal closure.
const NORMAL_CLOSURE: u16 = 1000;
/// How long a step may take that says nothing else, ms.
const fn step_deadline_ms() -> u64 {
    30_000
}

/// One step and whether the next ones follow a failure of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    #[serde(flatten)]
    action: Action,
    #[serde(default)]
    may_fail: bool,
}

/// What to do; names of sockets and sessions are the script's own.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Action {
    /// Opens a WebSocket; `config` as of `SocketConfig`.
    Open {
        socket: String,
        config: Value,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Makes a socket reachable under a name.
    Register {
        socket: String,
        name: String,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Places a call over a socket; `config` as of `CallConfig`.
    Call {
        session: String,
        socket: String,
        config: Value,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Answers the next call that reaches a socket.
    Answer {
        session: String,
        socket: String,
        config: Value,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Opens sockets to `url`, registers them as `names` and a number from 1, says so in a line of its own (`registered`),
    /// and answers one call on each, all at once.
    AnswerAll {
        url: String,
        names: String,
        count: usize,
        config: Value,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Holds a call until it is lost; being up after `ms` is a success.
    HoldCall { session: String, ms: u64 },
    /// Holds a socket until it ends; being open after `ms` is a success.
    HoldSocket { socket: String, ms: u64 },
    /// Does nothing for a while.
    Wait { ms: u64 },
    /// Lowers the limit of open files so that none can be opened any more, whatever is closed.
    NoDescriptors,
    /// Hangs a call up.
    HangUp {
        session: String,
        #[serde(default = "step_deadline_ms")]
        deadline_ms: u64,
    },
    /// Closes a socket, which stays known.
    Close { socket: String },
}

impl Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Register { .. } => "register",
            Self::Call { .. } => "call",
            Self::Answer { .. } => "answer",
            Self::AnswerAll { .. } => "answerAll",
            Self::HoldCall { .. } => "holdCall",
            Self::HoldSocket { .. } => "holdSocket",
            Self::Wait { .. } => "wait",
            Self::NoDescriptors => "noDescriptors",
            Self::HangUp { .. } => "hangUp",
            Self::Close { .. } => "close",
        }
    }
}

fn main() -> ExitCode {
    let script = std::env::args().nth(1).unwrap_or_default();
    let steps: Vec<Step> = match serde_json::from_str(&script) {
        Ok(steps) => steps,
        Err(error) => {
            eprintln!("provoked_call: the only argument is a JSON array of steps: {error}");
            return ExitCode::from(2);
        }
    };
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("provoked_call: {error}");
            return ExitCode::FAILURE;
        }
    };
    let scope = match engine.open_scope(None) {
        Ok(scope) => scope,
        Err(error) => {
            eprintln!("provoked_call: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut softphone = Softphone { engine: &engine, scope, sockets: HashMap::new(), sessions: HashMap::new() };
    for step in &steps {
        let begun = Instant::now();
        let (ok, result) = match softphone.take(&step.action) {
            Ok(result) => (true, result),
            Err(result) => (false, result),
        };
        let elapsed_ms = begun.elapsed().as_secs_f64() * 1e3;
        say(&json!({"step": step.action.name(), "ok": ok, "elapsedMs": elapsed_ms, "result": result}));
        if !ok && !step.may_fail {
            break;
        }
    }
    engine.close_all(CLOSE_DEADLINE);
    ExitCode::SUCCESS
}

struct Softphone<'a> {
    engine: &'a Engine,
    scope: ScopeKey,
    sockets: HashMap<String, SocketKey>,
    sessions: HashMap<String, SessionKey>,
}

impl Softphone<'_> {
    /// Does one step: what came of it, as success or as failure.
    fn take(&mut self, action: &Action) -> Result<Value, Value> {
        let nobody = OperationKey::default();
        match action {
            Action::Open { socket, config, deadline_ms } => {
                let config = config.to_string().into_bytes();
                let deadline = Duration::from_millis(*deadline_ms);
                let key = self.engine.open_socket(self.scope, nobody, socket, &config, deadline).map_err(refused)?;
                self.sockets.insert(socket.clone(), key);
                Ok(json!({}))
            }
            Action::Register { socket, name, deadline_ms } => {
                let deadline = Duration::from_millis(*deadline_ms);
                let key = self.socket(socket)?;
                self.engine.register(key, nobody, name.clone(), deadline).map_err(refused)?;
                Ok(json!({}))
            }
            Action::Call { session, socket, config, deadline_ms } => {
                let (key, config) = (self.socket(socket)?, config.to_string().into_bytes());
                let deadline = Duration::from_millis(*deadline_ms);
                let placed = self.engine.place_call(self.scope, nobody, session, key, &config, deadline);
                self.placed(session, placed)
            }
            Action::Answer { session, socket, config, deadline_ms } => {
                let (key, config) = (self.socket(socket)?, config.to_string().into_bytes());
                let deadline = Duration::from_millis(*deadline_ms);
                let placed = self.engine.answer_call(self.scope, nobody, session, key, &config, deadline);
                self.placed(session, placed)
            }
            Action::AnswerAll { url, names, count, config, deadline_ms } => {
                self.answer_all(url, names, *count, config, Duration::from_millis(*deadline_ms))
            }
            Action::HoldCall { session, ms } => self.hold_call(session, Duration::from_millis(*ms)),
            Action::HoldSocket { socket, ms } => self.hold_socket(socket, Duration::from_millis(*ms)),
            Action::Wait { ms } => {
                std::thread::sleep(Duration::from_millis(*ms));
                Ok(json!({}))
            }
            Action::NoDescriptors => leave_no_descriptors(),
            Action::HangUp { session, deadline_ms } => {
                let deadline = Duration::from_millis(*deadline_ms);
                self.engine.hang_up(self.session(session)?, nobody, deadline).map_err(refused)
            }
            Action::Close { socket } => {
                let key = self.socket(socket)?;
                let closed = self.engine.close_socket_with(key, nobody, NORMAL_CLOSURE, String::new(), CLOSE_DEADLINE);
                Ok(json!({"closeCause": cause_json(&closed.map_err(refused)?)}))
            }
        }
    }

    /// Answers on many sockets at once; how many calls came up.
    fn answer_all(
        &self,
        url: &str,
        names: &str,
        count: usize,
        config: &Value,
        deadline: Duration,
    ) -> Result<Value, Value> {
        let nobody = OperationKey::default();
        let (address, config) = (json!({"url": url}).to_string(), config.to_string());
        let mut sockets = Vec::with_capacity(count);
        for number in 1..=count {
            let name = format!("{names}{number}");
            let key =
                self.engine.open_socket(self.scope, nobody, &name, address.as_bytes(), deadline).map_err(refused)?;
            self.engine.register(key, nobody, name.clone(), deadline).map_err(refused)?;
            sockets.push((name, key));
        }
        say(&json!({"step": "registered", "ok": true, "result": {"count": count}}));
        let up = std::thread::scope(|scope| {
            let config = config.as_bytes();
            let answering: Vec<_> = sockets
                .iter()
                .map(|(name, key)| {
                    let answer = move || self.engine.answer_call(self.scope, nobody, name, *key, config, deadline);
                    scope.spawn(answer)
                })
                .collect();
            let ends = answering.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.filter(|end| matches!(end, Ok(Ok(Placed { session: Some(_), .. })))).count()
        });
        Ok(json!({"up": up}))
    }

    fn placed(&mut self, name: &str, placed: Result<Placed, EngineError>) -> Result<Value, Value> {
        let Placed { outcome, session } = placed.map_err(refused)?;
        let Some(session) = session else { return Err(outcome) };
        self.sessions.insert(name.to_owned(), session);
        Ok(outcome)
    }

    /// Looks until the call is lost, as a sampler does that comes by again and again.
    fn hold_call(&self, name: &str, within: Duration) -> Result<Value, Value> {
        let key = self.session(name)?;
        let until = Instant::now() + within;
        loop {
            let report = self.engine.session_report(key).map_err(refused)?;
            if !report["lost"].is_null() {
                return Err(report["lost"].clone());
            }
            if Instant::now() >= until {
                return Ok(json!({"state": report["state"], "counters": report["counters"]}));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Reads until the socket ends; what it brings meanwhile is not kept.
    fn hold_socket(&self, name: &str, within: Duration) -> Result<Value, Value> {
        let key = self.socket(name)?;
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.engine.receive(key, OperationKey::default(), left) {
                Ok(_) => {}
                Err(EngineError::Deadline { .. }) => return Ok(json!({})),
                Err(error) => {
                    let cause = self.engine.socket(key).ok().and_then(|socket| socket.close_cause());
                    let mut result = refused(error);
                    result["closeCause"] = json!(cause.as_ref().map(cause_json));
                    return Err(result);
                }
            }
        }
    }

    fn socket(&self, name: &str) -> Result<SocketKey, Value> {
        self.sockets.get(name).copied().ok_or_else(|| json!({"error": format!("no socket is named {name}")}))
    }

    fn session(&self, name: &str) -> Result<SessionKey, Value> {
        self.sessions.get(name).copied().ok_or_else(|| json!({"error": format!("no session is named {name}")}))
    }
}

/// The engine's error with everything that it carries.
fn refused(error: EngineError) -> Value {
    json!({"error": error.to_string(), "code": error.cause(), "details": error.details()})
}

/// Standard input, output and error have the descriptors 0 to 2 and keep them to the end.
const STANDARD_STREAMS: u64 = 3;

/// A new descriptor has the lowest free number, and that has to be below the limit. With all numbers below it taken for good, no
/// file that is closed meanwhile, by whatever thread, makes room for another one.
fn leave_no_descriptors() -> Result<Value, Value> {
    let failed = |error: &dyn std::fmt::Display| json!({"error": format!("the limit stays as it is: {error}")});
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| failed(&error))?;
    setrlimit(Resource::RLIMIT_NOFILE, STANDARD_STREAMS, hard).map_err(|error| failed(&error))?;
    match std::fs::File::open("/dev/null") {
        Err(error) if error.raw_os_error() == Some(nix::libc::EMFILE) => Ok(json!({"limit": STANDARD_STREAMS})),
        Err(error) => Err(failed(&error)),
        Ok(_) => Err(failed(&"a standard stream is closed")),
    }
}

/// Prints one line at once; whoever reads it acts on it.
fn say(line: &Value) {
    let mut output = std::io::stdout().lock();
    if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
        // Nobody reads: the steps go on to their end, so that everything is closed.
    }
}
