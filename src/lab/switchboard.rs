//! Who is reachable, and which call goes where: the lab's routing tables.
//!
//! Guarantees: nothing here waits or does I/O. A message for a client goes into its bounded mailbox; one that does not
//! read its socket gets no more once that is full, and the sender is told so. A client's line, its name and its
//! calls leave the tables together in [`Switchboard::hang_up_line`]. One lock, held for table look-ups only.
use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::peer::IceCandidateInit;
use crate::signaling::json::Message;

/// Names of the lab's own answering peers; nobody may register them.
pub(super) const TONE: &str = "tone";
pub(super) const ECHO: &str = "echo";
/// Messages that may wait for a client that does not read.
pub(super) const MAILBOX_MESSAGES: usize = 256;
/// Events that may wait for an answering peer.
pub(super) const CALL_EVENTS: usize = 256;
/// Calls one WebSocket may have at a time.
const MAX_CALLS_PER_LINE: usize = 4096;

/// A client's WebSocket, as the tables know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineId(u64);

/// What reaches an answering peer from its caller.
#[derive(Debug)]
pub(super) enum CallEvent {
    /// A remote candidate, or the end of them.
    Candidate(IceCandidateInit),
    /// The caller hung up and states how many RTP packets it sent.
    Bye { packets_sent: Option<u64> },
    /// The caller gave the call up with an error, which needs no answer.
    GivenUp,
    /// The caller's WebSocket is gone.
    LineGone,
}

/// A refusal, to be sent as [`Message::Error`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// Where an accepted offer went.
#[derive(Debug)]
pub(super) enum Routed {
    /// To another client.
    Relayed,
    /// To an answering peer, which has to be started with these events.
    Answering(mpsc::Receiver<CallEvent>),
}

/// The tables.
#[derive(Default)]
pub(super) struct Switchboard {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    next: u64,
    lines: HashMap<LineId, Line>,
    names: HashMap<String, LineId>,
}

struct Line {
    mailbox: mpsc::Sender<Message>,
    name: Option<String>,
    calls: HashMap<String, Leg>,
}

enum Leg {
    /// The other end is an answering peer.
    Answering(mpsc::Sender<CallEvent>),
    /// The other end is another client's line.
    Relayed { other: LineId, said_bye: bool },
}

impl Switchboard {
    /// A new client.
    pub(super) fn open_line(&self, mailbox: mpsc::Sender<Message>) -> LineId {
        let mut tables = self.tables.lock();
        tables.next += 1;
        let id = LineId(tables.next);
        tables.lines.insert(id, Line { mailbox, name: None, calls: HashMap::new() });
        id
    }

    /// Makes `line` reachable under `name`; a line has one name, and may ask for the same again.
    pub(super) fn register(&self, line: LineId, name: &str) -> Result<(), Refusal> {
        if name == TONE || name == ECHO {
            return Err(refuse("NAME_RESERVED", format!("'{name}' is one of the lab's own answering peers")));
        }
        let mut tables = self.tables.lock();
        match tables.names.get(name) {
            Some(holder) if *holder == line => return Ok(()),
            Some(_) => {
                return Err(refuse(
                    "NAME_IN_USE",
                    format!("'{name}' is registered by another open WebSocket; it is free when that one closes"),
                ));
            }
            None => {}
        }
        let Some(entry) = tables.lines.get_mut(&line) else {
            return Err(refuse("SOCKET_CLOSED", "this WebSocket is closing"));
        };
        if let Some(held) = &entry.name {
            return Err(refuse("ALREADY_REGISTERED", format!("this WebSocket is registered as '{held}'")));
        }
        entry.name = Some(name.to_owned());
        tables.names.insert(name.to_owned(), line);
        Ok(())
    }

    /// Routes a new call of `line`; `to` absent means the tone.
    pub(super) fn offer(&self, line: LineId, call: &str, to: Option<&str>, sdp: &str) -> Result<Routed, Refusal> {
        let mut tables = self.tables.lock();
        let Some(caller) = tables.lines.get(&line) else {
            return Err(refuse("SOCKET_CLOSED", "this WebSocket is closing"));
        };
        if caller.calls.contains_key(call) {
            return Err(refuse("CALL_IN_USE", format!("call '{call}' exists on this WebSocket")));
        }
        if caller.calls.len() >= MAX_CALLS_PER_LINE {
            return Err(refuse("TOO_MANY_CALLS", format!("a WebSocket carries at most {MAX_CALLS_PER_LINE} calls")));
        }
        let from = caller.name.clone();
        let (leg, routed) = match to {
            None | Some(TONE | ECHO) => {
                let (events, inbox) = mpsc::channel(CALL_EVENTS);
                (Leg::Answering(events), Routed::Answering(inbox))
            }
            Some(name) => {
                let not_found = || refuse("NOT_FOUND", format!("nobody is registered as '{name}'"));
                let other = *tables.names.get(name).ok_or_else(not_found)?;
                if other == line {
                    return Err(refuse("NOT_FOUND", format!("'{name}' is the caller itself")));
                }
                let callee = tables.lines.get_mut(&other).ok_or_else(not_found)?;
                if callee.calls.contains_key(call) {
                    return Err(refuse("CALL_IN_USE", format!("call '{call}' exists on the WebSocket of '{name}'")));
                }
                let offer = Message::Offer { call: call.into(), to: Some(name.into()), from, sdp: sdp.into() };
                callee.mailbox.try_send(offer).map_err(|_| busy(name))?;
                callee.calls.insert(call.to_owned(), Leg::Relayed { other: line, said_bye: false });
                (Leg::Relayed { other, said_bye: false }, Routed::Relayed)
            }
        };
        if let Some(caller) = tables.lines.get_mut(&line) {
            caller.calls.insert(call.to_owned(), leg);
        }
        Ok(routed)
    }

    /// Passes an answer, candidate, bye or error of `line` to the other end of its call.
    pub(super) fn pass(&self, line: LineId, message: Message) -> Result<(), Refusal> {
        let mut tables = self.tables.lock();
        let Some(call) = message.call().map(str::to_owned) else {
            return Err(refuse("CALL_UNKNOWN", "the message names no call"));
        };
        let Some(leg) = tables.lines.get_mut(&line).and_then(|line| line.calls.get_mut(&call)) else {
            return match message {
                // Candidates trickle on while the other side hangs up: not an error of anybody.
                Message::Candidate { .. } | Message::Error { .. } => Ok(()),
                _ => Err(refuse("CALL_UNKNOWN", format!("call '{call}' does not exist on this WebSocket"))),
            };
        };
        match leg {
            Leg::Answering(events) => {
                let event = match message {
                    Message::Candidate { candidate, .. } => CallEvent::Candidate(candidate),
                    Message::Bye { media, .. } => {
                        CallEvent::Bye { packets_sent: media.map(|media| media.packets_sent) }
                    }
                    Message::Error { .. } => CallEvent::GivenUp,
                    _ => return Err(refuse("UNEXPECTED", "this call was offered to the lab; only the lab answers it")),
                };
                events.try_send(event).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => busy(&call),
                    mpsc::error::TrySendError::Closed(_) => {
                        refuse("CALL_UNKNOWN", format!("call '{call}' has just ended"))
                    }
                })
            }
            Leg::Relayed { other, said_bye } => {
                let other = *other;
                let ends = matches!(message, Message::Error { .. });
                if matches!(message, Message::Bye { .. }) {
                    *said_bye = true;
                }
                let over = ends || (*said_bye && tables.said_bye(other, &call));
                let sent = match tables.lines.get(&other) {
                    Some(callee) => callee.mailbox.try_send(message).map_err(|_| busy(&call)),
                    None => Ok(()),
                };
                if over {
                    tables.forget(line, &call);
                    tables.forget(other, &call);
                }
                sent
            }
        }
    }

    /// The answering peer of this call has ended: its name is free again.
    pub(super) fn call_ended(&self, line: LineId, call: &str) {
        self.tables.lock().forget(line, call);
    }

    /// Takes a closed WebSocket and its name out of the tables and tells its answering peers. The other ends of relayed
    /// calls are returned by [`Switchboard::hang_up_line`], after a grace.
    pub(super) fn line_gone(&self, line: LineId) -> Vec<(LineId, String)> {
        let mut tables = self.tables.lock();
        let Some(entry) = tables.lines.remove(&line) else { return Vec::new() };
        if let Some(name) = &entry.name {
            tables.names.remove(name);
        }
        let mut relayed = Vec::new();
        for (call, leg) in entry.calls {
            match leg {
                // A full inbox cannot take the news; the peer then notices that its sender is gone.
                Leg::Answering(events) => drop(events.try_send(CallEvent::LineGone)),
                Leg::Relayed { other, .. } => relayed.push((other, call)),
            }
        }
        relayed
    }

    /// Ends the relayed `calls` of a WebSocket that has been gone for the grace: each other end gets a `Bye`.
    pub(super) fn hang_up_line(&self, calls: &[(LineId, String)]) {
        let mut tables = self.tables.lock();
        for (other, call) in calls {
            if let Some(entry) = tables.lines.get_mut(other)
                && let Some(Leg::Relayed { said_bye, .. }) = entry.calls.get_mut(call)
            {
                let said = *said_bye;
                *said_bye = true;
                let reason = Some("the other side's WebSocket is gone".to_owned());
                if entry.mailbox.try_send(Message::Bye { call: call.clone(), reason, media: None }).is_err() || said {
                    entry.calls.remove(call);
                }
            }
        }
    }
}

fn busy(whom: &str) -> Refusal {
    refuse("BUSY", format!("{MAILBOX_MESSAGES} messages already wait for '{whom}'"))
}

impl Tables {
    /// A line that is gone will never say it: it counts as having said it.
    fn said_bye(&self, line: LineId, call: &str) -> bool {
        match self.lines.get(&line).and_then(|line| line.calls.get(call)) {
            Some(Leg::Relayed { said_bye, .. }) => *said_bye,
            _ => true,
        }
    }
    fn forget(&mut self, line: LineId, call: &str) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.calls.remove(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bye(call: &str) -> Message {
        Message::Bye { call: call.into(), reason: None, media: None }
    }

    struct Client {
        line: LineId,
        inbox: mpsc::Receiver<Message>,
    }

    fn client(board: &Switchboard, name: &str) -> Client {
        let (mailbox, inbox) = mpsc::channel(MAILBOX_MESSAGES);
        let line = board.open_line(mailbox);
        board.register(line, name).expect("free name");
        Client { line, inbox }
    }

    #[test]
    fn a_name_is_held_by_one_line_until_it_closes() {
        let board = Switchboard::default();
        let first = client(&board, "anna");
        let second = client(&board, "bert");
        assert_eq!(board.register(second.line, "anna").expect_err("taken").code, "NAME_IN_USE");
        assert_eq!(board.register(second.line, "carl").expect_err("has one").code, "ALREADY_REGISTERED");
        assert_eq!(board.register(second.line, "echo").expect_err("the lab's").code, "NAME_RESERVED");
        board.register(first.line, "anna").expect("the same again");
        assert!(board.line_gone(first.line).is_empty());
        let _third = client(&board, "anna");
    }

    #[test]
    fn a_relayed_call_is_over_when_both_sides_said_bye() {
        let board = Switchboard::default();
        let mut anna = client(&board, "anna");
        let mut bert = client(&board, "bert");
        assert!(matches!(board.offer(anna.line, "c", Some("bert"), "v=0"), Ok(Routed::Relayed)));
        match bert.inbox.try_recv() {
            Ok(Message::Offer { from, sdp, .. }) => assert_eq!((from.as_deref(), &*sdp), (Some("anna"), "v=0")),
            other => panic!("{other:?}"),
        }
        board.pass(bert.line, Message::Answer { call: "c".into(), sdp: "v=0".into() }).expect("relayed");
        assert!(matches!(anna.inbox.try_recv(), Ok(Message::Answer { .. })));
        board.pass(anna.line, bye("c")).expect("relayed");
        assert!(matches!(bert.inbox.try_recv(), Ok(Message::Bye { .. })));
        board.pass(bert.line, bye("c")).expect("relayed");
        assert!(matches!(anna.inbox.try_recv(), Ok(Message::Bye { .. })));
        assert_eq!(board.pass(bert.line, bye("c")).expect_err("over").code, "CALL_UNKNOWN");
        assert!(matches!(board.offer(anna.line, "c", Some("bert"), "v=0"), Ok(Routed::Relayed)), "the name is free");
    }

    #[test]
    fn the_other_side_of_a_vanished_line_gets_a_bye_and_its_answer_ends_the_call() {
        let board = Switchboard::default();
        let anna = client(&board, "anna");
        let mut bert = client(&board, "bert");
        board.offer(anna.line, "c", Some("bert"), "v=0").expect("relayed");
        let left = board.line_gone(anna.line);
        assert_eq!(left, [(bert.line, "c".to_owned())]);
        board.hang_up_line(&left);
        assert!(matches!(bert.inbox.try_recv(), Ok(Message::Offer { .. })));
        assert!(matches!(bert.inbox.try_recv(), Ok(Message::Bye { reason: Some(_), .. })));
        board.pass(bert.line, bye("c")).expect("the answer to a bye is no error");
        assert_eq!(board.pass(bert.line, bye("c")).expect_err("over").code, "CALL_UNKNOWN");
    }

    #[test]
    fn unknown_names_and_calls_are_refused_but_late_candidates_are_not() {
        let board = Switchboard::default();
        let anna = client(&board, "anna");
        assert_eq!(board.offer(anna.line, "c", Some("nobody"), "v=0").expect_err("unknown").code, "NOT_FOUND");
        assert_eq!(board.offer(anna.line, "c", Some("anna"), "v=0").expect_err("itself").code, "NOT_FOUND");
        let answer = Message::Answer { call: "c".into(), sdp: String::new() };
        assert_eq!(board.pass(anna.line, answer).expect_err("unknown").code, "CALL_UNKNOWN");
        let candidate = IceCandidateInit {
            candidate: String::new(),
            sdp_mid: None,
            sdp_m_line_index: None,
            username_fragment: None,
        };
        board.pass(anna.line, Message::Candidate { call: "c".into(), candidate }).expect("late, not wrong");
    }

    #[test]
    fn a_client_that_does_not_read_makes_the_sender_hear_busy() {
        let board = Switchboard::default();
        let anna = client(&board, "anna");
        let _bert = client(&board, "bert");
        for n in 0..MAILBOX_MESSAGES {
            board.offer(anna.line, &n.to_string(), Some("bert"), "v=0").expect("fits");
        }
        assert_eq!(board.offer(anna.line, "more", Some("bert"), "v=0").expect_err("full").code, "BUSY");
    }

    #[test]
    fn an_answering_peer_hears_of_candidates_bye_and_the_vanished_line() {
        let board = Switchboard::default();
        let anna = client(&board, "anna");
        let Ok(Routed::Answering(mut events)) = board.offer(anna.line, "c", None, "v=0") else { panic!("tone") };
        assert_eq!(board.offer(anna.line, "c", None, "v=0").expect_err("twice").code, "CALL_IN_USE");
        board.pass(anna.line, bye("c")).expect("passed");
        assert!(matches!(events.try_recv(), Ok(CallEvent::Bye { packets_sent: None })));
        board.line_gone(anna.line);
        assert!(matches!(events.try_recv(), Ok(CallEvent::LineGone)));
    }
}
