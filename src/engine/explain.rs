//! From what failed to why: facts of sessions and sockets are completed by what only the engine knows (the generator, the same
//! user elsewhere, other losses), and the verdict goes into what crosses to the caller.
//!
//! Only failures are explained; of a success it is told whether the generator was starved. Nothing waits here.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::diagnosis::facts::{End, GeneratorFacts, IdentityFacts, SessionFacts, SignalingFacts, SocketFacts, Step};
use crate::diagnosis::{Verdict, diagnose, diagnose_socket};
use crate::peer::{ConnectionState, PeerError, Session, census};
use crate::signaling::outcome::CallFailure;
use crate::signaling::softphone::Failure;
use crate::socket::{CloseCause, Phases, SocketError};

use super::error::EngineError;
use super::identities::facts_of;
use super::sessions::Softphone;
use super::tables::SocketKey;
use super::{State, micros};

/// A loss is noticed after 30 s of silence, and began before it.
const BEFORE_A_LOSS: Duration = Duration::from_secs(35);
/// A socket's end is looked at with the seconds before it.
const BEFORE_AN_END: Duration = Duration::from_secs(5);

/// Why something failed, and how the generator was meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Why; `None` where nothing can be said.
    pub verdict: Option<Verdict>,
    /// Why the generator's times cannot be trusted; empty when they can.
    pub starved_reasons: Vec<String>,
}

impl Explanation {
    /// `{"verdict":{…},"starved":…,"starvedReasons":[…]}`; `verdict` is left out where there is none.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = starved_members(&self.starved_reasons);
        if let Some(verdict) = &self.verdict {
            members.insert("verdict".to_owned(), json!(verdict));
        }
        members
    }
}

/// Every reason that a sample's times, or its failure, may be the generator's own.
fn reasons(generator: &GeneratorFacts) -> Vec<String> {
    generator.starved.iter().chain(&generator.limits).cloned().collect()
}

fn starved_members(reasons: &[String]) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("starved".to_owned(), json!(!reasons.is_empty()));
    members.insert("starvedReasons".to_owned(), json!(reasons));
    members
}

impl State {
    /// Why the generator was starved between two instants; empty when it was not.
    pub(super) fn starved_reasons(&self, from: Instant, to: Instant) -> Vec<String> {
        reasons(&self.watch.between(from, to))
    }

    /// Adds `starved` and `starvedReasons` of the time between two instants to a JSON object.
    pub(super) fn add_starved(&self, value: &mut Value, from: Instant, to: Instant) {
        if let Value::Object(members) = value {
            members.extend(starved_members(&self.starved_reasons(from, to)));
        }
    }

    /// Completes the verdict of a call that did not come up. `turn_others`: other sessions with the same TURN account.
    pub(super) fn explain_call(&self, failure: &mut CallFailure, signaling: IdentityFacts, turn_others: u32) {
        let facts = &mut failure.facts;
        facts.generator = self.watch.until_now(failure.started);
        facts.identity = IdentityFacts { same_turn_account_here: turn_others, ..signaling };
        failure.outcome.starved_reasons = reasons(&facts.generator);
        failure.outcome.starved = !failure.outcome.starved_reasons.is_empty();
        if let Some(error) = &mut failure.outcome.error {
            let offset = failure.session_started.saturating_duration_since(failure.started);
            error.verdict = diagnose(facts).map(|verdict| verdict.later_by(offset));
        }
    }

    /// Why a softphone was lost: members for its `lost` object.
    pub(super) fn explain_loss(&self, softphone: &Softphone) -> Map<String, Value> {
        let session = softphone.session();
        let (mut facts, started) = softphone.call_facts().unwrap_or_else(|| {
            let mut facts = session.facts();
            facts.end = end_of(&facts, session.connection_state());
            (facts, session.started())
        });
        let at = session.started() + Duration::from_micros(facts.now_us);
        facts.generator = self.watch.between(at.checked_sub(BEFORE_A_LOSS).unwrap_or(started), at);
        facts.identity.same_turn_account_here = softphone.same_turn_account();
        facts.others = census::around(at);
        let offset = session.started().saturating_duration_since(started);
        let verdict = diagnose(&facts).map(|verdict| verdict.later_by(offset));
        let mut members = starved_members(&reasons(&facts.generator));
        if let Ok(Value::Object(verdict)) = serde_json::to_value(verdict) {
            members.extend(verdict);
        }
        members
    }

    /// A session's error with its explanation.
    pub(super) fn explain_session(&self, error: PeerError, session: Option<&Session>, began: Instant) -> EngineError {
        let mut facts = session.map_or_else(SessionFacts::default, Session::facts);
        facts.end = match &error {
            PeerError::Config(_) => return error.into(),
            PeerError::UdpSocket { errno, detail } => {
                facts.bind_error = Some((*errno, detail.clone()));
                End::SetUp(Step::Bind)
            }
            PeerError::Sdp { detail, .. } => {
                facts.signaling.rejected = Some(detail.clone());
                End::SetUp(Step::Description)
            }
            PeerError::Closed => End::Cancelled,
            PeerError::Deadline { .. } => end_of(&facts, ConnectionState::Failed),
            PeerError::Failed { state, .. } => end_of(&facts, *state),
        };
        facts.generator = self.watch.until_now(began);
        let explanation = Explanation { starved_reasons: reasons(&facts.generator), verdict: diagnose(&facts) };
        EngineError::Explained { error: Box::new(error.into()), explanation: Box::new(explanation) }
    }

    /// The error of opening a WebSocket with its explanation.
    pub(super) fn explain_opening(
        &self,
        error: SocketError,
        phases: Option<&Phases>,
        (server, source_address): (&str, bool),
        same_user_here: u32,
        began: Instant,
    ) -> EngineError {
        let facts = SocketFacts {
            error: Some(error.clone()),
            ended_us: Some(micros(began.elapsed())),
            dns_us: phases.and_then(|phases| phases.dns_us),
            dns_from_cache: phases.and_then(|phases| phases.dns_from_cache).unwrap_or_default(),
            server: server.to_owned(),
            source_address,
            generator: self.watch.until_now(began),
            identity: IdentityFacts { same_user_here, ..IdentityFacts::default() },
            ..SocketFacts::default()
        };
        explained(error, &facts)
    }

    /// Why a softphone is not registered, of an attempt that began and ended then.
    pub(super) fn explain_registration(
        &self,
        failure: &Failure,
        identity: IdentityFacts,
        (began, ended): (Instant, Instant),
    ) -> Explanation {
        let generator = self.watch.between(began, ended);
        let starved_reasons = reasons(&generator);
        let now_us = micros(ended.saturating_duration_since(began));
        let of_socket = SocketFacts {
            ended_us: Some(now_us),
            generator: generator.clone(),
            identity: identity.clone(),
            ..SocketFacts::default()
        };
        let of_login = |signaling: SignalingFacts| {
            let end = End::SetUp(Step::Signaling);
            diagnose(&SessionFacts { now_us, end, signaling, generator, identity, ..SessionFacts::default() })
        };
        let verdict = match failure {
            Failure::Unreached { request, server, error, phases } => diagnose_socket(&SocketFacts {
                error: Some((**error).clone()),
                request: request.clone(),
                server: server.clone(),
                dns_us: phases.as_ref().and_then(|phases| phases.dns_us),
                dns_from_cache: phases.as_ref().and_then(|phases| phases.dns_from_cache).unwrap_or_default(),
                ..of_socket
            }),
            Failure::Closed { cause, idle } => {
                diagnose_socket(&SocketFacts { closed: Some(cause.clone()), idle_us: idle.map(micros), ..of_socket })
            }
            Failure::Refused { why } => {
                of_login(SignalingFacts { refused: Some((why.clone(), String::new())), ..SignalingFacts::default() })
            }
            Failure::Late { waited, .. } => {
                of_login(SignalingFacts { waited_us: Some(micros(*waited)), ..SignalingFacts::default() })
            }
            Failure::Ours { .. } => None,
        };
        Explanation { verdict, starved_reasons }
    }

    /// The error of using a WebSocket with its explanation; other errors as they are.
    pub(super) fn explain_use(&self, key: SocketKey, error: EngineError) -> EngineError {
        match error {
            EngineError::Socket(error) => match self.end_facts(key) {
                Some(facts) => explained(error.clone(), &SocketFacts { error: Some(error), ..facts }),
                None => error.into(),
            },
            other => other,
        }
    }

    /// Why a WebSocket ended; `None` while it is open, and for one that is not known.
    pub(super) fn explain_end(&self, key: SocketKey, cause: CloseCause) -> Option<Explanation> {
        let facts = SocketFacts { closed: Some(cause), ..self.end_facts(key)? };
        Some(Explanation { starved_reasons: reasons(&facts.generator), verdict: diagnose_socket(&facts) })
    }

    /// What is known of a WebSocket around its end, or now.
    fn end_facts(&self, key: SocketKey) -> Option<SocketFacts> {
        let tables = self.tables();
        let entry = tables.sockets.get(key)?;
        let socket = entry.socket.clone();
        let (ended, silent) = match socket.end_times() {
            Some((ended, silent)) => (ended, Some(silent)),
            None => (Instant::now(), None),
        };
        let identity = facts_of(&entry.logins, ended);
        drop(tables);
        Some(SocketFacts {
            ended_us: Some(micros(ended.saturating_duration_since(socket.started()))),
            idle_us: silent.map(micros),
            server: socket.opened().peer.to_string(),
            generator: self.watch.between(ended.checked_sub(BEFORE_AN_END).unwrap_or(ended), ended),
            identity,
            ..SocketFacts::default()
        })
    }

    /// The same user elsewhere, as seen from a signaling socket now.
    pub(super) fn identity_of(&self, key: SocketKey) -> IdentityFacts {
        let tables = self.tables();
        let entry = tables.sockets.get(key);
        let ended = entry.and_then(|entry| entry.socket.end_times()).map_or_else(Instant::now, |(ended, _)| ended);
        entry.map(|entry| facts_of(&entry.logins, ended)).unwrap_or_default()
    }
}

fn explained(error: SocketError, facts: &SocketFacts) -> EngineError {
    let explanation = Explanation { starved_reasons: reasons(&facts.generator), verdict: diagnose_socket(facts) };
    EngineError::Explained { error: Box::new(error.into()), explanation: Box::new(explanation) }
}

/// How a session of no call ended.
fn end_of(facts: &SessionFacts, state: ConnectionState) -> End {
    match (state, facts.ice_connected_us, facts.dtls_connected_us) {
        (ConnectionState::Closed, ..) => End::EndedByPeer { reason: Some("DTLS close_notify".to_owned()) },
        (_, _, Some(_)) => End::Lost,
        (_, Some(_), None) => End::SetUp(Step::Dtls),
        (_, None, None) => End::SetUp(Step::Ice),
    }
}
