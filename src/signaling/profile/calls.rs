//! The calls of one softphone: which message is whose, and what happens at their PeerConnections. Pure.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::format::{Do, Rule, Source};
use super::fragment;
use super::machine::{Context, Extra, Flow, Machine};
use super::messages::{Action, CallKey, Command, EndedBy, PeerEvent, PeerNumber};
use super::template::text_of;
use crate::peer::{IceCandidateInit, MediaCounters};

/// How long candidates of a call that is not known yet are kept.
pub(super) const EARLY: Duration = Duration::from_secs(60);
/// So many messages of calls that are not known yet are kept.
const MAX_EARLY: usize = 64;
/// So many candidates are kept before a call's first description.
const MAX_EARLY_CANDIDATES: usize = 64;
/// How long a PeerConnection may take to come to rest; longer than all its own waits.
const REST: Duration = Duration::from_secs(3);
/// Calls one softphone may have at a time.
const MAX_CALLS: usize = 256;
/// So often a call may be told to come to rest before it has.
const MAX_RESTS: usize = 8;

/// One call.
#[derive(Default)]
pub(super) struct Call {
    /// Its name in the protocol, once known.
    pub(super) name: Option<String>,
    pub(super) variables: BTreeMap<String, Value>,
    pub(super) outgoing: bool,
    accepted: bool,
    /// The PeerConnection in use; 0 = none yet.
    peer: PeerNumber,
    /// User fragment and password of the last remote description.
    remote_ice: Option<(String, String)>,
    /// The last remote description, where it was an offer.
    remote_offer: Option<String>,
    /// The answers that the PeerConnection has yet to make, in order: whether each is to an ICE restart that came as a fragment.
    answers: VecDeque<bool>,
    /// A remote description is there, so candidates may follow.
    described: bool,
    early: Vec<IceCandidateInit>,
    /// We asked for its end.
    hung_up: bool,
    /// Its PeerConnection failed.
    failed: bool,
    taken: VecDeque<(usize, String, Instant)>,
    /// The call whose PeerConnection it uses.
    on: Option<CallKey>,
    /// It is over for its user, and its PeerConnection stays.
    released: bool,
    /// What follows when its PeerConnection has come to rest, in the order in which it was told to.
    resting: VecDeque<Resting>,
}

/// What follows a [`Do::Rest`].
struct Resting {
    then: Vec<Do>,
    /// The message at hand when it was told to rest.
    message: Option<Value>,
    /// Without the PeerConnection's word it follows then.
    until: Instant,
}

impl Call {
    /// Placed by the user, and not known to the protocol yet.
    pub(super) fn is_being_placed(&self) -> bool {
        self.outgoing && self.name.is_none()
    }

    /// Who ended it: the protocol may let the other side say what we asked for.
    fn ended_by(&self, by: EndedBy) -> EndedBy {
        match by {
            EndedBy::Peer | EndedBy::Us if self.failed => EndedBy::Failure,
            EndedBy::Peer if self.hung_up => EndedBy::Us,
            by => by,
        }
    }

    /// When its PeerConnection should have come to rest.
    pub(super) fn rest_end(&self) -> Option<Instant> {
        self.resting.front().map(|resting| resting.until)
    }
}

impl Machine {
    // --- Messages ----------------------------------------------------------------------------------------------

    /// Does what the rule `number` says about `message`.
    pub(super) fn apply(&mut self, number: usize, rule: &Rule, message: &Value, now: Instant) {
        let mut context = Context { message: Some(message), ..Context::default() };
        let Some(named) = &rule.call else {
            if let Err(error) = self.set(&rule.set, &context, now) {
                return self.problem(error.to_string());
            }
            self.run(&rule.then, &context, now);
            return;
        };
        let name = match self.value(named, &context, now) {
            Ok(Some(name)) => text_of(&name),
            Ok(None) => return self.problem("a message was ignored: it names no call"),
            Err(error) => return self.problem(error.to_string()),
        };
        let is_it = |call: &Call| match &rule.by {
            None => call.name.as_deref() == Some(&*name),
            Some(variable) => call.variables.get(variable).is_some_and(|value| text_of(value) == name),
        };
        let known = self.calls.iter().find(|(_, call)| is_it(call)).map(|(key, _)| *key);
        let (key, is_new) = match known {
            Some(key) => (key, false),
            None if rule.starts => match self.start_call(&name, rule, &context, now) {
                Some(key) => (key, true),
                None => return,
            },
            None if rule.by.is_some() => return,
            None if brings_candidates(&rule.then) => return self.keep_early(name, number, message, now),
            None => return self.problem("a message was ignored: it is of a call that is not known, or is over"),
        };
        context.call = Some(key);
        if let Some(dedupe) = &rule.dedupe {
            match self.value(&dedupe.id, &context, now) {
                Ok(Some(id)) => {
                    let id = text_of(&id);
                    let Some(call) = self.calls.get_mut(&key) else { return };
                    let lifetime = Duration::from_millis(dedupe.for_ms);
                    call.taken.retain(|(rule, _, at)| *rule != number || now.saturating_duration_since(*at) < lifetime);
                    if call.taken.iter().any(|(rule, taken, _)| *rule == number && *taken == id) {
                        return;
                    }
                    call.taken.push_back((number, id, now));
                    if call.taken.iter().filter(|(rule, ..)| *rule == number).count() > dedupe.keep
                        && let Some(oldest) = call.taken.iter().position(|(rule, ..)| *rule == number)
                    {
                        call.taken.remove(oldest);
                    }
                }
                Ok(None) => {}
                Err(error) => self.problem(error.to_string()),
            }
        }
        if rule.starts && !is_new {
            // A repetition: what was said before is said again.
            if self.calls.get(&key).is_some_and(|call| call.accepted || call.outgoing) {
                self.run(&rule.again, &context, now);
            }
            return;
        }
        if let Err(error) = self.set(&rule.set, &context, now) {
            return self.problem(error.to_string());
        }
        self.run(&rule.then, &context, now);
        if is_new {
            self.take_early(&name, now);
        }
    }

    /// A call starts: a new one, or the one that the user placed.
    fn start_call(&mut self, name: &str, rule: &Rule, context: &Context<'_>, now: Instant) -> Option<CallKey> {
        let has = |call: &Call, variable: &str, value: &Value| {
            call.variables.get(variable).is_some_and(|own| text_of(own) == text_of(value))
        };
        let joins = rule.joins.as_ref().and_then(|variable| {
            let source: &Source = rule.set.get(variable)?;
            Some((variable, self.value(source, context, now).ok().flatten()?))
        });
        let is_of_released = |(variable, value): &(&String, Value)| {
            self.calls.values().any(|call| call.released && has(call, variable, value))
        };
        if joins.as_ref().is_some_and(is_of_released) {
            // It is over for its user, whatever is still said of it.
            return None;
        }
        let joined = joins.and_then(|(variable, value)| {
            let placed = self.calls.iter().find(|(_, call)| call.is_being_placed() && has(call, variable, &value));
            placed.map(|(key, _)| *key)
        });
        let key = match joined {
            Some(key) => key,
            None if self.calls.len() >= MAX_CALLS => {
                self.problem(format!("a call was ignored: there are {MAX_CALLS} already"));
                return None;
            }
            None => {
                let key = self.new_call();
                self.calls.insert(key, Call::default());
                key
            }
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.name = Some(name.to_owned());
        }
        self.push(Action::Named { call: key, name: name.to_owned() });
        Some(key)
    }

    fn keep_early(&mut self, name: String, rule: usize, message: &Value, now: Instant) {
        if self.early.len() >= MAX_EARLY {
            self.early.pop_front();
        }
        self.early.push_back((name, rule, message.clone(), now));
    }

    fn take_early(&mut self, name: &str, now: Instant) {
        let (ours, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.early).into_iter().partition(|(of, ..)| of == name);
        self.early = others;
        let profile = Arc::clone(&self.profile);
        for (_, rule, message, at) in ours {
            if let Some(found) = profile.on.get(rule)
                && now.saturating_duration_since(at) < EARLY
            {
                self.apply(rule, found, &message, now);
            }
        }
    }

    // --- Actions -----------------------------------------------------------------------------------------------

    /// Does an action that is about a call.
    pub(super) fn call_action(&mut self, action: &Do, context: &Context<'_>, now: Instant) -> Flow {
        let Some(key) = context.call else {
            self.problem("an action was not done: it needs a call, and there is none at hand");
            return Flow::On;
        };
        if !self.calls.contains_key(&key) {
            // It ended while this was on its way: an answer may come behind the other side's own good-bye.
            return Flow::On;
        }
        match action {
            Do::Ring { auto } => self.ring(key, auto.as_ref(), context, now),
            Do::Ringing => self.push(Action::Ringing { call: key }),
            Do::Offer => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.peer = call.peer.max(1);
                    let peer = call.peer;
                    self.push(Action::MakeOffer { call: key, peer });
                }
            }
            Do::RemoteOffer { sdp, new_peer_if_ice_changed } => {
                if let Some(sdp) = self.text_value(sdp, "the offer", context, now) {
                    self.remote_offer(key, sdp, *new_peer_if_ice_changed);
                }
            }
            Do::RemoteAnswer { sdp } => {
                if let (Some(answer), Some(call)) =
                    (self.text_value(sdp, "the answer", context, now), self.calls.get_mut(&key))
                {
                    call.remote_ice = fragment::ice_credentials(&answer);
                    call.remote_offer = None;
                    call.accepted = true;
                    call.described = true;
                    let peer = call.peer;
                    self.push(Action::ApplyAnswer { call: key, peer, answer });
                    self.early_candidates(key);
                }
            }
            Do::RemoteCandidate { candidate, sdp_mid, sdp_m_line_index, username_fragment } => {
                let Some(candidate) = self.text_value(candidate, "the candidate", context, now) else {
                    return Flow::On;
                };
                let mut optional = |source: &Option<Source>| {
                    source.as_ref().and_then(|source| self.value(source, context, now).ok().flatten())
                };
                let candidate = IceCandidateInit {
                    candidate,
                    sdp_mid: optional(sdp_mid).map(|value| text_of(&value)),
                    sdp_m_line_index: optional(sdp_m_line_index).and_then(|value| text_of(&value).parse().ok()),
                    username_fragment: optional(username_fragment).map(|value| text_of(&value)),
                };
                self.remote_candidate(key, candidate);
            }
            Do::RemoteCandidateFragment { sdp, restarts_ice } => {
                if let Some(text) = self.text_value(sdp, "the candidate", context, now) {
                    if *restarts_ice {
                        self.remote_restart(key, &text);
                    }
                    for candidate in fragment::candidates(&text) {
                        self.remote_candidate(key, candidate);
                    }
                }
            }
            Do::Rest { packets, then } => {
                let packets = packets.as_ref().and_then(|packets| self.count(packets, context, now));
                return self.rest(key, packets.unwrap_or_default(), then, context, now);
            }
            Do::RemoteMedia { packets_sent, packets_received } => {
                if let (Some(packets_sent), Some(packets_received)) =
                    (self.count(packets_sent, context, now), self.count(packets_received, context, now))
                {
                    let media = MediaCounters { packets_sent, packets_received, ..MediaCounters::default() };
                    self.push(Action::RemoteMedia { call: key, media });
                }
            }
            Do::Closed { reason } => return self.ended(key, EndedBy::Peer, reason.as_ref(), context, now),
            Do::Release { reason } => {
                let reason = reason.as_ref().and_then(|reason| self.value(reason, context, now).ok().flatten());
                self.release(key, reason.map(|reason| text_of(&reason)));
                return Flow::Off;
            }
            Do::UseStanding => self.use_standing(key),
            Do::Refused { reason } => return self.ended(key, EndedBy::Refusal, reason.as_ref(), context, now),
            Do::End => {
                let reason = context.extra.iter().find(|(name, _)| *name == "reason").map(|(_, value)| text_of(value));
                self.end_call(key, EndedBy::Us, reason);
                return Flow::Off;
            }
            _ => {}
        }
        Flow::On
    }

    fn text_value(&mut self, source: &Source, what: &str, context: &Context<'_>, now: Instant) -> Option<String> {
        match self.value(source, context, now) {
            Ok(Some(value)) => Some(text_of(&value)),
            Ok(None) => {
                self.problem(format!("{what} was ignored: the message has none where the profile says it is"));
                None
            }
            Err(error) => {
                self.problem(error.to_string());
                None
            }
        }
    }

    /// A count that a message states; nothing where it states none.
    fn count(&mut self, source: &Source, context: &Context<'_>, now: Instant) -> Option<u64> {
        let text = match self.value(source, context, now) {
            Ok(value) => text_of(&value?),
            Err(error) => {
                self.problem(error.to_string());
                return None;
            }
        };
        match text.parse() {
            Ok(count) => Some(count),
            Err(_) => {
                self.problem("packet accounts were ignored: one of them is no whole number from 0");
                None
            }
        }
    }

    fn rest(&mut self, key: CallKey, packets: u64, then: &[Do], context: &Context<'_>, now: Instant) -> Flow {
        match self.calls.get_mut(&key).filter(|call| call.peer > 0) {
            Some(call) if call.resting.len() < MAX_RESTS => {
                let (then, message) = (then.to_vec(), context.message.cloned());
                call.resting.push_back(Resting { then, message, until: now + REST });
                let peer = call.peer;
                self.push(Action::Rest { call: key, peer, packets });
                Flow::On
            }
            Some(_) => {
                self.problem("a call was not brought to rest: it is being brought to rest already");
                Flow::On
            }
            None => self.run(then, context, now),
        }
    }

    /// A PeerConnection has come to rest, or its time for that is over.
    fn rested(&mut self, key: CallKey, media: Option<MediaCounters>, now: Instant) {
        let Some(resting) = self.calls.get_mut(&key).and_then(|call| call.resting.pop_front()) else { return };
        let media = media.and_then(|media| serde_json::to_value(media).ok());
        let extra = media.into_iter().map(|media| ("media", media)).collect();
        let context = Context { message: resting.message.as_ref(), call: Some(key), extra, ..Context::default() };
        self.run(&resting.then, &context, now);
    }

    /// What waits for a rest that does not come is done without it.
    pub(super) fn rests_due(&mut self, now: Instant) {
        let late = |call: &Call| call.rest_end().is_some_and(|end| now >= end);
        let late: Vec<CallKey> = self.calls.iter().filter(|(_, call)| late(call)).map(|(key, _)| *key).collect();
        for key in late {
            let ms = REST.as_millis();
            self.problem(format!("a call did not come to rest within {ms} ms: its packet accounts are not stated"));
            self.rested(key, None, now);
        }
    }

    fn ended(
        &mut self,
        key: CallKey,
        by: EndedBy,
        reason: Option<&Source>,
        context: &Context<'_>,
        now: Instant,
    ) -> Flow {
        let reason = reason.and_then(|reason| self.value(reason, context, now).ok().flatten());
        self.end_call(key, by, reason.map(|reason| text_of(&reason)));
        Flow::Off
    }

    pub(super) fn end_call(&mut self, key: CallKey, by: EndedBy, reason: Option<String>) {
        let Some(call) = self.calls.remove(&key) else { return };
        let by = call.ended_by(by);
        if self.standing == Some(key) {
            self.standing = None;
            let on_it = self.calls.iter().filter(|(_, call)| call.on == Some(key)).map(|(key, _)| *key);
            for other in on_it.collect::<Vec<_>>() {
                self.end_call(other, by, reason.clone());
            }
        }
        self.push(Action::Ended { call: key, by, reason });
    }

    /// The call is over for its user; its PeerConnection stays, if it has one of its own.
    fn release(&mut self, key: CallKey, reason: Option<String>) {
        let lacks_own = |call: &Call| call.peer == 0 || call.failed || call.released;
        match self.calls.get_mut(&key) {
            Some(call) if !lacks_own(call) && self.standing.is_none() => {
                call.released = true;
                let by = call.ended_by(EndedBy::Peer);
                self.standing = Some(key);
                self.push(Action::Released { call: key, by, reason });
            }
            Some(call) if call.released => {}
            _ => self.end_call(key, EndedBy::Peer, reason),
        }
    }

    fn use_standing(&mut self, key: CallKey) {
        match (self.standing, self.calls.get_mut(&key)) {
            (Some(of), Some(call)) if call.on.is_none() && call.peer == 0 => {
                call.on = Some(of);
                call.accepted = true;
                self.push(Action::UseStanding { call: key, of });
            }
            (Some(_), _) => {}
            (None, _) => self.problem("a call is not up: there is no PeerConnection that an earlier call has left"),
        }
    }

    /// Ends the PeerConnection that stays for later calls, unless a call uses it.
    pub(super) fn end_standing(&mut self, now: Instant) {
        if let Some(key) = self.standing.filter(|key| self.calls.values().all(|call| call.on != Some(*key))) {
            let profile = Arc::clone(&self.profile);
            if self.is_registered() {
                self.run(&profile.events.leaving, &Context { call: Some(key), ..Context::default() }, now);
            }
            self.end_call(key, EndedBy::Us, Some("unregistered".to_owned()));
        }
    }

    fn ring(&mut self, key: CallKey, auto: Option<&Source>, context: &Context<'_>, now: Instant) {
        let says = auto.and_then(|auto| self.value(auto, context, now).ok().flatten());
        let auto = says.is_some_and(|says| text_of(&says) == "true");
        let Some(call) = self.calls.get(&key) else { return };
        // What the user placed the user wants.
        let answered = auto || call.outgoing;
        self.push(Action::Incoming { call: key, answered });
        if answered {
            self.call_command(key, Command::Accept, now);
        }
    }

    fn remote_offer(&mut self, key: CallKey, offer: String, new_peer_if_ice_changed: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let ice = fragment::ice_credentials(&offer);
        let before = call.peer;
        let replaces = before > 0 && new_peer_if_ice_changed && ice != call.remote_ice;
        if before == 0 || replaces {
            call.peer += 1;
            call.answers.clear();
        }
        call.remote_ice = ice;
        call.remote_offer = Some(offer.clone());
        call.answers.push_back(false);
        call.described = true;
        let peer = call.peer;
        self.push(Action::MakeAnswer { call: key, peer, offer });
        if replaces {
            self.push(Action::ClosePeer { call: key, peer: before, reason: "alternative-session".to_owned() });
        }
        self.early_candidates(key);
    }

    /// Restarts ICE if the fragment does, by the offer of before with the fragment's credentials.
    fn remote_restart(&mut self, key: CallKey, text: &str) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(offer) = call.remote_offer.as_deref().and_then(|offer| fragment::restarted(offer, text)) else {
            return;
        };
        call.remote_ice = fragment::ice_credentials(&offer);
        call.remote_offer = Some(offer.clone());
        call.answers.push_back(true);
        let peer = call.peer;
        self.push(Action::MakeAnswer { call: key, peer, offer });
    }

    fn remote_candidate(&mut self, key: CallKey, candidate: IceCandidateInit) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.described {
            let peer = call.peer;
            self.push(Action::AddCandidate { call: key, peer, candidate });
        } else if call.early.len() < MAX_EARLY_CANDIDATES {
            call.early.push(candidate);
        } else {
            self.problem("a candidate was ignored: too many came before the description they belong to");
        }
    }

    fn early_candidates(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let peer = call.peer;
        for candidate in std::mem::take(&mut call.early) {
            self.push(Action::AddCandidate { call: key, peer, candidate });
        }
    }

    // --- The user ----------------------------------------------------------------------------------------------

    pub(super) fn call_command(&mut self, key: CallKey, command: Command, now: Instant) {
        let profile = Arc::clone(&self.profile);
        let commands = &profile.commands;
        let (list, extra): (&[Do], Extra) = match command {
            Command::Place { to } => {
                self.next_call = self.next_call.max(key + 1);
                let mut call = Call { outgoing: true, ..Call::default() };
                call.variables.insert("to".to_owned(), Value::String(to));
                self.calls.insert(key, call);
                if !self.is_registered() {
                    return self.end_call(key, EndedBy::Failure, Some("the softphone is not registered".to_owned()));
                }
                (&commands.place, Extra::new())
            }
            Command::Accept => {
                match self.calls.get_mut(&key) {
                    Some(call) if !call.accepted => call.accepted = true,
                    _ => return,
                }
                (&commands.accept, Extra::new())
            }
            Command::Reject => (&commands.reject, Extra::new()),
            Command::HangUp => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.hung_up = true;
                }
                (&commands.hang_up, Extra::new())
            }
            Command::Mute => (&commands.mute, Extra::new()),
            Command::Unmute => (&commands.unmute, Extra::new()),
            Command::Hold => (&commands.hold, Extra::new()),
            Command::Resume => (&commands.resume, Extra::new()),
            // An agent's protocols leave this to the server.
            Command::RestartIce => (&[], Extra::new()),
            Command::Transfer { to } => (&commands.transfer, vec![("to", Value::String(to))]),
            Command::Dtmf(dtmf) => (&commands.dtmf, vec![("digits", Value::String(dtmf.digits().to_owned()))]),
        };
        if !self.calls.contains_key(&key) {
            return self.problem("a command was not done: the call is over");
        }
        if list.is_empty() {
            let name = &profile.name;
            return self.problem(format!("a command was not done: profile '{name}' does not say how"));
        }
        let context = Context { call: Some(key), extra, ..Context::default() };
        self.run(list, &context, now);
    }

    /// A call is up that has no `variable` yet, and nobody has asked for its end.
    pub(super) fn has_call_without(&self, variable: &str) -> bool {
        let lacks = |call: &Call| call.variables.get(variable).is_none_or(|value| text_of(value).is_empty());
        self.calls.values().any(|call| {
            call.accepted && call.described && !call.hung_up && !call.failed && !call.released && lacks(call)
        })
    }

    // --- PeerConnections ---------------------------------------------------------------------------------------

    pub(super) fn peer_event(&mut self, key: CallKey, peer: PeerNumber, event: PeerEvent, now: Instant) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.peer == peer) else {
            // Of a call that is over or of a PeerConnection that was replaced.
            return;
        };
        let restarts = matches!(event, PeerEvent::LocalAnswer(_)) && call.answers.pop_front().unwrap_or_default();
        let profile = Arc::clone(&self.profile);
        let events = &profile.events;
        let text = |text: String| Value::String(text);
        let (list, extra): (&[Do], Extra) = match event {
            PeerEvent::LocalOffer(sdp) => (&events.local_offer, vec![("sdp", text(sdp))]),
            PeerEvent::LocalAnswer(sdp) if restarts => (&events.local_restart, vec![("sdp", text(sdp))]),
            PeerEvent::LocalAnswer(sdp) => (&events.local_answer, vec![("sdp", text(sdp))]),
            PeerEvent::LocalCandidate(candidate) => {
                if profile.candidates.full || !is_told(&profile.candidates, &candidate.candidate) {
                    return;
                }
                let IceCandidateInit { candidate, sdp_mid, sdp_m_line_index, username_fragment } = candidate;
                let mut extra = vec![("candidate", text(candidate))];
                extra.push(("sdpMid", text(sdp_mid.unwrap_or_else(|| "0".to_owned()))));
                extra.push(("sdpMLineIndex", sdp_m_line_index.unwrap_or_default().into()));
                if let Some(fragment) = username_fragment {
                    extra.push(("usernameFragment", text(fragment)));
                }
                (&events.local_candidate, extra)
            }
            PeerEvent::EndOfCandidates if profile.candidates.full => return,
            PeerEvent::EndOfCandidates => (&events.end_of_candidates, Extra::new()),
            PeerEvent::Rested(media) => return self.rested(key, Some(media), now),
            PeerEvent::Connected => (&events.connected, Extra::new()),
            PeerEvent::Disconnected => (&events.disconnected, Extra::new()),
            PeerEvent::Failed { detail } => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.failed = true;
                }
                (&events.failed, vec![("reason", text(detail))])
            }
        };
        let context = Context { call: Some(key), extra, ..Context::default() };
        self.run(list, &context, now);
    }
}

fn brings_candidates(list: &[Do]) -> bool {
    list.iter().any(|action| matches!(action, Do::RemoteCandidate { .. } | Do::RemoteCandidateFragment { .. }))
}

/// Whether a profile tells this candidate (RFC 8839 §5.1: foundation, component, transport, priority, address, port, `typ`).
fn is_told(section: &super::format::CandidatesSection, candidate: &str) -> bool {
    let mut words = candidate.split_ascii_whitespace();
    let transport = words.nth(2).unwrap_or_default();
    let address = words.nth(1).unwrap_or_default();
    let kind = words.nth(2).unwrap_or_default();
    !(section.skip_tcp && transport.eq_ignore_ascii_case("tcp")
        || section.skip_ipv6_host && address.contains(':') && kind == "host")
}

#[cfg(test)]
mod tests {
    use super::super::format::CandidatesSection;
    use super::*;

    #[test]
    fn tcp_and_ipv6_host_candidates_are_told_only_where_a_profile_does() {
        let strict = CandidatesSection { full: false, skip_tcp: true, skip_ipv6_host: true };
        for (candidate, told) in [
            ("candidate:1 1 udp 2122194687 192.0.2.2 48441 typ host", true),
            ("candidate:1 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active", false),
            ("candidate:1 1 UDP 2122194687 fd00::2 48441 typ host", false),
            ("candidate:1 1 udp 41885439 2001:db8::1 3478 typ relay raddr :: rport 0", true),
        ] {
            assert_eq!(is_told(&strict, candidate), told, "{candidate}");
            assert!(is_told(&CandidatesSection::default(), candidate));
        }
    }
}
