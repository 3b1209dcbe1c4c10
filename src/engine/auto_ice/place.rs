//! One place whose messages are looked at: a socket by its name, a channel, or a name that functions use.
//!
//! Outgoing messages are read and prepared on the caller's behalf, before their sample's own time begins; incoming ones are
//! read where they arrive, and everything that takes time is left to the tasks of their calls. A message whose preparation
//! is cancelled, fails or takes too long goes out as it is, and the reason is told. A place outlives its socket: calls go on
//! when a connection is lost, and a socket that is opened again under the name finds them.
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Handle as TokioHandle;
use tokio_util::sync::CancellationToken;

use crate::autoice::dialogs::{CallNumber, Dialogs, Early, How, Incoming, Outgoing, RemoteOffer, Role, same_ice};
use crate::autoice::{
    Content, Direction, Finding, FoundIceServer, Options, Overlay, Reading, Replacement, SdpType, Shape, may_hold,
    read, shaped, trickle,
};
use crate::config::ConfigError;
use crate::diagnosis::facts::IdentityFacts;
use crate::peer::{IceCandidateInit, IceServer, PeerError, Session, SessionConfig};
use crate::socket::{CloseCause, Frame, Observer, Opcode};

use super::super::State;
use super::super::error::EngineError;
use super::super::sessions::Softphone;
use super::super::tables::{Handle, ScopeKey, SocketKey};
use super::super::{LONGEST_NAME, panic_text};
use super::DEFAULT_CALL;
use super::ahead::{self, Ahead, Made};
use super::call::{Command, Described, Ending, LiveCall, Task};
use super::config::{AutoIceConfig, Mode, Settings};
use super::outcome::{Moments, without_session};
use super::results::{ScopeIce, Told};

/// A message longer than this is read in the background.
const READ_AT_ONCE: usize = 256 << 10;
/// A fragmented message longer than this is not put together.
const MOST_ASSEMBLED: usize = 1 << 20;
/// How long looking up the other side's name may take.
const LOOK_UP: Duration = Duration::from_secs(2);
/// TEST-NET-2 (RFC 5737): routed as any public address, reached by none; a route lookup sends nothing.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// What kind of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PlaceKind {
    Socket,
    Channel,
    Function,
}

/// One place.
pub(in crate::engine) struct Place {
    pub(super) kind: PlaceKind,
    pub(super) name: String,
    scope: ScopeKey,
    ice: Weak<ScopeIce>,
    ending: CancellationToken,
    runtime: TokioHandle,
    carried: Mutex<Carried>,
    table: Mutex<Table>,
    /// ICE servers that the other side named last.
    servers: Mutex<Vec<IceServer>>,
    assembled: Mutex<Assembly>,
    ahead: Ahead,
    /// One long message is read at a time.
    reading: Arc<tokio::sync::Semaphore>,
}

/// What may change with each opening.
struct Carried {
    settings: Settings,
    /// The other side's address.
    peer: Option<IpAddr>,
    socket: Option<SocketKey>,
}

#[derive(Default)]
struct Table {
    dialogs: Dialogs,
    calls: HashMap<CallNumber, Arc<LiveCall>>,
}

/// Fragments of one message.
#[derive(Default)]
struct Assembly {
    bytes: Vec<u8>,
    under_way: bool,
}

/// What is to be done once a message is with the kernel, or was not sent.
#[must_use]
#[derive(Default)]
pub(in crate::engine) struct AfterSend {
    described: Vec<Arc<LiveCall>>,
    signaled: Vec<Arc<LiveCall>>,
    ended: Vec<Arc<LiveCall>>,
}

impl AfterSend {
    /// The message was with the kernel at `at`.
    pub(in crate::engine) fn sent(mut self, at: Instant) {
        for call in std::mem::take(&mut self.described) {
            call.tell(Command::Sent(at));
        }
        for call in &self.signaled {
            call.tell(Command::Signaling(at));
        }
        for call in &self.ended {
            drop(call.end(Ending::Plan));
        }
    }
}

impl Drop for AfterSend {
    /// It was not sent: a call that was made for it ends without a word.
    fn drop(&mut self) {
        for call in &self.described {
            drop(call.end(Ending::Plan));
        }
    }
}

/// A message with live descriptions in the places of canned ones.
pub(in crate::engine) struct Prepared {
    /// What goes out instead; `None`: the message as it is.
    pub(in crate::engine) message: Option<Vec<u8>>,
    pub(in crate::engine) after: AfterSend,
}

/// Why there is no live description.
enum Refusal {
    /// The canned one cannot be matched.
    Shape(String),
    /// There is no session to be had, or it cannot use the other side's description.
    Session(PeerError),
    /// The scope has ended.
    Ended,
}

/// A call that is counted as sent until it is made.
struct Making<'a> {
    place: &'a Place,
    call: CallNumber,
    made: bool,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.made {
            self.place.over(self.call);
        }
    }
}

impl Place {
    pub(super) fn new(
        (kind, name): (PlaceKind, &str),
        (scope, ending): (ScopeKey, CancellationToken),
        ice: &Arc<ScopeIce>,
        runtime: TokioHandle,
        settings: Settings,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            scope,
            ice: Arc::downgrade(ice),
            ending,
            runtime,
            carried: Mutex::new(Carried { settings, peer: None, socket: None }),
            table: Mutex::default(),
            servers: Mutex::default(),
            assembled: Mutex::default(),
            ahead: Ahead::default(),
            reading: Arc::new(tokio::sync::Semaphore::new(1)),
        }
    }

    /// Takes the settings of the latest opening.
    pub(super) fn configure(&self, settings: Settings) {
        self.carried.lock().settings = settings;
    }

    /// The socket that carries the messages from now on.
    pub(in crate::engine) fn carried_by(&self, socket: SocketKey, peer: IpAddr) {
        let mut carried = self.carried.lock();
        (carried.socket, carried.peer) = (Some(socket), Some(peer));
    }

    /// Whether it has no call and no offer.
    pub(super) fn is_idle(&self) -> bool {
        let table = self.table.lock();
        table.calls.is_empty() && table.dialogs.is_empty()
    }

    /// The same user elsewhere, as seen from its socket.
    pub(super) fn identity(&self, state: &State) -> IdentityFacts {
        let socket = self.carried.lock().socket;
        socket.map(|socket| state.identity_of(socket)).unwrap_or_default()
    }

    /// A call is over, or was never made.
    pub(super) fn over(&self, call: CallNumber) {
        let mut table = self.table.lock();
        table.dialogs.forget(call);
        table.calls.remove(&call);
    }

    /// Ends every call; the receivers resolve when the outcomes are decided.
    pub(super) fn end_all(&self, ending: Ending) -> Vec<tokio::sync::oneshot::Receiver<()>> {
        let calls: Vec<Arc<LiveCall>> = {
            let mut table = self.table.lock();
            table.dialogs.take_all();
            table.calls.drain().map(|(_, call)| call).collect()
        };
        if ending == Ending::Scope {
            self.ahead.clear();
        }
        calls.iter().map(|call| call.end(ending)).collect()
    }

    /// The call of that number.
    fn call(&self, number: CallNumber) -> Option<Arc<LiveCall>> {
        self.table.lock().calls.get(&number).cloned()
    }

    /// Ends calls of this table; gives their names.
    fn end(&self, calls: &[CallNumber], ending: Ending) -> Vec<String> {
        let mut names = Vec::new();
        for number in calls {
            let call = self.table.lock().calls.remove(number);
            if let Some(call) = call {
                drop(call.end(ending));
                names.push(call.name.clone());
            }
        }
        names
    }

    fn config(&self) -> (Arc<AutoIceConfig>, Arc<Options>, Option<IpAddr>) {
        let carried = self.carried.lock();
        let Settings { config, options } = &carried.settings;
        (Arc::clone(config), Arc::clone(options), carried.peer)
    }

    /// What a message carries. A bug of the reader's is told, and costs the message nothing.
    fn read(&self, state: &State, message: &[u8], direction: Direction, options: &Options) -> Option<Reading> {
        // Nothing that the reader changes is seen outside of it.
        let reading = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(message, direction, options)));
        reading.unwrap_or_else(|payload| {
            let reason = format!("it could not be read, which is a bug: {}", panic_text(&*payload));
            state.auto_ice.left(&reason, &self.name, "message");
            None
        })
    }

    /// What an outgoing message carries; `None` where there is nothing to be done.
    pub(in crate::engine) fn read_outgoing(
        &self,
        state: &State,
        message: &[u8],
        headers: Option<String>,
    ) -> Option<Reading> {
        // Most messages hold nothing: that has to cost as little as can be.
        if headers.is_none() && !may_hold(message) {
            return None;
        }
        let (config, options, _) = self.config();
        if config.mode == Mode::Off {
            return None;
        }
        let reading = self.read(state, message, Direction::Outgoing, &beside(&options, headers))?;
        for left in &reading.left {
            state.auto_ice.left(&left.reason, &self.name, &left.path);
        }
        if config.mode == Mode::Report {
            for finding in &reading.findings {
                if let Some(what) = what(&finding.content) {
                    state.auto_ice.would_swap(what, &self.name, &finding.path);
                }
            }
            return None;
        }
        (!reading.findings.is_empty()).then_some(reading)
    }

    /// Prepares a message; runs on the runtime. Dropping it leaves nothing behind.
    pub(in crate::engine) async fn prepare(
        self: Arc<Self>,
        state: Arc<State>,
        reading: Reading,
        message: Vec<u8>,
    ) -> Prepared {
        let mut replacements = Vec::with_capacity(reading.findings.len());
        let mut after = AfterSend::default();
        for finding in &reading.findings {
            replacements.push(self.replacement(&state, finding, &mut after).await);
        }
        let changed = replacements.iter().any(|replacement| !matches!(replacement, Replacement::Keep));
        Prepared { message: changed.then(|| reading.replaced(&message, &replacements)), after }
    }

    /// What takes the place of a finding.
    async fn replacement(
        self: &Arc<Self>,
        state: &Arc<State>,
        finding: &Finding,
        after: &mut AfterSend,
    ) -> Replacement {
        let until = Instant::now() + self.config().0.answer_wait();
        let (home, decision) = loop {
            let changed = state.auto_ice.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (home, decision) = self.decide(state, finding);
            if decision != Outgoing::AwaitOffer || tokio::time::timeout_at(until.into(), changed).await.is_err() {
                break (home, decision);
            }
        };
        match decision {
            Outgoing::Leave(reason) => {
                if let Some(reason) = reason {
                    state.auto_ice.left(reason, &self.name, &finding.path);
                }
                Replacement::Keep
            }
            Outgoing::AwaitOffer => {
                let waited = self.config().0.answer_wait_ms;
                let reason = format!(
                    "an answer goes out, but no offer of its dialog was read within {waited} ms; let the plan read the offer \
                     before it answers"
                );
                state.auto_ice.left(&reason, &self.name, &finding.path);
                Replacement::Keep
            }
            Outgoing::Offer { call, how } => {
                let made = home.describe(state, finding, (call, Role::Offerer, how), None, after).await;
                self.made(state, finding, Role::Offerer, made)
            }
            Outgoing::Answer { call, how, offer } => {
                let made = home.describe(state, finding, (call, Role::Answerer, how), Some(offer), after).await;
                self.made(state, finding, Role::Answerer, made)
            }
            Outgoing::AnswerAgain { call } => match home.call(call) {
                Some(call) => {
                    let sdp = call.described.lock().sdp.clone();
                    after.signaled.push(call);
                    Replacement::Description(sdp)
                }
                None => Replacement::Keep,
            },
            Outgoing::Candidate { call, index } => match (home.call(call), &finding.content) {
                (Some(call), Content::Candidate(canned)) => {
                    let replacement = call.trickled(canned, index);
                    state.auto_ice.count(|counts| counts.candidates += 1);
                    after.signaled.push(call);
                    replacement
                }
                _ => Replacement::Keep,
            },
            Outgoing::Fragment { call, index } => match (home.call(call), &finding.content) {
                (Some(call), Content::Fragment { sdpfrag }) => {
                    let replacement = call.trickled_fragment(sdpfrag, index);
                    state.auto_ice.count(|counts| counts.candidates += 1);
                    after.signaled.push(call);
                    replacement
                }
                _ => Replacement::Keep,
            },
            Outgoing::HangUp(calls) => {
                let mut table = home.table.lock();
                after.ended.extend(calls.iter().filter_map(|call| table.calls.remove(call)));
                Replacement::Keep
            }
        }
    }

    /// Counts what was made, or tells why it was not.
    fn made(&self, state: &State, finding: &Finding, role: Role, made: Result<String, Refusal>) -> Replacement {
        match made {
            Ok(sdp) => {
                state.auto_ice.count(|counts| match role {
                    Role::Offerer => counts.offers += 1,
                    Role::Answerer => counts.answers += 1,
                });
                return Replacement::Description(sdp);
            }
            Err(Refusal::Ended) => {}
            Err(Refusal::Shape(reason)) => state.auto_ice.left(&reason, &self.name, &finding.path),
            Err(Refusal::Session(error)) => self.tell_refusal(state, finding, role, &error),
        }
        Replacement::Keep
    }

    fn tell_refusal(&self, state: &State, finding: &Finding, role: Role, error: &PeerError) {
        let Some(ice) = self.ice.upgrade() else { return };
        let name = finding.dialog.id.clone().unwrap_or_else(|| DEFAULT_CALL.to_owned());
        let mut failure = without_session(error, &name, role, Instant::now());
        state.explain_call(&mut failure, self.identity(state), 0);
        state.auto_ice.count(|counts| counts.failed += 1);
        ice.push(Told {
            kind: "connect",
            call_name: &name,
            dialog: finding.dialog.id.as_deref(),
            place: &self.name,
            role,
            start: SystemTime::now(),
            what: serde_json::json!(failure.outcome),
            notes: &[],
            report: None,
        });
    }

    /// What is to be done with a finding, and whose call it is: this place's, or that of another one that alone knows the
    /// dialog.
    fn decide(self: &Arc<Self>, state: &State, finding: &Finding) -> (Arc<Self>, Outgoing) {
        if self.is_of_function(state, &finding.content) {
            return (Arc::clone(self), Outgoing::Leave(None));
        }
        let now = Instant::now();
        let decision = self.table.lock().dialogs.outgoing(finding, now);
        let unknown = match &decision {
            Outgoing::AwaitOffer | Outgoing::Leave(Some(_)) => true,
            Outgoing::HangUp(calls) => calls.is_empty(),
            _ => false,
        };
        if unknown
            && let Some(id) = &finding.dialog.id
            && let Some(other) = self.elsewhere(state, id)
        {
            let decision = other.table.lock().dialogs.outgoing(finding, now);
            return (other, decision);
        }
        (Arc::clone(self), decision)
    }

    /// Whether the plan has had this description or candidate from a function of the same thread: then it is live already.
    fn is_of_function(&self, state: &State, content: &Content) -> bool {
        if self.kind == PlaceKind::Function {
            return false;
        }
        let near: Vec<Arc<ScopeIce>> = {
            let tables = state.tables();
            let Some(own) = tables.scopes.get(self.scope) else { return false };
            let keys = own.children.iter().chain(own.parent.as_ref()).chain([&self.scope]);
            keys.filter_map(|key| tables.scopes.get(*key)).map(|scope| Arc::clone(&scope.auto_ice)).collect()
        };
        let calls = near.iter().flat_map(|ice| ice.places()).filter(|place| place.kind == PlaceKind::Function);
        calls.filter_map(|place| place.only_call()).any(|call| {
            let live = call.described.lock();
            match content {
                Content::Description { sdp, .. } => same_ice(sdp, &live.sdp),
                Content::Candidate(candidate) => live.candidates.iter().any(|own| own.candidate == candidate.candidate),
                Content::Fragment { .. } | Content::IceServers(_) | Content::HangUp => false,
            }
        })
    }

    /// The place, besides this one, that knows a dialog: of the same scope, else, between channels, the only one of the test.
    fn elsewhere(&self, state: &State, id: &str) -> Option<Arc<Self>> {
        let knows = |place: &Arc<Self>| !std::ptr::eq(&**place, self) && place.table.lock().dialogs.knows(id);
        let own = self.ice.upgrade()?.places().into_iter().find(knows);
        if own.is_some() || self.kind != PlaceKind::Channel {
            return own;
        }
        let relatives: Vec<Arc<ScopeIce>> = {
            let tables = state.tables();
            let parent = tables.scopes.get(self.scope)?.parent?;
            let siblings = tables.scopes.get(parent)?;
            let keys = siblings.children.iter().chain([&parent]);
            keys.filter_map(|key| tables.scopes.get(*key)).map(|scope| Arc::clone(&scope.auto_ice)).collect()
        };
        let mut found = relatives
            .iter()
            .flat_map(|ice| ice.places())
            .filter(|place| place.kind == PlaceKind::Channel && knows(place));
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }

    /// A live description of a new or an open call in the form of a canned one.
    async fn describe(
        self: &Arc<Self>,
        state: &Arc<State>,
        finding: &Finding,
        (number, role, how): (CallNumber, Role, How),
        offer: Option<RemoteOffer>,
        after: &mut AfterSend,
    ) -> Result<String, Refusal> {
        let Content::Description { sdp: canned, .. } = &finding.content else { return Err(Refusal::Ended) };
        match how {
            How::New { replaces } => {
                let mut making = Making { place: self, call: number, made: false };
                let mut superseded = self.table.lock().dialogs.take_superseded();
                superseded.extend(replaces);
                let replaced = self.end(&superseded, Ending::Replaced);
                let call = self.begin(state, finding, (number, role), canned, offer, &replaced).await?;
                making.made = true;
                let sdp = call.described.lock().sdp.clone();
                after.described.push(call);
                Ok(sdp)
            }
            How::Renegotiate { ice_restart } => {
                let Some(call) = self.call(number) else { return Err(Refusal::Ended) };
                let sdp = self.renegotiate(state, &call, canned, ice_restart, offer).await?;
                state.auto_ice.count(|counts| counts.renegotiated += 1);
                after.signaled.push(call);
                Ok(sdp)
            }
        }
    }

    /// The configuration of a session that fits a canned description.
    async fn session_config(&self, shape: Option<&Shape>) -> Result<SessionConfig, Refusal> {
        let (config, _, peer) = self.config();
        let mut session = config.session.clone();
        session.trickle = true;
        if session.ice_servers.is_empty() {
            session.ice_servers = self.sniffed_servers();
        }
        if session.route_hint.is_none() && session.source_address.is_none() {
            session.route_hint = match (peer, &config.server) {
                (Some(peer), _) => Some(peer),
                (None, Some(server)) => address_of(server).await.or(Some(ANYWHERE)),
                (None, None) if session.ice_servers.is_empty() => Some(ANYWHERE),
                (None, None) => None,
            };
            if let (None, Some(hint)) = (peer, session.route_hint) {
                self.carried.lock().peer = Some(hint);
            }
        }
        if let Some(shape) = shape {
            session.media = shape.media().to_vec();
        }
        session.check().map_err(|error| Refusal::Session(error.into()))?;
        Ok(session)
    }

    fn sniffed_servers(&self) -> Vec<IceServer> {
        let own = self.servers.lock().clone();
        if !own.is_empty() {
            return own;
        }
        self.ice.upgrade().map(|ice| ice.servers()).unwrap_or_default()
    }

    /// A session with its description.
    async fn make(&self, state: &State, config: SessionConfig, offer: Option<&str>) -> Result<Made, Refusal> {
        let wait = self.config().0.gather_wait();
        let session = tokio::select! {
            () = self.ending.cancelled() => return Err(Refusal::Ended),
            made = Session::new(config) => made.map_err(Refusal::Session)?,
        };
        state.tables().tally.udp_sockets_opened += 1;
        let live = match offer {
            None => session.create_offer().await,
            Some(offer) => session.create_answer(offer).await,
        };
        let live = live.map_err(Refusal::Session)?;
        let (candidates, ended) = gathered(&session, wait).await;
        Ok(Made { session, live, candidates, ended, at: Instant::now() }.with_candidates())
    }

    /// Makes the session of the next offer, where the plan has shown that there will be one and where gathering takes time. Off
    /// the way of every sample; what nobody takes is closed after a minute.
    pub(super) fn make_ahead(self: &Arc<Self>, state: &Arc<State>) {
        let Some(canned) = self.ahead.wanted() else { return };
        let (place, state) = (Arc::clone(self), Arc::clone(state));
        self.runtime.spawn(async move {
            let shape = match canned.is_empty() {
                true => None,
                false => Shape::of(&canned).ok(),
            };
            let Ok(config) = place.session_config(shape.as_ref()).await else { return };
            if config.ice_servers.is_empty() {
                return;
            }
            let key = ahead::key(&canned, &config);
            let Ok(made) = place.make(&state, config, None).await else { return };
            drop(state);
            if place.ahead.keep(key, made) {
                tokio::select! {
                    () = place.ending.cancelled() => {}
                    () = tokio::time::sleep(ahead::KEPT) => {}
                }
                place.ahead.forget(key);
            }
        });
    }

    /// A new call.
    async fn begin(
        self: &Arc<Self>,
        state: &Arc<State>,
        finding: &Finding,
        (number, role): (CallNumber, Role),
        canned: &str,
        offer: Option<RemoteOffer>,
        replaced: &[String],
    ) -> Result<Arc<LiveCall>, Refusal> {
        let began = Instant::now();
        let config = self.config().0;
        // What functions ask for has no canned description.
        let shape = match canned.is_empty() {
            true => None,
            false => Some(Shape::of(canned).map_err(|error| Refusal::Shape(error.to_string()))?),
        };
        let session_config = self.session_config(shape.as_ref()).await?;
        let turn = state.identities.of_turn(&session_config).map(|identity| state.identities.login(identity));
        state.tables().tally.softphones_started += 1;
        let ready = offer.is_none().then(|| self.ahead.take(canned, &session_config)).flatten();
        let made = match ready {
            Some(ready) => Ok(ready),
            None => self.make(state, session_config, offer.as_ref().map(|offer| &*offer.sdp)).await,
        };
        if offer.is_none() {
            self.ahead.offered(canned);
        }
        let Made { session, live, candidates, .. } = made.inspect_err(|refusal| {
            state.tables().tally.softphones_failed += i64::from(matches!(refusal, Refusal::Session(_)));
        })?;
        let mut notes: Vec<String> = shape.iter().flat_map(|shape| shape.notes()).cloned().collect();
        if !replaced.is_empty() {
            notes.push("the plan began this call without ending the one before, which was hung up".to_owned());
        }
        let (sdp, mids) = match &shape {
            None => (live, None),
            Some(_) => {
                let overlay = if config.overlay { Overlay::Overlay } else { Overlay::Whole };
                let shaped = shaped(canned, &live, overlay).map_err(|error| Refusal::Shape(error.to_string()))?;
                notes.extend(shaped.notes);
                (shaped.sdp, Some(shaped.mids))
            }
        };
        let credentials = trickle::credentials(&sdp).map(|(ufrag, pwd)| (ufrag.to_owned(), pwd.to_owned()));
        let receives_video = shape.as_ref().is_some_and(receives_video);
        let described =
            Described { credentials: credentials.unwrap_or_default(), sdp, mids, candidates, receives_video };
        let Some(ice) = self.ice.upgrade() else { return Err(Refusal::Ended) };
        let name = self.name_of(state, &ice, finding, replaced);
        let (call, heard) = LiveCall::new((number, role), name.clone(), session.clone(), described);
        let kept = state.keep_session(self.scope, name, Softphone::of_session(session, turn));
        let key = kept.map_err(|_| Refusal::Ended)?;
        let Ok(softphone) = state.softphone(key) else { return Err(Refusal::Ended) };
        state.name_newest(self.scope, &ice, key);
        let mut moments = Moments::new(began);
        if let Some(offer) = offer {
            moments.note(offer.at, "offer received");
            moments.offered = Some(offer.at);
            moments.checks_began = Some(Instant::now());
            moments.remote = Some(offer.sdp);
            offer.early.into_iter().for_each(|early| call.remote_candidate(early));
        }
        state.auto_ice.count(|counts| counts.calls += 1);
        self.table.lock().calls.insert(number, Arc::clone(&call));
        let task = Task {
            state: Arc::clone(state),
            ice,
            place: Arc::clone(self),
            config,
            call: Arc::clone(&call),
            softphone,
            key,
            dialog: finding.dialog.id.clone(),
            moments,
            notes,
        };
        tokio::spawn(task.run(heard));
        Ok(call)
    }

    /// The next description of an open call.
    async fn renegotiate(
        &self,
        state: &State,
        call: &LiveCall,
        canned: &str,
        ice_restart: bool,
        offer: Option<RemoteOffer>,
    ) -> Result<String, Refusal> {
        let config = self.config().0;
        let shape = Shape::of(canned).map_err(|error| Refusal::Shape(error.to_string()))?;
        call.session.set_media(shape.media().to_vec()).map_err(Refusal::Session)?;
        let live = match offer {
            None => {
                if ice_restart {
                    call.session.restart_ice();
                }
                call.session.create_offer().await
            }
            Some(offer) => {
                let early = offer.early;
                let answer = call.session.create_answer(&offer.sdp).await;
                early.into_iter().for_each(|early| call.remote_candidate(early));
                answer
            }
        };
        let live = live.map_err(Refusal::Session)?;
        if ice_restart {
            call.described.lock().candidates.clear();
        }
        let (found, ended) =
            gathered(&call.session, if ice_restart { config.gather_wait() } else { Duration::ZERO }).await;
        let lines: Vec<String> = {
            let mut described = call.described.lock();
            described.candidates.extend(found);
            described.candidates.iter().map(|candidate| candidate.candidate.clone()).collect()
        };
        let live = trickle::with_candidates(&live, &lines, ended);
        let overlay = if config.overlay { Overlay::Overlay } else { Overlay::Whole };
        let shaped = shaped(canned, &live, overlay).map_err(|error| Refusal::Shape(error.to_string()))?;
        for note in shaped.notes {
            call.tell(Command::Note(note));
        }
        let _ = state;
        let mut described = call.described.lock();
        if let Some((ufrag, pwd)) = trickle::credentials(&shaped.sdp) {
            described.credentials = (ufrag.to_owned(), pwd.to_owned());
        }
        described.mids = Some(shaped.mids);
        described.sdp = shaped.sdp;
        Ok(described.sdp.clone())
    }

    /// The name of a new call in its scope.
    fn name_of(&self, state: &State, ice: &ScopeIce, finding: &Finding, replaced: &[String]) -> String {
        if self.kind == PlaceKind::Function {
            return self.name.clone();
        }
        let id = finding.dialog.id.clone().filter(|id| !id.is_empty() && id.chars().count() <= LONGEST_NAME);
        let taken = |name: &str| {
            if replaced.iter().any(|free| free == name) {
                return false;
            }
            let tables = state.tables();
            tables.scopes.get(self.scope).is_some_and(|scope| scope.sessions.contains_key(name))
        };
        // Never in the place of a session that a sampler of the plan has made.
        match id.filter(|id| !taken(id)) {
            Some(id) => id,
            None => std::iter::repeat_with(|| ice.next_name()).find(|name| !taken(name)).unwrap_or_default(),
        }
    }

    /// A frame has come in.
    fn frame(self: &Arc<Self>, state: &Arc<State>, frame: &Frame) {
        if self.mode() != Mode::On {
            return;
        }
        match frame.opcode {
            Opcode::Text | Opcode::Binary if frame.fin => self.read_incoming(state, &frame.payload, None, frame.at),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let mut assembly = self.assembled.lock();
                if frame.opcode != Opcode::Continuation {
                    (assembly.under_way, assembly.bytes) = (true, Vec::new());
                }
                if assembly.bytes.len() + frame.payload.len() > MOST_ASSEMBLED {
                    (assembly.under_way, assembly.bytes) = (false, Vec::new());
                }
                if !assembly.under_way {
                    return;
                }
                assembly.bytes.extend_from_slice(&frame.payload);
                if frame.fin {
                    assembly.under_way = false;
                    let whole = std::mem::take(&mut assembly.bytes);
                    drop(assembly);
                    self.read_incoming(state, &whole, None, frame.at);
                }
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
    }

    /// Reads an incoming message, a long one in the background.
    pub(super) fn read_incoming(
        self: &Arc<Self>,
        state: &Arc<State>,
        message: &[u8],
        headers: Option<String>,
        at: Instant,
    ) {
        if message.len() <= READ_AT_ONCE {
            self.take_incoming(state, message, headers, at);
            return;
        }
        let Ok(permit) = Arc::clone(&self.reading).try_acquire_owned() else {
            let reason = "two messages of more than 256 KiB came in at the same time; one of them was not read";
            state.auto_ice.left(reason, &self.name, "incoming message");
            return;
        };
        let (place, state, message) = (Arc::clone(self), Arc::clone(state), message.to_vec());
        self.runtime.spawn_blocking(move || {
            let _permit = permit;
            place.take_incoming(&state, &message, headers, at);
        });
    }

    fn take_incoming(self: &Arc<Self>, state: &Arc<State>, message: &[u8], headers: Option<String>, at: Instant) {
        let options = self.config().1;
        let reading = self.read(state, message, Direction::Incoming, &beside(&options, headers));
        let Some(reading) = reading else { return };
        for finding in &reading.findings {
            self.take(state, finding, at);
        }
        if !reading.findings.is_empty() {
            state.auto_ice.changed.notify_waiters();
        }
    }

    /// Acts on one finding of an incoming message.
    pub(super) fn take(self: &Arc<Self>, state: &Arc<State>, finding: &Finding, at: Instant) {
        let mut home = Arc::clone(self);
        let mut decision = home.table.lock().dialogs.incoming(finding, at);
        if decision == Incoming::Elsewhere
            && let Some(id) = &finding.dialog.id
            && let Some(other) = self.elsewhere(state, id)
        {
            decision = other.table.lock().dialogs.incoming(finding, at);
            home = other;
        }
        match decision {
            Incoming::Nothing(None) | Incoming::Elsewhere | Incoming::Pending => {}
            Incoming::Nothing(Some(reason)) => state.auto_ice.left(reason, &self.name, &finding.path),
            Incoming::Answer { call, sdp } => {
                if let Some(call) = home.call(call) {
                    call.tell(Command::Answer { sdp, at });
                }
            }
            Incoming::Candidate { call, candidate } => {
                if let Some(call) = home.call(call) {
                    call.remote_candidate(Early::Candidate(candidate));
                }
            }
            Incoming::Fragment { call, sdpfrag } => {
                if let Some(call) = home.call(call) {
                    call.remote_candidate(Early::Fragment(sdpfrag));
                }
            }
            Incoming::Servers(found) => self.found_servers(state, &found),
            Incoming::HangUp(calls) => {
                home.end(&calls, Ending::Peer);
            }
        }
    }

    /// Keeps ICE servers for calls to come; those that cannot be used are told.
    fn found_servers(&self, state: &State, found: &[FoundIceServer]) {
        let mut servers = Vec::new();
        for server in found {
            let server = IceServer {
                urls: server.urls.clone(),
                username: server.username.clone(),
                credential: server.credential.clone(),
                ..IceServer::default()
            };
            match server.check("iceServers") {
                Ok(_) => servers.push(server),
                Err(error) => {
                    let reason = format!("an ICE server that the other side names cannot be used: {error}");
                    state.auto_ice.left(&reason, &self.name, "ICE servers");
                }
            }
        }
        if servers.is_empty() {
            return;
        }
        if let Some(ice) = self.ice.upgrade() {
            ice.set_servers(servers.clone());
        }
        *self.servers.lock() = servers;
    }

    /// Its socket has ended: by a close of the plan's, which hangs up, or else, which does not.
    fn socket_closed(&self, cause: &CloseCause) {
        match cause {
            CloseCause::ClosedByUs { code } if *code != 1006 => drop(self.end_all(Ending::SocketClosed)),
            cause => {
                let calls: Vec<Arc<LiveCall>> = {
                    let mut table = self.table.lock();
                    table.dialogs.socket_lost();
                    table.calls.values().cloned().collect()
                };
                for call in calls {
                    call.tell(Command::SocketLost(cause.clone(), Instant::now()));
                }
            }
        }
        *self.assembled.lock() = Assembly::default();
    }

    /// The plan closes its socket.
    pub(in crate::engine) fn closed_by_plan(&self) {
        drop(self.end_all(Ending::SocketClosed));
    }

    /// How long preparing a message may take in all.
    pub(super) fn longest(&self) -> Duration {
        /// Of making a session, which is local work.
        const MAKING: Duration = Duration::from_secs(10);
        let config = self.config().0;
        MAKING + config.gather_wait() + config.answer_wait()
    }

    /// What is done with what is found.
    pub(super) fn mode(&self) -> Mode {
        self.carried.lock().settings.config.mode
    }

    /// Whether an offer waits for an answer.
    pub(super) fn has_offer(&self) -> bool {
        self.table.lock().dialogs.has_offer()
    }

    /// A live description for a function, and what is to be done once it has it.
    pub(super) async fn describe_for_function(
        self: &Arc<Self>,
        state: &Arc<State>,
        finding: &Finding,
    ) -> Result<(String, AfterSend), EngineError> {
        let began = Instant::now();
        let mut after = AfterSend::default();
        let decision = self.table.lock().dialogs.outgoing(finding, began);
        let described = match decision {
            Outgoing::Offer { call, how } => {
                self.describe(state, finding, (call, Role::Offerer, how), None, &mut after).await
            }
            Outgoing::Answer { call, how, offer } => {
                self.describe(state, finding, (call, Role::Answerer, how), Some(offer), &mut after).await
            }
            _ => Err(Refusal::Ended),
        };
        match described {
            Ok(sdp) => Ok((sdp, after)),
            Err(Refusal::Ended) => Err(self.scope.stale()),
            Err(Refusal::Shape(reason)) => Err(ConfigError::new("offer", "(SDP)", reason).into()),
            Err(Refusal::Session(error)) => Err(state.explain_session(error, None, began)),
        }
    }

    /// The live call, for functions, which have one at a time.
    pub(super) fn only_call(&self) -> Option<Arc<LiveCall>> {
        self.table.lock().calls.values().max_by_key(|call| call.number).cloned()
    }
}

impl LiveCall {
    /// What takes the place of a canned candidate.
    fn trickled(&self, canned: &IceCandidateInit, index: usize) -> Replacement {
        self.refresh();
        if canned.candidate.is_empty() {
            let mut end = canned.clone();
            end.username_fragment =
                canned.username_fragment.as_ref().map(|_| self.described.lock().credentials.0.clone());
            return Replacement::Candidate(end);
        }
        let Some(live) = self.candidate(index) else { return Replacement::Keep };
        let described = self.described.lock();
        let ufrag = &described.credentials.0;
        let live = match &described.mids {
            Some(mids) => mids.to_canned_candidate(&live),
            None => live,
        };
        Replacement::Candidate(IceCandidateInit {
            candidate: trickle::candidate(&canned.candidate, &live.candidate, ufrag),
            username_fragment: Some(ufrag.clone()),
            ..live
        })
    }

    /// What takes the place of a canned fragment.
    fn trickled_fragment(&self, canned: &str, index: usize) -> Replacement {
        self.refresh();
        let described = self.described.lock();
        let lines: Vec<String> = described.candidates.iter().map(|candidate| candidate.candidate.clone()).collect();
        let (ufrag, pwd) = &described.credentials;
        Replacement::Fragment(trickle::fragment(canned, (ufrag, pwd), &lines, index))
    }

    /// Candidates of the other side have come.
    fn remote_candidate(&self, early: Early) {
        match early {
            Early::Candidate(candidate) => self.tell(Command::Candidate(candidate)),
            Early::Fragment(sdpfrag) => {
                for candidate in trickle::candidates_of(&sdpfrag) {
                    self.tell(Command::Candidate(candidate));
                }
            }
        }
    }
}

/// Sees the frames of a socket.
pub(super) struct IceObserver {
    pub(super) state: Weak<State>,
    pub(super) place: Arc<Place>,
}

impl Observer for IceObserver {
    fn frame(&self, frame: &Frame) {
        // Most frames hold nothing: that is seen before anything that threads share is touched.
        let data = matches!(frame.opcode, Opcode::Text | Opcode::Binary | Opcode::Continuation);
        let whole = frame.fin && frame.opcode != Opcode::Continuation && frame.payload.len() <= READ_AT_ONCE;
        if !data || whole && !may_hold(&frame.payload) {
            return;
        }
        if let Some(state) = self.state.upgrade() {
            self.place.frame(&state, frame);
        }
    }

    fn closed(&self, cause: &CloseCause) {
        self.place.socket_closed(cause);
    }
}

/// The options with the header lines that stand beside a message.
fn beside(options: &Options, headers: Option<String>) -> Cow<'_, Options> {
    match headers {
        None => Cow::Borrowed(options),
        headers => Cow::Owned(Options { headers, ..options.clone() }),
    }
}

/// Whether video is to come in.
fn receives_video(shape: &Shape) -> bool {
    shape.media().iter().any(|line| line.media == "video" && line.direction.receives())
}

/// Local candidates that are found within `wait`, and whether there will be no more.
async fn gathered(session: &Session, wait: Duration) -> (Vec<IceCandidateInit>, bool) {
    let mut found = Vec::new();
    let gathering = async {
        while let Some(candidate) = session.next_local_candidate().await {
            found.push(candidate);
        }
    };
    let ended = tokio::time::timeout(wait, gathering).await.is_ok();
    (found, ended)
}

/// The first address of `host` or `host:port`.
async fn address_of(server: &str) -> Option<IpAddr> {
    let host = match server.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.contains(':') => host,
        _ => server,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host, 0))).await.ok()?;
    found.ok()?.next().map(|address| address.ip())
}

/// What report mode calls a finding; `None` for what is never swapped.
fn what(content: &Content) -> Option<&'static str> {
    match content {
        Content::Description { kind: Some(SdpType::Offer), .. } => Some("offer"),
        Content::Description { kind: Some(SdpType::Answer | SdpType::Pranswer), .. } => Some("answer"),
        Content::Description { kind: None, .. } => Some("description"),
        Content::Candidate(_) => Some("candidate"),
        Content::Fragment { .. } => Some("candidate"),
        Content::IceServers(_) | Content::HangUp => None,
    }
}
