//! The task of a softphone: does what its [`Speaker`] says, and tells it what happened.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::failure::{self, Failure};
use super::line::{self, Line};
use super::talk::{PeerCommand, Talk};
use super::{
    Attempt, CallState, CallView, Described, Loss, Registration, SoftphoneCall, SoftphoneConfig, SoftphoneView, Wait,
};
use crate::net::http::{self, Reach};
use crate::peer::{IceServer, IceTransportPolicy};
use crate::signaling::profile::{
    Action, CallKey, Command, Driver, EndedBy, HttpCall, Input, Next, PeerEvent, PeerNumber, Profile, Speaker,
};
use crate::socket::{CloseCause, Opened, Socket, SocketConfig, SocketError};

/// Commands that may wait for a PeerConnection.
pub(in crate::signaling) const PEER_COMMANDS: usize = 256;

/// What reaches the task.
pub(in crate::signaling) enum Note {
    Input(Input),
    /// Of an HTTP request: with what it is if it ends the registration.
    Http {
        input: Input,
        failure: Option<Failure>,
    },
    /// Of a WebSocket, as of `at`; without effect once another one took its place.
    Socket {
        generation: u64,
        input: Input,
        at: Instant,
        failure: Option<Failure>,
    },
    /// A WebSocket is open.
    Opened {
        generation: u64,
        socket: Socket,
        opened: Box<Opened>,
    },
    Place {
        to: String,
        reply: oneshot::Sender<SoftphoneCall>,
    },
}

pub(super) struct Actor {
    machine: Box<dyn Speaker>,
    profile: Arc<Profile>,
    config: SoftphoneConfig,
    reach: Reach,
    notes: mpsc::WeakSender<Note>,
    ringing: mpsc::Sender<SoftphoneCall>,
    view: watch::Sender<SoftphoneView>,
    generation: u64,
    line: Option<Line>,
    dialing: Option<Task>,
    exchanges: Vec<Task>,
    calls: HashMap<CallKey, watch::Sender<CallView>>,
    placed: HashSet<CallKey>,
    peers: HashMap<(CallKey, PeerNumber), mpsc::Sender<PeerCommand>>,
    /// Calls that are over for their user, and whose PeerConnections stay.
    standing: HashMap<CallKey, watch::Sender<CallView>>,
    servers: Vec<IceServer>,
    relay_only: bool,
    /// When what is being worked off arrived or happened.
    at: Instant,
    /// What ended the registration, where the input at hand did.
    because: Option<Failure>,
    /// The call whose description is being sent.
    describing: Option<CallKey>,
    /// The user wants it unregistered, which may take a while.
    stopping: bool,
    /// The last attempt to register is over, and the next has not begun.
    between_attempts: bool,
    /// When the server was heard last, before the input at hand.
    heard: Instant,
}

/// What the machine was told, as far as it says why a registration ended.
#[derive(Clone, Copy)]
enum Doing {
    /// Something of the server.
    Hearing,
    /// Time has passed.
    Waiting,
    /// The user's wish.
    Stopping,
}

impl Doing {
    fn of(input: &Input) -> Self {
        match input {
            Input::Tick => Self::Waiting,
            Input::Start | Input::Stop | Input::Command { .. } | Input::Abandon { .. } => Self::Stopping,
            _ => Self::Hearing,
        }
    }
}

/// A task that ends with its owner.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor {
    pub(super) fn new(
        machine: Box<dyn Speaker>,
        profile: Arc<Profile>,
        config: SoftphoneConfig,
        reach: Reach,
        notes: mpsc::WeakSender<Note>,
        ringing: mpsc::Sender<SoftphoneCall>,
        view: watch::Sender<SoftphoneView>,
    ) -> Self {
        Self {
            machine,
            profile,
            config,
            reach,
            notes,
            ringing,
            view,
            generation: 0,
            line: None,
            dialing: None,
            exchanges: Vec::new(),
            calls: HashMap::new(),
            placed: HashSet::new(),
            peers: HashMap::new(),
            standing: HashMap::new(),
            servers: Vec::new(),
            relay_only: false,
            at: Instant::now(),
            because: None,
            describing: None,
            stopping: false,
            between_attempts: false,
            heard: Instant::now(),
        }
    }

    /// Runs until nobody holds the softphone or a call of it any more.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Note>) {
        loop {
            let due = self.machine.deadline();
            let note = tokio::select! {
                note = inbox.recv() => match note {
                    Some(note) => note,
                    None => return,
                },
                () = at(due) => Note::Input(Input::Tick),
            };
            self.at = Instant::now();
            match note {
                Note::Input(input) => self.step(input),
                Note::Http { input, failure } => {
                    self.because = failure;
                    self.step(input);
                }
                Note::Socket { generation, input, at, failure } if generation == self.generation => {
                    self.at = at;
                    self.because = failure;
                    match &input {
                        Input::SocketClosed { .. } => self.line = None,
                        Input::Text(_) if self.view.borrow().attempt.answered.is_none() => {
                            self.view.send_modify(|view| view.attempt.answered = Some(at));
                        }
                        _ => {}
                    }
                    self.step(input);
                }
                Note::Socket { .. } => {}
                Note::Opened { generation, socket, opened } => {
                    if generation == self.generation {
                        self.dialing = None;
                        self.view.send_modify(|view| {
                            view.attempt.opened = Some(self.at);
                            view.attempt.phases = Some(line::phases(&opened));
                        });
                        self.line = Some(Line::new(socket, generation, self.notes.clone()));
                        self.step(Input::SocketOpened);
                    }
                }
                Note::Place { to, reply } => {
                    let key = self.machine.new_call();
                    let Some(call) = self.call(key) else { continue };
                    // Somebody who does not wait any more could not hang it up either.
                    if reply.send(call).is_err() {
                        self.calls.remove(&key);
                        continue;
                    }
                    self.placed.insert(key);
                    self.step(Input::Command { call: key, command: Command::Place { to } });
                }
            }
        }
    }

    fn step(&mut self, input: Input) {
        if let Input::Peer { call, event: PeerEvent::LocalOffer(_) | PeerEvent::LocalAnswer(_), .. } = &input {
            self.describing = Some(*call);
        }
        self.stopping |= matches!(input, Input::Stop);
        let doing = if self.stopping { Doing::Stopping } else { Doing::of(&input) };
        self.heard = self.machine.heard();
        for action in self.machine.step(input, Instant::now()) {
            self.perform(action, doing);
        }
        self.because = None;
        self.describing = None;
    }

    /// Why the registration ended, where the input itself does not say.
    fn failure(&self, why: &str, doing: Doing) -> Failure {
        let why = why.to_owned();
        let view = self.view.borrow();
        match doing {
            Doing::Stopping => Failure::Ours { why },
            Doing::Hearing => Failure::Refused { why },
            Doing::Waiting => {
                let since = |at: Instant| self.at.saturating_duration_since(at);
                let attempt = &view.attempt;
                match (&view.registration, attempt.dialed, attempt.opened) {
                    // Nothing was heard on a connection that nobody closed.
                    (Registration::Registered(_), ..) => {
                        let silent_ms = u64::try_from(since(self.heard).as_millis()).unwrap_or(u64::MAX);
                        Failure::Closed { cause: CloseCause::PingTimeout { silent_ms }, idle: None }
                    }
                    (_, Some(dialed), None) => {
                        let waited = since(dialed).as_millis();
                        let deadline_ms = u64::try_from(waited).unwrap_or(u64::MAX);
                        Failure::Unreached {
                            request: None,
                            server: attempt.server.clone().unwrap_or_default(),
                            error: Box::new(SocketError::Deadline { phase: "open WebSocket", deadline_ms }),
                            phases: None,
                        }
                    }
                    (.., opened) => Failure::Late { why, waited: since(opened.unwrap_or(attempt.began)) },
                }
            }
        }
    }

    /// A new attempt to register begins, unless one is being made.
    fn attempting(&mut self) {
        if self.between_attempts && self.machine.is_attempting() {
            self.between_attempts = false;
            self.view.send_modify(|view| {
                let waited = match view.registration {
                    Registration::Reconnecting { delay, since, .. } => Some(Wait { since, delay }),
                    _ => None,
                };
                view.attempt = Attempt { waited, ..Attempt::beginning(self.at) };
            });
        }
    }

    fn perform(&mut self, action: Action, doing: Doing) {
        match action {
            Action::Http(call) => {
                self.attempting();
                self.exchange(call);
            }
            Action::OpenSocket { url, headers } => {
                self.attempting();
                self.open(url, headers);
            }
            Action::Send { text, template } => {
                let describes = self.describing.and_then(|key| self.calls.get(&key)).cloned();
                let sent = self.line.as_mut().is_some_and(|line| line.send(text, describes));
                if !sent {
                    self.problem(format!("'{template}' was not sent: the server's TCP takes no more"));
                }
            }
            Action::CloseSocket { abort, why } => {
                log::debug!("a softphone's WebSocket is closed: {why}");
                self.generation += 1;
                self.dialing = None;
                if let Some(line) = self.line.take() {
                    line.close(abort);
                }
            }
            Action::IceServers { servers, relay_only } => {
                self.view.send_modify(|view| {
                    view.ice_servers = servers.len();
                    view.relay_only = relay_only;
                });
                self.servers = servers;
                self.relay_only = relay_only;
            }
            Action::Registered => {
                self.between_attempts = true;
                self.view.send_modify(|view| view.registered(self.at));
            }
            Action::Unregistered { why, next } => {
                self.between_attempts = true;
                let failure = self.because.take().unwrap_or_else(|| self.failure(&why, doing));
                self.view.send_modify(|view| {
                    if matches!((&view.registration, next), (Registration::Registered(_), Next::Again(_))) {
                        let (at, registration) = (self.at, view.registrations);
                        view.loss = Some(Loss { why: why.clone(), at, failure: failure.clone(), registration });
                    }
                    view.failure = Some(failure);
                    view.registration = match next {
                        Next::Again(delay) => Registration::Reconnecting { why, delay, since: self.at },
                        Next::Nothing => Registration::Ended { why },
                    };
                });
            }
            Action::Incoming { call, answered } => {
                let at = self.at;
                self.calls.entry(call).or_insert_with(|| new_view(at)).send_modify(|view| {
                    view.note(at, if answered { "call came in, answered" } else { "call came in" });
                    if !answered {
                        view.state = CallState::Incoming;
                    }
                });
                // A call that the user placed is in the user's hands already.
                if self.placed.contains(&call) {
                    return;
                }
                if let Some(incoming) = self.call(call)
                    && self.ringing.try_send(incoming).is_err()
                {
                    self.problem("a call came in that nobody will see: too many wait to be taken".to_owned());
                }
            }
            Action::Named { call, name } => {
                let at = self.at;
                self.calls.entry(call).or_insert_with(|| new_view(at)).send_modify(|view| view.name = Some(name));
            }
            Action::Ringing { call } => {
                let at = self.at;
                self.change(call, |view| {
                    view.note(at, "ringing");
                    view.state = CallState::Ringing;
                });
            }
            Action::MakeOffer { call, peer } => self.tell(call, peer, PeerCommand::Offer),
            Action::Renegotiate { call, peer, direction, restart_ice } => {
                self.tell(call, peer, PeerCommand::Renegotiate { direction, restart_ice });
            }
            Action::MakeAnswer { call, peer, offer } => {
                let described = Described::new(offer.clone(), false, self.at);
                self.change(call, |view| view.offer = Some(described));
                self.tell(call, peer, PeerCommand::Answer(offer));
            }
            Action::ApplyAnswer { call, peer, answer } => {
                let described = Described::new(answer.clone(), false, self.at);
                self.change(call, |view| view.answer = Some(described));
                self.tell(call, peer, PeerCommand::Apply(answer));
            }
            Action::AddCandidate { call, peer, candidate } => {
                self.tell(call, peer, PeerCommand::Candidate(candidate));
            }
            Action::Rest { call, peer, packets } => self.tell(call, peer, PeerCommand::Rest(packets)),
            Action::RemoteMedia { call, media } => self.change(call, |view| view.remote_media = Some(media)),
            Action::ClosePeer { call, peer, reason } => {
                log::debug!("a PeerConnection of a call is replaced: {reason}");
                self.peers.remove(&(call, peer));
            }
            Action::Released { call, by, reason } => self.release(call, by, reason),
            Action::UseStanding { call, of } => self.use_standing(call, of),
            Action::Ended { call, by, reason } => self.end(call, by, reason),
            Action::Problem { what } => self.problem(what),
        }
    }

    fn problem(&self, what: String) {
        log::warn!("softphone ({}): {what}", self.profile.name);
        self.view.send_modify(|view| view.problem(what));
    }

    /// Makes the vendor's rule known where a URL leads to the vendor; whoever shows the view says it once.
    fn visit(&self, url: &str) {
        if self.profile.is_vendors(url) && self.view.borrow().notice.is_none() {
            self.view.send_modify(|view| view.notice = Some(self.profile.notice.clone()));
        }
    }

    fn exchange(&mut self, call: HttpCall) {
        self.visit(&call.url);
        self.exchanges.retain(|task| !task.0.is_finished());
        let (notes, reach) = (self.notes.clone(), self.reach.clone());
        let task = tokio::spawn(async move {
            let HttpCall { ticket, name, method, url, headers, body, within } = call;
            let (input, error) = match http::exchange(method.as_str(), &url, &headers, body, within, &reach).await {
                Ok(response) => {
                    let (status, retry_after) = (response.status, response.retry_after);
                    let refused = !(200..300).contains(&status);
                    let error = refused.then(|| failure::of_status(status, retry_after));
                    (Input::HttpDone { ticket, status, retry_after, body: response.body }, error)
                }
                Err(error) => (Input::HttpFailed { ticket, detail: error.to_string() }, Some(failure::of_http(&error))),
            };
            let failure = error.map(|error| Failure::of_request(&name, &url, error));
            note(&notes, Note::Http { input, failure }).await;
        });
        self.exchanges.push(Task(task.abort_handle()));
    }

    fn open(&mut self, url: String, headers: Vec<(String, String)>) {
        self.visit(&url);
        self.generation += 1;
        let generation = self.generation;
        self.view.send_modify(|view| {
            view.attempt.server = Some(failure::server_of(&url));
            view.attempt.dialed = Some(self.at);
        });
        let mut config = SocketConfig::new(url);
        config.headers = headers;
        config.trust = self.config.trust.clone();
        config.source_address = self.config.session.source_address;
        let notes = self.notes.clone();
        let task = tokio::spawn(async move {
            let told = match line::open(config).await {
                Ok((socket, opened)) => Note::Opened { generation, socket, opened: Box::new(opened) },
                Err((input, failure)) => Note::Socket { generation, input, at: Instant::now(), failure: Some(failure) },
            };
            note(&notes, told).await;
        });
        self.dialing = Some(Task(task.abort_handle()));
    }

    /// A call that its owner can hold; nothing when nobody holds the softphone.
    fn call(&mut self, key: CallKey) -> Option<SoftphoneCall> {
        let notes = self.notes.upgrade()?;
        let at = self.at;
        let view = self.calls.entry(key).or_insert_with(|| new_view(at)).subscribe();
        let (profile, phone) = (Arc::clone(&self.profile), self.view.subscribe());
        Some(SoftphoneCall::new(profile, key, notes, view, phone))
    }

    fn change(&self, key: CallKey, change: impl FnOnce(&mut CallView)) {
        if let Some(view) = self.calls.get(&key) {
            view.send_modify(change);
        }
    }

    fn tell(&mut self, call: CallKey, peer: PeerNumber, command: PeerCommand) {
        let Some(view) = self.calls.get(&call).cloned() else { return };
        let known = self.peers.get(&(call, peer)).cloned();
        let commands = known.unwrap_or_else(|| {
            let (commands, waiting) = mpsc::channel(PEER_COMMANDS);
            self.peers.insert((call, peer), commands.clone());
            let mut config = self.config.session.clone();
            if config.ice_servers.is_empty() {
                config.ice_servers.clone_from(&self.servers);
                if self.relay_only {
                    config.ice_transport_policy = IceTransportPolicy::Relay;
                }
            }
            config.trickle = !self.profile.candidates.full;
            if self.profile.driver == Some(Driver::Sip) {
                // Softphones do not trickle in SIP (RFC 8840 is nobody's).
                config.trickle = false;
            }
            if let Some(line) = &self.line {
                config.route_hint.get_or_insert_with(|| line.peer());
            }
            tokio::spawn(Talk { call, peer, notes: self.notes.clone(), view }.run(config, waiting));
            commands
        });
        if commands.try_send(command).is_err() {
            let detail = "its PeerConnection takes no more commands".to_owned();
            self.step(Input::Peer { call, peer, event: PeerEvent::Failed { detail } });
        }
    }

    fn end(&mut self, key: CallKey, by: EndedBy, reason: Option<String>) {
        self.peers.retain(|(call, _), _| *call != key);
        self.standing.remove(&key);
        self.placed.remove(&key);
        if let Some(view) = self.calls.remove(&key) {
            let at = self.at;
            view.send_modify(|view| view.end(at, by, reason));
        }
    }

    /// The call is over for its user; its PeerConnection goes on without audio of ours.
    fn release(&mut self, key: CallKey, by: EndedBy, reason: Option<String>) {
        self.placed.remove(&key);
        let Some(view) = self.calls.remove(&key) else { return };
        let at = self.at;
        view.send_modify(|view| {
            view.persistent = true;
            view.end(at, by, reason);
        });
        self.standing.insert(key, view);
    }

    /// The call is up on the PeerConnection of one that was released.
    fn use_standing(&mut self, key: CallKey, of: CallKey) {
        let Some(session) = self.standing.get(&of).and_then(|view| view.borrow().session.clone()) else {
            return self
                .problem("a call is not up: the PeerConnection that an earlier call has left is gone".to_owned());
        };
        let at = self.at;
        self.change(key, |view| {
            view.note(at, "up on the persistent connection");
            view.join_session(session);
        });
    }
}

fn new_view(began: Instant) -> watch::Sender<CallView> {
    watch::Sender::new(CallView::beginning(began))
}

async fn note(notes: &mpsc::WeakSender<Note>, note: Note) {
    if let Some(notes) = notes.upgrade() {
        // Without a softphone there is nobody to tell.
        let _told = notes.send(note).await;
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
