//! A user agent without I/O: against what JsSIP 3.13.8 and its server said, and against servers that misbehave.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipstack::sip::Method;

use super::message::Message;
use super::*;
use crate::signaling::profile::{Action, CallKey, Command, EndedBy, Input, Next, PeerEvent, Profile, Speaker as _};

const FRAMES: &str = include_str!("../../../../tests/autoice/frames/jssip-3.13.8.frames.txt");
const PROFILE: &str = include_str!("../../../../profiles/sip.json");
const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n";

/// A softphone, its clock, and what it has said and done since it was asked last.
struct Phone {
    agent: UserAgent,
    now: Instant,
    done: Vec<Action>,
}

impl Phone {
    fn new(more: &[(&str, &str)]) -> Self {
        let profile = Arc::new(Profile::parse("sip.json", PROFILE).expect("usable"));
        let mut params = BTreeMap::new();
        let given = [("server", "ws://127.0.0.1:9/"), ("aor", "sip:alice@lab"), ("password", "secret")];
        for (name, value) in given.iter().chain(more) {
            params.insert((*name).to_owned(), (*value).to_owned());
        }
        let agent = UserAgent::new(profile, &params, 7).expect("usable");
        Self { agent, now: Instant::now(), done: Vec::new() }
    }

    fn registered(more: &[(&str, &str)]) -> Self {
        let mut phone = Self::new(more);
        phone.register(600);
        phone
    }

    fn register(&mut self, expires: u32) {
        self.give(Input::Start);
        self.give(Input::SocketOpened);
        let register = self.said_one("REGISTER");
        self.answer(&register, 200, |response| response.with("Expires", expires));
        assert!(self.done.iter().any(|action| matches!(action, Action::Registered)));
        self.done.clear();
    }

    fn give(&mut self, input: Input) {
        self.done.extend(self.agent.step(input, self.now));
    }

    fn hear(&mut self, message: &Message) {
        self.give(Input::Text(message.to_string()));
    }

    /// Lets time pass, with everything that is due meanwhile.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.agent.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.give(Input::Tick);
        }
        self.now = end;
    }

    /// Everything it has sent, taken.
    fn said(&mut self) -> Vec<Message> {
        let (sent, rest) = std::mem::take(&mut self.done).into_iter().partition(|a| matches!(a, Action::Send { .. }));
        self.done = rest;
        let sent: Vec<Action> = sent;
        let messages = sent.into_iter().filter_map(|action| match action {
            Action::Send { text, .. } if !text.trim().is_empty() => Some(Message::parse(&text).expect("a message")),
            _ => None,
        });
        messages.collect()
    }

    fn said_one(&mut self, method: &str) -> Message {
        let said = self.said();
        let found: Vec<_> = said.iter().filter(|message| method_of(message) == method).collect();
        assert_eq!(found.len(), 1, "{method}: {said:?}");
        found[0].clone()
    }

    fn answer(&mut self, request: &Message, status: u16, more: impl FnOnce(Message) -> Message) {
        let response = Message::response(request, status, "them");
        self.hear(&more(response));
    }

    fn ended(&self) -> Option<(EndedBy, Option<String>)> {
        self.done.iter().find_map(|action| match action {
            Action::Ended { by, reason, .. } => Some((*by, reason.clone())),
            _ => None,
        })
    }

    fn problems(&self) -> Vec<&str> {
        let problems = self.done.iter().filter_map(|action| match action {
            Action::Problem { what } => Some(what.as_str()),
            _ => None,
        });
        problems.collect()
    }

    /// Places a call up to its INVITE.
    fn place(&mut self) -> (CallKey, Message) {
        let call = self.agent.new_call();
        self.give(Input::Command { call, command: Command::Place { to: "bob".to_owned() } });
        assert!(self.done.iter().any(|action| matches!(action, Action::MakeOffer { .. })));
        self.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalOffer(SDP.to_owned()) });
        (call, self.said_one("INVITE"))
    }

    /// Places a call that is answered.
    fn established(&mut self, more: impl FnOnce(Message) -> Message) -> (CallKey, Message) {
        let (call, invite) = self.place();
        self.answer(&invite, 200, |response| {
            let response = response.with("Contact", "<sip:bob@them.invalid;transport=ws>");
            more(response).with_body("application/sdp", SDP)
        });
        self.said_one("ACK");
        self.done.clear();
        (call, invite)
    }

    /// A request of the other side within the dialog that `invite` made.
    fn theirs(&self, invite: &Message, method: &str, number: u32) -> Message {
        Message::request(method.parse().expect("a method"), "sip:us")
            .with("Via", format!("SIP/2.0/WS them.invalid;branch=z9hG4bKt{number}{method}"))
            .with("From", "<sip:bob@lab>;tag=them")
            .with("To", invite.header("From").expect("it is there"))
            .with("Call-ID", invite.call_id())
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", "<sip:bob@them.invalid;transport=ws>")
    }
}

fn method_of(message: &Message) -> String {
    message.method().map_or_else(String::new, |method| method.to_string())
}

/// The recorded messages, with who sent them.
fn recorded() -> Vec<(bool, Message)> {
    let mut messages = Vec::new();
    for part in FRAMES.split("\n----\n") {
        let Some(place) = part.find("C>\n").or_else(|| part.find("S>\n")) else { continue };
        let ours = part[place..].starts_with("C>");
        let text = part[place + 3..].replace("\r\n", "\n").replace('\n', "\r\n");
        messages.push((ours, Message::parse(&text).expect("recorded")));
    }
    messages
}

fn names(message: &Message) -> Vec<&str> {
    message.names().into_iter().filter(|name| *name != "Content-Length").collect()
}

#[test]
fn requests_have_the_header_fields_of_the_recorded_softphone_in_their_order() {
    let recorded = recorded();
    let of = |method: &str, nth: usize| {
        let found = recorded.iter().filter(|(ours, message)| *ours && method_of(message) == method);
        found.map(|(_, message)| message).nth(nth).expect("recorded")
    };
    let mut phone = Phone::new(&[("expires", "120"), ("sessionExpires", "120")]);
    phone.give(Input::Start);
    phone.give(Input::SocketOpened);
    let register = phone.said_one("REGISTER");
    assert_eq!(names(&register), names(of("REGISTER", 0)));
    phone.answer(&register, 401, |response| {
        response.with("WWW-Authenticate", r#"Digest realm="lab", nonce="n0nce1", algorithm=MD5, qop="auth""#)
    });
    let again = phone.said_one("REGISTER");
    assert_eq!(names(&again), names(of("REGISTER", 1)));
    assert_eq!((again.call_id(), again.cseq()), (register.call_id(), Some((2, "REGISTER"))));
    phone.answer(&again, 200, |response| response.with("Expires", 120));
    let (call, invite) = phone.place();
    assert_eq!(names(&invite), names(of("INVITE", 0)));
    assert_eq!(invite.header("Session-Expires"), of("INVITE", 0).header("Session-Expires"));
    for (ours, theirs) in [(&register, of("REGISTER", 0)), (&invite, of("INVITE", 0))] {
        let shape = |message: &Message| {
            let contact = message.header("Contact").expect("it is there").to_owned();
            let (user, rest) = contact.split_once('@').expect("a user");
            let rest = rest.split_once(".invalid").expect("no address").1;
            let id = rest.find("uuid:").map_or_else(|| rest.to_owned(), |at| rest[..at].to_owned() + &rest[at + 41..]);
            (user.starts_with("<sip:"), id)
        };
        assert_eq!(shape(ours), shape(theirs), "Contact");
        let via =
            |message: &Message| message.header("Via").map(|via| via.split(' ').next().unwrap_or_default().to_owned());
        assert_eq!(via(ours), via(theirs));
    }
    phone.answer(&invite, 200, |response| {
        response
            .with("Contact", "<sip:srv@127.0.0.1;transport=ws>")
            .with("Session-Expires", "120;refresher=uac")
            .with_body("application/sdp", SDP)
    });
    let ack = phone.said_one("ACK");
    assert_eq!(names(&ack), names(of("ACK", 0)));
    phone.give(Input::Command { call, command: Command::RestartIce });
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalOffer(SDP.to_owned()) });
    let reinvite = phone.said_one("INVITE");
    assert_eq!(names(&reinvite), names(of("INVITE", 1)));
    assert_eq!(reinvite.header("Session-Expires"), of("INVITE", 1).header("Session-Expires"));
    phone.answer(&reinvite, 200, |response| response.with_body("application/sdp", SDP));
    phone.said_one("ACK");
    phone.give(Input::Command { call, command: Command::HangUp });
    assert_eq!(names(&phone.said_one("BYE")), names(of("BYE", 0)));
    let order: Vec<String> = recorded.iter().filter(|(ours, _)| *ours).map(|(_, message)| method_of(message)).collect();
    // The recorded server repeats a 200, so that its ACK is repeated, too.
    assert_eq!(
        order,
        ["REGISTER", "REGISTER", "INVITE", "ACK", "ACK", "INVITE", "ACK", "ACK", "BYE", "REGISTER", "REGISTER"]
    );
}

#[test]
fn a_challenge_is_answered_once_and_a_stale_nonce_again() {
    let mut phone = Phone::new(&[]);
    phone.give(Input::Start);
    phone.give(Input::SocketOpened);
    let challenge =
        |nonce: &str, stale: bool| format!(r#"Digest realm="lab", nonce="{nonce}", stale={stale}, qop="auth""#);
    let first = phone.said_one("REGISTER");
    phone.answer(&first, 401, |response| response.with("WWW-Authenticate", challenge("a", false)));
    let second = phone.said_one("REGISTER");
    phone.answer(&second, 401, |response| response.with("WWW-Authenticate", challenge("b", true)));
    let third = phone.said_one("REGISTER");
    assert!(third.header("Authorization").is_some_and(|value| value.contains("\"b\"")));
    assert_eq!(third.fields("Authorization").count(), 1);
    phone.answer(&third, 401, |response| response.with("WWW-Authenticate", challenge("c", false)));
    let ended = phone.done.iter().any(|action| {
        matches!(action, Action::Unregistered { why, next: Next::Nothing } if why.contains("the credentials are refused"))
    });
    assert!(ended && phone.said().is_empty(), "{:?}", phone.done);
}

#[test]
fn a_registration_is_refreshed_before_it_expires_for_as_long_as_it_lives() {
    let mut phone = Phone::registered(&[("keepAliveMs", "0")]);
    for _ in 0..5 {
        let due = phone.agent.deadline().expect("a refresh").duration_since(phone.now).as_secs();
        assert!((299..=450).contains(&due), "from half to three quarters of 600 s: {due}");
        phone.pass(Duration::from_secs(due + 1));
        let refresh = phone.said_one("REGISTER");
        phone.answer(&refresh, 200, |response| response.with("Expires", 600));
    }
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    assert!(phone.problems().is_empty());
}

#[test]
fn a_registrar_that_wants_a_longer_interval_gets_it() {
    let mut phone = Phone::new(&[("expires", "5")]);
    phone.give(Input::Start);
    phone.give(Input::SocketOpened);
    let first = phone.said_one("REGISTER");
    phone.answer(&first, 423, |response| response.with("Min-Expires", 60));
    let second = phone.said_one("REGISTER");
    assert_eq!(second.header("Expires"), Some("60"));
}

#[test]
fn hanging_up_before_anything_rings_waits_for_a_provisional_response_to_cancel() {
    let mut phone = Phone::registered(&[]);
    let (call, invite) = phone.place();
    phone.give(Input::Command { call, command: Command::HangUp });
    assert!(phone.said().is_empty(), "RFC 3261 §9.1");
    phone.answer(&invite, 100, |response| response);
    let cancel = phone.said_one("CANCEL");
    assert_eq!(
        (cancel.branch(), cancel.cseq().map(|(number, _)| number)),
        (invite.branch(), invite.cseq().map(|(n, _)| n))
    );
    phone.answer(&cancel, 200, |response| response);
    phone.answer(&invite, 487, |response| response);
    let ack = phone.said_one("ACK");
    assert_eq!((ack.branch(), ack.tag("To")), (invite.branch(), Some("them")), "the transaction's own ACK");
    assert_eq!(phone.ended(), Some((EndedBy::Us, Some("487 Request Terminated".to_owned()))));
}

#[test]
fn an_answer_that_crosses_a_cancel_is_acknowledged_and_ended() {
    let mut phone = Phone::registered(&[]);
    let (call, invite) = phone.place();
    phone.answer(&invite, 180, |response| response);
    phone.give(Input::Command { call, command: Command::HangUp });
    phone.said_one("CANCEL");
    phone.answer(&invite, 200, |response| response.with("Contact", "<sip:b@x>").with_body("application/sdp", SDP));
    let said = phone.said();
    let methods: Vec<String> = said.iter().map(method_of).collect();
    assert_eq!(methods, ["ACK", "BYE"]);
    phone.answer(&said[1], 200, |response| response);
    assert_eq!(phone.ended(), Some((EndedBy::Us, None)));
}

#[test]
fn a_repeated_200_gets_its_ack_again_and_another_branch_of_a_fork_is_ended() {
    let mut phone = Phone::registered(&[]);
    let (_, invite) = phone.established(|response| response);
    let again = Message::response(&invite, 200, "them").with("Contact", "<sip:bob@them.invalid;transport=ws>");
    phone.hear(&again);
    assert_eq!(phone.said_one("ACK").tag("To"), Some("them"));
    let other = Message::response(&invite, 200, "other").with("Contact", "<sip:carol@x>");
    phone.hear(&other);
    let said = phone.said();
    let told: Vec<_> = said.iter().map(|message| (method_of(message), message.tag("To"))).collect();
    assert_eq!(told, [("ACK".to_owned(), Some("other")), ("BYE".to_owned(), Some("other"))]);
}

#[test]
fn a_server_that_wants_a_longer_session_interval_gets_the_same_offer_with_it() {
    let mut phone = Phone::registered(&[]);
    let (_, invite) = phone.place();
    phone.answer(&invite, 422, |response| response.with("Min-SE", 300));
    let said = phone.said();
    let methods: Vec<String> = said.iter().map(method_of).collect();
    assert_eq!(methods, ["ACK", "INVITE"]);
    assert_eq!((said[1].header("Session-Expires"), said[1].header("Min-SE")), (Some("300"), Some("300")));
    assert_eq!((said[1].sdp(), said[1].call_id()), (Some(SDP), invite.call_id()));
}

#[test]
fn the_refresher_sends_update_where_the_other_side_takes_it_and_a_reinvite_elsewhere() {
    let timer = |response: Message| response.with("Session-Expires", "90;refresher=uac");
    let mut phone = Phone::registered(&[("keepAliveMs", "0")]);
    phone.established(|response| timer(response).with("Allow", "INVITE,UPDATE"));
    phone.pass(Duration::from_secs(44));
    assert!(phone.said().is_empty());
    phone.pass(Duration::from_secs(2));
    let update = phone.said_one("UPDATE");
    assert_eq!(update.header("Session-Expires"), Some("90;refresher=uac"));
    phone.answer(&update, 200, timer);
    phone.pass(Duration::from_secs(46));
    phone.said_one("UPDATE");

    let mut phone = Phone::registered(&[("keepAliveMs", "0")]);
    phone.established(timer);
    phone.pass(Duration::from_secs(46));
    assert!(phone.done.iter().any(|action| matches!(action, Action::Renegotiate { restart_ice: false, .. })));
}

#[test]
fn a_session_that_the_other_side_does_not_refresh_ends_before_it_expires() {
    let mut phone = Phone::registered(&[("keepAliveMs", "0")]);
    phone.established(|response| response.with("Session-Expires", "90;refresher=uas"));
    phone.pass(Duration::from_secs(59));
    assert!(phone.said().is_empty());
    phone.pass(Duration::from_secs(2));
    let bye = phone.said_one("BYE");
    assert!(bye.header("Reason").is_some_and(|why| why.contains("session timer")));
    phone.answer(&bye, 200, |response| response);
    assert_eq!(phone.ended().map(|(by, _)| by), Some(EndedBy::Failure));
}

#[test]
fn offers_that_cross_are_told_so_and_made_again() {
    let mut phone = Phone::registered(&[]);
    let (call, invite) = phone.established(|response| response);
    phone.give(Input::Command { call, command: Command::Hold });
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalOffer(SDP.to_owned()) });
    let ours = phone.said_one("INVITE");
    let theirs = phone.theirs(&invite, "INVITE", 1).with_body("application/sdp", SDP);
    phone.hear(&theirs);
    assert_eq!(phone.said().iter().filter_map(Message::status).collect::<Vec<_>>(), [491]);
    phone.answer(&ours, 491, |response| response);
    phone.said_one("ACK");
    phone.done.clear();
    phone.pass(Duration::from_secs(4));
    assert!(phone.done.iter().any(|action| matches!(action, Action::Renegotiate { .. })), "{:?}", phone.done);
}

#[test]
fn an_incoming_call_rings_is_answered_and_its_200_repeats_until_the_ack() {
    let mut phone = Phone::registered(&[("keepAliveMs", "0")]);
    let invite = Message::request(Method::Invite, "sip:alice@x.invalid;transport=ws")
        .with("Via", "SIP/2.0/WS them.invalid;branch=z9hG4bKx")
        .with("From", "\"Bob\" <sip:bob@lab>;tag=them")
        .with("To", "<sip:alice@lab>")
        .with("Call-ID", "theirs")
        .with("CSeq", "1 INVITE")
        .with("Contact", "<sip:bob@them.invalid;transport=ws>")
        .with("Session-Expires", "90")
        .with("Supported", "timer")
        .with_body("application/sdp", SDP);
    phone.hear(&invite);
    assert_eq!(phone.said().iter().filter_map(Message::status).collect::<Vec<_>>(), [180]);
    let call = phone.done.iter().find_map(|action| match action {
        Action::Incoming { call, answered: false } => Some(*call),
        _ => None,
    });
    let call = call.expect("it comes in");
    phone.give(Input::Command { call, command: Command::Accept });
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalAnswer(SDP.to_owned()) });
    let said = phone.said();
    assert_eq!(said[0].header("Session-Expires"), Some("90;refresher=uac"));
    let tag = said[0].tag("To").expect("a tag").to_owned();
    phone.pass(Duration::from_millis(1600));
    assert_eq!(phone.said().len(), 2, "after 0.5 s and 1 s more");
    let mut ack = Message::request(Method::Ack, "sip:alice@x").with("Via", "SIP/2.0/WS them.invalid;branch=z9hG4bKy");
    for (name, value) in [("From", "<sip:bob@lab>;tag=them"), ("Call-ID", "theirs"), ("CSeq", "1 ACK")] {
        ack.add(name, value);
    }
    ack.add("To", format!("<sip:alice@lab>;tag={tag}"));
    phone.hear(&ack);
    phone.pass(Duration::from_secs(10));
    assert!(phone.said().is_empty());
    let bye = ack.to_string().replace("ACK", "BYE").replace("1 BYE", "2 BYE");
    let mut bye = Message::parse(&bye).expect("a message");
    bye.add("Reason", "Q.850;cause=16;text=\"Normal call clearing\"");
    phone.hear(&bye);
    assert_eq!(phone.said().iter().filter_map(Message::status).collect::<Vec<_>>(), [200]);
    let (by, reason) = phone.ended().expect("it is over");
    assert!(by == EndedBy::Peer && reason.is_some_and(|reason| reason.contains("Normal call clearing")));
}

#[test]
fn an_extension_that_is_not_known_and_a_request_of_no_call_are_refused() {
    let mut phone = Phone::registered(&[]);
    let (_, invite) = phone.established(|response| response);
    let mut outside = phone.theirs(&invite, "INVITE", 1);
    outside.replace("To", "<sip:alice@lab>");
    outside.replace("Call-ID", "other");
    phone.hear(&outside.clone().with("Require", "100rel, timer"));
    let said = phone.said();
    assert_eq!((said[0].status(), said[0].header("Unsupported")), (Some(420), Some("100rel")));
    let mut unknown = phone.theirs(&invite, "BYE", 1);
    unknown.replace("Call-ID", "unknown");
    for (request, status) in [
        (unknown, 481),
        (phone.theirs(&invite, "OPTIONS", 1), 200),
        (phone.theirs(&invite, "INFO", 2), 200),
        (phone.theirs(&invite, "PUBLISH", 3), 405),
        (phone.theirs(&invite, "INFO", 3), 500),
        (phone.theirs(&invite, "CANCEL", 4), 481),
    ] {
        phone.hear(&request);
        assert_eq!(phone.said().iter().filter_map(Message::status).collect::<Vec<_>>(), [status], "{request}");
    }
}

#[test]
fn a_method_without_a_name_is_refused_within_a_call_and_outside() {
    let mut phone = Phone::registered(&[]);
    let (_, invite) = phone.established(|response| response);
    for number in 1..3 {
        let mut text = phone.theirs(&invite, "PUBLISH", number).to_string().replace("PUBLISH", "PING");
        if number == 2 {
            text = text.replace(&format!(";tag={}", invite.tag("From").expect("a tag")), "");
        }
        phone.give(Input::Text(text));
        let said = phone.said();
        let said: Vec<_> = said.iter().map(|message| (message.status(), message.header("CSeq"))).collect();
        assert_eq!(said, [(Some(405), Some(format!("{number} PING").as_str()))]);
    }
}

#[test]
fn a_response_is_of_the_request_with_its_branch_and_number_only() {
    let mut phone = Phone::new(&[]);
    phone.give(Input::Start);
    phone.give(Input::SocketOpened);
    let register = phone.said_one("REGISTER");
    phone.done.clear();
    let mut other = register.clone();
    other.replace("Via", "SIP/2.0/WS x.invalid;branch=z9hG4bKother");
    phone.answer(&other, 200, |response| response);
    other = register.clone();
    other.replace("CSeq", "9 REGISTER");
    phone.answer(&other, 200, |response| response);
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    // What a server adds to our Via changes nothing (RFC 3261 §18.2.1, RFC 3581).
    let via = format!("{};received=192.0.2.1;rport=", register.header("Via").expect("it is there"));
    phone.answer(&register, 200, |mut response| {
        response.replace("Via", via);
        response
    });
    assert!(phone.done.iter().any(|action| matches!(action, Action::Registered)));
}

#[test]
fn keep_alives_are_sent_and_answered_and_a_server_that_stops_answering_is_left() {
    let mut phone = Phone::registered(&[("keepAliveMs", "1000")]);
    let sent = |phone: &mut Phone| {
        let texts = std::mem::take(&mut phone.done).into_iter().filter_map(|action| match action {
            Action::Send { text, .. } => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>()
    };
    phone.give(Input::Text("\r\n\r\n".to_owned()));
    assert_eq!(sent(&mut phone), ["\r\n"]);
    phone.pass(Duration::from_millis(1000));
    assert_eq!(sent(&mut phone), ["\r\n\r\n"]);
    phone.give(Input::Text("\r\n".to_owned()));
    phone.pass(Duration::from_secs(12));
    let lost = phone.done.iter().any(
        |action| matches!(action, Action::Unregistered { why, next: Next::Again(_) } if why.contains("keep-alive")),
    );
    assert!(lost, "{:?}", phone.done);

    let mut silent = Phone::registered(&[("keepAliveMs", "1000")]);
    silent.pass(Duration::from_secs(30));
    assert!(!silent.done.iter().any(|action| matches!(action, Action::Unregistered { .. })), "it never answered one");
}

#[test]
fn keep_alives_of_softphones_that_registered_at_different_times_leave_together() {
    let origin = Instant::now();
    let leaves = |later_ms: u64| {
        let mut phone = Phone::new(&[("keepAliveMs", "30000"), ("expires", "3600")]);
        phone.agent.coalesce_keep_alives(origin);
        phone.now = origin + Duration::from_millis(later_ms);
        phone.register(3600);
        let mut left = Vec::new();
        while left.len() < 3 {
            let due = phone.agent.deadline().expect("registered");
            phone.now = due;
            phone.give(Input::Tick);
            if !std::mem::take(&mut phone.done).is_empty() {
                left.push((due - origin).as_millis());
            }
            phone.give(Input::Text("\r\n".to_owned()));
        }
        left
    };
    assert_eq!(leaves(0), [30_000, 60_000, 90_000]);
    assert_eq!(leaves(499), leaves(0));
    assert_eq!(leaves(500), [30_500, 60_500, 90_500]);
}

#[test]
fn a_lost_websocket_ends_calls_in_the_making_and_no_other() {
    let mut phone = Phone::registered(&[]);
    let (kept, invite) = phone.established(|response| response.with("Allow", "UPDATE"));
    let (begun, _) = phone.place();
    phone.give(Input::SocketClosed { detail: "cut".to_owned() });
    let ended = phone.done.iter().filter_map(|action| match action {
        Action::Ended { call, .. } => Some(*call),
        _ => None,
    });
    let ended: Vec<CallKey> = ended.collect();
    assert_eq!(ended, [begun]);
    phone.pass(Duration::from_secs(3));
    assert!(phone.done.iter().any(|action| matches!(action, Action::OpenSocket { .. })));
    phone.give(Input::SocketOpened);
    let register = phone.said_one("REGISTER");
    phone.answer(&register, 200, |response| response.with("Expires", 600));
    assert_eq!(phone.said_one("UPDATE").call_id(), invite.call_id(), "the other side learns the new flow");
    phone.give(Input::Command { call: kept, command: Command::HangUp });
    phone.said_one("BYE");
}

#[test]
fn unregistering_says_farewell_and_keeps_the_websocket_for_the_calls_there_are() {
    let mut phone = Phone::registered(&[]);
    let (call, _) = phone.established(|response| response);
    phone.give(Input::Stop);
    let farewell = phone.said_one("REGISTER");
    assert_eq!(farewell.header("Expires"), Some("0"));
    phone.answer(&farewell, 200, |response| response);
    let closed = |phone: &Phone| phone.done.iter().any(|action| matches!(action, Action::CloseSocket { .. }));
    assert!(phone.done.iter().any(|action| matches!(action, Action::Unregistered { next: Next::Nothing, .. })));
    assert!(!closed(&phone));
    phone.give(Input::Command { call, command: Command::HangUp });
    let bye = phone.said_one("BYE");
    phone.answer(&bye, 200, |response| response);
    assert!(closed(&phone));
}

#[test]
fn tones_go_by_info_one_after_the_other() {
    let mut phone = Phone::registered(&[]);
    let (call, _) = phone.established(|response| response);
    let dial = |digits: &str| Input::Command { call, command: dtmf(digits) };
    phone.give(dial("1#"));
    let first = phone.said_one("INFO");
    assert_eq!(first.body(), "Signal=1\r\nDuration=100\r\n");
    phone.answer(&first, 200, |response| response);
    assert!(phone.said_one("INFO").body().starts_with("Signal=#\r\n"));
    phone.give(dial(&"1".repeat(64)));
    phone.give(dial(&"2".repeat(64)));
    assert_eq!(phone.problems(), Vec::<String>::new());
    phone.give(dial("3"));
    assert!(phone.problems()[0].contains("at most 128 wait"), "{:?}", phone.problems());
}

#[test]
fn a_comma_among_tones_pauses_for_two_seconds_and_keeps_their_order() {
    let mut phone = Phone::registered(&[]);
    let (call, _) = phone.established(|response| response);
    phone.give(Input::Command { call, command: dtmf("1,2") });
    let first = phone.said_one("INFO");
    phone.answer(&first, 200, |response| response);
    phone.pass(Duration::from_millis(1900));
    phone.give(Input::Command { call, command: dtmf("3") });
    assert!(phone.said().iter().all(|message| message.method() != Some(Method::Info)));
    phone.pass(Duration::from_millis(200));
    let second = phone.said_one("INFO");
    assert!(second.body().starts_with("Signal=2\r\n"), "{}", second.body());
    phone.answer(&second, 200, |response| response);
    assert!(phone.said_one("INFO").body().starts_with("Signal=3\r\n"));
}

fn dtmf(digits: &str) -> Command {
    Command::Dtmf(crate::media::Dtmf::new(digits, None, None).expect("usable"))
}

#[test]
fn damaged_messages_end_nothing_and_never_panic() {
    let mut phone = Phone::registered(&[]);
    phone.established(|response| response);
    for (_, message) in recorded() {
        let text = message.to_string();
        for cut in (0..text.len()).step_by(7) {
            if text.is_char_boundary(cut) {
                phone.give(Input::Text(text[..cut].to_owned()));
                phone.give(Input::Text(format!("{}{}", &text[cut..], &text[..cut])));
            }
        }
    }
    assert!(phone.ended().is_none());
}
