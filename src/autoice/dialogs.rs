//! Which call a finding belongs to, and what is to be done about it.
//!
//! One [`Dialogs`] holds what one place (a socket by its name, a channel) has seen. Guarantees: pure, time is an argument;
//! memory is bounded ([`MOST_CALLS`], [`MOST_OFFERS`], [`MOST_EARLY`]); an incoming offer only costs a note until the plan
//! answers it; what is seen twice (a polling plan) is acted on once. A call is renegotiated only where it is proven that the
//! dialog goes on: the message says so, or the description's origin does (RFC 8866 §5.2, RFC 3264 §8). All else makes a new
//! call, which takes the place of the one before. Dropping the table forgets; ending calls is its owner's.
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::finding::{Content, Dialog, Finding, FoundIceServer, SdpType};
use crate::peer::IceCandidateInit;

/// Calls of one place that may be open at the same time; one more takes the place of the oldest.
pub const MOST_CALLS: usize = 16;
/// Remote offers that may wait for the plan's answer; one more drops the oldest.
pub const MOST_OFFERS: usize = 16;
/// Remote candidates that may wait for their call; one more drops the oldest.
pub const MOST_EARLY: usize = 64;
/// How long a remote candidate waits for its call.
const EARLY_FOR: Duration = Duration::from_secs(60);
/// Remote descriptions that are remembered after their call, so that a late poll does not bring them back.
const MOST_DONE: usize = 64;
/// Remote candidates that are remembered of one call.
const MOST_SEEN: usize = 256;

/// Names a call in its table; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(u64);

/// Which side of a call the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The plan offered.
    Offerer,
    /// The plan answered.
    Answerer,
}

impl Role {
    /// `offer` or `answer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offerer => "offer",
            Self::Answerer => "answer",
        }
    }
}

/// Whether a description begins a call or goes on with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A new call.
    New {
        /// The call whose place it takes, to be hung up.
        replaces: Option<CallNumber>,
    },
    /// The same call with another description.
    Renegotiate {
        /// Both the user fragment and the password have changed (RFC 8839 §4.4.1.1.1).
        ice_restart: bool,
    },
}

/// An offer of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOffer {
    /// The description.
    pub sdp: String,
    /// When it was seen first.
    pub at: Instant,
    /// Candidates and fragments that were seen since.
    pub early: Vec<Early>,
}

/// A remote candidate that came before its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Early {
    /// One candidate.
    Candidate(IceCandidateInit),
    /// A fragment (RFC 8840).
    Fragment(String),
}

/// What to do with a finding of an outgoing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// It goes out as it is; with the reason where the user should know.
    Leave(Option<&'static str>),
    /// A live offer takes its place. The table counts it as sent: [`Dialogs::forget`] where that fails.
    Offer {
        /// The call.
        call: CallNumber,
        /// New or not.
        how: How,
    },
    /// A live answer takes its place, as [`Outgoing::Offer`].
    Answer {
        /// The call.
        call: CallNumber,
        /// New or not.
        how: How,
        /// What it answers.
        offer: RemoteOffer,
    },
    /// The live answer that went out provisionally takes its place again.
    AnswerAgain {
        /// The call.
        call: CallNumber,
    },
    /// An answer whose offer was not seen yet: ask again when something came in, for a bounded time.
    AwaitOffer,
    /// The call's candidate of this index takes its place, the last one if there are fewer.
    Candidate {
        /// The call.
        call: CallNumber,
        /// From 0.
        index: usize,
    },
    /// Candidates from this index on take the places of those in the fragment.
    Fragment {
        /// The call.
        call: CallNumber,
        /// From 0.
        index: usize,
    },
    /// It goes out as it is, and these calls end.
    HangUp(Vec<CallNumber>),
}

/// What to do with a finding of an incoming message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing; with the reason where the user should know.
    Nothing(Option<&'static str>),
    /// It belongs to nothing here, but names a dialog: another place may know it.
    Elsewhere,
    /// An offer waits for the plan's answer.
    Pending,
    /// The answer of a call.
    Answer {
        /// The call.
        call: CallNumber,
        /// The description.
        sdp: String,
    },
    /// A candidate of a call; empty: there are no more.
    Candidate {
        /// The call.
        call: CallNumber,
        /// The candidate.
        candidate: IceCandidateInit,
    },
    /// Candidates of a call.
    Fragment {
        /// The call.
        call: CallNumber,
        /// RFC 8840.
        sdpfrag: String,
    },
    /// ICE servers for calls to come.
    Servers(Vec<FoundIceServer>),
    /// The other side ended these calls.
    HangUp(Vec<CallNumber>),
}

/// The calls and offers of one place.
#[derive(Debug, Default)]
pub struct Dialogs {
    /// In the order in which they began.
    legs: Vec<Leg>,
    pending: VecDeque<Pending>,
    early: VecDeque<Waiting>,
    done: VecDeque<u64>,
    last_number: u64,
}

/// One call.
#[derive(Debug)]
struct Leg {
    number: CallNumber,
    role: Role,
    /// The id that the message of its first description named.
    born_as: Option<String>,
    /// Ids that later messages gave it.
    also: Vec<String>,
    /// The plan's last description.
    canned: Marks,
    /// The other side's last description.
    remote: Option<Marks>,
    awaits_answer: bool,
    /// It was answered provisionally; the final answer repeats that.
    provisional: bool,
    candidates_sent: usize,
    seen: HashSet<u64>,
    /// The socket that carried it is gone.
    orphaned: bool,
}

#[derive(Debug)]
struct Pending {
    id: Option<String>,
    established: bool,
    sdp: String,
    marks: Marks,
    at: Instant,
}

#[derive(Debug)]
struct Waiting {
    id: Option<String>,
    ufrag: Option<String>,
    what: Early,
    at: Instant,
}

/// What tells two descriptions apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Marks {
    hash: u64,
    origin: Option<Origin>,
    ufrag: Option<String>,
    pwd: Option<String>,
}

/// `o=` (RFC 8866 §5.2) without its version, and that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    session: String,
    version: u64,
}

/// Whether two descriptions have the same ICE credentials, and have any.
pub fn same_ice(one: &str, other: &str) -> bool {
    Marks::of(one).same_ice(&Marks::of(other))
}

impl Marks {
    fn of(sdp: &str) -> Self {
        let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name));
        Self {
            hash: hash(sdp),
            origin: value("o=").and_then(Origin::read),
            ufrag: value("a=ice-ufrag:").map(str::to_owned),
            pwd: value("a=ice-pwd:").map(str::to_owned),
        }
    }

    /// Whether `self` is a later description of the session that `before` describes.
    fn follows(&self, before: &Self) -> bool {
        matches!((&self.origin, &before.origin),
            (Some(new), Some(old)) if new.session == old.session && new.version > old.version)
    }

    fn same_ice(&self, other: &Self) -> bool {
        self.ufrag.is_some() && self.ufrag == other.ufrag && self.pwd == other.pwd
    }

    fn restarts(&self, before: &Self) -> bool {
        self.ufrag.is_some() && self.ufrag != before.ufrag && self.pwd != before.pwd
    }
}

impl Origin {
    fn read(value: &str) -> Option<Self> {
        let words: Vec<&str> = value.split_whitespace().collect();
        let [user, id, version, rest @ ..] = &words[..] else { return None };
        Some(Self { session: format!("{user} {id} {}", rest.join(" ")), version: version.parse().ok()? })
    }
}

impl Leg {
    fn is_named(&self, id: &str) -> bool {
        self.born_as.as_deref() == Some(id) || self.also.iter().any(|also| also == id)
    }

    /// Whether a message of this dialog id surely belongs to it.
    fn matches(&self, id: Option<&str>) -> bool {
        match id {
            Some(id) => self.is_named(id),
            None => self.born_as.is_none(),
        }
    }

    fn adopt(&mut self, id: Option<&str>) {
        if let Some(id) = id
            && !self.is_named(id)
            && self.also.len() < 4
        {
            self.also.push(id.to_owned());
        }
    }
}

impl Dialogs {
    /// What to do with a finding that is about to go out.
    pub fn outgoing(&mut self, finding: &Finding, now: Instant) -> Outgoing {
        let dialog = &finding.dialog;
        match &finding.content {
            Content::Description { sdp, .. } if self.is_theirs(sdp) => Outgoing::Leave(None),
            Content::Description { sdp, kind } => {
                let answered = self.pending_for(dialog);
                match (kind, answered) {
                    (Some(SdpType::Answer | SdpType::Pranswer) | None, Some(place)) => {
                        self.answer(place, dialog, sdp, *kind == Some(SdpType::Pranswer), now)
                    }
                    (Some(SdpType::Answer | SdpType::Pranswer), None) => self.answer_without_offer(dialog, *kind),
                    (Some(SdpType::Offer) | None, _) => self.offer(dialog, sdp),
                }
            }
            Content::Candidate(candidate) => match self.leg_of(dialog, ufrag(candidate).as_deref(), Whose::Ours) {
                Some(leg) if candidate.candidate.is_empty() => {
                    Outgoing::Candidate { call: leg.number, index: leg.candidates_sent }
                }
                Some(leg) => {
                    leg.candidates_sent += 1;
                    Outgoing::Candidate { call: leg.number, index: leg.candidates_sent - 1 }
                }
                None => Outgoing::Leave(Some(NO_CALL)),
            },
            Content::Fragment { sdpfrag } => {
                match self.leg_of(dialog, Marks::of(sdpfrag).ufrag.as_deref(), Whose::Ours) {
                    Some(leg) => {
                        let index = leg.candidates_sent;
                        leg.candidates_sent += sdpfrag.lines().filter(|line| line.starts_with("a=candidate:")).count();
                        Outgoing::Fragment { call: leg.number, index }
                    }
                    None => Outgoing::Leave(Some(NO_CALL)),
                }
            }
            Content::HangUp => Outgoing::HangUp(self.hang_up(dialog)),
            Content::IceServers(_) => Outgoing::Leave(None),
        }
    }

    /// What to do with a finding that has come in.
    pub fn incoming(&mut self, finding: &Finding, now: Instant) -> Incoming {
        let dialog = &finding.dialog;
        match &finding.content {
            Content::Description { sdp, kind } => self.remote_description(dialog, sdp, *kind, now),
            Content::Candidate(candidate) => {
                let early = Early::Candidate(candidate.clone());
                match self.remote_candidate(dialog, ufrag(candidate), early, now) {
                    Ok(Some(call)) => Incoming::Candidate { call, candidate: candidate.clone() },
                    Ok(None) => Incoming::Nothing(None),
                    Err(Unknown) => Incoming::Elsewhere,
                }
            }
            Content::Fragment { sdpfrag } => {
                let early = Early::Fragment(sdpfrag.clone());
                match self.remote_candidate(dialog, Marks::of(sdpfrag).ufrag, early, now) {
                    Ok(Some(call)) => Incoming::Fragment { call, sdpfrag: sdpfrag.clone() },
                    Ok(None) => Incoming::Nothing(None),
                    Err(Unknown) => Incoming::Elsewhere,
                }
            }
            Content::IceServers(servers) => Incoming::Servers(servers.clone()),
            Content::HangUp => {
                self.pending.retain(|offer| offer.id != dialog.id);
                match (self.hang_up(dialog), &dialog.id) {
                    (calls, Some(_)) if calls.is_empty() => Incoming::Elsewhere,
                    (calls, None) if calls.is_empty() => Incoming::Nothing(None),
                    (calls, _) => Incoming::HangUp(calls),
                }
            }
        }
    }

    /// Whether a finding names a dialog that this place has a call or an offer of.
    pub fn knows(&self, id: &str) -> bool {
        self.legs.iter().any(|leg| leg.is_named(id)) || self.pending.iter().any(|offer| offer.id.as_deref() == Some(id))
    }

    /// A call is over, or was never made. Its remote description is not taken for a new one later.
    pub fn forget(&mut self, call: CallNumber) {
        if let Some(place) = self.legs.iter().position(|leg| leg.number == call) {
            let leg = self.legs.remove(place);
            self.done(leg.remote);
        }
    }

    /// Every open call, the oldest first; they are forgotten.
    pub fn take_all(&mut self) -> Vec<CallNumber> {
        let calls = self.legs.iter().map(|leg| leg.number).collect();
        for leg in std::mem::take(&mut self.legs) {
            self.done(leg.remote);
        }
        self.pending.clear();
        self.early.clear();
        calls
    }

    /// The socket that carried the messages is gone, without a close of the plan's: calls go on, and the next new call takes
    /// their place.
    pub fn socket_lost(&mut self) {
        for leg in &mut self.legs {
            leg.orphaned = true;
        }
        self.pending.clear();
        self.early.clear();
    }

    /// Whether an offer of the other side waits for an answer.
    pub fn has_offer(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether nothing is open or pending.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.pending.is_empty()
    }

    /// The open calls whose place a new one takes, besides the one it replaces by its dialog; they are forgotten.
    pub fn take_superseded(&mut self) -> Vec<CallNumber> {
        let newest = self.legs.last().map(|leg| leg.number);
        let surplus = self.legs.len().saturating_sub(MOST_CALLS);
        let mut taken = Vec::new();
        for (place, leg) in self.legs.iter().enumerate() {
            if Some(leg.number) != newest && (leg.orphaned || place < surplus) {
                taken.push(leg.number);
            }
        }
        taken.iter().for_each(|call| self.forget(*call));
        taken
    }

    fn done(&mut self, remote: Option<Marks>) {
        if let Some(marks) = remote {
            if self.done.len() == MOST_DONE {
                self.done.pop_front();
            }
            self.done.push_back(marks.hash);
        }
    }

    fn begin(&mut self, role: Role, dialog: &Dialog, canned: Marks, remote: Option<Marks>) -> (CallNumber, How) {
        let same = |leg: &Leg| leg.role == role && leg.matches(dialog.id.as_deref());
        let replaces = self.legs.iter().rev().find(|leg| same(leg)).map(|leg| leg.number);
        if let Some(before) = replaces {
            self.forget(before);
        }
        self.last_number += 1;
        let number = CallNumber(self.last_number);
        self.legs.push(Leg {
            number,
            role,
            born_as: dialog.id.clone(),
            also: Vec::new(),
            canned,
            remote,
            awaits_answer: role == Role::Offerer,
            provisional: false,
            candidates_sent: 0,
            seen: HashSet::new(),
            orphaned: false,
        });
        (number, How::New { replaces })
    }

    fn offer(&mut self, dialog: &Dialog, sdp: &str) -> Outgoing {
        let canned = Marks::of(sdp);
        let id = dialog.id.as_deref();
        let going_on = self.legs.iter_mut().rev().find(|leg| {
            let said = dialog.established && id.is_some_and(|id| leg.is_named(id));
            let shown = leg.matches(id) && canned.follows(&leg.canned);
            // A call whose first offer is unanswered has nothing to go on with.
            leg.remote.is_some() && (said || shown)
        });
        if let Some(leg) = going_on {
            let ice_restart = canned.restarts(&leg.canned);
            leg.canned = canned;
            leg.awaits_answer = true;
            leg.orphaned = false;
            if ice_restart {
                leg.candidates_sent = 0;
            }
            return Outgoing::Offer { call: leg.number, how: How::Renegotiate { ice_restart } };
        }
        let (call, how) = self.begin(Role::Offerer, dialog, canned, None);
        Outgoing::Offer { call, how }
    }

    /// The place of the remote offer that an outgoing description of this dialog would answer.
    fn pending_for(&self, dialog: &Dialog) -> Option<usize> {
        let exact = self.pending.iter().rposition(|offer| offer.id == dialog.id);
        exact.or_else(|| {
            let newest = self.pending.len().checked_sub(1)?;
            let named_otherwise = dialog.id.is_some() && self.pending[newest].id.is_some();
            (!named_otherwise || self.pending.len() == 1).then_some(newest)
        })
    }

    fn answer(&mut self, place: usize, dialog: &Dialog, sdp: &str, provisional: bool, now: Instant) -> Outgoing {
        let Some(offer) = self.pending.remove(place) else { return Outgoing::AwaitOffer };
        let canned = Marks::of(sdp);
        let id = offer.id.clone();
        let going_on = self.legs.iter().rposition(|leg| {
            let Some(remote) = &leg.remote else { return false };
            let said = offer.established && id.as_deref().is_some_and(|id| leg.is_named(id));
            let shown = leg.matches(id.as_deref()) && (offer.marks.follows(remote) || offer.marks.same_ice(remote));
            said || shown
        });
        let (call, how, place) = match going_on {
            Some(place) => {
                let leg = &mut self.legs[place];
                let ice_restart = leg.remote.as_ref().is_some_and(|remote| offer.marks.restarts(remote));
                leg.remote = Some(offer.marks.clone());
                leg.orphaned = false;
                if ice_restart {
                    leg.candidates_sent = 0;
                }
                (leg.number, How::Renegotiate { ice_restart }, place)
            }
            None => {
                let dialog = Dialog { id: id.clone().or_else(|| dialog.id.clone()), established: false };
                let (call, how) = self.begin(Role::Answerer, &dialog, canned.clone(), Some(offer.marks.clone()));
                (call, how, self.legs.len() - 1)
            }
        };
        let early = self.take_early(id.as_deref(), offer.marks.ufrag.as_deref(), now);
        let leg = &mut self.legs[place];
        leg.canned = canned;
        leg.provisional = provisional;
        leg.awaits_answer = false;
        leg.adopt(dialog.id.as_deref());
        leg.seen.extend(early.iter().map(Early::hash));
        Outgoing::Answer { call, how, offer: RemoteOffer { sdp: offer.sdp, at: offer.at, early } }
    }

    /// Whether a description is one that the other side has sent: a plan that passes it on means it as it is.
    fn is_theirs(&self, sdp: &str) -> bool {
        let hash = hash(sdp);
        self.done.contains(&hash)
            || self.pending.iter().any(|offer| offer.marks.hash == hash)
            || self.legs.iter().any(|leg| leg.remote.as_ref().is_some_and(|remote| remote.hash == hash))
    }

    fn answer_without_offer(&mut self, dialog: &Dialog, kind: Option<SdpType>) -> Outgoing {
        let id = dialog.id.as_deref();
        match self.legs.iter_mut().rev().find(|leg| leg.matches(id) && leg.provisional) {
            Some(leg) => {
                leg.provisional = kind == Some(SdpType::Pranswer);
                Outgoing::AnswerAgain { call: leg.number }
            }
            None => Outgoing::AwaitOffer,
        }
    }

    fn remote_description(&mut self, dialog: &Dialog, sdp: &str, kind: Option<SdpType>, now: Instant) -> Incoming {
        let marks = Marks::of(sdp);
        let id = dialog.id.as_deref();
        if self.done.contains(&marks.hash) {
            return Incoming::Nothing(None);
        }
        let repeated = |leg: &&mut Leg| leg.remote.as_ref().is_some_and(|remote| remote.hash == marks.hash);
        if let Some(leg) = self.legs.iter_mut().find(repeated) {
            leg.adopt(id);
            return Incoming::Nothing(None);
        }
        let awaiting = self.awaiting(id);
        match (kind, awaiting) {
            (Some(SdpType::Answer | SdpType::Pranswer) | None, Some(place)) => {
                let leg = &mut self.legs[place];
                leg.awaits_answer = false;
                leg.remote = Some(marks);
                leg.adopt(id);
                Incoming::Answer { call: leg.number, sdp: sdp.to_owned() }
            }
            (Some(SdpType::Answer | SdpType::Pranswer), None) => {
                if self.legs.iter().any(|leg| leg.role == Role::Offerer && leg.matches(id)) {
                    return Incoming::Nothing(Some(FORKED));
                }
                if id.is_some() { Incoming::Elsewhere } else { Incoming::Nothing(None) }
            }
            (Some(SdpType::Offer) | None, _) => {
                self.pend(dialog, sdp, marks, now);
                Incoming::Pending
            }
        }
    }

    /// The place of the call whose offer a description with this dialog id answers.
    fn awaiting(&self, id: Option<&str>) -> Option<usize> {
        let exact = self.legs.iter().rposition(|leg| leg.awaits_answer && leg.matches(id));
        exact.or_else(|| {
            let mut open = self.legs.iter().enumerate().filter(|(_, leg)| leg.awaits_answer);
            let (place, _) = open.next()?;
            // Ids of two messages may be of different kinds; with one call that waits there is no doubt.
            (open.next().is_none() && id.is_none_or(|id| !self.knows(id))).then_some(place)
        })
    }

    fn pend(&mut self, dialog: &Dialog, sdp: &str, marks: Marks, now: Instant) {
        if let Some(offer) =
            self.pending.iter_mut().find(|offer| offer.id == dialog.id && offer.marks.hash == marks.hash)
        {
            offer.established |= dialog.established;
            return;
        }
        // A later offer of the same dialog takes the place of an earlier one.
        let superseded = |offer: &Pending| dialog.id.is_some() && offer.id == dialog.id;
        self.pending.retain(|offer| !superseded(offer));
        if self.pending.len() == MOST_OFFERS {
            self.pending.pop_front();
        }
        let (id, established) = (dialog.id.clone(), dialog.established);
        self.pending.push_back(Pending { id, established, sdp: sdp.to_owned(), marks, at: now });
    }

    /// The call of a remote candidate; `None` when it was seen before or waits for its call.
    fn remote_candidate(
        &mut self,
        dialog: &Dialog,
        ufrag: Option<String>,
        what: Early,
        now: Instant,
    ) -> Result<Option<CallNumber>, Unknown> {
        let id = dialog.id.as_deref();
        let pending = self.pending.iter().any(|offer| match &ufrag {
            Some(ufrag) if offer.marks.ufrag.is_some() => offer.marks.ufrag.as_ref() == Some(ufrag),
            _ => offer.id.as_deref() == id,
        });
        let nothing_here = self.is_empty();
        let theirs = self.leg_of(dialog, ufrag.as_deref(), Whose::Theirs);
        let sure = |leg: &Leg| ufrag.is_some() && leg.remote.as_ref().is_some_and(|remote| remote.ufrag == ufrag);
        match theirs {
            Some(leg) if !pending || sure(leg) => {
                let new = leg.seen.len() >= MOST_SEEN || leg.seen.insert(what.hash());
                Ok(new.then_some(leg.number))
            }
            None if !pending && id.is_some() && nothing_here => {
                self.wait(id, ufrag, what, now);
                Err(Unknown)
            }
            _ => {
                self.wait(id, ufrag, what, now);
                Ok(None)
            }
        }
    }

    fn wait(&mut self, id: Option<&str>, ufrag: Option<String>, what: Early, now: Instant) {
        if self.early.iter().any(|waiting| waiting.what == what && waiting.id.as_deref() == id) {
            return;
        }
        if self.early.len() == MOST_EARLY {
            self.early.pop_front();
        }
        self.early.push_back(Waiting { id: id.map(str::to_owned), ufrag, what, at: now });
    }

    fn take_early(&mut self, id: Option<&str>, ufrag: Option<&str>, now: Instant) -> Vec<Early> {
        let mut taken = Vec::new();
        self.early.retain(|waiting| {
            if now.saturating_duration_since(waiting.at) > EARLY_FOR {
                return false;
            }
            let mine = match (&waiting.ufrag, ufrag) {
                (Some(theirs), Some(ufrag)) => theirs == ufrag,
                _ => waiting.id.as_deref() == id || waiting.id.is_none(),
            };
            if mine {
                taken.push(waiting.what.clone());
            }
            !mine
        });
        taken
    }

    /// The open call that a message of this dialog belongs to: by its id, else by the user fragment, else the newest.
    fn leg_of(&mut self, dialog: &Dialog, ufrag: Option<&str>, whose: Whose) -> Option<&mut Leg> {
        let id = dialog.id.as_deref();
        let has_ufrag = |leg: &Leg| {
            let marks = match whose {
                Whose::Ours => Some(&leg.canned),
                Whose::Theirs => leg.remote.as_ref(),
            };
            ufrag.is_some() && marks.is_some_and(|marks| marks.ufrag.as_deref() == ufrag)
        };
        let named = |leg: &Leg| id.is_some_and(|id| leg.is_named(id));
        let legs = &self.legs;
        let place = legs
            .iter()
            .rposition(|leg| named(leg) && has_ufrag(leg))
            .or_else(|| legs.iter().rposition(named))
            .or_else(|| legs.iter().rposition(has_ufrag))
            .or_else(|| {
                // A dialog that is not known here may be another place's.
                let newest = legs.len().checked_sub(1)?;
                (id.is_none() || legs.len() == 1 && self.may_be_called(newest, id)).then_some(newest)
            })?;
        self.legs[place].adopt(id);
        self.legs.get_mut(place)
    }

    /// Whether a message with an id that nobody has may still belong to a call: its first message named none.
    fn may_be_called(&self, place: usize, id: Option<&str>) -> bool {
        self.legs[place].born_as.is_none() && id.is_none_or(|id| !self.knows(id))
    }

    fn hang_up(&mut self, dialog: &Dialog) -> Vec<CallNumber> {
        let calls: Vec<CallNumber> = match dialog.id.as_deref() {
            Some(id) => {
                let named: Vec<_> = self.legs.iter().filter(|leg| leg.is_named(id)).map(|leg| leg.number).collect();
                match &self.legs[..] {
                    [only] if named.is_empty() && only.born_as.is_none() => vec![only.number],
                    _ => named,
                }
            }
            None => {
                let unnamed = self.legs.iter().rev().find(|leg| leg.born_as.is_none());
                unnamed.or_else(|| self.legs.last()).map(|leg| leg.number).into_iter().collect()
            }
        };
        calls.iter().for_each(|call| self.forget(*call));
        calls
    }
}

/// No call here has anything to do with it.
struct Unknown;

/// Whose user fragment a candidate has.
#[derive(Clone, Copy)]
enum Whose {
    Ours,
    Theirs,
}

impl Early {
    fn hash(&self) -> u64 {
        match self {
            Self::Candidate(candidate) => hash(&(&candidate.candidate, &candidate.sdp_mid)),
            Self::Fragment(sdpfrag) => hash(sdpfrag.as_str()),
        }
    }
}

const NO_CALL: &str = "a candidate goes out before any offer or answer of its dialog, so there is no live one to send; send \
                       the offer or answer first";
const FORKED: &str = "a second, different answer to the same offer (a forked call): the first one is used";

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The user fragment that a candidate names: as a member, or as an extension attribute (RFC 8838 §5, `ufrag`).
fn ufrag(candidate: &IceCandidateInit) -> Option<String> {
    let named = candidate.username_fragment.clone().filter(|ufrag| !ufrag.is_empty());
    named.or_else(|| {
        let mut words = candidate.candidate.split_ascii_whitespace();
        words.find(|word| *word == "ufrag")?;
        words.next().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp(session: u64, version: u64, ufrag: &str) -> String {
        format!(
            "v=0\r\no=- {session} {version} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{ufrag}-password-of-22-chars\r\n"
        )
    }

    fn finding(content: Content, id: Option<&str>, established: bool) -> Finding {
        let dialog = Dialog { id: id.map(str::to_owned), established };
        Finding { content, dialog, path: "JSON sdp".to_owned() }
    }

    fn description(kind: Option<SdpType>, sdp: String, id: Option<&str>) -> Finding {
        finding(Content::Description { sdp, kind }, id, false)
    }

    fn offer(sdp: String, id: Option<&str>) -> Finding {
        description(Some(SdpType::Offer), sdp, id)
    }

    fn answer(sdp: String, id: Option<&str>) -> Finding {
        description(Some(SdpType::Answer), sdp, id)
    }

    fn candidate(text: &str, id: Option<&str>) -> Finding {
        let candidate = IceCandidateInit { candidate: text.to_owned(), ..IceCandidateInit::default() };
        finding(Content::Candidate(candidate), id, false)
    }

    fn hang_up(id: Option<&str>) -> Finding {
        finding(Content::HangUp, id, false)
    }

    /// A table and a clock that stands still.
    struct Place {
        dialogs: Dialogs,
        now: Instant,
    }

    impl Place {
        fn new() -> Self {
            Self { dialogs: Dialogs::default(), now: Instant::now() }
        }

        fn out(&mut self, finding: &Finding) -> Outgoing {
            self.dialogs.outgoing(finding, self.now)
        }

        fn take(&mut self, finding: &Finding) -> Incoming {
            self.dialogs.incoming(finding, self.now)
        }

        /// Sends an offer that must begin a call.
        fn call(&mut self, finding: &Finding) -> (CallNumber, Option<CallNumber>) {
            match self.out(finding) {
                Outgoing::Offer { call, how: How::New { replaces } } => (call, replaces),
                other => panic!("{other:?}"),
            }
        }

        /// Sends an answer that must begin a call.
        fn pick_up(&mut self, finding: &Finding) -> (CallNumber, RemoteOffer) {
            match self.out(finding) {
                Outgoing::Answer { call, how: How::New { .. }, offer } => (call, offer),
                other => panic!("{other:?}"),
            }
        }

        fn answered(&mut self, finding: &Finding) -> CallNumber {
            match self.take(finding) {
                Incoming::Answer { call, .. } => call,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_offer_begins_a_call_and_its_answer_reaches_it_once() {
        let mut place = Place::new();
        let (call, replaces) = place.call(&offer(sdp(1, 1, "ours"), None));
        assert_eq!(replaces, None);
        let reply = answer(sdp(9, 1, "theirs"), None);
        assert_eq!(place.answered(&reply), call);
        assert_eq!(place.take(&reply), Incoming::Nothing(None), "a poll gives the same answer again");
    }

    #[test]
    fn the_same_canned_offer_in_a_loop_is_a_new_call_each_time() {
        let mut place = Place::new();
        for id in [None, Some("canned-id")] {
            let canned = offer(sdp(1, 1, "ours"), id);
            let (first, _) = place.call(&canned);
            place.answered(&answer(sdp(9, 1, &format!("theirs{id:?}")), id));
            let (second, replaces) = place.call(&canned);
            assert_ne!(first, second);
            assert_eq!(replaces, Some(first), "{id:?}");
        }
    }

    #[test]
    fn a_script_that_randomises_the_ufrag_restarts_nothing() {
        let mut place = Place::new();
        let (first, _) = place.call(&offer(sdp(1, 1, "aaaa"), Some("x")));
        place.answered(&answer(sdp(9, 1, "theirs"), Some("x")));
        assert_eq!(place.call(&offer(sdp(1, 1, "bbbb"), Some("x"))).1, Some(first));
    }

    #[test]
    fn a_later_version_of_the_same_origin_goes_on_with_the_call() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), None));
        place.answered(&answer(sdp(9, 1, "theirs"), None));
        let again = place.out(&offer(sdp(1, 2, "ours"), None));
        assert_eq!(again, Outgoing::Offer { call, how: How::Renegotiate { ice_restart: false } });
        assert_eq!(place.answered(&answer(sdp(9, 2, "theirs"), None)), call);
        let restart = place.out(&offer(sdp(1, 3, "new"), None));
        assert_eq!(restart, Outgoing::Offer { call, how: How::Renegotiate { ice_restart: true } });
    }

    #[test]
    fn a_request_inside_a_dialog_goes_on_with_its_call_whatever_its_origin() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), Some("call-id")));
        place.answered(&answer(sdp(9, 1, "theirs"), Some("call-id")));
        let content = Content::Description { sdp: sdp(1, 1, "ours"), kind: Some(SdpType::Offer) };
        let inside = place.out(&finding(content.clone(), Some("call-id"), true));
        assert_eq!(inside, Outgoing::Offer { call, how: How::Renegotiate { ice_restart: false } });
        let other = place.out(&finding(content, Some("other"), true));
        assert!(matches!(other, Outgoing::Offer { how: How::New { replaces: None }, .. }), "{other:?}");
    }

    #[test]
    fn a_repeated_offer_that_nobody_answered_is_a_new_call() {
        let mut place = Place::new();
        let (first, _) = place.call(&offer(sdp(1, 1, "ours"), None));
        assert_eq!(place.call(&offer(sdp(1, 2, "ours"), None)).1, Some(first));
    }

    #[test]
    fn an_incoming_offer_waits_for_the_plans_answer() {
        let mut place = Place::new();
        assert_eq!(place.take(&offer(sdp(9, 1, "theirs"), Some("s"))), Incoming::Pending);
        let (_, remote) = place.pick_up(&answer(sdp(1, 1, "ours"), Some("s")));
        assert_eq!(remote.sdp, sdp(9, 1, "theirs"));
        let polled = place.take(&offer(sdp(9, 1, "theirs"), Some("s")));
        assert_eq!(polled, Incoming::Nothing(None), "a poll gives the same offer again");
        assert_eq!(place.out(&answer(sdp(1, 1, "ours"), Some("s"))), Outgoing::AwaitOffer);
    }

    #[test]
    fn an_answer_before_its_offer_waits_for_it() {
        let mut place = Place::new();
        let early = answer(sdp(1, 1, "ours"), Some("s"));
        assert_eq!(place.out(&early), Outgoing::AwaitOffer);
        place.take(&offer(sdp(9, 1, "theirs"), Some("s")));
        place.pick_up(&early);
    }

    #[test]
    fn a_description_that_does_not_say_what_it_is_is_told_by_the_state() {
        let mut place = Place::new();
        let (call, _) = place.call(&description(None, sdp(1, 1, "ours"), Some("a")));
        assert_eq!(place.answered(&description(None, sdp(9, 1, "theirs"), Some("a"))), call);
        assert_eq!(place.take(&description(None, sdp(8, 1, "other"), Some("b"))), Incoming::Pending);
        place.pick_up(&description(None, sdp(1, 1, "ours"), Some("b")));
    }

    #[test]
    fn candidates_before_their_offer_reach_the_call() {
        let mut place = Place::new();
        let text = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";
        place.take(&candidate(text, Some("s")));
        place.take(&candidate(text, Some("s")));
        place.take(&offer(sdp(9, 1, "theirs"), Some("s")));
        place.take(&candidate("candidate:2 1 udp 1 192.0.2.1 5001 typ host", Some("s")));
        let (call, remote) = place.pick_up(&answer(sdp(1, 1, "ours"), Some("s")));
        assert_eq!(remote.early.len(), 2, "{:?}", remote.early);
        assert_eq!(place.take(&candidate(text, Some("s"))), Incoming::Nothing(None), "seen before");
        let late = place.take(&candidate("candidate:3 1 udp 1 192.0.2.1 5002 typ host", Some("s")));
        assert!(matches!(late, Incoming::Candidate { call: of, .. } if of == call), "{late:?}");
    }

    #[test]
    fn early_candidates_are_forgotten_after_a_minute() {
        let mut place = Place::new();
        place.take(&candidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host", None));
        place.now += EARLY_FOR + Duration::from_secs(1);
        place.take(&offer(sdp(9, 1, "theirs"), None));
        assert_eq!(place.pick_up(&answer(sdp(1, 1, "ours"), None)).1.early, []);
    }

    #[test]
    fn several_dialogs_on_one_socket_keep_apart() {
        let mut place = Place::new();
        let (a, _) = place.call(&offer(sdp(1, 1, "ours"), Some("a")));
        let (b, replaces) = place.call(&offer(sdp(1, 1, "ours"), Some("b")));
        assert_eq!(replaces, None);
        assert_eq!(place.answered(&answer(sdp(8, 1, "b's"), Some("b"))), b);
        assert_eq!(place.answered(&answer(sdp(9, 1, "a's"), Some("a"))), a);
        let text = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";
        assert_eq!(place.out(&candidate(text, Some("a"))), Outgoing::Candidate { call: a, index: 0 });
        assert_eq!(place.out(&candidate(text, Some("a"))), Outgoing::Candidate { call: a, index: 1 });
        assert_eq!(place.out(&candidate(text, Some("b"))), Outgoing::Candidate { call: b, index: 0 });
        assert_eq!(place.out(&hang_up(Some("a"))), Outgoing::HangUp(vec![a]));
        assert_eq!(place.take(&hang_up(Some("b"))), Incoming::HangUp(vec![b]));
        assert!(place.dialogs.is_empty());
    }

    #[test]
    fn an_id_that_only_the_server_gives_names_the_call_from_then_on() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), None));
        assert_eq!(place.answered(&answer(sdp(9, 1, "theirs"), Some("given"))), call);
        assert!(place.dialogs.knows("given"));
        assert_eq!(place.take(&hang_up(Some("given"))), Incoming::HangUp(vec![call]));
    }

    #[test]
    fn the_same_socket_may_carry_a_call_of_ours_and_one_of_theirs() {
        let mut place = Place::new();
        let (publisher, _) = place.call(&offer(sdp(1, 1, "pub"), None));
        assert_eq!(place.take(&offer(sdp(7, 1, "sub"), None)), Incoming::Pending);
        let (subscriber, _) = place.pick_up(&answer(sdp(2, 1, "ours"), None));
        assert_ne!(publisher, subscriber);
        assert_eq!(place.answered(&answer(sdp(9, 1, "theirs"), None)), publisher);
        let for_sub = place.take(&candidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host ufrag sub", None));
        assert!(matches!(for_sub, Incoming::Candidate { call, .. } if call == subscriber), "{for_sub:?}");
        let for_pub = place.take(&candidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host ufrag theirs", None));
        assert!(matches!(for_pub, Incoming::Candidate { call, .. } if call == publisher), "{for_pub:?}");
    }

    #[test]
    fn with_glare_both_offers_stand_until_somebody_answers() {
        let mut place = Place::new();
        assert_eq!(place.take(&offer(sdp(9, 1, "theirs"), Some("s"))), Incoming::Pending);
        let (ours, _) = place.call(&offer(sdp(1, 1, "ours"), Some("s")));
        assert_eq!(place.answered(&answer(sdp(9, 2, "theirs2"), Some("s"))), ours);
    }

    #[test]
    fn a_forked_answer_is_told_and_the_first_one_used() {
        let mut place = Place::new();
        place.call(&offer(sdp(1, 1, "ours"), Some("s")));
        place.answered(&answer(sdp(8, 1, "first"), Some("s")));
        assert_eq!(place.take(&answer(sdp(9, 1, "second"), Some("s"))), Incoming::Nothing(Some(FORKED)));
    }

    #[test]
    fn a_provisional_answer_is_repeated_by_the_final_one() {
        let mut place = Place::new();
        place.take(&offer(sdp(9, 1, "theirs"), Some("s")));
        let early = description(Some(SdpType::Pranswer), sdp(1, 1, "ours"), Some("s"));
        let (call, _) = place.pick_up(&early);
        assert_eq!(place.out(&answer(sdp(1, 1, "ours"), Some("s"))), Outgoing::AnswerAgain { call });
        assert_eq!(place.out(&answer(sdp(1, 1, "ours"), Some("s"))), Outgoing::AwaitOffer);
    }

    #[test]
    fn the_servers_next_offer_goes_on_with_the_call_only_where_it_proves_it() {
        let mut place = Place::new();
        place.take(&offer(sdp(9, 1, "theirs"), Some("s")));
        let (call, _) = place.pick_up(&answer(sdp(1, 1, "ours"), Some("s")));
        place.take(&offer(sdp(9, 2, "theirs"), Some("s")));
        let next = place.out(&answer(sdp(1, 2, "ours"), Some("s")));
        assert!(
            matches!(next, Outgoing::Answer { call: of, how: How::Renegotiate { ice_restart: false }, .. } if of == call),
            "{next:?}"
        );
        place.take(&offer(sdp(10, 1, "another"), Some("s")));
        let new = place.out(&answer(sdp(1, 3, "ours"), Some("s")));
        assert!(
            matches!(new, Outgoing::Answer { how: How::New { replaces }, .. } if replaces == Some(call)),
            "{new:?}"
        );
    }

    #[test]
    fn what_was_over_does_not_come_back_with_a_late_poll() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), None));
        let old = answer(sdp(9, 1, "theirs"), None);
        place.answered(&old);
        assert_eq!(place.out(&hang_up(None)), Outgoing::HangUp(vec![call]));
        place.call(&offer(sdp(1, 1, "ours"), None));
        assert_eq!(place.take(&old), Incoming::Nothing(None));
        place.answered(&answer(sdp(10, 1, "fresh"), None));
    }

    #[test]
    fn a_lost_socket_keeps_its_call_until_the_next_one_begins() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), Some("first")));
        place.answered(&answer(sdp(9, 1, "theirs"), Some("first")));
        place.dialogs.socket_lost();
        assert!(place.dialogs.knows("first"));
        place.call(&offer(sdp(1, 1, "ours"), Some("second")));
        assert_eq!(place.dialogs.take_superseded(), [call]);
        assert_eq!(place.dialogs.take_superseded(), []);
    }

    #[test]
    fn a_lost_socket_and_a_renegotiation_over_the_next_one_keep_the_call() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), Some("s")));
        place.answered(&answer(sdp(9, 1, "theirs"), Some("s")));
        place.dialogs.socket_lost();
        let next = place.out(&offer(sdp(1, 2, "ours"), Some("s")));
        assert_eq!(next, Outgoing::Offer { call, how: How::Renegotiate { ice_restart: false } });
        assert_eq!(place.dialogs.take_superseded(), []);
    }

    #[test]
    fn the_number_of_open_calls_offers_and_early_candidates_is_bounded() {
        let mut place = Place::new();
        let mut ended = Vec::new();
        for number in 0..40 {
            place.call(&offer(sdp(1, 1, "ours"), Some(&format!("call-{number}"))));
            ended.extend(place.dialogs.take_superseded());
            place.take(&offer(sdp(100 + number, 1, "theirs"), Some(&format!("offer-{number}"))));
        }
        assert_eq!(ended.len(), 40 - MOST_CALLS);
        assert_eq!(place.dialogs.pending.len(), MOST_OFFERS);
        for number in 0..200 {
            place.take(&candidate(&format!("candidate:{number} 1 udp 1 192.0.2.1 5000 typ host"), Some("nobody")));
        }
        assert_eq!(place.dialogs.early.len(), MOST_EARLY);
    }

    #[test]
    fn what_names_a_dialog_of_another_place_is_passed_on() {
        let mut place = Place::new();
        assert_eq!(place.take(&answer(sdp(9, 1, "theirs"), Some("elsewhere"))), Incoming::Elsewhere);
        assert_eq!(place.take(&hang_up(Some("elsewhere"))), Incoming::Elsewhere);
        assert_eq!(place.take(&hang_up(None)), Incoming::Nothing(None));
    }

    #[test]
    fn a_candidate_without_a_call_goes_out_as_it_is() {
        let mut place = Place::new();
        let text = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";
        assert_eq!(place.out(&candidate(text, None)), Outgoing::Leave(Some(NO_CALL)));
    }

    #[test]
    fn what_the_other_side_has_sent_is_passed_on_as_it_is() {
        let mut place = Place::new();
        let offered = place.out(&offer(sdp(1, 1, "ours"), Some("s")));
        assert!(matches!(offered, Outgoing::Offer { .. }));
        let theirs = answer(sdp(9, 1, "theirs"), Some("s"));
        assert!(matches!(place.take(&theirs), Incoming::Answer { .. }));
        assert_eq!(place.out(&theirs), Outgoing::Leave(None));
        let pending = offer(sdp(7, 1, "another"), Some("t"));
        assert_eq!(place.take(&pending), Incoming::Pending);
        assert_eq!(place.out(&pending), Outgoing::Leave(None));
    }

    #[test]
    fn a_call_that_was_never_made_is_forgotten() {
        let mut place = Place::new();
        let (call, _) = place.call(&offer(sdp(1, 1, "ours"), None));
        place.dialogs.forget(call);
        assert!(place.dialogs.is_empty());
        assert_eq!(place.take(&answer(sdp(9, 1, "theirs"), None)), Incoming::Nothing(None));
    }
}
