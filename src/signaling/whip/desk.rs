//! The task of a WHIP or WHEP softphone: asks its endpoint what there is, and has a task for each call.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use url::Url;

use super::call::{Call, Event};
use super::link;
use super::service::{self, Ask, Service};
use crate::config::ConfigError;
use crate::net::http::Reach;
use crate::peer::IceServer;
use crate::signaling::profile::{CallKey, Command, Driver, EndedBy, Input, Profile, parameters};
use crate::signaling::softphone::actor::Note;
use crate::signaling::softphone::{
    CallState, CallView, PROBLEMS, Registration, SoftphoneCall, SoftphoneConfig, SoftphoneView,
};

/// Events that may wait for a call.
const EVENTS: usize = 256;
/// Longest accepted deadline of a request, ms.
const MAX_WITHIN_MS: u64 = 600_000;

/// What the calls of one softphone share.
pub(super) struct Shared {
    pub(super) driver: Driver,
    pub(super) service: Service,
    pub(super) config: SoftphoneConfig,
    pub(super) trickle: bool,
    pub(super) restart_ice: bool,
    /// ICE servers that the endpoint named last.
    pub(super) servers: Mutex<Vec<IceServer>>,
    pub(super) notes: mpsc::WeakSender<Note>,
    view: watch::Sender<SoftphoneView>,
}

impl Shared {
    /// Reports something that was not done.
    pub(super) fn problem(&self, what: String) {
        log::warn!("softphone ({}): {what}", self.name());
        self.view.send_modify(|view| {
            view.problems.push_front(what);
            view.problems.truncate(PROBLEMS);
        });
    }

    /// The protocol's name.
    pub(super) fn name(&self) -> &'static str {
        match self.driver {
            Driver::Whip => "WHIP",
            Driver::Whep => "WHEP",
        }
    }
}

/// The softphone.
pub(in crate::signaling) struct Desk {
    shared: Arc<Shared>,
    options: bool,
    registering: Option<Asking>,
    calls: HashMap<CallKey, mpsc::Sender<Event>>,
    next: CallKey,
}

/// A task that ends with its owner.
struct Asking(AbortHandle);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Desk {
    /// Checks what the user gave; nothing is opened.
    ///
    /// # Errors
    /// [`ConfigError`] by the name of the parameter.
    pub(in crate::signaling) fn new(
        driver: Driver,
        profile: &Profile,
        config: SoftphoneConfig,
        reach: Reach,
        notes: mpsc::WeakSender<Note>,
        view: watch::Sender<SoftphoneView>,
    ) -> Result<Self, ConfigError> {
        let values = parameters(profile, &config.params)?;
        let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
        let endpoint = service::endpoint(text("endpoint"))?;
        let within = match text("withinMs") {
            "" => 15_000,
            given => match given.parse() {
                Ok(ms @ 1..=MAX_WITHIN_MS) => ms,
                _ => return Err(ConfigError::new("params.withinMs", given, format!("1 to {MAX_WITHIN_MS} ms"))),
            },
        };
        let token = text("token").to_owned();
        if token.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
            let reason = "a bearer token has visible ASCII characters only (RFC 6750 §2.1)";
            return Err(ConfigError::new("params.token", "***", reason));
        }
        let service = Service {
            endpoint,
            token,
            token_across_origins: switch("tokenAcrossOrigins", text("tokenAcrossOrigins"), false)?,
            within: Duration::from_millis(within),
            reach,
        };
        let shared = Shared {
            driver,
            service,
            trickle: switch("trickle", text("trickle"), true)? && config.session.trickle,
            restart_ice: switch("restartIce", text("restartIce"), true)?,
            config,
            servers: Mutex::default(),
            notes,
            view,
        };
        Ok(Self {
            shared: Arc::new(shared),
            options: switch("options", text("options"), true)?,
            registering: None,
            calls: HashMap::new(),
            next: 1,
        })
    }

    /// Runs until nobody holds the softphone or a call of it any more. No call comes in: `_ringing` stays open, so that whoever
    /// waits for one waits for its deadline.
    pub(in crate::signaling) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Note>,
        _ringing: mpsc::Sender<SoftphoneCall>,
    ) {
        while let Some(note) = inbox.recv().await {
            match note {
                Note::Input(Input::Start) => self.register(),
                Note::Input(Input::Stop) => {
                    self.registering = None;
                    let ended = Registration::Ended { why: "by the user".to_owned() };
                    self.shared.view.send_modify(|view| view.registration = ended);
                }
                Note::Input(Input::Command { call, command }) => self.tell(call, Event::Command(command)),
                Note::Input(Input::Abandon { call }) => self.tell(call, Event::Abandon),
                Note::Input(Input::Peer { call, event, .. }) => self.tell(call, Event::Peer(event)),
                Note::Place { to, reply } => {
                    if let Some(call) = self.place(&to) {
                        // Whoever does not wait any more holds no call: its handle ends with this.
                        let _waiting = reply.send(call);
                    }
                }
                // Nothing here has a WebSocket.
                Note::Input(_) | Note::Socket { .. } | Note::Opened { .. } => {}
            }
        }
    }

    /// There is nothing to register at: the endpoint is asked what it has, if at all.
    fn register(&mut self) {
        let shared = Arc::clone(&self.shared);
        let registered = |shared: &Shared| {
            shared.view.send_modify(|view| {
                view.registration = Registration::Registered(Instant::now());
                view.registrations += 1;
            });
        };
        if !self.options {
            return registered(&shared);
        }
        let task = tokio::spawn(async move {
            let ask = Ask {
                method: "OPTIONS",
                url: shared.service.endpoint.clone(),
                headers: Vec::new(),
                body: String::new(),
            };
            match shared.service.ask(ask).await {
                // Many endpoints know POST only; whatever they say, they are there.
                Ok((_, response)) => {
                    log::debug!("{}: OPTIONS gave status {}", shared.name(), response.status);
                    *shared.servers.lock() = link::ice_servers(&response.headers);
                    registered(&shared);
                }
                Err(error) => {
                    let ended = Registration::Ended { why: format!("the endpoint does not answer: {error}") };
                    shared.view.send_modify(|view| view.registration = ended);
                }
            }
        });
        self.registering = Some(Asking(task.abort_handle()));
    }

    fn tell(&mut self, call: CallKey, event: Event) {
        if let Some(events) = self.calls.get(&call)
            && let Err(mpsc::error::TrySendError::Full(_)) = events.try_send(event)
        {
            // Its task is ended by the loss of its events.
            self.calls.remove(&call);
            self.shared.problem("a call was given up: too many events wait for it".to_owned());
        }
    }

    fn place(&mut self, to: &str) -> Option<SoftphoneCall> {
        let notes = self.shared.notes.upgrade()?;
        self.calls.retain(|_, events| !events.is_closed());
        let key = self.next;
        self.next += 1;
        let view = CallView::begun();
        let handle = SoftphoneCall::new(key, notes, view.subscribe());
        match self.target(to) {
            Ok(url) => {
                let (events, inbox) = mpsc::channel(EVENTS);
                self.calls.insert(key, events);
                tokio::spawn(Call::new(Arc::clone(&self.shared), key, url, view).run(inbox));
            }
            Err(why) => {
                view.send_modify(|view| {
                    view.state = CallState::Ended { by: EndedBy::Failure, reason: Some(why) };
                });
            }
        }
        Some(handle)
    }

    /// Where a call to `to` goes: the endpoint, or what `to` is, seen from there.
    fn target(&self, to: &str) -> Result<Url, String> {
        if !matches!(self.shared.view.borrow().registration, Registration::Registered(_)) {
            return Err("the softphone is not registered".to_owned());
        }
        service::resolve(&self.shared.service.endpoint, to).map_err(|why| format!("'{to}' {why}"))
    }
}

/// A parameter that is true or false.
fn switch(name: &str, given: &str, otherwise: bool) -> Result<bool, ConfigError> {
    match given {
        "" => Ok(otherwise),
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(ConfigError::new(format!("params.{name}"), other, "true or false")),
    }
}

/// What a user may want here that is about media alone is done by the call's handle.
pub(super) const fn is_media(command: &Command) -> bool {
    matches!(command, Command::Mute | Command::Unmute)
}
