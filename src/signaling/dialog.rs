//! The signaling of one call while it lives: what arrives on its socket, what is sent, how it ends.
//!
//! Guarantees: of all frames on the socket only those of this call are taken; everything else reaches the plan's readers as
//! if the call were not there. One task per call works off what arrives; it ends with the call. A `Bye` of the peer is
//! answered, within 1.5 s plus the time the last packets need. Media does not depend on the socket: losing it is noted,
//! the call goes on. A call that is dropped instead of hung up ([`Hold`]) says `Bye` and closes its session in the
//! background, bounded; on a runtime that is shutting down the session closes with it.
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::accounts;
use super::json::Message;
use super::outcome::{self, Moment};
use crate::diagnosis::facts::SessionFacts;
use crate::peer::{IceCandidateInit, MediaCounters, PeerError, Session};
use crate::socket::{CloseCause, Frame, Opcode, Sent, Socket, SocketError, Tap, TapGuard};

/// How long closing a session may take.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the farewell of an abandoned call may take.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);
/// Messages of one call that may wait; a peer that sends more at once loses the rest.
const EVENTS: usize = 256;

/// What the socket brings.
#[derive(Debug)]
pub(super) enum Event {
    /// A message of the call, and when its last byte arrived.
    Message(Message, Instant),
    /// The socket ended.
    Closed(CloseCause),
}

/// Which messages a tap takes.
enum Wanted {
    /// Those of this call.
    Call(String),
    /// The next offer, and from then on those of its call.
    NextOffer,
}

/// Takes one call's messages from a socket.
pub(super) struct CallTap {
    wanted: Mutex<Wanted>,
    events: mpsc::Sender<Event>,
}

impl CallTap {
    /// A tap for the messages of `call`.
    pub(super) fn call(call: &str) -> (Arc<Self>, mpsc::Receiver<Event>) {
        Self::new(Wanted::Call(call.to_owned()))
    }

    /// A tap for the next offer and its call.
    pub(super) fn next_offer() -> (Arc<Self>, mpsc::Receiver<Event>) {
        Self::new(Wanted::NextOffer)
    }

    fn new(wanted: Wanted) -> (Arc<Self>, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        (Arc::new(Self { wanted: Mutex::new(wanted), events }), receiver)
    }

    /// Binds the tap to a call whose offer was found elsewhere; false if it has bound itself already.
    pub(super) fn bind(&self, call: &str) -> bool {
        let mut wanted = self.wanted.lock();
        match &*wanted {
            Wanted::NextOffer => {
                *wanted = Wanted::Call(call.to_owned());
                true
            }
            Wanted::Call(_) => false,
        }
    }

    fn wants(&self, message: &Message) -> bool {
        let mut wanted = self.wanted.lock();
        match (&*wanted, message) {
            (Wanted::Call(call), message) => message.call() == Some(call),
            (Wanted::NextOffer, Message::Offer { call, .. }) => {
                *wanted = Wanted::Call(call.clone());
                true
            }
            (Wanted::NextOffer, _) => false,
        }
    }
}

/// The message in a frame, if it is a whole text frame that names a call.
pub(super) fn call_message(frame: &Frame) -> Option<Message> {
    if frame.opcode != Opcode::Text || !frame.fin {
        return None;
    }
    let text = std::str::from_utf8(&frame.payload).ok()?;
    // Most frames of a plan are none of ours; this look costs less than parsing them.
    if !text.contains("\"call\"") {
        return None;
    }
    Message::decode(text).ok()
}

impl Tap for CallTap {
    fn frame(&self, frame: &Frame) -> bool {
        let Some(message) = call_message(frame) else { return false };
        if !self.wants(&message) {
            return false;
        }
        if let Err(error) = self.events.try_send(Event::Message(message, frame.at)) {
            log::warn!("a signaling message was dropped: {EVENTS} of the same call already wait ({error})");
        }
        true
    }

    fn closed(&self, cause: &CloseCause) {
        if self.events.try_send(Event::Closed(cause.clone())).is_err() {
            log::debug!("the end of a signaling socket found its call gone");
        }
    }
}

/// An answer that was received, and what applying it came to.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) sdp: String,
    pub(super) received: Instant,
    pub(super) applied: Instant,
    pub(super) result: Result<(), PeerError>,
}

/// The other side's refusal.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) message: String,
}

/// The other side's farewell.
#[derive(Clone, Debug)]
pub(super) struct PeerBye {
    pub(super) reason: Option<String>,
    pub(super) media: Option<MediaCounters>,
}

/// Who hung up first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    None,
    Ours,
    Peers,
}

/// What is known of a call's signaling now.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) answered: Option<Answered>,
    pub(super) refused: Option<Refused>,
    pub(super) ending: Ending,
    pub(super) peer_bye: Option<PeerBye>,
    /// When the peer's hang-up was complete: answered, and the session closed.
    pub(super) ended_by_peer: Option<Instant>,
    pub(super) socket_closed: Option<CloseCause>,
    pub(super) local_candidates: u32,
    pub(super) remote_candidates: u32,
    /// Remote candidates that could not be used, with the last reason.
    pub(super) refused_candidates: Option<(u32, String)>,
}

/// One call's signaling.
pub(super) struct Dialog {
    pub(super) call: String,
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) view: watch::Sender<View>,
    moments: Mutex<Vec<(Instant, String)>>,
    /// The peer has our description, so candidates may follow.
    described: CancellationToken,
    over: CancellationToken,
}

impl Dialog {
    pub(super) fn new(call: String, socket: Socket, session: Session) -> Arc<Self> {
        Arc::new(Self {
            call,
            socket,
            session,
            view: watch::Sender::new(View::default()),
            moments: Mutex::new(Vec::new()),
            described: CancellationToken::new(),
            over: CancellationToken::new(),
        })
    }

    /// Notes a moment for the timeline.
    pub(super) fn note(&self, at: Instant, what: impl Into<String>) {
        self.moments.lock().push((at, what.into()));
    }

    /// Session states and signaling, in order of time, µs since `started`.
    pub(super) fn timeline(&self, started: Instant) -> Vec<Moment> {
        outcome::timeline(Some(&self.session), self.moments.lock().iter().cloned(), started)
    }

    /// What a diagnosis may ask of the session and of its signaling.
    pub(super) fn facts(&self) -> SessionFacts {
        let mut facts = self.session.facts();
        let view = self.view.borrow().clone();
        let since = |at: Instant| micros(at.saturating_duration_since(self.session.started()));
        facts.refused_candidates = view.refused_candidates;
        facts.signaling.received_us = view.answered.map(|answered| since(answered.received));
        facts.signaling.closed_us = self.socket.end_times().map(|(at, _)| since(at));
        facts.signaling.closed = view.socket_closed;
        facts.peer_received = view.peer_bye.and_then(|bye| bye.media).map(|media| media.packets_received);
        facts
    }

    /// Sends one message of this call.
    pub(super) async fn say(&self, message: &Message) -> Result<Sent, SocketError> {
        self.socket.send(Opcode::Text, true, message.encode().as_bytes()).await
    }

    /// Our `Bye` with our accounts.
    pub(super) async fn say_bye(&self, reason: Option<String>, media: MediaCounters) -> Result<Sent, SocketError> {
        self.note(Instant::now(), "bye sent");
        self.say(&Message::Bye { call: self.call.clone(), reason, media: Some(media) }).await
    }

    /// Decides who hangs up; true if it is us, decided now.
    pub(super) fn end_by_us(&self) -> bool {
        self.view.send_if_modified(|view| {
            let first = view.ending == Ending::None;
            if first {
                view.ending = Ending::Ours;
            }
            first
        })
    }

    /// Notes the peer's `Bye`; true if it ends the call, false if it answers ours.
    fn bye_received(&self, bye: PeerBye) -> bool {
        let mut first = false;
        self.view.send_modify(|view| {
            first = view.ending == Ending::None;
            if first {
                view.ending = Ending::Peers;
            }
            view.peer_bye.get_or_insert(bye);
        });
        first
    }

    /// The offer or answer is with the peer: candidates may follow.
    pub(super) fn described(&self) {
        self.described.cancel();
    }

    /// Ends the task of this call; its tap leaves the socket.
    pub(super) fn over(&self) {
        self.over.cancel();
    }

    /// Works off what arrives and trickles our candidates until the call is over.
    pub(super) async fn run(self: Arc<Self>, mut events: mpsc::Receiver<Event>, _tap: TapGuard, trickle: bool) {
        let mut gathering = trickle;
        let work = async {
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        None => return,
                        Some(Event::Closed(cause)) => self.socket_closed(cause),
                        Some(Event::Message(message, at)) => {
                            if self.take(message, at).await {
                                return;
                            }
                        }
                    },
                    candidate = self.next_local_candidate(), if gathering => {
                        gathering = candidate.is_some();
                        gathering &= self.trickle(candidate).await;
                    }
                }
            }
        };
        tokio::select! {
            () = self.over.cancelled() => {}
            () = work => {}
        }
    }

    async fn next_local_candidate(&self) -> Option<IceCandidateInit> {
        self.described.cancelled().await;
        self.session.next_local_candidate().await
    }

    fn socket_closed(&self, cause: CloseCause) {
        self.note(Instant::now(), format!("socket closed: {cause}"));
        self.view.send_modify(|view| {
            view.socket_closed.get_or_insert(cause);
        });
    }

    /// Sends one candidate, or the end of them; false when the socket is gone.
    async fn trickle(&self, candidate: Option<IceCandidateInit>) -> bool {
        if candidate.is_some() {
            self.view.send_modify(|view| view.local_candidates += 1);
        }
        let candidate = candidate.unwrap_or_else(|| IceCandidateInit {
            candidate: String::new(),
            sdp_mid: None,
            sdp_m_line_index: Some(0),
            username_fragment: None,
        });
        match self.say(&Message::Candidate { call: self.call.clone(), candidate }).await {
            Ok(_) => true,
            Err(SocketError::Closed { cause }) => {
                self.socket_closed(cause);
                false
            }
            Err(error) => {
                self.note(Instant::now(), format!("candidate not sent: {error}"));
                false
            }
        }
    }

    /// Acts on one message; true when the call is over.
    pub(super) async fn take(&self, message: Message, at: Instant) -> bool {
        match message {
            Message::Answer { sdp, .. } => {
                if self.view.borrow().answered.is_some() {
                    log::debug!("call {}: a second answer is ignored", self.call);
                    return false;
                }
                self.note(at, "answer received");
                let result = self.session.set_remote_answer(&sdp).await;
                let applied = Instant::now();
                self.note(applied, if result.is_ok() { "answer applied" } else { "answer rejected" });
                self.view.send_modify(|view| view.answered = Some(Answered { sdp, received: at, applied, result }));
                false
            }
            Message::Candidate { candidate, .. } => {
                let last = candidate.candidate.is_empty();
                let result = self.session.add_ice_candidate(candidate).await;
                self.view.send_modify(|view| match result {
                    Ok(()) => view.remote_candidates += u32::from(!last),
                    Err(error) => {
                        let refused = view.refused_candidates.get_or_insert_with(|| (0, String::new()));
                        *refused = (refused.0 + 1, error.to_string());
                    }
                });
                false
            }
            Message::Bye { reason, media, .. } => {
                self.note(at, "bye received");
                let sent = media.map_or(0, |media| media.packets_sent);
                let ends = self.bye_received(PeerBye { reason, media });
                if ends {
                    self.answer_bye(sent).await;
                }
                ends
            }
            Message::Error { code, message, .. } => {
                self.note(at, format!("refused: {code}"));
                self.view.send_modify(|view| {
                    view.refused.get_or_insert(Refused { code, message });
                });
                false
            }
            other => {
                log::debug!("call {}: ignored: {other:?}", self.call);
                false
            }
        }
    }

    /// The peer hung up: stop, let its last packets in, state our accounts, close the session.
    async fn answer_bye(&self, sent: u64) {
        self.session.stop_audio();
        accounts::received(&self.session, sent, tokio::time::Instant::now() + accounts::DRAIN).await;
        let media = accounts::at_rest(&self.session).await;
        match timeout(FAREWELL_DEADLINE, self.say_bye(None, media)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.note(Instant::now(), format!("bye not sent: {error}")),
            Err(_) => self.note(Instant::now(), "bye not sent in time"),
        }
        self.session.close(CLOSE_DEADLINE).await;
        self.view.send_modify(|view| view.ended_by_peer = Some(Instant::now()));
    }

    /// Says good-bye for a call nobody holds any more, and closes its session; bounded.
    async fn abandon(&self, offered: bool, reason: String) {
        self.session.stop_audio();
        let ours = self.end_by_us();
        let farewell = async {
            let mut views = self.view.subscribe();
            if ours && offered && self.socket.close_cause().is_none() {
                let media = accounts::at_rest(&self.session).await;
                if self.say_bye(Some(reason), media).await.is_ok() {
                    // The peer's answer belongs to this call; without a tap it would reach the plan's readers.
                    let known =
                        |view: &View| view.peer_bye.is_some() || view.refused.is_some() || view.socket_closed.is_some();
                    let _view = views.wait_for(known).await;
                }
            } else if self.view.borrow().ending == Ending::Peers {
                let _view = views.wait_for(|view| view.ended_by_peer.is_some()).await;
            }
        };
        if timeout(FAREWELL_DEADLINE, farewell).await.is_err() {
            log::debug!("call {}: the farewell was not complete in time", self.call);
        }
        self.over();
        self.session.close(CLOSE_DEADLINE).await;
    }
}

/// Owns a call's session and signaling until [`Hold::release`]: dropping it ends both in the background.
pub(super) struct Hold {
    pub(super) dialog: Arc<Dialog>,
    runtime: Handle,
    state: Mutex<HoldState>,
}

struct HoldState {
    released: bool,
    offered: bool,
    reason: String,
}

impl Hold {
    /// Has to be made on the runtime that carries the call.
    pub(super) fn new(dialog: Arc<Dialog>) -> Self {
        let state = HoldState { released: false, offered: false, reason: "cancelled".to_owned() };
        Self { dialog, runtime: Handle::current(), state: Mutex::new(state) }
    }

    /// From now on the peer knows of the call and is owed a `Bye`.
    pub(super) fn offered(&self) {
        self.state.lock().offered = true;
    }

    /// What a `Bye` sent by dropping gives as its reason.
    pub(super) fn set_reason(&self, reason: &str) {
        self.state.lock().reason = reason.to_owned();
    }

    /// The call has been ended properly.
    pub(super) fn release(&self) {
        self.state.lock().released = true;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.released {
            let (dialog, offered, reason) =
                (Arc::clone(&self.dialog), state.offered, std::mem::take(&mut state.reason));
            self.runtime.spawn(async move { dialog.abandon(offered, reason).await });
        }
    }
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
