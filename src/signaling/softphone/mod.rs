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
pub mod library;
mod line;
pub(in crate::signaling) mod talk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use self::actor::{Actor, Note};
use super::profile::{CallKey, Command, Driver, EndedBy, Input, Machine, Profile};
use super::whip::Desk;
use crate::config::{ConfigError, from_json};
use crate::net::http::Reach;
use crate::peer::{Session, SessionConfig};
use crate::socket::Trust;

/// Calls that may ring unanswered at a time; the task drops its offer of any more.
const RINGING: usize = 64;
/// Problems that are kept for reports.
pub(in crate::signaling) const PROBLEMS: usize = 32;
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
    /// The vendor's rule for load tests, where a URL led to the vendor.
    pub notice: Option<String>,
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

/// What is known of a call now.
#[derive(Clone)]
pub struct CallView {
    /// Its name in the protocol.
    pub name: Option<String>,
    /// How far it is.
    pub state: CallState,
    /// Its session, once there is one; the newest where one replaced another. Readable after the end, too.
    pub session: Option<Session>,
    /// Why its session failed.
    pub failure: Option<String>,
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

impl CallView {
    /// Of a call that has just begun.
    pub(in crate::signaling) fn begun() -> watch::Sender<Self> {
        watch::Sender::new(Self { name: None, state: CallState::Pending, session: None, failure: None, refusal: None })
    }
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
        let view = SoftphoneView {
            registration: Registration::Pending,
            registrations: 0,
            problems: VecDeque::new(),
            notice: None,
        };
        let (view, views) = watch::channel(view);
        match profile.driver {
            Some(driver @ (Driver::Whip | Driver::Whep)) => {
                let desk = Desk::new(driver, &profile, config, reach, notes.downgrade(), view)?;
                tokio::spawn(desk.run(inbox, ringing));
            }
            None => {
                let machine = machine(&profile, &config)?;
                let actor = Actor::new(machine, profile, config, reach, notes.downgrade(), ringing, view);
                tokio::spawn(actor.run(inbox));
            }
        }
        // There is room: nobody else knows the channel yet.
        notes.try_send(Note::Input(Input::Start)).map_err(|_| SoftphoneError::gone())?;
        Ok(Self { notes, view: views, incoming: Arc::new(Mutex::new(incoming)) })
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
    key: CallKey,
    notes: mpsc::Sender<Note>,
    view: watch::Receiver<CallView>,
}

impl SoftphoneCall {
    /// The handle of a call whose task takes `notes`.
    pub(in crate::signaling) fn new(key: CallKey, notes: mpsc::Sender<Note>, view: watch::Receiver<CallView>) -> Self {
        Self { key, notes, view }
    }
}

impl SoftphoneCall {
    /// What is known of it now.
    pub fn view(&self) -> CallView {
        self.view.borrow().clone()
    }

    /// Does `command`; of what a profile does not know the softphone's view tells.
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
                    let reason = view.failure.clone().or_else(|| reason.clone());
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
