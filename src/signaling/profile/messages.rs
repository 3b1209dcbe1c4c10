//! What goes into a [`Machine`](super::Machine) and what comes out of it, as plain values.
use std::time::{Duration, Instant};

use crate::media::Dtmf;
use crate::peer::{IceCandidateInit, IceServer, MediaCounters, MediaDirection};

use super::format::Method;

/// Names a call of one softphone; chosen by whoever drives the machine for calls placed, by the machine for calls that come in.
pub type CallKey = u64;
/// Counts the PeerConnections of one call, from 1.
pub type PeerNumber = u32;

/// What speaks a protocol for one softphone, without I/O: what happened goes in, what to do comes out.
pub trait Speaker: Send {
    /// A key for a call that the user is about to place.
    fn new_call(&mut self) -> CallKey;
    /// When [`Input::Tick`] is due at the latest; `None` while nothing is waited for.
    fn deadline(&self) -> Option<Instant>;
    /// When the server was heard last; when it was made, before that.
    fn heard(&self) -> Instant;
    /// From now on keep-alives leave together with those of every softphone of the same `origin`, up to half a second early.
    fn coalesce_keep_alives(&mut self, origin: Instant);
    /// Whether an attempt to register is being made.
    fn is_attempting(&self) -> bool;
    /// Takes what happened at `now` and returns what to do, in order.
    fn step(&mut self, input: Input, now: Instant) -> Vec<Action>;
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Register.
    Start,
    /// Unregister: says farewell and closes the WebSocket. Calls go on.
    Stop,
    /// An HTTP response.
    HttpDone {
        /// Of the request.
        ticket: u64,
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if there is one.
        retry_after: Option<Duration>,
        /// Body, as text.
        body: String,
    },
    /// No HTTP response.
    HttpFailed {
        /// Of the request.
        ticket: u64,
        /// Why.
        detail: String,
    },
    /// The WebSocket is open.
    SocketOpened,
    /// The WebSocket could not be opened.
    SocketFailed {
        /// The status that refused the upgrade, if one did.
        status: Option<u16>,
        /// `Retry-After`, if there is one.
        retry_after: Option<Duration>,
        /// Why.
        detail: String,
    },
    /// The WebSocket ended, other than by [`Action::CloseSocket`].
    SocketClosed {
        /// How.
        detail: String,
    },
    /// A whole text message arrived.
    Text(String),
    /// [`Machine::deadline`](super::Machine::deadline) has come.
    Tick,
    /// A command of the user.
    Command {
        /// The call it is for.
        call: CallKey,
        /// What to do.
        command: Command,
    },
    /// Ends a call on our side alone.
    Abandon {
        /// The call.
        call: CallKey,
    },
    /// Something happened at a call's PeerConnection.
    Peer {
        /// The call.
        call: CallKey,
        /// Which of its PeerConnections.
        peer: PeerNumber,
        /// What.
        event: PeerEvent,
    },
}

/// What a user may want of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Place it.
    Place {
        /// Whom to call.
        to: String,
    },
    /// Answer it.
    Accept,
    /// Refuse it.
    Reject,
    /// End it.
    HangUp,
    /// Send no audio.
    Mute,
    /// Send audio again.
    Unmute,
    /// Hold.
    Hold,
    /// End holding.
    Resume,
    /// Transfer it.
    Transfer {
        /// To whom.
        to: String,
    },
    /// Send tones by a message of the protocol.
    Dtmf(Dtmf),
    /// Restart ICE (RFC 8445 §9) by an offer of ours.
    RestartIce,
}

/// What happens at a PeerConnection.
#[derive(Debug)]
pub enum PeerEvent {
    /// An offer is made and set.
    LocalOffer(String),
    /// An answer is made and set.
    LocalAnswer(String),
    /// A candidate to trickle.
    LocalCandidate(IceCandidateInit),
    /// No more of them.
    EndOfCandidates,
    /// ICE and DTLS are up.
    Connected,
    /// Interrupted.
    Disconnected,
    /// It sends no more, and its packets are where they belong ([`Action::Rest`]).
    Rested(MediaCounters),
    /// Failed, or an SDP could not be used.
    Failed {
        /// Why.
        detail: String,
    },
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Make an HTTP request and give back [`Input::HttpDone`] or [`Input::HttpFailed`].
    Http(HttpCall),
    /// Open the WebSocket and give back [`Input::SocketOpened`] or [`Input::SocketFailed`].
    OpenSocket {
        /// URL.
        url: String,
        /// Header fields, `Sec-WebSocket-Protocol` among them.
        headers: Vec<(String, String)>,
    },
    /// Send a text message.
    Send {
        /// The message.
        text: String,
        /// The template it was made of, for logs: the message may hold secrets.
        template: String,
    },
    /// End the WebSocket, or its opening; no [`Input::SocketClosed`] follows.
    CloseSocket {
        /// Without a closing handshake.
        abort: bool,
        /// Why.
        why: String,
    },
    /// Use these ICE servers for PeerConnections from now on.
    IceServers {
        /// The servers.
        servers: Vec<IceServer>,
        /// Relayed candidates only.
        relay_only: bool,
    },
    /// The softphone is registered.
    Registered,
    /// It is not, or not any more.
    Unregistered {
        /// Why.
        why: String,
        /// What comes next.
        next: Next,
    },
    /// A call comes in.
    Incoming {
        /// The call.
        call: CallKey,
        /// It has been answered already, as the protocol says.
        answered: bool,
    },
    /// The call's name in the protocol is known.
    Named {
        /// The call.
        call: CallKey,
        /// Its name.
        name: String,
    },
    /// The other side rings.
    Ringing {
        /// The call.
        call: CallKey,
    },
    /// Make a PeerConnection and an offer.
    MakeOffer {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
    },
    /// Make another offer on a PeerConnection; [`PeerEvent::LocalOffer`] follows.
    Renegotiate {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
        /// Direction of its audio, seen from us.
        direction: MediaDirection,
        /// With new ICE credentials.
        restart_ice: bool,
    },
    /// Apply an offer and make an answer.
    MakeAnswer {
        /// The call.
        call: CallKey,
        /// Its PeerConnection; a number not seen before is a new one.
        peer: PeerNumber,
        /// The offer.
        offer: String,
    },
    /// Apply an answer.
    ApplyAnswer {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
        /// The answer.
        answer: String,
    },
    /// Add a candidate.
    AddCandidate {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
        /// The candidate; empty = the end of them.
        candidate: IceCandidateInit,
    },
    /// Send no more audio and come to rest; [`PeerEvent::Rested`] follows.
    Rest {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
        /// How many packets the other side says it has sent, which are waited for.
        packets: u64,
    },
    /// The other side has stated its packet accounts.
    RemoteMedia {
        /// The call.
        call: CallKey,
        /// The accounts; what was not stated is 0.
        media: MediaCounters,
    },
    /// Close a PeerConnection that another one of the same call replaces.
    ClosePeer {
        /// The call.
        call: CallKey,
        /// Its PeerConnection.
        peer: PeerNumber,
        /// Why.
        reason: String,
    },
    /// The call is over, and its PeerConnection stays for later calls.
    Released {
        /// The call.
        call: CallKey,
        /// Who ended it.
        by: EndedBy,
        /// Why, as the protocol says.
        reason: Option<String>,
    },
    /// The call is up on the PeerConnection of an earlier one.
    UseStanding {
        /// The call.
        call: CallKey,
        /// The earlier one, which was [released](Action::Released).
        of: CallKey,
    },
    /// The call is over: close its PeerConnection. Of a call that was released before: that one's.
    Ended {
        /// The call.
        call: CallKey,
        /// Who ended it.
        by: EndedBy,
        /// Why, as the protocol says.
        reason: Option<String>,
    },
    /// Something was not done; not fatal.
    Problem {
        /// What and why; no message is repeated.
        what: String,
    },
}

/// An HTTP request to make.
#[derive(Debug)]
pub struct HttpCall {
    /// Given back with the response.
    pub ticket: u64,
    /// Its name in the profile.
    pub name: String,
    /// Method.
    pub method: Method,
    /// URL.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<String>,
    /// Deadline of the whole exchange.
    pub within: Duration,
}

/// What comes after a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt after this time.
    Again(Duration),
    /// Nothing, until [`Input::Start`].
    Nothing,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// We did.
    Us,
    /// The other side.
    Peer,
    /// The other side did not want it.
    Refusal,
    /// It could not be set up or kept.
    Failure,
}
