//! A softphone: registered at a server in the language of a profile, with the calls it takes and places.
//!
//! One task per softphone runs its [`Machine`]; each WebSocket has a task that writes, each PeerConnection one of its own.
//! Guarantees:
//! - what a profile needs is checked before any packet leaves;
//! - every wait has a deadline: registering that of the profile, connecting that of the session, hanging up the caller's;
//! - a lost WebSocket comes back as the profile says, and its calls go on meanwhile;
//! - nothing a server does stalls the task: writing, dialing, HTTP and PeerConnections wait in tasks of their own, and their
//!   queues are bounded.
//!
//! Drop and cancel: every future here may be dropped at any time. With the last clone of a [`Softphone`] and of its
//! [`SoftphoneCall`]s its task ends: WebSocket, dialing and HTTP end at once, calls close their sessions in the background.
pub(in crate::signaling) mod actor;
pub mod call;
pub(in crate::signaling) mod failure;
pub mod library;
mod line;
pub(in crate::signaling) mod talk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use self::actor::{Actor, Note};
pub use self::call::{PhoneCall, PhoneCallConfig};
pub use self::failure::{Failure, SessionFault};
use super::profile::{CallKey, Command, Driver, EndedBy, Input, Machine, Profile, Speaker};
use super::sip::UserAgent;
use super::whip::Desk;
use crate::config::{ConfigError, from_json};
use crate::net::http::Reach;
use crate::peer::{MediaCounters, Session, SessionConfig};
use crate::socket::{Phases, Trust};

/// Where the steps of this process begin at which keep-alives leave.
static KEEP_ALIVE_ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Calls that may ring unanswered at a time; the task drops its offer of any more.
const RINGING: usize = 64;
/// Problems that are kept for reports.
const PROBLEMS: usize = 32;
/// Moments of one call that are kept; a server that offers again and again makes no more of them.
pub const MOMENTS: usize = 64;
/// Notes that may wait for the task.
const NOTES: usize = 1024;

/// What a softphone is made of besides its profile; JSON names are camelCase.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SoftphoneConfig {
    /// The profile's parameters.
    pub params: BTreeMap<String, String>,
    /// Sessions of its calls. ICE servers given here are used instead of those that the server names.
    pub session: SessionConfig,
    /// Whom `wss` and `https` trust.
    pub trust: Trust,
}

impl SoftphoneConfig {
    /// Parses and checks JSON; an empty object is the default.
    ///
    /// # Errors
    /// [`ConfigError`] by field name.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.session.check().map_err(|error| ConfigError { field: format!("session.{}", error.field), ..error })?;
        Ok(config)
    }
}

/// Whether a softphone is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Being registered.
    Pending,
    /// Registered since.
    Registered(Instant),
    /// Lost; the next attempt begins after this time from the loss.
    Reconnecting {
        /// Why it was lost, or why the last attempt failed.
        why: String,
        /// The delay.
        delay: Duration,
        /// When it was lost, or the last attempt failed.
        since: Instant,
    },
    /// Not registered, and no further attempt.
    Ended {
        /// Why.
        why: String,
    },
}

/// What is known of a softphone now.
#[derive(Clone, Debug)]
pub struct SoftphoneView {
    /// Whether it is registered.
    pub registration: Registration,
    /// How often it became registered.
    pub registrations: u32,
    /// What was not done, the last first.
    pub problems: VecDeque<String>,
    /// How many problems there were.
    pub problems_so_far: u64,
    /// The vendor's rule for load tests, where a URL led to the vendor.
    pub notice: Option<String>,
    /// The attempt to register that is being made, or was made last.
    pub attempt: Attempt,
    /// Why it is not registered, as data; `None` while it is, and before the first attempt has failed.
    pub failure: Option<Failure>,
    /// How it lost its registration last; it stays when it is registered again.
    pub loss: Option<Loss>,
    /// How many ICE servers the server named.
    pub ice_servers: usize,
    /// Whether the server leaves only relayed candidates.
    pub relay_only: bool,
}

impl SoftphoneView {
    /// Of a softphone that begins to register at `now`.
    pub(in crate::signaling) fn beginning(now: Instant) -> Self {
        Self {
            registration: Registration::Pending,
            registrations: 0,
            problems: VecDeque::new(),
            problems_so_far: 0,
            notice: None,
            attempt: Attempt::beginning(now),
            failure: None,
            loss: None,
            ice_servers: 0,
            relay_only: false,
        }
    }

    /// Notes what was not done.
    pub(in crate::signaling) fn problem(&mut self, what: String) {
        self.problems.push_front(what);
        self.problems.truncate(PROBLEMS);
        self.problems_so_far += 1;
    }

    /// It is registered.
    pub(in crate::signaling) fn registered(&mut self, now: Instant) {
        self.registration = Registration::Registered(now);
        self.registrations += 1;
        self.attempt.registered = Some(now);
        self.failure = None;
    }
}

/// The loss of a registration.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Why.
    pub why: String,
    /// When.
    pub at: Instant,
    /// Why, as data.
    pub failure: Failure,
    /// Which registration it was: 1 for the first.
    pub registration: u32,
}

/// One attempt to register, as far as it has come. What a protocol does not have stays `None`.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it began.
    pub began: Instant,
    /// What it waited for, where it follows a loss or a failed attempt.
    pub waited: Option<Wait>,
    /// The server, as `host:port`, no path and no query.
    pub server: Option<String>,
    /// When the connection was begun; HTTP requests before it were done then.
    pub dialed: Option<Instant>,
    /// The phases of opening the connection.
    pub phases: Option<Phases>,
    /// When the connection was open.
    pub opened: Option<Instant>,
    /// When the server's first message on it arrived.
    pub answered: Option<Instant>,
    /// When the softphone was registered.
    pub registered: Option<Instant>,
}

impl Attempt {
    pub(in crate::signaling) fn beginning(began: Instant) -> Self {
        Self {
            began,
            waited: None,
            server: None,
            dialed: None,
            phases: None,
            opened: None,
            answered: None,
            registered: None,
        }
    }
}

/// The pause before an attempt to register again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When the registration was lost, or the attempt before failed.
    pub since: Instant,
    /// How long after that the attempt was to begin, as the profile has it, jitter included.
    pub delay: Duration,
}

impl Wait {
    /// When the attempt was to begin; what it [began](Attempt::began) later than that is this machine's.
    pub fn due(&self) -> Instant {
        self.since + self.delay
    }
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Placed by us, or answered; not connected yet.
    Pending,
    /// It rings at our side and waits for [`SoftphoneCall::accept`].
    Incoming,
    /// It rings at the other side.
    Ringing,
    /// ICE and DTLS are connected.
    Connected,
    /// Over.
    Ended {
        /// Who ended it.
        by: EndedBy,
        /// Why, in the protocol's words.
        reason: Option<String>,
    },
}

/// A session description of a call.
#[derive(Clone, Debug)]
pub struct Described {
    /// SDP.
    pub sdp: String,
    /// Whether we made it.
    pub ours: bool,
    /// Ours: when it was with the kernel, until then when it was made. Theirs: when it arrived.
    pub at: Instant,
    /// Theirs: when it was applied.
    pub applied: Option<Instant>,
}

impl Described {
    pub(in crate::signaling) fn new(sdp: String, ours: bool, at: Instant) -> Self {
        Self { sdp, ours, at, applied: None }
    }
}

/// What is known of a call now.
#[derive(Clone)]
pub struct CallView {
    /// When it was placed, or came in.
    pub began: Instant,
    /// Its name in the protocol.
    pub name: Option<String>,
    /// How far it is.
    pub state: CallState,
    /// When it ended.
    pub ended: Option<Instant>,
    /// Its session, once there is one; the newest where one replaced another. Readable after the end, too.
    pub session: Option<Session>,
    /// Packet accounts of sessions that were replaced.
    pub earlier: MediaCounters,
    /// Whether its session is a persistent connection: it was up before the call, or stays behind it.
    pub persistent: bool,
    /// Packet accounts of the session when the call came to use it.
    joined: Option<MediaCounters>,
    /// The call's packet accounts when it left its session to others.
    left: Option<MediaCounters>,
    /// Why its session failed.
    pub failure: Option<SessionFault>,
    /// The last offer.
    pub offer: Option<Described>,
    /// The last answer.
    pub answer: Option<Described>,
    /// Remote candidates that could not be used, with the last reason.
    pub refused_candidates: Option<(u32, String)>,
    /// What happened in its signaling when, at most [`MOMENTS`].
    pub moments: Vec<(Instant, String)>,
    /// The other side's packet accounts, where the protocol carries them and it has stated them.
    pub remote_media: Option<MediaCounters>,
    /// The status that refused it, where the protocol has statuses.
    pub refusal: Option<Refusal>,
}

/// A refusal by a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number, as in HTTP.
    pub status: u16,
    /// How long the server asks to wait before another attempt (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl CallView {
    /// Of a call that was placed or came in at `began`.
    pub(in crate::signaling) fn beginning(began: Instant) -> Self {
        Self {
            began,
            name: None,
            state: CallState::Pending,
            ended: None,
            session: None,
            earlier: MediaCounters::default(),
            persistent: false,
            joined: None,
            left: None,
            failure: None,
            offer: None,
            answer: None,
            refused_candidates: None,
            moments: Vec::new(),
            remote_media: None,
            refusal: None,
        }
    }

    /// Notes a moment for the timeline.
    pub(super) fn note(&mut self, at: Instant, what: impl Into<String>) {
        if self.moments.len() < MOMENTS {
            self.moments.push((at, what.into()));
        }
    }

    /// Our last description is with the kernel.
    pub(in crate::signaling) fn sent(&mut self, at: Instant) {
        let ours = [&mut self.offer, &mut self.answer].into_iter().flatten().filter(|described| described.ours);
        if let Some(last) = ours.max_by_key(|described| described.at) {
            last.at = at;
        }
    }

    /// Its packet accounts: those of all its sessions, of a persistent connection what went over it during the call.
    pub fn counters(&self) -> MediaCounters {
        if let Some(left) = self.left {
            return left;
        }
        let mut counters = self.session.as_ref().map(Session::counters).unwrap_or_default();
        if let Some(joined) = &self.joined {
            counters.subtract(joined);
        }
        counters.add(&self.earlier);
        counters
    }

    /// It is up on a session that was up before.
    pub(super) fn join_session(&mut self, session: Session) {
        session.start_audio();
        self.persistent = true;
        self.joined = Some(session.counters());
        self.session = Some(session);
        self.state = CallState::Connected;
    }

    /// It is over; a persistent connection stays for later calls, without audio of ours.
    pub(in crate::signaling) fn end(&mut self, at: Instant, by: EndedBy, reason: Option<String>) {
        if let Some(session) = self.session.as_ref().filter(|_| self.persistent) {
            session.stop_audio();
            self.left = Some(self.counters());
        }
        self.ended = Some(at);
        self.state = CallState::Ended { by, reason };
    }
}

/// Why a softphone cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SoftphoneError {
    /// The configuration is not usable; nothing was opened.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is not registered, and why.
    #[error("not registered: {why}")]
    NotRegistered {
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{what} was not done within {ms} ms")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long, ms.
        ms: u64,
    },
    /// The call is over.
    #[error("the call is over ({by:?}): {reason}")]
    Ended {
        /// Who ended it.
        by: EndedBy,
        /// Why.
        reason: String,
    },
}

impl SoftphoneError {
    fn deadline(what: &'static str, within: Duration) -> Self {
        Self::Deadline { what, ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX) }
    }

    fn gone() -> Self {
        Self::NotRegistered { why: "the softphone has ended".to_owned() }
    }
}

/// A softphone. Cloning shares it.
#[derive(Clone)]
pub struct Softphone {
    profile: Arc<Profile>,
    notes: mpsc::Sender<Note>,
    view: watch::Receiver<SoftphoneView>,
    incoming: Arc<Mutex<mpsc::Receiver<SoftphoneCall>>>,
}

impl Softphone {
    /// Makes a softphone and begins to register it. Has to be called on a tokio runtime, which then carries it.
    ///
    /// # Errors
    /// [`SoftphoneError::Config`] before any packet leaves.
    pub fn start(profile: Arc<Profile>, config: SoftphoneConfig) -> Result<Self, SoftphoneError> {
        config.session.check().map_err(|error| ConfigError { field: format!("session.{}", error.field), ..error })?;
        let reach =
            Reach { trust: config.trust.clone(), source_address: config.session.source_address, ..Reach::default() };
        crate::socket::tls_client(&reach.trust)?;
        let (notes, inbox) = mpsc::channel(NOTES);
        let (ringing, incoming) = mpsc::channel(RINGING);
        let (view, views) = watch::channel(SoftphoneView::beginning(Instant::now()));
        let mut machine: Box<dyn Speaker> = match profile.driver {
            Some(Driver::Whip | Driver::Whep) => {
                let desk = Desk::new(Arc::clone(&profile), config, reach, notes.downgrade(), view)?;
                tokio::spawn(desk.run(inbox, ringing));
                return Self::begun(profile, notes, views, incoming);
            }
            Some(Driver::Sip) => Box::new(UserAgent::new(Arc::clone(&profile), &config.params, rand::random())?),
            None => Box::new(machine(&profile, &config)?),
        };
        machine.coalesce_keep_alives(*KEEP_ALIVE_ORIGIN);
        let actor = Actor::new(machine, Arc::clone(&profile), config, reach, notes.downgrade(), ringing, view);
        tokio::spawn(actor.run(inbox));
        Self::begun(profile, notes, views, incoming)
    }

    fn begun(
        profile: Arc<Profile>,
        notes: mpsc::Sender<Note>,
        views: watch::Receiver<SoftphoneView>,
        incoming: mpsc::Receiver<SoftphoneCall>,
    ) -> Result<Self, SoftphoneError> {
        // There is room: nobody else knows the channel yet.
        notes.try_send(Note::Input(Input::Start)).map_err(|_| SoftphoneError::gone())?;
        Ok(Self { profile, notes, view: views, incoming: Arc::new(Mutex::new(incoming)) })
    }

    /// Waits until it is registered; returns at once if it is.
    ///
    /// # Errors
    /// [`SoftphoneError::NotRegistered`] when the attempt failed and no other follows; [`SoftphoneError::Deadline`].
    pub async fn registered(&self, within: Duration) -> Result<(), SoftphoneError> {
        let mut views = self.view.clone();
        let known = views
            .wait_for(|view| matches!(view.registration, Registration::Registered(_) | Registration::Ended { .. }));
        match timeout(within, known).await {
            Ok(Ok(view)) => match &view.registration {
                Registration::Ended { why } => Err(SoftphoneError::NotRegistered { why: why.clone() }),
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(SoftphoneError::gone()),
            Err(_) => Err(SoftphoneError::deadline("registering", within)),
        }
    }

    /// Its profile.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Calls that came in and wait to be taken.
    pub fn calls_waiting(&self) -> usize {
        // Who holds the lock waits for a call: there is none.
        self.incoming.try_lock().map_or(0, |incoming| incoming.len())
    }

    /// What is known of it now.
    pub fn view(&self) -> SoftphoneView {
        self.view.borrow().clone()
    }

    /// Places a call to `to`.
    ///
    /// # Errors
    /// [`SoftphoneError::NotRegistered`] where the softphone has ended.
    pub async fn place(&self, to: &str) -> Result<SoftphoneCall, SoftphoneError> {
        let (reply, call) = oneshot::channel();
        let note = Note::Place { to: to.to_owned(), reply };
        self.notes.send(note).await.map_err(|_| SoftphoneError::gone())?;
        call.await.map_err(|_| SoftphoneError::gone())
    }

    /// The next call that comes in, also one that has been answered already as the protocol says. Cancel safe.
    ///
    /// # Errors
    /// [`SoftphoneError::Deadline`]; [`SoftphoneError::NotRegistered`] where the softphone has ended.
    pub async fn next_call(&self, within: Duration) -> Result<SoftphoneCall, SoftphoneError> {
        let next = async { self.incoming.lock().await.recv().await };
        match timeout(within, next).await {
            Ok(Some(call)) => Ok(call),
            Ok(None) => Err(SoftphoneError::gone()),
            Err(_) => Err(SoftphoneError::deadline("a call", within)),
        }
    }

    /// Ends the calls that came in and were taken by nobody: refuses those that ring, hangs up those that the protocol has
    /// answered. What is not over by then ends on our side alone.
    pub async fn refuse_waiting(&self, within: Duration) {
        let mut waiting = Vec::new();
        // Who holds the lock waits for a call: there is none.
        if let Ok(mut incoming) = self.incoming.try_lock() {
            while let Ok(call) = incoming.try_recv() {
                waiting.push(call);
            }
        }
        let endings = waiting.iter().map(|call| async move {
            let ended = match call.view().state {
                CallState::Incoming => call.command(Command::Reject).await,
                _ => call.hang_up(within).await.map(|_| ()),
            };
            if let Err(error) = ended {
                log::debug!("a call that nobody took was not refused: {error}");
            }
        });
        if timeout(within, futures_util::future::join_all(endings)).await.is_err() {
            log::debug!("calls that nobody took were not refused in time");
        }
    }

    /// Unregisters: says farewell and closes the WebSocket. Calls go on. Idempotent.
    ///
    /// # Errors
    /// [`SoftphoneError::Deadline`]; what is left then goes on in the background.
    pub async fn unregister(&self, within: Duration) -> Result<(), SoftphoneError> {
        let mut views = self.view.clone();
        let done = async {
            if self.notes.send(Note::Input(Input::Stop)).await.is_ok() {
                let ended = |view: &SoftphoneView| matches!(view.registration, Registration::Ended { .. });
                let _view = views.wait_for(ended).await;
            }
        };
        timeout(within, done).await.map_err(|_| SoftphoneError::deadline("unregistering", within))
    }
}

/// The interpreter of a profile without a driver.
fn machine(profile: &Arc<Profile>, config: &SoftphoneConfig) -> Result<Machine, ConfigError> {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Machine::new(Arc::clone(profile), &config.params, Instant::now(), since_epoch, rand::random::<u64>())
}

/// A call of a softphone. Cloning shares it.
#[derive(Clone)]
pub struct SoftphoneCall {
    profile: Arc<Profile>,
    key: CallKey,
    notes: mpsc::Sender<Note>,
    view: watch::Receiver<CallView>,
    phone: watch::Receiver<SoftphoneView>,
}

impl SoftphoneCall {
    /// The handle of a call whose task takes `notes`.
    pub(in crate::signaling) fn new(
        profile: Arc<Profile>,
        key: CallKey,
        notes: mpsc::Sender<Note>,
        view: watch::Receiver<CallView>,
        phone: watch::Receiver<SoftphoneView>,
    ) -> Self {
        Self { profile, key, notes, view, phone }
    }
}

impl SoftphoneCall {
    /// What is known of it now.
    pub fn view(&self) -> CallView {
        self.view.borrow().clone()
    }

    /// The profile of its softphone.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// What is known of its softphone now.
    pub fn phone(&self) -> SoftphoneView {
        self.phone.borrow().clone()
    }

    /// Does `command`; of what a protocol does not know the softphone's view tells.
    ///
    /// # Errors
    /// [`SoftphoneError::NotRegistered`] where the softphone has ended.
    pub async fn command(&self, command: Command) -> Result<(), SoftphoneError> {
        let session = self.view.borrow().session.clone();
        match (&command, session) {
            (Command::Mute, Some(session)) => session.stop_audio(),
            (Command::Unmute, Some(session)) => session.start_audio(),
            _ => {}
        }
        let note = Note::Input(Input::Command { call: self.key, command });
        self.notes.send(note).await.map_err(|_| SoftphoneError::gone())
    }

    /// Answers it, if it rings.
    ///
    /// # Errors
    /// As [`SoftphoneCall::command`].
    pub async fn accept(&self) -> Result<(), SoftphoneError> {
        self.command(Command::Accept).await
    }

    /// Waits until ICE and DTLS are connected. Cancel safe.
    ///
    /// # Errors
    /// [`SoftphoneError::Ended`] with who ended it and why; [`SoftphoneError::Deadline`].
    pub async fn connected(&self, within: Duration) -> Result<Session, SoftphoneError> {
        let mut views = self.view.clone();
        let known = views.wait_for(|view| matches!(view.state, CallState::Connected | CallState::Ended { .. }));
        match timeout(within, known).await {
            Ok(Ok(view)) => match (&view.state, &view.session) {
                (CallState::Connected, Some(session)) => Ok(session.clone()),
                (CallState::Ended { by, reason }, _) => {
                    let reason = view.failure.as_ref().map(ToString::to_string).or_else(|| reason.clone());
                    Err(SoftphoneError::Ended {
                        by: *by,
                        reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
                    })
                }
                _ => Err(SoftphoneError::gone()),
            },
            Ok(Err(_)) => Err(SoftphoneError::gone()),
            Err(_) => Err(SoftphoneError::deadline("connecting", within)),
        }
    }

    /// Waits until it is over: who ended it, and why. Cancel safe.
    ///
    /// # Errors
    /// [`SoftphoneError::Deadline`]; [`SoftphoneError::NotRegistered`] where the softphone has ended.
    pub async fn ended(&self, within: Duration) -> Result<(EndedBy, Option<String>), SoftphoneError> {
        let mut views = self.view.clone();
        let known = views.wait_for(|view| matches!(view.state, CallState::Ended { .. }));
        match timeout(within, known).await {
            Ok(Ok(view)) => match &view.state {
                CallState::Ended { by, reason } => Ok((*by, reason.clone())),
                _ => Err(SoftphoneError::gone()),
            },
            Ok(Err(_)) => Err(SoftphoneError::gone()),
            Err(_) => Err(SoftphoneError::deadline("the end of the call", within)),
        }
    }

    /// Hangs up as the profile says and waits until it is over; past the deadline it is ended on our side alone.
    ///
    /// # Errors
    /// [`SoftphoneError::NotRegistered`] where the softphone has ended.
    pub async fn hang_up(&self, within: Duration) -> Result<(EndedBy, Option<String>), SoftphoneError> {
        if !matches!(self.view.borrow().state, CallState::Ended { .. }) {
            self.command(Command::HangUp).await?;
        }
        match self.ended(within).await {
            Err(SoftphoneError::Deadline { .. }) => {
                let note = Note::Input(Input::Abandon { call: self.key });
                self.notes.send(note).await.map_err(|_| SoftphoneError::gone())?;
                self.ended(within).await
            }
            done => done,
        }
    }
}
