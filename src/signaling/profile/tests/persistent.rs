//! The persistent connection of a Genesys Cloud station: one PeerConnection for many conversations.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::*;

const FULL: &str = "anna@org1.example/r";

/// A registered agent whose station has a persistent connection, and what it did.
struct Phone {
    machine: Machine,
    now: Instant,
}

impl Phone {
    fn ready() -> Self {
        let text = include_str!("../../../../profiles/genesys.json");
        let profile = Arc::new(Profile::parse("genesys.json", text).unwrap_or_else(|error| panic!("{error}")));
        let given = [("token", "T"), ("persistent", "true"), ("subscriptions", "conversations")];
        let params: BTreeMap<String, String> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = Instant::now();
        let machine = Machine::new(profile, &params, now, Duration::ZERO, 5).unwrap_or_else(|error| panic!("{error}"));
        let mut phone = Self { machine, now };
        let mut done = phone.give(Input::Start);
        for body in [r#"{"id":"user-1","chat":{"jabberId":"anna@org1.example"}}"#, r#"{"id":"streaming-1"}"#] {
            let ticket = http(&done).expect("a request").0;
            done = phone.give(Input::HttpDone { ticket, status: 200, retry_after: None, body: body.to_owned() });
        }
        done = phone.give(Input::SocketOpened);
        assert!(!done.is_empty());
        for stanza in [
            "<f><mechanisms><mechanism>PLAIN</mechanism></mechanisms></f>",
            "<success xmlns='s'/>",
            "<features><bind/></features>",
        ] {
            done = phone.hear(stanza);
        }
        while !phone.machine.is_registered() {
            let asked: Vec<String> = sent(&done).iter().filter_map(|text| attribute(text, "id")).collect();
            assert!(!asked.is_empty(), "{done:?}");
            done = Vec::new();
            for id in asked {
                let inner = format!("<bind><jid>{FULL}</jid></bind>");
                done.extend(phone.hear(&format!("<iq type='result' id='{id}'>{inner}</iq>")));
            }
        }
        phone
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        self.machine.step(input, self.now)
    }

    fn hear(&mut self, stanza: &str) -> Vec<Action> {
        self.give(Input::Text(stanza.to_owned()))
    }

    fn event(&mut self, conversation: &str, state: &str) -> Vec<Action> {
        let event = json!({"topicName": "v2.users.user-1.conversations", "eventBody": {"id": conversation,
            "participants": [{"id": format!("p-{conversation}"), "userId": "user-1", "calls": [{"state": state}]}]}});
        let text = event.to_string().replace('"', "&quot;");
        self.hear(&format!("<message><event><items><item><json>{text}</json></item></items></event></message>"))
    }

    fn propose(&mut self, more: &str) -> Vec<Action> {
        self.hear(&format!(
            "<message from='gjoll-1@c.gjoll.lab'><propose id='s-1' inin-cid='c-1' inin-sdp-over-xmpp='true' {more}/></message>"
        ))
    }

    /// Offers what was proposed and connects it.
    fn connect(&mut self, call: CallKey) -> Vec<Action> {
        let rpc = r#"{"jsonrpc":"2.0","id":"o","method":"offer","params":{"sessionId":"s-1","sdp":"v=0"}}"#;
        let rpc = rpc.replace('"', "&quot;");
        self.hear(&format!("<iq type='set' id='i' from='g'><genesys-webrtc>{rpc}</genesys-webrtc></iq>"));
        self.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalAnswer("v=0".to_owned()) });
        self.give(Input::Peer { call, peer: 1, event: PeerEvent::Connected })
    }

    fn command(&mut self, call: CallKey, command: Command) -> Vec<Action> {
        self.give(Input::Command { call, command })
    }
}

fn sent(done: &[Action]) -> Vec<String> {
    done.iter()
        .filter_map(|action| match action {
            Action::Send { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// Ticket, method with URL, and body of the request that is to be made.
fn http(done: &[Action]) -> Option<(u64, String, String)> {
    done.iter().find_map(|action| match action {
        Action::Http(call) => {
            Some((call.ticket, format!("{:?} {}", call.method, call.url), call.body.clone().unwrap_or_default()))
        }
        _ => None,
    })
}

fn incoming(done: &[Action]) -> Option<CallKey> {
    done.iter().find_map(|action| match action {
        Action::Incoming { call, .. } => Some(*call),
        _ => None,
    })
}

/// A phone whose first call is over and has left its PeerConnection, and that call.
fn standing() -> (Phone, CallKey) {
    let mut phone = Phone::ready();
    let first = incoming(&phone.propose("")).expect("it rings");
    assert!(http(&phone.event("c-1", "alerting")).is_none(), "what was proposed is answered by `proceed`");
    assert!(sent(&phone.command(first, Command::Accept)).iter().any(|text| text.contains("<proceed")));
    phone.connect(first);
    phone.event("c-1", "connected");
    let done = phone.event("c-1", "terminated");
    assert!(matches!(done[..], [Action::Released { call, by: EndedBy::Peer, .. }] if call == first), "{done:?}");
    (phone, first)
}

#[test]
fn later_conversations_ring_are_answered_by_rest_and_use_the_connection_of_the_first() {
    let (mut phone, first) = standing();
    for number in 2..4 {
        let conversation = format!("c-{number}");
        let done = phone.event(&conversation, "alerting");
        let call = incoming(&done).unwrap_or_else(|| panic!("{done:?}"));
        let done = phone.command(call, Command::Accept);
        let (_, request, body) = http(&done).unwrap_or_else(|| panic!("{done:?}"));
        assert!(request.ends_with(&format!("/conversations/calls/{conversation}/participants/p-{conversation}")));
        assert_eq!(body, r#"{"state":"connected"}"#);
        assert!(sent(&done).is_empty(), "no proposal, no offer, no ICE: {done:?}");
        let done = phone.event(&conversation, "connected");
        let joins =
            |action: &Action| matches!(action, Action::UseStanding { call: up, of } if (*up, *of) == (call, first));
        assert!(done.iter().any(joins), "{done:?}");
        assert!(phone.event(&conversation, "connected").is_empty(), "said again");
        let done = phone.command(call, Command::HangUp);
        assert_eq!(http(&done).map(|(_, _, body)| body), Some(r#"{"state":"disconnected"}"#.to_owned()), "{done:?}");
        let done = phone.event(&conversation, "terminated");
        assert!(matches!(done[..], [Action::Ended { call: over, by: EndedBy::Us, .. }] if over == call), "{done:?}");
    }
}

#[test]
fn a_placed_call_uses_the_connection_whichever_of_response_and_event_comes_first() {
    let (mut phone, first) = standing();
    for (conversation, response_first) in [("c-8", true), ("c-9", false)] {
        let call = phone.machine.new_call();
        let done = phone.command(call, Command::Place { to: "+49".to_owned() });
        let ticket = http(&done).expect("a request").0;
        let body = format!(r#"{{"id":"{conversation}"}}"#);
        let response = Input::HttpDone { ticket, status: 200, retry_after: None, body };
        let mut done = Vec::new();
        if response_first {
            done.extend(phone.give(response));
            done.extend(phone.event(conversation, "contacting"));
        } else {
            done.extend(phone.event(conversation, "contacting"));
            done.extend(phone.give(response));
        }
        assert!(http(&done).is_none() && incoming(&done).is_none(), "nobody is asked: {done:?}");
        let done = phone.event(conversation, "connected");
        let joins =
            |action: &Action| matches!(action, Action::UseStanding { call: up, of } if (*up, *of) == (call, first));
        assert!(done.iter().any(joins), "{done:?}");
        phone.event(conversation, "terminated");
    }
}

#[test]
fn a_caller_who_gives_up_ends_a_call_that_rings_and_the_connection_stays() {
    let (mut phone, _) = standing();
    let call = incoming(&phone.event("c-2", "alerting")).expect("it rings");
    let done = phone.event("c-2", "disconnected");
    assert!(matches!(done[..], [Action::Ended { call: over, by: EndedBy::Peer, .. }] if over == call), "{done:?}");
    assert!(incoming(&phone.event("c-3", "alerting")).is_some());
}

#[test]
fn the_end_of_the_connection_ends_the_call_on_it_and_the_next_one_is_proposed() {
    let (mut phone, first) = standing();
    let call = incoming(&phone.event("c-2", "alerting")).expect("it rings");
    phone.command(call, Command::Accept);
    phone.event("c-2", "connected");
    let detail = "no consent".to_owned();
    let done = phone.give(Input::Peer { call: first, peer: 1, event: PeerEvent::Failed { detail } });
    let said = sent(&done);
    assert!(said.iter().any(|text| text.contains("failed-transport")), "{done:?}");
    let id = attribute(&said[0], "id").expect("an IQ");
    let done = phone.hear(&format!("<iq type='result' id='{id}'/>"));
    let over: Vec<(CallKey, EndedBy)> = done
        .iter()
        .filter_map(|action| match action {
            Action::Ended { call, by, .. } => Some((*call, *by)),
            _ => None,
        })
        .collect();
    assert_eq!(over, [(call, EndedBy::Failure), (first, EndedBy::Failure)]);
    assert!(incoming(&phone.event("c-3", "alerting")).is_none(), "without a connection the proposal counts");
}

#[test]
fn an_eager_connection_is_no_call_of_the_user() {
    let mut phone = Phone::ready();
    let done = phone.propose("inin-priv-answer-mode='Auto'");
    assert!(incoming(&done).is_none() && sent(&done).iter().any(|text| text.contains("<proceed")), "{done:?}");
    let named = done.iter().find_map(|action| match action {
        Action::Named { call, .. } => Some(*call),
        _ => None,
    });
    let done = phone.connect(named.expect("it has a name"));
    assert!(done.iter().any(|action| matches!(action, Action::Released { .. })), "{done:?}");
    assert!(incoming(&phone.event("c-2", "alerting")).is_some(), "the first conversation uses it");
}

#[test]
fn unregistering_ends_a_connection_without_a_call() {
    let (mut phone, first) = standing();
    let done = phone.give(Input::Stop);
    assert!(done.iter().any(|action| matches!(action, Action::Ended { call, .. } if *call == first)), "{done:?}");
    let said = sent(&done);
    assert!(said[0].contains("terminate") && said[1].starts_with("<close"), "{said:?}");
    assert_eq!(phone.machine.calls_open(), 0);
}
