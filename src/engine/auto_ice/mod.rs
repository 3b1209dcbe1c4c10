//! Auto ICE: live calls in the places of canned descriptions, in plans that nobody edits.
//!
//! Guarantees. Nothing waits in a sample: what is prepared before a message goes out is bounded (`gatherWaitMs`,
//! `answerWaitMs`) and ends with the caller's operation; what comes in is only read where it arrives. Incoming messages are
//! never taken nor changed; an outgoing one is changed only inside what was found in it. What becomes of a call is a result
//! of its scope, told once, judged by the time since the last signaling message. A call belongs to its scope: it ends with
//! a hang-up either way, with a close of its socket by the plan, with the call that takes its place, and with its scope, never
//! with a lost connection. Closing a scope decides what is undecided.
mod ahead;
mod call;
mod config;
mod outcome;
mod place;
mod results;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle as TokioHandle;

use crate::autoice::dialogs::Role;
use crate::autoice::{Content, Dialog, Finding, Reading, SdpType};
use crate::config::{ConfigError, from_json};
use crate::peer::IceCandidateInit;
use crate::socket::{Observer, Opcode};

use super::error::EngineError;
use super::runtime::Unwatched;
use super::tables::{ChannelKey, Handle, OperationKey, ScopeKey, SessionKey};
use super::{Engine, State, check_name};

use call::{Ending, LiveCall};
use config::Mode;
use place::{IceObserver, PlaceKind};

pub(super) use config::{AutoIceConfig, take_auto_ice};
pub(super) use place::Place;
pub(super) use results::{AutoIce, ScopeIce};

/// The name under which samplers look for a call where the plan gives none.
const DEFAULT_CALL: &str = "call";
/// How long the outcomes of calls that end with their scope are waited for.
const DECIDING: Duration = Duration::from_millis(500);

/// What stands beside a message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Context {
    /// Header lines.
    headers: Option<String>,
}

impl Context {
    fn of(json: &[u8]) -> Result<Self, ConfigError> {
        if json.is_empty() { Ok(Self::default()) } else { from_json(json) }
    }
}

impl ScopeIce {
    /// Ends every call of the scope and waits until their outcomes are decided; bounded.
    pub(super) async fn end(&self) {
        let deciding: Vec<_> = self.places().iter().flat_map(|place| place.end_all(Ending::Scope)).collect();
        // A decision that was dropped has been made, too.
        let all = futures_util::future::join_all(deciding);
        if tokio::time::timeout(DECIDING, all).await.is_err() {
            log::warn!("outcomes of Auto ICE calls were not decided within {} ms of their end", DECIDING.as_millis());
        }
    }
}

impl State {
    /// The place of that name, with these settings.
    fn ice_place(
        self: &Arc<Self>,
        scope: ScopeKey,
        (kind, name): (PlaceKind, &str),
        runtime: &TokioHandle,
        config: AutoIceConfig,
    ) -> Result<Arc<Place>, EngineError> {
        let (ice, ending) = {
            let tables = self.tables();
            let entry = tables.scope(scope)?;
            (Arc::clone(&entry.auto_ice), entry.ending.clone())
        };
        let before = ice.find_place(kind, name);
        if let Some(place) = before {
            place.configure(self.auto_ice.settings.share(config));
            return Ok(place);
        }
        let settings = self.auto_ice.settings.share(config);
        Ok(ice.place(kind, name, || Place::new((kind, name), (scope, ending), &ice, runtime.clone(), settings)))
    }

    /// What reads the incoming messages of a place.
    pub(super) fn observer(self: &Arc<Self>, place: &Arc<Place>) -> Arc<dyn Observer> {
        Arc::new(IceObserver { state: Arc::downgrade(self), place: Arc::clone(place) })
    }

    /// The place of a socket of that name in a scope.
    pub(super) fn socket_place(
        self: &Arc<Self>,
        scope: ScopeKey,
        name: &str,
        runtime: &TokioHandle,
        config: AutoIceConfig,
    ) -> Result<Arc<Place>, EngineError> {
        self.ice_place(scope, (PlaceKind::Socket, name), runtime, config)
    }

    /// Makes the default name of a call stand for this session, unless a sampler of the plan has made one of that name.
    fn name_newest(&self, scope: ScopeKey, ice: &ScopeIce, key: SessionKey) {
        let newest = ice.newest();
        let mut tables = self.tables();
        let Some(entry) = tables.scopes.get_mut(scope) else { return };
        let held = entry.sessions.get(DEFAULT_CALL).copied();
        if held.is_none() || held == newest {
            entry.sessions.insert(DEFAULT_CALL.to_owned(), key);
            ice.set_newest(key);
        }
    }
}

impl Engine {
    /// What takes the place of a message that is about to go out of `place`, and what is to be done once it is out. `None`
    /// where nothing is found: that costs a search over the bytes. `deadline`: `None` = as long as the settings of the place let it
    /// take.
    fn live_message(
        &self,
        place: &Arc<Place>,
        operation: OperationKey,
        (message, headers): (&[u8], Option<String>),
        deadline: Option<Duration>,
    ) -> Result<Option<place::Prepared>, EngineError> {
        match place.read_outgoing(&self.state, message, headers) {
            Some(reading) => {
                let deadline = deadline.unwrap_or_else(|| place.longest());
                self.prepare(place, operation, message, reading, deadline)
            }
            None => Ok(None),
        }
    }

    /// Prepares a message in which something was found.
    #[cold]
    fn prepare(
        &self,
        place: &Arc<Place>,
        operation: OperationKey,
        message: &[u8],
        reading: Reading,
        deadline: Duration,
    ) -> Result<Option<place::Prepared>, EngineError> {
        let _busy = self.state.opening(&self.runtime);
        let preparing = Arc::clone(place).prepare(Arc::clone(&self.state), reading, message.to_vec());
        let waiting = async move { Ok(preparing.await) };
        match self.wait("make a live description", operation, deadline, Unwatched::Drop, waiting) {
            Err(EngineError::Deadline { deadline_ms, .. }) => {
                let reason = format!(
                    "no live description was ready within {deadline_ms} ms: this machine is short of CPU time, or the deadline \
                     is shorter than gatherWaitMs and answerWaitMs"
                );
                self.state.auto_ice.left(&reason, &place.name, "message");
                Ok(None)
            }
            Err(EngineError::Panicked { what, text }) => {
                // The plan's message does not suffer for a bug of ours.
                log::error!("{what}: {text}; the message goes out as it is");
                Ok(None)
            }
            prepared => prepared.map(Some),
        }
    }

    /// Prepares a frame of a socket; `None` where it goes out as it is and nothing is to be done. Bounded by the settings of the
    /// place, not by the sample's own deadline, which is for sending.
    ///
    /// # Errors
    /// A stale operation, a cancel.
    pub(super) fn live_frame(
        &self,
        place: Option<&Arc<Place>>,
        operation: OperationKey,
        (opcode, fin): (Opcode, bool),
        payload: &[u8],
    ) -> Result<Option<place::Prepared>, EngineError> {
        match (place, opcode) {
            (Some(place), Opcode::Text | Opcode::Binary) if fin => {
                self.live_message(place, operation, (payload, None), None)
            }
            _ => Ok(None),
        }
    }

    /// Results of Auto ICE calls that wait in a scope; 0 for a closed one. One atomic read where none waits anywhere.
    pub fn auto_ice_waiting(&self, scope: ScopeKey) -> u64 {
        if self.state.auto_ice.waiting() == 0 {
            return 0;
        }
        let ice = self.state.tables().scopes.get(scope).map(|entry| Arc::clone(&entry.auto_ice));
        ice.map_or(0, |ice| ice.len() as u64)
    }

    /// How many results of Auto ICE calls wait in all scopes: for those who look at it too often for a call.
    pub fn auto_ice_waiting_anywhere(&self) -> &AtomicU64 {
        self.state.auto_ice.waiting_count()
    }

    /// Takes the results of a scope; a closed one has none.
    pub fn take_auto_ice(&self, scope: ScopeKey) -> Vec<Value> {
        let ice = self.state.tables().scopes.get(scope).map(|entry| Arc::clone(&entry.auto_ice));
        ice.map(|ice| ice.take()).unwrap_or_default()
    }

    /// Hangs up every Auto ICE call of a scope, decides what is undecided and takes the results.
    ///
    /// # Errors
    /// A stale scope; [`EngineError::Unfinished`] when `deadline` passed: the rest ends in the background.
    pub fn end_auto_ice(&self, scope: ScopeKey, deadline: Duration) -> Result<Vec<Value>, EngineError> {
        let ice = Arc::clone(&self.state.tables().scope(scope)?.auto_ice);
        let ending = Arc::clone(&ice);
        self.wait("end Auto ICE", OperationKey::default(), deadline, Unwatched::Continue, async move {
            ending.end().await;
            Ok(())
        })?;
        Ok(ice.take())
    }

    /// A channel of a scope: for messages that other samplers send and receive. The first call makes it, a later one changes its
    /// settings.
    ///
    /// # Errors
    /// [`EngineError::Config`] by field name; a stale scope.
    pub fn auto_ice_channel(&self, scope: ScopeKey, name: &str, config: &[u8]) -> Result<ChannelKey, EngineError> {
        check_name(name)?;
        let config = AutoIceConfig::from_json(config)?;
        let place = self.state.ice_place(scope, (PlaceKind::Channel, name), self.runtime.handle(), config)?;
        let mut tables = self.state.tables();
        let known = tables
            .scope(scope)?
            .channels
            .iter()
            .find(|key| tables.channels.get(**key).is_some_and(|other| Arc::ptr_eq(other, &place)));
        if let Some(key) = known {
            return Ok(*key);
        }
        let key = tables.channels.insert(place);
        tables.scope_mut(scope)?.channels.push(key);
        Ok(key)
    }

    /// What takes the place of a message of a channel; `None`: it goes out as it is, also where nothing was ready within
    /// `deadline`. `context` is JSON, empty for none.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a context that is none; a stale channel or operation, a cancel.
    pub fn auto_ice_outgoing(
        &self,
        channel: ChannelKey,
        operation: OperationKey,
        message: &[u8],
        context: &[u8],
        deadline: Duration,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let headers = Context::of(context)?.headers;
        let place = self.channel(channel)?;
        let prepared = self.live_message(&place, operation, (message, headers), Some(deadline))?;
        let Some(prepared) = prepared else { return Ok(None) };
        prepared.after.sent(Instant::now());
        Ok(prepared.message)
    }

    /// Reads an incoming message of a channel; `context` is JSON, empty for none. Returns at once.
    ///
    /// # Errors
    /// [`EngineError::Config`] for a context that is none; a stale channel.
    pub fn auto_ice_incoming(&self, channel: ChannelKey, message: Vec<u8>, context: &[u8]) -> Result<(), EngineError> {
        let headers = Context::of(context)?.headers;
        let place = self.channel(channel)?;
        if place.mode() != Mode::On {
            return Ok(());
        }
        place.read_incoming(&self.state, &message, headers, Instant::now());
        Ok(())
    }

    fn channel(&self, key: ChannelKey) -> Result<Arc<Place>, EngineError> {
        self.state.tables().channels.get(key).cloned().ok_or_else(|| key.stale())
    }
}

/// For plans that put live descriptions into their messages by themselves.
impl Engine {
    /// A live offer under a name; a call that the scope has under it is replaced.
    ///
    /// # Errors
    /// [`EngineError::Config`] by field name; [`EngineError::Peer`]; a stale scope, the deadline, a cancel.
    pub fn auto_ice_offer(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        deadline: Duration,
    ) -> Result<String, EngineError> {
        let place = self.function_place(scope, name, config)?;
        self.describe(&place, operation, SdpType::Offer, deadline)
    }

    /// A live answer under a name; without an offer it answers the one that was applied under the name. The same offer again
    /// gives the same answer.
    ///
    /// # Errors
    /// [`EngineError::Config`] also where there is no offer; [`EngineError::Peer`]; a stale scope, the deadline, a cancel.
    pub fn auto_ice_answer(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        config: &[u8],
        offer: Option<String>,
        deadline: Duration,
    ) -> Result<String, EngineError> {
        let place = self.function_place(scope, name, config)?;
        if let Some(offer) = offer {
            place.take(&self.state, &description(SdpType::Offer, offer), Instant::now());
        }
        if !place.has_offer() {
            return match place.only_call() {
                Some(call) if call.role == Role::Answerer => Ok(call.described.lock().sdp.clone()),
                _ => {
                    Err(ConfigError::new("offer", "null", "the other side's offer, or apply it under this name first")
                        .into())
                }
            };
        }
        self.describe(&place, operation, SdpType::Answer, deadline)
    }

    /// The next local candidate of a call, the last one again when there are no more; `None` when there is none.
    ///
    /// # Errors
    /// [`EngineError::Config`] where there is no call of that name; a stale scope, the deadline, a cancel.
    pub fn auto_ice_candidate(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        deadline: Duration,
    ) -> Result<Option<IceCandidateInit>, EngineError> {
        let call = self.function_call(scope, name)?;
        self.wait("next candidate", operation, deadline, Unwatched::Drop, async move {
            let index = call.next_candidate();
            call.refresh();
            if call.candidate(index).is_none()
                && let Some(candidate) = call.session.next_local_candidate().await
            {
                call.described.lock().candidates.push(candidate);
            }
            Ok(call.candidate(index))
        })
    }

    /// Applies what the other side said: `offer`, `answer`, `pranswer` or `candidate`. The same again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Config`] for another type, for text that is none of it, and where there is no call of that name;
    /// [`EngineError::Peer`] for a description that cannot be used; a stale scope, the deadline, a cancel.
    pub fn auto_ice_apply(
        &self,
        scope: ScopeKey,
        operation: OperationKey,
        name: &str,
        kind: &str,
        text: String,
        deadline: Duration,
    ) -> Result<(), EngineError> {
        let kind = match kind {
            "offer" => {
                let place = self.function_place(scope, name, b"{}")?;
                place.take(&self.state, &description(SdpType::Offer, text), Instant::now());
                return Ok(());
            }
            "answer" => Some(SdpType::Answer),
            "pranswer" => Some(SdpType::Pranswer),
            "candidate" => None,
            other => {
                return Err(ConfigError::new("type", other, "offer, answer, pranswer or candidate").into());
            }
        };
        let call = self.function_call(scope, name)?;
        let place = self.function_place(scope, name, b"")?;
        let content = match kind {
            Some(kind) => Content::Description { sdp: text, kind: Some(kind) },
            None => candidate_content(&text)?,
        };
        let applied = call.applied();
        let finding = Finding { content, dialog: Dialog::default(), path: "function".to_owned() };
        place.take(&self.state, &finding, Instant::now());
        self.wait("apply remote description", operation, deadline, Unwatched::Drop, async move {
            Ok(call.until_applied(applied).await?)
        })
    }

    /// The place of a function's calls; without a configuration it must be there.
    fn function_place(&self, scope: ScopeKey, name: &str, config: &[u8]) -> Result<Arc<Place>, EngineError> {
        check_name(name)?;
        if config.is_empty() {
            let ice = Arc::clone(&self.state.tables().scope(scope)?.auto_ice);
            return ice.find_place(PlaceKind::Function, name).ok_or_else(|| no_call(name));
        }
        let config = AutoIceConfig::from_json(config)?;
        self.state.ice_place(scope, (PlaceKind::Function, name), self.runtime.handle(), config)
    }

    fn function_call(&self, scope: ScopeKey, name: &str) -> Result<Arc<LiveCall>, EngineError> {
        self.function_place(scope, name, b"")?.only_call().ok_or_else(|| no_call(name))
    }

    fn describe(
        &self,
        place: &Arc<Place>,
        operation: OperationKey,
        kind: SdpType,
        deadline: Duration,
    ) -> Result<String, EngineError> {
        let _busy = self.state.opening(&self.runtime);
        let (place, state) = (Arc::clone(place), Arc::clone(&self.state));
        let finding = description(kind, String::new());
        let (sdp, after) = self.wait("make a live description", operation, deadline, Unwatched::Drop, async move {
            place.describe_for_function(&state, &finding).await
        })?;
        after.sent(Instant::now());
        Ok(sdp)
    }
}

fn no_call(name: &str) -> EngineError {
    ConfigError::new("name", name, "the name of a call that an offer or answer was made for").into()
}

/// A finding without a dialog id, as of a function.
fn description(kind: SdpType, sdp: String) -> Finding {
    let content = Content::Description { sdp, kind: Some(kind) };
    Finding { content, dialog: Dialog::default(), path: "function".to_owned() }
}

/// A candidate as JSON, as a line, or as a fragment.
fn candidate_content(text: &str) -> Result<Content, ConfigError> {
    let trimmed = text.trim();
    if trimmed.starts_with('{') {
        return Ok(Content::Candidate(from_json(trimmed.as_bytes())?));
    }
    let line = trimmed.strip_prefix("a=").unwrap_or(trimmed);
    if trimmed.lines().count() > 1 || trimmed.starts_with("a=end-of-candidates") {
        return Ok(Content::Fragment { sdpfrag: text.to_owned() });
    }
    if crate::diagnosis::facts::Candidate::parse(line).is_none() {
        return Err(ConfigError::new(
            "text",
            text,
            "RTCIceCandidateInit as JSON, a candidate line or a fragment (RFC 8840)",
        ));
    }
    let candidate = line.to_owned();
    Ok(Content::Candidate(IceCandidateInit { candidate, sdp_m_line_index: Some(0), ..IceCandidateInit::default() }))
}
