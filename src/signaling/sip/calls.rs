//! Calls of a user agent: INVITE sessions (RFC 3261 §13–15) with their offers and answers (RFC 3264).
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rsipstack::sip::{Method, StatusCode};

use super::agent::{Purpose, TRANSACTION, Tone, Transaction, UserAgent, queue_tones};
use super::dialog::Dialog;
use super::message::{Message, uri_of};
use super::session_timer::SessionTimer;
use crate::media::telephone_event::PAUSE;
use crate::peer::MediaDirection;
use crate::signaling::profile::{Action, CallKey, Command, EndedBy, PeerEvent, PeerNumber};

/// First interval of retransmissions, T1 (RFC 3261 §17.1.1.1).
const T1: Duration = Duration::from_millis(500);
/// Longest interval of retransmissions, T2.
const T2: Duration = Duration::from_secs(4);
/// Calls one softphone may have at a time.
const MAX_CALLS: usize = 256;
/// A call has one PeerConnection.
const PEER: PeerNumber = 1;
/// Extensions that a request may require of us.
const SUPPORTED: [&str; 5] = ["timer", "ice", "outbound", "path", "gruu"];
/// Refusals by the other side; what else fails a call is a failure.
const REFUSALS: [u16; 11] = [403, 404, 406, 410, 480, 484, 486, 488, 600, 603, 606];

/// One call.
pub(super) struct Call {
    dialog: Dialog,
    stage: Stage,
    /// The request of theirs that waits for our description: INVITE, re-INVITE or UPDATE.
    asked: Option<Message>,
    /// What our next offer is for.
    offering: Offering,
    /// Our 2xx, until its ACK.
    unacknowledged: Option<Unacknowledged>,
    /// A description in a provisional response, and whose.
    early: Option<(String, String)>,
    /// Number of the INVITE we acknowledged last, and the ACK.
    acknowledged: Option<(u32, Message)>,
    timer: Option<SessionTimer>,
    /// Least session interval the other side takes, s.
    min_session: u32,
    /// The other side takes UPDATE (RFC 3311).
    updates: bool,
    hung_up: bool,
    held: bool,
    /// An ICE restart, or another change, waits for the offer under way.
    again: Option<Again>,
    /// When a crossed offer is made again (RFC 3261 §14.1).
    retry_at: Option<Instant>,
    tones: VecDeque<Tone>,
    /// Until when a comma among the tones pauses.
    pause_until: Option<Instant>,
    transferring: bool,
    /// Why our side ends it, when we say BYE for a reason of our own.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Placed; our offer is being made.
    Offering,
    /// INVITE is sent; whether there was a provisional response.
    Calling { provisional: bool },
    /// It rings here.
    Incoming,
    /// Accepted here; our description is being made.
    Answering,
    /// There is a session.
    Established,
    /// BYE is sent.
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offering {
    Nothing,
    /// For an INVITE or re-INVITE of ours.
    Own,
    /// For a 2xx to an INVITE without description.
    ForThem,
}

/// What an offer is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Again {
    restart_ice: bool,
}

struct Unacknowledged {
    response: Message,
    number: u32,
    next: Instant,
    interval: Duration,
    until: Instant,
}

impl Call {
    fn new(dialog: Dialog, stage: Stage) -> Self {
        Self {
            dialog,
            stage,
            asked: None,
            offering: Offering::Nothing,
            unacknowledged: None,
            early: None,
            acknowledged: None,
            timer: None,
            min_session: 0,
            updates: false,
            hung_up: false,
            held: false,
            again: None,
            retry_at: None,
            tones: VecDeque::new(),
            pause_until: None,
            transferring: false,
            failure: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let timer = self.timer.map(|timer| timer.at).filter(|_| self.stage == Stage::Established);
        let unacknowledged = self.unacknowledged.as_ref().map(|waiting| waiting.next.min(waiting.until));
        [timer, unacknowledged, self.retry_at, self.pause_until].into_iter().flatten().min()
    }

    fn direction(&self) -> MediaDirection {
        if self.held { MediaDirection::Sendonly } else { MediaDirection::Sendrecv }
    }
}

impl UserAgent {
    fn key_of(&self, message: &Message) -> Option<CallKey> {
        let id = message.dialog();
        self.calls.iter().find(|(_, call)| call.dialog.has(&id)).map(|(key, _)| *key)
    }

    pub(super) fn next_number(&mut self, key: CallKey) -> Option<u32> {
        let dialog = &mut self.calls.get_mut(&key)?.dialog;
        dialog.local_seq += 1;
        Some(dialog.local_seq)
    }

    /// A call is over; nothing more is said.
    pub(super) fn end(&mut self, key: CallKey, by: EndedBy, reason: Option<String>) {
        if self.calls.remove(&key).is_some() {
            // What is still open is of no interest: final responses are acknowledged by branch or not at all.
            self.forget_transactions(key);
            self.push(Action::Ended { call: key, by, reason });
        }
    }

    // --- Commands ----------------------------------------------------------------------------------------------

    pub(super) fn command(&mut self, key: CallKey, command: Command, now: Instant) {
        if let Command::Place { to } = command {
            return self.place(key, &to);
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return self.problem("a command was not done: the call is over");
        };
        let established = call.stage == Stage::Established;
        match command {
            Command::Place { .. } | Command::Mute | Command::Unmute => {}
            Command::Accept => self.accept(key),
            Command::Reject if call.stage == Stage::Incoming => self.refuse(key, 486),
            Command::Reject | Command::HangUp => self.hang_up(key, now),
            Command::Hold | Command::Resume if established => {
                call.held = command == Command::Hold;
                self.renegotiate(key, false);
            }
            Command::RestartIce if established => self.renegotiate(key, true),
            Command::Transfer { to } if established => self.transfer(key, &to, now),
            Command::Dtmf(dtmf) if established => {
                if !queue_tones(&mut call.tones, &dtmf) {
                    let most = super::agent::MAX_TONES;
                    return self.problem(format!("tones were not sent: at most {most} wait for those before them"));
                }
                let pauses = call.pause_until.is_some();
                if !pauses && !self.sends_tone(key) {
                    self.next_tone(key, now);
                }
            }
            Command::Hold | Command::Resume | Command::RestartIce | Command::Transfer { .. } | Command::Dtmf(_) => {
                self.problem("a command was not done: the call is not established");
            }
        }
    }

    fn place(&mut self, key: CallKey, to: &str) {
        self.next_call = self.next_call.max(key + 1);
        let target = self.settings.uri(to);
        let (call_id, tag) = (self.token(20), self.token(10));
        let first = u32::try_from(self.some_ms(1..10_000).as_millis()).unwrap_or(1);
        let local = format!("{};tag={tag}", self.own_address());
        let refused = match &target {
            Err(why) => Some(why.clone()),
            Ok(_) if !self.is_ready() => Some("the softphone is not registered".to_owned()),
            Ok(_) if self.calls.len() >= MAX_CALLS => Some(format!("it has {MAX_CALLS} calls already")),
            Ok(_) => None,
        };
        let target = target.unwrap_or_default();
        let dialog = Dialog::placed(call_id.clone(), local, tag, &target, first);
        let mut call = Call::new(dialog, Stage::Offering);
        call.offering = Offering::Own;
        self.calls.insert(key, call);
        if refused.is_some() {
            return self.end(key, EndedBy::Failure, refused);
        }
        self.push(Action::Named { call: key, name: call_id });
        self.push(Action::MakeOffer { call: key, peer: PEER });
    }

    fn accept(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.stage != Stage::Incoming {
            return;
        }
        call.stage = Stage::Answering;
        let offer = call.asked.as_ref().and_then(Message::sdp).map(ToOwned::to_owned);
        match offer {
            Some(offer) => self.push(Action::MakeAnswer { call: key, peer: PEER, offer }),
            None => {
                call.offering = Offering::ForThem;
                self.push(Action::MakeOffer { call: key, peer: PEER });
            }
        }
    }

    /// Refuses a call that came in and has no answer.
    fn refuse(&mut self, key: CallKey, status: u16) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (asked, tag) = (call.asked.take(), call.dialog.id.local_tag.clone());
        if let Some(invite) = asked {
            self.respond(&invite, status, &tag);
        }
        self.end(key, EndedBy::Us, Some(StatusCode::from(status).to_string()));
    }

    fn hang_up(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.hung_up = true;
        match call.stage {
            Stage::Offering => self.end(key, EndedBy::Us, None),
            Stage::Calling { provisional } => {
                if provisional {
                    self.cancel(key, now);
                }
            }
            Stage::Incoming | Stage::Answering => self.refuse(key, 486),
            // A callee waits for the ACK first (RFC 3261 §15).
            Stage::Established if call.unacknowledged.is_some() => {}
            Stage::Established => self.bye(key, now),
            Stage::Ending => {}
        }
    }

    fn cancel(&mut self, key: CallKey, now: Instant) {
        let Some(invite) = self.open_invite(key) else { return };
        let uri = invite.uri();
        let mut cancel = Message::request(Method::Cancel, &uri);
        for name in ["Via", "Max-Forwards", "Route", "To", "From", "Call-ID"] {
            invite.fields(name).for_each(|value| cancel.add(name, value));
        }
        let number = invite.cseq().map_or(0, |(number, _)| number);
        let cancel = self.finished(cancel.with("CSeq", format!("{number} CANCEL")), "outbound");
        self.bound_invite(key, now);
        self.ask(Purpose::Cancel(key), cancel, now);
    }

    fn bye(&mut self, key: CallKey, now: Instant) {
        let via = self.via();
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.stage = Stage::Ending;
        let mut bye = call.dialog.request(Method::Bye, &via);
        if let Some(why) = &call.failure {
            bye.add("Reason", format!("SIP;cause=500;text=\"{}\"", why.replace(['"', '\\'], "'")));
        }
        let bye = self.finished(bye, "outbound");
        if !self.ask(Purpose::Bye(key), bye, now) {
            self.problem("BYE was not sent: there is no WebSocket; the other side finds out by itself");
            self.ended_by_us(key);
        }
    }

    fn ended_by_us(&mut self, key: CallKey) {
        let failure = self.calls.get(&key).and_then(|call| call.failure.clone());
        let by = if failure.is_some() { EndedBy::Failure } else { EndedBy::Us };
        self.end(key, by, failure);
    }

    /// Ends a call whose session cannot be had or kept.
    fn fail(&mut self, key: CallKey, why: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.failure.get_or_insert_with(|| why.to_owned());
        match call.stage {
            Stage::Offering => self.ended_by_us(key),
            Stage::Calling { .. } => self.hang_up(key, now),
            Stage::Incoming | Stage::Answering => {
                let (asked, tag) = (call.asked.take(), call.dialog.id.local_tag.clone());
                if let Some(invite) = asked {
                    self.respond(&invite, 488, &tag);
                }
                self.ended_by_us(key);
            }
            Stage::Established => {
                // A request of theirs that waits for a description gets its refusal first.
                let (asked, tag) = (call.asked.take(), call.dialog.id.local_tag.clone());
                if let Some(request) = asked {
                    self.respond(&request, 488, &tag);
                }
                self.hang_up(key, now);
            }
            Stage::Ending => {}
        }
    }

    /// Makes another offer, now or when the one under way is done.
    fn renegotiate(&mut self, key: CallKey, restart_ice: bool) {
        let offers = self.offers(key);
        let open = self.open;
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.stage != Stage::Established {
            return;
        }
        let busy = offers || call.asked.is_some() || call.offering != Offering::Nothing || call.retry_at.is_some();
        if busy || call.unacknowledged.is_some() || !open {
            let before = call.again.is_some_and(|again| again.restart_ice);
            call.again = Some(Again { restart_ice: restart_ice || before });
            return;
        }
        call.offering = Offering::Own;
        let direction = call.direction();
        self.push(Action::Renegotiate { call: key, peer: PEER, direction, restart_ice });
    }

    /// Makes the offer that had to wait.
    fn settled(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(again) = call.again.take() {
            self.renegotiate(key, again.restart_ice);
        }
    }

    fn transfer(&mut self, key: CallKey, to: &str, now: Instant) {
        let uri = match self.settings.uri(to) {
            Ok(uri) => uri,
            Err(why) => return self.problem(format!("the call was not transferred: {why}")),
        };
        let via = self.via();
        let (contact, aor) = (self.contact(), self.settings.aor.clone());
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.transferring = true;
        let refer = call.dialog.request(Method::Refer, &via);
        let refer = refer.with("Contact", contact).with("Refer-To", format!("<{uri}>"));
        let refer = self.finished(refer.with("Referred-By", format!("<{aor}>")), "outbound,norefersub");
        if !self.ask(Purpose::Refer(key), refer, now) {
            self.problem("the call was not transferred: there is no WebSocket");
        }
    }

    fn next_tone(&mut self, key: CallKey, now: Instant) {
        let via = self.via();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(Tone { digit, duration }) = call.tones.pop_front() else { return };
        if digit == ',' {
            call.pause_until = Some(now + PAUSE);
            return;
        }
        let info = call.dialog.request(Method::Info, &via);
        let info = self.finished(info, "outbound");
        let info = info
            .with_body("application/dtmf-relay", &format!("Signal={digit}\r\nDuration={}\r\n", duration.as_millis()));
        if !self.ask(Purpose::Tone(key), info, now) {
            self.problem("tones were not sent: there is no WebSocket");
        }
    }

    // --- Descriptions of ours ----------------------------------------------------------------------------------

    pub(super) fn peer_event(&mut self, key: CallKey, event: PeerEvent, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match event {
            PeerEvent::LocalOffer(offer) => match std::mem::replace(&mut call.offering, Offering::Nothing) {
                Offering::Own => self.invite(key, &offer, now),
                Offering::ForThem => self.accept_with(key, &offer, now),
                Offering::Nothing => {}
            },
            PeerEvent::LocalAnswer(answer) => self.accept_with(key, &answer, now),
            PeerEvent::LocalCandidate(_) | PeerEvent::EndOfCandidates | PeerEvent::Connected | PeerEvent::Rested(_) => {
            }
            PeerEvent::Disconnected => {
                if self.settings.restart_ice {
                    self.renegotiate(key, true);
                }
            }
            PeerEvent::Failed { detail } => self.fail(key, &detail, now),
        }
    }

    /// Sends an INVITE, or within a session a re-INVITE.
    fn invite(&mut self, key: CallKey, offer: &str, now: Instant) {
        let (via, contact) = (self.via(), self.contact());
        let session_expires = self.settings.session_expires;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let first = match call.stage {
            Stage::Offering => true,
            Stage::Established => false,
            _ => return,
        };
        let mut request = call.dialog.request(Method::Invite, &via).with("Contact", contact);
        request = request.with_body("application/sdp", offer);
        match (call.timer, session_expires) {
            (Some(timer), _) => request.add("Session-Expires", timer.field()),
            (None, 0) => {}
            (None, seconds) => request.add("Session-Expires", seconds.max(call.min_session)),
        }
        if call.min_session > 0 {
            request.add("Min-SE", call.min_session);
        }
        if first {
            call.stage = Stage::Calling { provisional: false };
        }
        let request = self.finished(request, "timer,ice,replaces,outbound");
        let purpose = if first { Purpose::Invite(key) } else { Purpose::Reinvite(key) };
        if !self.ask(purpose, request, now) {
            match first {
                true => self.end(key, EndedBy::Failure, Some("INVITE was not sent: there is no WebSocket".to_owned())),
                false => self.renegotiate_later(key),
            }
        }
    }

    /// The WebSocket was lost under an offer: the next one makes it good.
    fn renegotiate_later(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.again.get_or_insert(Again { restart_ice: false });
        }
    }

    /// Answers their INVITE, re-INVITE or UPDATE with a 200 and our description.
    fn accept_with(&mut self, key: CallKey, sdp: &str, now: Instant) {
        let contact = self.contact();
        let user_agent = self.settings.user_agent.clone();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(request) = call.asked.take() else { return };
        let mut response = Message::response(&request, 200, &call.dialog.id.local_tag);
        response.add("Contact", contact);
        if let Some((timer, field)) = SessionTimer::asked(&request, now) {
            call.timer = Some(timer);
            if field.ends_with("uac") {
                response.add("Require", "timer");
            }
            response.add("Session-Expires", field);
        }
        let response = response
            .with("Allow", super::agent::ALLOW)
            .with("Supported", "timer,ice,outbound")
            .with("User-Agent", user_agent)
            .with_body("application/sdp", sdp);
        if request.method() == Some(Method::Invite) {
            let number = request.cseq().map_or(0, |(number, _)| number);
            let (next, until) = (now + T1, now + TRANSACTION);
            call.unacknowledged =
                Some(Unacknowledged { response: response.clone(), number, next, interval: T1, until });
            call.stage = Stage::Established;
        }
        self.send(&response);
    }

    /// Refreshes a session: by UPDATE where the other side takes it, else by an offer.
    fn refresh(&mut self, key: CallKey, now: Instant) {
        let (via, contact) = (self.via(), self.contact());
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(timer) = &mut call.timer {
            *timer = timer.again(now);
        }
        if !call.updates {
            return self.renegotiate(key, false);
        }
        let mut update = call.dialog.request(Method::Update, &via).with("Contact", contact);
        if let Some(timer) = call.timer {
            update.add("Session-Expires", timer.field());
        }
        let update = self.finished(update, "timer,outbound");
        self.ask(Purpose::Update(key), update, now);
    }

    /// After the WebSocket came back: target refreshes, so that requests of the other sides find it.
    pub(super) fn refresh_dialogs(&mut self, now: Instant) {
        let keys: Vec<CallKey> =
            self.calls.iter().filter(|(_, call)| call.stage == Stage::Established).map(|(key, _)| *key).collect();
        for key in keys {
            let waiting = self.calls.get_mut(&key).and_then(|call| call.again.take());
            match waiting {
                Some(again) => self.renegotiate(key, again.restart_ice),
                None => self.refresh(key, now),
            }
        }
    }

    /// Without WebSocket: what has no dialog to go on with is over.
    pub(super) fn calls_without_line(&mut self, why: &str) {
        let begun: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| matches!(call.stage, Stage::Incoming | Stage::Answering))
            .map(|(key, _)| *key)
            .collect();
        for key in begun {
            self.end(key, EndedBy::Failure, Some(why.to_owned()));
        }
        for call in self.calls.values_mut() {
            call.asked = None;
            call.unacknowledged = None;
        }
    }

    // --- Responses ---------------------------------------------------------------------------------------------

    pub(super) fn provisional(&mut self, purpose: Purpose, response: &Message, now: Instant) {
        let Purpose::Invite(key) = purpose else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.stage = Stage::Calling { provisional: true };
        if let (Some(tag), Some(sdp)) = (response.tag("To"), response.sdp()) {
            call.early = Some((tag.to_owned(), sdp.to_owned()));
        }
        if call.hung_up {
            return self.cancel(key, now);
        }
        if response.status().is_some_and(|status| status > 100) {
            self.push(Action::Ringing { call: key });
        }
    }

    /// A 2xx to an INVITE that has no transaction any more: a repetition, or of another branch of a fork (§13.2.2.4).
    pub(super) fn stray_success(&mut self, response: &Message) {
        let number = response.cseq().map(|(number, _)| number);
        let id = response.dialog();
        let known = self.calls.values().find(|call| call.dialog.has(&id));
        if let Some(call) = known {
            // The ACK of the same INVITE is sent again.
            if let Some((_, ack)) = call.acknowledged.clone().filter(|(acknowledged, _)| Some(*acknowledged) == number)
            {
                self.send(&ack);
            }
            return;
        }
        let forked = self.calls.values().find(|call| call.dialog.is_fork(&id));
        let (Some(call), Some(number)) = (forked, number) else { return };
        let mut dialog = call.dialog.clone();
        dialog.established(response);
        let (ack_via, bye_via) = (self.via(), self.via());
        let ack = self.finished(dialog.ack(number, &ack_via), "outbound");
        let bye = self.finished(dialog.request(Method::Bye, &bye_via), "outbound");
        self.send(&ack);
        self.send(&bye);
    }

    pub(super) fn call_answered(&mut self, transaction: &Transaction, response: &Message, now: Instant) {
        let status = response.status().unwrap_or_default();
        let success = (200..300).contains(&status);
        match transaction.purpose {
            Purpose::Register => {}
            Purpose::Invite(key) if success => self.invite_accepted(key, response, now),
            Purpose::Invite(key) => self.invite_refused(key, transaction.request.body(), response, now),
            Purpose::Reinvite(key) if success => self.reinvite_accepted(key, response, now),
            Purpose::Reinvite(key) => self.reinvite_refused(key, response, now),
            Purpose::Update(key) if success => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.dialog.refreshed(response);
                    call.timer = SessionTimer::answered(response, now).or(call.timer);
                }
            }
            Purpose::Update(key) => match status {
                408 | 481 => self.gone(key, response),
                405 | 501 => {
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.updates = false;
                    }
                    self.renegotiate(key, false);
                }
                // Theirs crossed ours, and refreshes as well (RFC 3311 §5.2).
                491 => {}
                _ => self.problem(format!("UPDATE: {}", response.said())),
            },
            Purpose::Bye(key) => self.ended_by_us(key),
            // The INVITE's own response says what became of it.
            Purpose::Cancel(_) => {}
            Purpose::Tone(key) if success => self.next_tone(key, now),
            Purpose::Tone(key) if matches!(status, 408 | 481) => self.gone(key, response),
            Purpose::Tone(key) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.tones.clear();
                }
                self.problem(format!("tones were not taken: {}", response.said()));
            }
            Purpose::Refer(_) if success => {}
            Purpose::Refer(key) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.transferring = false;
                }
                self.problem(format!("the call was not transferred: {}", response.said()));
            }
        }
    }

    pub(super) fn call_unanswered(&mut self, purpose: Purpose, why: &str, now: Instant) {
        match purpose {
            Purpose::Register | Purpose::Cancel(_) => {}
            Purpose::Invite(key) => {
                let by_us = self.calls.get(&key).is_some_and(|call| call.hung_up && call.failure.is_none());
                let by = if by_us { EndedBy::Us } else { EndedBy::Failure };
                self.end(key, by, Some(format!("INVITE: {why}")));
            }
            Purpose::Bye(key) => self.ended_by_us(key),
            Purpose::Reinvite(key) | Purpose::Update(key) if self.open => {
                // RFC 3261 §12.2.1.2: no answer is a 408, which ends the dialog.
                self.fail(key, &format!("re-INVITE: {why}"), now);
            }
            Purpose::Reinvite(key) => self.renegotiate_later(key),
            Purpose::Update(_) => {}
            Purpose::Tone(_) => self.problem(format!("tones were not sent: {why}")),
            Purpose::Refer(_) => self.problem(format!("the call was not transferred: {why}")),
        }
    }

    /// The other side does not know the dialog any more.
    fn gone(&mut self, key: CallKey, response: &Message) {
        self.end(key, EndedBy::Peer, Some(response.said()));
    }

    /// Sends the ACK to a 2xx, and takes what it says of session timers.
    fn acknowledge(&mut self, key: CallKey, response: &Message, now: Instant) {
        let via = self.via();
        let (Some(call), Some((number, _))) = (self.calls.get(&key), response.cseq()) else { return };
        let ack = call.dialog.ack(number, &via);
        let ack = self.finished(ack, "outbound");
        self.send(&ack);
        if let Some(call) = self.calls.get_mut(&key) {
            call.acknowledged = Some((number, ack));
            call.timer = SessionTimer::answered(response, now);
        }
    }

    fn invite_accepted(&mut self, key: CallKey, response: &Message, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dialog.established(response);
        call.updates = response.lists("Allow", "UPDATE");
        call.stage = Stage::Established;
        let early = call.early.take().filter(|(tag, _)| response.tag("To") == Some(tag.as_str())).map(|(_, sdp)| sdp);
        let answer = response.sdp().map(ToOwned::to_owned).or(early);
        let ends = call.hung_up;
        self.acknowledge(key, response, now);
        if ends {
            return self.bye(key, now);
        }
        match answer {
            Some(answer) => self.push(Action::ApplyAnswer { call: key, peer: PEER, answer }),
            None => self.fail(key, "the 200 to INVITE has no session description", now),
        }
    }

    fn invite_refused(&mut self, key: CallKey, offer: &str, response: &Message, now: Instant) {
        let status = response.status().unwrap_or_default();
        let Some(call) = self.calls.get_mut(&key) else { return };
        if status == 422
            && let Some(least) = response.seconds("Min-SE").filter(|least| *least > call.min_session)
            && !call.hung_up
        {
            // The same offer, with the interval that is asked for (RFC 4028 §7.3).
            call.min_session = least;
            call.stage = Stage::Offering;
            return self.invite(key, offer, now);
        }
        let mut reason = response.said();
        if let Some(seconds) = response.seconds("Retry-After") {
            reason.push_str(&format!(", to be tried again after {seconds} s"));
        }
        let (by, reason) = match (&call.failure, call.hung_up) {
            (Some(failure), _) => (EndedBy::Failure, failure.clone()),
            (None, true) => (EndedBy::Us, reason),
            (None, false) if REFUSALS.contains(&status) => (EndedBy::Refusal, reason),
            (None, false) => (EndedBy::Failure, reason),
        };
        self.end(key, by, Some(reason));
    }

    fn reinvite_accepted(&mut self, key: CallKey, response: &Message, now: Instant) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.dialog.refreshed(response);
        }
        let timer = self.calls.get(&key).and_then(|call| call.timer);
        self.acknowledge(key, response, now);
        if let Some(call) = self.calls.get_mut(&key) {
            call.timer = call.timer.or_else(|| timer.map(|timer| timer.again(now)));
        }
        if let Some(answer) = response.sdp().map(ToOwned::to_owned) {
            self.push(Action::ApplyAnswer { call: key, peer: PEER, answer });
        }
        self.settled(key);
    }

    fn reinvite_refused(&mut self, key: CallKey, response: &Message, now: Instant) {
        match response.status().unwrap_or_default() {
            491 => {
                // The owner of the Call-ID waits longer (RFC 3261 §14.1).
                let placed = self.calls.get(&key).is_some_and(|call| call.acknowledged.is_some());
                let pause = self.some_ms(if placed { 2100..4000 } else { 1..2000 });
                if let Some(call) = self.calls.get_mut(&key) {
                    call.retry_at = Some(now + pause);
                }
            }
            408 | 481 => self.gone(key, response),
            _ => {
                self.problem(format!("re-INVITE: {}; the session goes on as it was", response.said()));
                self.settled(key);
            }
        }
    }

    // --- Requests ----------------------------------------------------------------------------------------------

    pub(super) fn request(&mut self, request: &Message, now: Instant) {
        // None of ours, where it has no name.
        let method = request.method();
        if method == Some(Method::Ack) {
            return self.acknowledged(request, now);
        }
        if method == Some(Method::Cancel) {
            return self.cancelled(request);
        }
        if request.tag("To").is_none() {
            return match method {
                Some(Method::Invite) => self.invited(request),
                Some(Method::Options | Method::Notify) => self.answer(request, 200),
                Some(Method::Update | Method::Bye | Method::Info) => self.answer(request, 481),
                _ => self.answer(request, 405),
            };
        }
        let Some(key) = self.key_of(request) else { return self.answer(request, 481) };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let tag = call.dialog.id.local_tag.clone();
        if !call.dialog.in_order(request) {
            self.respond(request, 500, &tag);
            return;
        }
        match method {
            Some(Method::Invite | Method::Update) => self.offered(key, request, now),
            Some(Method::Bye) => {
                let asked = call.asked.take();
                self.respond(request, 200, &tag);
                if let Some(waiting) = asked {
                    self.respond(&waiting, 487, &tag);
                }
                let reason = request.header("Reason").map_or_else(|| "BYE".to_owned(), ToOwned::to_owned);
                let by_us = self.calls.get(&key).is_some_and(|call| call.stage == Stage::Ending);
                if by_us {
                    self.ended_by_us(key);
                } else {
                    self.end(key, EndedBy::Peer, Some(reason));
                }
            }
            Some(Method::Notify) => {
                self.respond(request, 200, &tag);
                self.notified(key, request, now);
            }
            Some(Method::Info | Method::Options) => {
                self.respond(request, 200, &tag);
            }
            _ => {
                self.respond(request, 405, &tag);
            }
        }
    }

    fn answer(&mut self, request: &Message, status: u16) {
        let tag = self.token(10);
        self.respond(request, status, &tag);
    }

    fn invited(&mut self, invite: &Message) {
        // A call that is known: the same request by another way (RFC 3261 §8.2.2.2).
        let id = invite.dialog();
        let known = self
            .calls
            .values()
            .any(|call| (&call.dialog.id.call_id, &call.dialog.id.remote_tag) == (&id.call_id, &id.remote_tag));
        if known {
            return;
        }
        let foreign: Vec<&str> =
            invite.list("Require").into_iter().filter(|wanted| !SUPPORTED.contains(wanted)).collect();
        let tag = self.token(10);
        if !foreign.is_empty() {
            let response = Message::response(invite, 420, &tag).with("Unsupported", foreign.join(", "));
            self.send(&response);
            return;
        }
        let has_other_body = !invite.body().trim().is_empty() && invite.sdp().is_none();
        let first = u32::try_from(self.some_ms(1..10_000).as_millis()).unwrap_or(1);
        let dialog = Dialog::taken(invite, tag.clone(), first);
        let status = match &dialog {
            None => Some(400),
            Some(_) if has_other_body => Some(415),
            Some(_) if self.calls.len() >= MAX_CALLS => Some(486),
            Some(_) if !self.is_ready() => Some(480),
            Some(_) => None,
        };
        let (Some(dialog), None) = (dialog, status) else {
            self.respond(invite, status.unwrap_or(400), &tag);
            return;
        };
        let key = self.next_call;
        self.next_call += 1;
        let name = dialog.id.call_id.clone();
        let mut call = Call::new(dialog, Stage::Incoming);
        call.asked = Some(invite.clone());
        call.updates = invite.lists("Allow", "UPDATE");
        self.calls.insert(key, call);
        let ringing = Message::response(invite, 180, &tag).with("Contact", self.contact());
        self.send(&ringing);
        let answered = self.settings.auto_answer;
        self.push(Action::Named { call: key, name });
        self.push(Action::Incoming { call: key, answered });
        if answered {
            self.accept(key);
        }
    }

    /// A re-INVITE or UPDATE.
    fn offered(&mut self, key: CallKey, request: &Message, now: Instant) {
        let offers = self.offers(key);
        let contact = self.contact();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let tag = call.dialog.id.local_tag.clone();
        let sdp = request.sdp().map(ToOwned::to_owned);
        let is_invite = request.method() == Some(Method::Invite);
        let changes = is_invite || sdp.is_some();
        if call.stage == Stage::Ending {
            self.respond(request, 481, &tag);
            return;
        }
        // Offers that cross each other (RFC 3261 §14.2, RFC 3311 §5.2).
        let busy = offers || call.asked.is_some() || call.unacknowledged.is_some();
        if changes && (busy || call.stage != Stage::Established || call.offering != Offering::Nothing) {
            self.respond(request, 491, &tag);
            return;
        }
        call.dialog.refreshed(request);
        if !changes {
            let mut response = Message::response(request, 200, &tag).with("Contact", contact);
            if let Some((timer, field)) = SessionTimer::asked(request, now) {
                call.timer = Some(timer);
                response.add("Session-Expires", field);
            }
            let response = response.with("Allow", super::agent::ALLOW).with("Supported", "timer,outbound");
            self.send(&response);
            return;
        }
        call.asked = Some(request.clone());
        match sdp {
            Some(offer) => self.push(Action::MakeAnswer { call: key, peer: PEER, offer }),
            None => {
                call.offering = Offering::ForThem;
                let direction = call.direction();
                self.push(Action::Renegotiate { call: key, peer: PEER, direction, restart_ice: false });
            }
        }
    }

    fn acknowledged(&mut self, ack: &Message, now: Instant) {
        let Some(key) = self.key_of(ack) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let number = ack.cseq().map(|(number, _)| number);
        if call.unacknowledged.as_ref().is_none_or(|waiting| Some(waiting.number) != number) {
            return;
        }
        let offered = call.unacknowledged.take().is_some_and(|waiting| {
            // The INVITE had no description, so ours was the offer.
            ack.sdp().is_some() && waiting.response.sdp().is_some()
        });
        if call.hung_up {
            return self.bye(key, now);
        }
        if let (true, Some(answer)) = (offered, ack.sdp()) {
            self.push(Action::ApplyAnswer { call: key, peer: PEER, answer: answer.to_owned() });
        }
        self.settled(key);
    }

    fn cancelled(&mut self, cancel: &Message) {
        let found = self.calls.iter().find(|(_, call)| {
            call.dialog.id.call_id == cancel.call_id()
                && call.asked.as_ref().is_some_and(|invite| {
                    invite.branch() == cancel.branch() && matches!(call.stage, Stage::Incoming | Stage::Answering)
                })
        });
        let Some(key) = found.map(|(key, _)| *key) else { return self.answer(cancel, 481) };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (tag, asked) = (call.dialog.id.local_tag.clone(), call.asked.take());
        self.respond(cancel, 200, &tag);
        if let Some(invite) = asked {
            self.respond(&invite, 487, &tag);
        }
        let reason = cancel.header("Reason").map_or_else(|| "CANCEL".to_owned(), ToOwned::to_owned);
        self.end(key, EndedBy::Peer, Some(reason));
    }

    /// How far a transfer is (RFC 3515 §2.4.5): a status line of the other call.
    fn notified(&mut self, key: CallKey, notify: &Message, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let is_refer = notify.header("Event").is_some_and(|event| uri_of(event).eq_ignore_ascii_case("refer"));
        let status = notify.body().split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
        let (true, true, Some(status)) = (call.transferring, is_refer, status) else { return };
        match status {
            100..=199 => {}
            200..=299 => {
                call.transferring = false;
                self.hang_up(key, now);
            }
            _ => {
                call.transferring = false;
                let line = notify.body().lines().next().unwrap_or_default().to_owned();
                self.problem(format!("the call was not transferred: {line}"));
            }
        }
    }

    // --- Time --------------------------------------------------------------------------------------------------

    pub(super) fn tick_calls(&mut self, now: Instant) {
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            let Some(call) = self.calls.get_mut(&key) else { continue };
            if call.retry_at.is_some_and(|at| at <= now) {
                call.retry_at = None;
                self.renegotiate(key, false);
            }
            let Some(call) = self.calls.get_mut(&key) else { continue };
            if call.pause_until.is_some_and(|at| at <= now) {
                call.pause_until = None;
                self.next_tone(key, now);
            }
            let Some(call) = self.calls.get_mut(&key) else { continue };
            if let Some(waiting) = &mut call.unacknowledged
                && waiting.next.min(waiting.until) <= now
            {
                if waiting.until <= now {
                    call.unacknowledged = None;
                    self.fail(key, "there was no ACK within 32 s", now);
                    continue;
                }
                waiting.interval = (waiting.interval * 2).min(T2);
                waiting.next = now + waiting.interval;
                let response = waiting.response.clone();
                self.send(&response);
            }
            let Some(call) = self.calls.get_mut(&key) else { continue };
            let Some(timer) = call.timer.filter(|timer| timer.at <= now && call.stage == Stage::Established) else {
                continue;
            };
            match timer.ours {
                true if self.open => self.refresh(key, now),
                // It is made good when the WebSocket is back.
                true => call.timer = Some(timer.again(now)),
                false => {
                    let why =
                        format!("the session timer of {} s expired: the other side did not refresh", timer.interval);
                    call.timer = None;
                    self.fail(key, &why, now);
                }
            }
        }
    }
}
