//! The shipped Genesys Cloud profile against frames of the vendor's own client, and under what can go wrong.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::Regex;

use super::super::*;
use crate::peer::IceCandidateInit;
use crate::signaling::jingle;

const PROFILE: &str = include_str!("../../../../profiles/genesys.json");
const RECORDED: &str = include_str!("../../../../tests/frames/genesys-sdp-over-xmpp.frames.txt");
const RECORDED_JINGLE: &str = include_str!("../../../../tests/frames/genesys-jingle.frames.txt");
const CLOSE: &str = r#"<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>"#;
const OFFER: &str = "v=0\\r\\no=- 1 2 IN IP4 127.0.0.1\\r\\na=ice-ufrag:aaaa\\r\\na=ice-pwd:pppp\\r\\n";

/// One softphone, what it did and was not looked at yet, and the time.
struct Phone {
    machine: Machine,
    done: VecDeque<Action>,
    now: Instant,
    /// Recorded identifiers and ours.
    ours: HashMap<String, String>,
}

impl Phone {
    fn new(params: &[(&str, &str)]) -> Self {
        let profile = Profile::parse("genesys.json", PROFILE).unwrap_or_else(|error| panic!("{error}"));
        Self::of(&Arc::new(profile), 7, params)
    }

    fn of(profile: &Arc<Profile>, seed: u64, params: &[(&str, &str)]) -> Self {
        let given = [("token", "TOKEN"), ("api", "http://127.0.0.1:18080"), ("streaming", "ws://127.0.0.1:18080")];
        let mut all: BTreeMap<String, String> =
            given.iter().chain(params).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        all.entry("apiHost".to_owned()).or_insert_with(|| "127.0.0.1:18080".to_owned());
        let now = Instant::now();
        let machine = Machine::new(Arc::clone(profile), &all, now, Duration::from_secs(1_700_000_000), seed)
            .unwrap_or_else(|error| panic!("{error}"));
        Self { machine, done: VecDeque::new(), now, ours: HashMap::new() }
    }

    fn give(&mut self, input: Input) {
        self.done.extend(self.machine.step(input, self.now));
    }

    /// Lets time pass, with every deadline on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.give(Input::Tick);
        }
        self.now = end;
    }

    fn http(&mut self) -> HttpCall {
        match self.done.pop_front() {
            Some(Action::Http(call)) => call,
            other => panic!("an HTTP request was expected: {other:?}"),
        }
    }

    fn respond(&mut self, call: &HttpCall, body: &str) {
        self.give(Input::HttpDone { ticket: call.ticket, status: 200, retry_after: None, body: body.to_owned() });
    }

    fn sent(&mut self) -> String {
        match self.done.pop_front() {
            Some(Action::Send { text, .. }) => text,
            other => panic!("a frame was expected: {other:?}"),
        }
    }

    /// Answers the request that was sent with `inner`.
    fn result(&mut self, inner: &str) {
        let id = attribute(&self.sent(), "id");
        self.give(Input::Text(format!("<iq xmlns='jabber:client' type='result' id='{id}'>{inner}</iq>")));
    }

    /// Through the prologue to an open WebSocket.
    fn dial(&mut self) {
        let me = self.http();
        self.respond(&me, r#"{"id":"user-1","chat":{"jabberId":"user1@org1.example"}}"#);
        self.dial_again();
    }

    fn dial_again(&mut self) {
        let channel = self.http();
        assert_eq!(channel.name, "channel");
        self.respond(&channel, r#"{"id":"streaming-1"}"#);
        self.open();
    }

    fn open(&mut self) {
        assert!(matches!(self.done.pop_front(), Some(Action::OpenSocket { .. })));
        self.give(Input::SocketOpened);
    }

    fn authenticate(&mut self) {
        self.sent();
        self.give(Input::Text("<f><mechanisms><mechanism>PLAIN</mechanism></mechanisms></f>".to_owned()));
        self.sent();
    }

    fn log_in(&mut self, stun: &str) {
        self.authenticate();
        self.give(Input::Text("<success xmlns='s'/>".to_owned()));
        self.sent();
        self.give(Input::Text("<features><bind/></features>".to_owned()));
        self.result("<bind><jid>user1@org1.example/r</jid></bind>");
        self.result("");
        self.services(stun);
        while !self.machine.is_registered() {
            self.result("");
        }
        assert!(matches!(self.done.pop_front(), Some(Action::Registered)));
        self.services(stun);
        while matches!(self.done.front(), Some(Action::Send { .. })) {
            self.result("");
        }
        assert!(self.done.is_empty(), "{:?}", self.done);
    }

    /// Answers both requests for ICE servers, which are made at once.
    fn services(&mut self, stun: &str) {
        let asked = [self.sent(), self.sent()].map(|frame| attribute(&frame, "id"));
        let turn = "<service type='turn' host='127.0.0.1' port='3478' transport='udp' username='u' password='p'/>";
        let mut servers = 0;
        for (id, service) in asked.iter().zip([turn, stun]) {
            self.give(Input::Text(format!("<iq type='result' id='{id}'><services>{service}</services></iq>")));
            servers += usize::from(matches!(self.done.pop_front(), Some(Action::IceServers { .. })));
        }
        assert_eq!(servers, 2);
    }

    fn ready() -> Self {
        Self::ready_with(&[])
    }

    fn ready_with(params: &[(&str, &str)]) -> Self {
        Self::new(params).logged_in()
    }

    fn logged_in(mut self) -> Self {
        self.give(Input::Start);
        self.dial();
        self.log_in("<service type='stun' host='127.0.0.1' port='3478'/>");
        self
    }

    fn propose(&mut self, session: &str, conversation: &str, auto: bool) {
        let auto = if auto { "inin-autoanswer='true'" } else { "" };
        self.give(Input::Text(format!(
            "<message xmlns='jabber:client' from='gjoll-1@c.gjoll.lab'><propose xmlns='urn:xmpp:jingle-message:0' id='{session}' inin-cid='{conversation}' {auto} inin-sdp-over-xmpp='true'/></message>"
        )));
    }

    fn rpc(&mut self, json: &str) {
        self.give(Input::Text(format!(
            "<iq xmlns='jabber:client' type='set' id='s' from='gjoll-1@c.gjoll.lab'><genesys-webrtc xmlns='genesys'>{json}</genesys-webrtc></iq>"
        )));
    }

    fn offer(&mut self, id: &str, session: &str, sdp: &str) {
        self.rpc(&format!(
            r#"{{"jsonrpc":"2.0","id":"{id}","method":"offer","params":{{"sessionId":"{session}","sdp":"{sdp}"}}}}"#
        ));
    }

    /// A call that is answered at once, up to its answer.
    fn in_call(&mut self) -> CallKey {
        self.propose("sess-1", "conv-1", true);
        let call = match self.done.pop_front() {
            Some(Action::Named { call, .. }) => call,
            other => panic!("{other:?}"),
        };
        assert!(matches!(self.done.pop_front(), Some(Action::Incoming { answered: true, .. })));
        assert!(self.sent().contains("<proceed"));
        self.offer("offer-1", "sess-1", OFFER);
        assert!(matches!(self.done.pop_front(), Some(Action::MakeAnswer { peer: 1, .. })));
        self.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalAnswer("v=0\r\n".to_owned()) });
        assert!(self.sent().contains("<accept"));
        self.result("");
        call
    }
}

fn attribute(xml: &str, name: &str) -> String {
    let begin = format!(" {name}=\"");
    let value = xml.split_once(&begin).unwrap_or_else(|| panic!("{name} in {xml}")).1;
    value.split('"').next().expect("text").to_owned()
}

fn uuids(text: &str) -> Vec<String> {
    let pattern = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").expect("a pattern");
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// The member `name` of the recorded JSON-RPC in a frame.
fn recorded(frame: &str, pointer: &str) -> Option<String> {
    let message = codec::Codec::Xml.decode(frame).expect("recorded XML");
    let rpc = message.pointer("/genesys-webrtc/0/#text")?.as_str()?;
    let rpc: serde_json::Value = serde_json::from_str(rpc).expect("recorded JSON");
    Some(rpc.pointer(pointer)?.as_str()?.to_owned())
}

#[test]
fn our_frames_equal_those_of_the_vendors_client_but_for_random_identifiers() {
    assert_eq!(replayed(RECORDED), 20, "frames compared");
}

#[test]
fn our_frames_in_jingle_mode_equal_those_of_the_vendors_client_but_for_random_identifiers() {
    assert_eq!(replayed(RECORDED_JINGLE), 22, "frames compared");
}

/// Goes through a recording, with every frame of ours compared; how many there were.
fn replayed(recording: &str) -> usize {
    let mut phone = Phone::new(&[("serverPings", "true"), ("subscriptions", "conversations")]);
    phone.give(Input::Start);
    let lines: Vec<(&str, &str)> = recording.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut compared = 0;
    let mut call = 0;
    let mut ended = None;
    for (number, (kind, text)) in lines.iter().enumerate() {
        // What is no frame and no request is looked at where it matters.
        while let Some(action) = phone.done.front() {
            match action {
                Action::Named { call: key, .. } => call = *key,
                Action::Ended { reason, .. } => ended.clone_from(reason),
                Action::Problem { what } => panic!("{what}"),
                Action::Send { .. } | Action::Http(_) | Action::OpenSocket { .. } => break,
                _ => {}
            }
            phone.done.pop_front();
        }
        match *kind {
            "HTTP>" => {
                let http = phone.http();
                let path = http.url.strip_prefix("http://127.0.0.1:18080").expect("the API's URL");
                let (_, token) = http.headers.iter().find(|(name, _)| name == "Authorization").expect("a token");
                assert_eq!(format!("{} {path} {token} ", http.method.as_str()), format!("{text} ").replace("  ", " "));
                phone.respond(&http, r#"{"id":"user-1","chat":{"jabberId":"user1@org1.orgspan.com"}}"#.replace(
                    "user-1",
                    if http.name == "channel" { "streaming-1-abc" } else { "user-1" },
                ).as_str());
            }
            "WS>" => match phone.done.pop_front() {
                Some(Action::OpenSocket { url, headers }) => {
                    assert_eq!(url.strip_prefix("ws://127.0.0.1:18080"), Some(*text));
                    assert!(headers.contains(&("Sec-WebSocket-Protocol".to_owned(), "xmpp".to_owned())));
                    phone.give(Input::SocketOpened);
                }
                other => panic!("{other:?}"),
            },
            "S>" => {
                let mut text = (*text).to_owned();
                for (theirs, ours) in &phone.ours {
                    text = text.replace(theirs, ours);
                }
                phone.give(Input::Text(text));
            }
            "C>" => {
                let event = match recorded(text, "/method").as_deref() {
                    None if text.contains("<accept") => {
                        let answer = lines[number + 1..].iter().find_map(|(_, text)| recorded_answer(text));
                        Some(PeerEvent::LocalAnswer(answer.expect("the answer follows")))
                    }
                    Some("iceCandidate") => Some(candidate(&recorded(text, "/params/sdp").expect("a candidate"))),
                    Some("info") => Some(PeerEvent::Connected),
                    None if text.contains("<gathering-complete/>") => Some(PeerEvent::EndOfCandidates),
                    None if text.contains("action=\"transport-info\"") => {
                        Some(candidate(&translated(text, "fragment")))
                    }
                    _ => None,
                };
                if let Some(event) = event {
                    phone.give(Input::Peer { call, peer: 1, event });
                }
                let ours = phone.sent();
                let theirs = uuids(text);
                let own = uuids(&ours);
                assert_eq!(theirs.len(), own.len(), "\n{text}\n{ours}");
                let mut expected = (*text).to_owned();
                for (theirs, own) in theirs.iter().zip(own) {
                    let known = phone.ours.entry(theirs.clone()).or_insert_with(|| own.clone()).clone();
                    expected = expected.replace(theirs.as_str(), &known);
                }
                assert_eq!(ours, expected);
                compared += 1;
            }
            _ => {}
        }
    }
    assert_eq!(compared, lines.iter().filter(|(kind, _)| *kind == "C>").count());
    let sent = phone.done.iter().filter(|action| matches!(action, Action::Send { .. })).count();
    assert_eq!(sent, 0, "said beyond the recording");
    let reason = phone.done.iter().find_map(|action| match action {
        Action::Ended { reason, by: EndedBy::Peer, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.unwrap_or(ended).as_deref(), Some("success"));
    compared
}

/// A member of what a recorded stanza says in Jingle.
fn translated(frame: &str, member: &str) -> String {
    let said = jingle::translated(frame).expect("Jingle").expect("understood");
    said[member].as_str().expect("text").to_owned()
}

fn recorded_answer(frame: &str) -> Option<String> {
    if frame.contains("action=\"session-accept\"") {
        return Some(translated(frame, "sdp"));
    }
    frame.contains("\"method\":\"answer\"").then(|| recorded(frame, "/params/sdp")).flatten()
}

fn candidate(fragment: &str) -> PeerEvent {
    let line = fragment.lines().find_map(|line| line.strip_prefix("a=candidate:"));
    match line {
        None => PeerEvent::EndOfCandidates,
        Some(rest) => PeerEvent::LocalCandidate(IceCandidateInit {
            candidate: format!("candidate:{rest}"),
            sdp_mid: Some("0".to_owned()),
            sdp_m_line_index: Some(0),
            username_fragment: None,
        }),
    }
}

/// What `transport-info` says in the call of the recording, with `credentials` as attributes.
fn transport_info(credentials: &str) -> Input {
    Input::Text(format!(
        "<iq xmlns='jabber:client' type='set' id='ti' from='gjoll-1@c.gjoll.lab'><jingle xmlns='urn:xmpp:jingle:1' sid='sess-1' action='transport-info'><content creator='initiator' name='0'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' {credentials}><candidate component='1' foundation='1' ip='192.0.2.9' port='9' priority='1' protocol='udp' type='host'/></transport></content></jingle></iq>"
    ))
}

#[test]
fn a_transport_info_with_another_user_fragment_restarts_ice_and_is_answered_with_our_transport() {
    let mut phone = Phone::ready();
    phone.give(Input::Text(
        "<message xmlns='jabber:client' from='gjoll-1@c.gjoll.lab'><propose xmlns='urn:xmpp:jingle-message:0' id='sess-1' inin-autoanswer='true'/></message>"
            .to_owned(),
    ));
    let Some(Action::Named { call, .. }) = phone.done.pop_front() else { panic!("{:?}", phone.done) };
    phone.done.clear();
    let line = |action: &str| {
        let says = format!("action=\"{action}\"");
        RECORDED_JINGLE.lines().find(|line| line.contains(&says)).expect("recorded").split_once(' ').expect("a kind").1
    };
    phone.give(Input::Text(line("session-initiate").to_owned()));
    phone.done.clear();
    let answer = recorded_answer(line("session-accept")).expect("an answer");
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalAnswer(answer.clone()) });
    phone.done.clear();

    phone.give(transport_info("ufrag='GUEH'"));
    assert!(phone.sent().contains("type=\"result\""));
    assert!(matches!(phone.done.pop_front(), Some(Action::AddCandidate { .. })), "it restarts nothing");
    for (credentials, ufrag) in [("ufrag='new1' pwd='p1'", "new1"), ("ufrag='new2' pwd='p2'", "new2")] {
        phone.give(transport_info(credentials));
        assert!(phone.sent().contains("type=\"result\""));
        let offer = match phone.done.pop_front() {
            Some(Action::MakeAnswer { peer: 1, offer, .. }) => offer,
            other => panic!("{other:?}"),
        };
        assert!(offer.contains(&format!("a=ice-ufrag:{ufrag}\r\n")) && !offer.contains("a=candidate:"), "{offer}");
        assert!(offer.contains("a=fingerprint:sha-256 4C:BC:"), "the rest is that of before: {offer}");
        assert!(matches!(phone.done.pop_front(), Some(Action::AddCandidate { peer: 1, .. })));
        let ours = answer.replace("a=ice-ufrag:TQ5o", &format!("a=ice-ufrag:our-{ufrag}"));
        phone.give(Input::Peer { call, peer: 1, event: PeerEvent::LocalAnswer(ours) });
        let told = phone.sent();
        assert!(
            told.contains(" action=\"transport-info\"><content creator=\"initiator\" name=\"0\"><transport "),
            "{told}"
        );
        assert!(told.contains(&format!(" ufrag=\"our-{ufrag}\" pwd=\"1m+LmQ7XnvGr2oate+iKCZQf\"")), "{told}");
        assert!(!told.contains("<description"), "{told}");
        phone.give(Input::Peer { call, peer: 1, event: PeerEvent::EndOfCandidates });
        assert!(phone.sent().contains(&format!(" ufrag=\"our-{ufrag}\"><gathering-complete/>")));
    }
    assert!(phone.done.is_empty(), "{:?}", phone.done);
}

/// A conversation event of the call of [`Phone::in_call`].
fn conversation_event() -> Input {
    let event = r#"{"topicName":"v2.users.user-1.conversations","eventBody":{"id":"conv-1","participants":[{"id":"part-1","userId":"user-1","calls":[{"state":"connected"}]}]}}"#;
    Input::Text(format!(
        "<message><event><items><item><json xmlns='urn:xmpp:json:0'>{event}</json></item></items></event></message>"
    ))
}

fn unregistered(phone: &mut Phone) {
    assert!(phone.sent().contains("<close "));
    assert!(matches!(phone.done.pop_front(), Some(Action::CloseSocket { abort: false, .. })));
    assert!(matches!(phone.done.pop_front(), Some(Action::Unregistered { next: Next::Nothing, .. })));
}

#[test]
fn unregistering_waits_for_the_event_without_which_a_call_cannot_be_hung_up_afterwards() {
    let mut phone = Phone::ready();
    let call = phone.in_call();
    phone.give(Input::Stop);
    assert!(phone.done.is_empty() && phone.machine.is_registered(), "{:?}", phone.done);
    phone.give(conversation_event());
    unregistered(&mut phone);
    phone.give(Input::Command { call, command: Command::HangUp });
    assert!(phone.http().url.ends_with("/conversations/calls/conv-1/participants/part-1"));
    assert_eq!(phone.machine.deadline(), None);
}

#[test]
fn unregistering_waits_no_longer_than_the_profile_says_and_not_for_calls_that_are_being_hung_up() {
    let mut phone = Phone::ready();
    phone.in_call();
    phone.give(Input::Stop);
    phone.pass(Duration::from_millis(1_499));
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.give(Input::Stop);
    phone.pass(Duration::from_millis(1));
    unregistered(&mut phone);

    let mut phone = Phone::ready();
    let call = phone.in_call();
    phone.give(Input::Command { call, command: Command::HangUp });
    assert!(phone.sent().contains("terminate"));
    phone.give(Input::Stop);
    assert!(phone.sent().contains("<close "));
    assert!(phone.done.iter().any(|action| matches!(action, Action::Unregistered { next: Next::Nothing, .. })));

    let mut phone = Phone::ready();
    phone.in_call();
    phone.give(conversation_event());
    phone.give(Input::Stop);
    unregistered(&mut phone);
}

#[test]
fn without_a_stun_service_only_relayed_candidates_are_used() {
    let mut phone = Phone::new(&[]);
    phone.give(Input::Start);
    phone.dial();
    phone.authenticate();
    phone.give(Input::Text("<success/>".to_owned()));
    phone.sent();
    phone.give(Input::Text("<features><bind/></features>".to_owned()));
    phone.result("<bind><jid>user1@org1.example/r</jid></bind>");
    phone.result("");
    let asked = [phone.sent(), phone.sent()].map(|frame| attribute(&frame, "id"));
    let turn = "<service type='turn' host='h' port='1' transport='tcp' username='u' password='p'/>";
    for (id, service) in asked.iter().zip([turn, ""]) {
        phone.done.clear();
        phone.give(Input::Text(format!("<iq type='result' id='{id}'><services>{service}</services></iq>")));
    }
    match phone.done.pop_front() {
        Some(Action::IceServers { servers, relay_only: true }) => {
            assert_eq!(servers[0].urls, ["turn:h:1?transport=tcp"])
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_missed_pongs_end_the_websocket_and_the_call_stays() {
    let mut phone = Phone::ready();
    phone.in_call();
    phone.pass(Duration::from_millis(13_900));
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.pass(Duration::from_millis(100));
    assert!(phone.sent().contains("urn:xmpp:ping"));
    phone.pass(Duration::from_secs(15 + 14));
    assert!(phone.sent().contains("urn:xmpp:ping"), "one miss is not enough");
    phone.pass(Duration::from_secs(15));
    assert_eq!(phone.sent(), CLOSE, "what the vendor's client has on the wire: its stream error is never sent");
    assert!(matches!(phone.done.pop_front(), Some(Action::CloseSocket { abort: false, .. })));
    match phone.done.pop_front() {
        Some(Action::Unregistered { next: Next::Again(delay), .. }) => assert_eq!(delay, Duration::from_secs(2)),
        other => panic!("{other:?}"),
    }
    assert_eq!((phone.machine.calls_open(), phone.done.len()), (1, 0));
}

#[test]
fn pings_leave_at_steps_that_all_agents_share_once_they_are_told_to() {
    let mut phone = Phone::ready();
    phone.machine.coalesce_keep_alives(phone.now - Duration::from_millis(200));
    phone.pass(Duration::from_secs(14));
    phone.result("");
    phone.pass(Duration::from_millis(13_799));
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.pass(Duration::from_millis(1));
    assert!(phone.sent().contains("urn:xmpp:ping"));
}

#[test]
fn a_pong_in_time_keeps_the_websocket() {
    let mut phone = Phone::ready();
    for _ in 0..10 {
        phone.pass(Duration::from_secs(14));
        phone.result("");
    }
    assert!(phone.machine.is_registered() && phone.done.is_empty(), "{:?}", phone.done);
}

#[test]
fn with_server_pings_35_seconds_of_silence_end_the_websocket() {
    let mut phone = Phone::ready_with(&[("serverPings", "true")]);
    phone.pass(Duration::from_secs(34));
    phone.give(Input::Text(
        "<iq xmlns='jabber:client' type='get' id='p1' from='org1.example'><ping xmlns='urn:xmpp:ping'/></iq>"
            .to_owned(),
    ));
    assert_eq!(phone.sent(), r#"<iq xmlns="jabber:client" id="p1" to="org1.example" type="result"/>"#);
    phone.pass(Duration::from_millis(34_999));
    assert!(phone.machine.is_registered() && phone.done.is_empty(), "{:?}", phone.done);
    phone.pass(Duration::from_millis(1));
    assert_eq!(phone.sent(), CLOSE);
    assert!(matches!(phone.done.pop_front(), Some(Action::CloseSocket { abort: false, .. })));
}

#[test]
fn a_lost_websocket_comes_back_with_its_resource_nine_times_on_its_channel_then_on_a_new_one() {
    let mut phone = Phone::ready();
    let resources = |text: &str| uuids(text).last().cloned();
    let mut first = None;
    for attempt in 1..=10 {
        phone.give(Input::SocketClosed { detail: "test".to_owned() });
        match phone.done.pop_front() {
            Some(Action::Unregistered { next: Next::Again(delay), .. }) => assert_eq!(delay, Duration::from_secs(2)),
            other => panic!("{other:?}"),
        }
        phone.pass(Duration::from_secs(2));
        if attempt < 10 {
            phone.open()
        } else {
            phone.dial_again()
        }
        phone.authenticate();
        phone.give(Input::Text("<success/>".to_owned()));
        phone.sent();
        phone.give(Input::Text("<features><bind/></features>".to_owned()));
        let bind = phone.sent();
        let resource = resources(&bind);
        assert_eq!(*first.get_or_insert_with(|| resource.clone()), resource, "attempt {attempt}");
        let id = attribute(&bind, "id");
        phone.give(Input::Text(format!("<iq type='result' id='{id}'><bind><jid>j/r</jid></bind></iq>")));
        while !phone.done.is_empty() {
            if matches!(phone.done.front(), Some(Action::Send { .. })) {
                phone.result("")
            } else {
                phone.done.pop_front();
            }
        }
        assert!(phone.machine.is_registered());
    }
}

#[test]
fn failed_attempts_wait_2_4_8_seconds_and_retry_after_comes_on_top() {
    let mut phone = Phone::ready();
    phone.give(Input::SocketClosed { detail: "restart".to_owned() });
    let mut delays = Vec::new();
    for attempt in 0..4 {
        let delay = match phone.done.pop_back() {
            Some(Action::Unregistered { next: Next::Again(delay), .. }) => delay,
            other => panic!("{other:?}"),
        };
        delays.push(delay.as_secs());
        phone.pass(delay);
        let retry_after = (attempt == 2).then_some(Duration::from_secs(30));
        phone.give(Input::SocketFailed { status: Some(503), retry_after, detail: "refused".to_owned() });
    }
    assert_eq!(delays, [2, 4, 8, 46]);
}

#[test]
fn a_refused_token_ends_all_attempts() {
    let mut phone = Phone::ready();
    phone.give(Input::SocketClosed { detail: "restart".to_owned() });
    phone.done.clear();
    phone.pass(Duration::from_secs(2));
    phone.give(Input::SocketFailed { status: Some(401), retry_after: None, detail: "HTTP status 401".to_owned() });
    assert!(matches!(phone.done.pop_back(), Some(Action::Unregistered { next: Next::Nothing, .. })));
    assert_eq!(phone.machine.deadline(), None, "nothing is waited for any more");

    let mut phone = Phone::new(&[]);
    phone.give(Input::Start);
    phone.dial();
    phone.authenticate();
    phone.give(Input::Text("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>".to_owned()));
    assert!(matches!(phone.done.pop_front(), Some(Action::CloseSocket { abort: true, .. })));
    match phone.done.pop_front() {
        Some(Action::Unregistered { why, next: Next::Nothing }) => assert!(why.contains("not-authorized"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_that_stalls_ends_after_15_seconds_and_says_where() {
    let mut phone = Phone::new(&[]);
    phone.give(Input::Start);
    phone.dial();
    phone.sent();
    phone.pass(Duration::from_secs(15));
    match phone.done.pop_back() {
        Some(Action::Unregistered { why, .. }) => assert_eq!(why, "the login was not complete within 15000 ms"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_planned_move_says_good_bye_and_comes_back_on_a_new_channel_after_the_first_delay() {
    let mut phone = Phone::ready();
    phone.give(Input::Text(
        "<iq xmlns='jabber:client' type='set' id='m' from='org1.example'><query xmlns='urn:xmpp:cxfr'/></iq>"
            .to_owned(),
    ));
    assert!(phone.sent().contains("id=\"m\""));
    assert_eq!(phone.sent(), CLOSE);
    assert!(matches!(phone.done.pop_front(), Some(Action::CloseSocket { abort: false, .. })));
    match phone.done.pop_front() {
        Some(Action::Unregistered { next: Next::Again(delay), .. }) => assert_eq!(delay, Duration::from_secs(2)),
        other => panic!("{other:?}"),
    }
    phone.pass(Duration::from_secs(2));
    phone.dial_again();
}

#[test]
fn a_proposal_that_is_repeated_is_accepted_again_and_an_offer_that_is_repeated_is_taken_once() {
    let mut phone = Phone::ready();
    phone.in_call();
    phone.propose("sess-1", "conv-1", true);
    assert!(phone.sent().contains("<proceed"));
    phone.offer("offer-1", "sess-1", OFFER);
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.pass(Duration::from_secs(5));
    phone.offer("offer-2", "sess-1", OFFER);
    assert!(matches!(phone.done.pop_front(), Some(Action::MakeAnswer { peer: 1, .. })), "the same ICE: the same peer");
}

#[test]
fn an_offer_with_other_ice_credentials_makes_a_new_peer_connection_and_ends_the_old_one() {
    let mut phone = Phone::ready();
    let call = phone.in_call();
    phone.offer("offer-2", "sess-1", &OFFER.replace("aaaa", "bbbb"));
    assert!(matches!(phone.done.pop_front(), Some(Action::MakeAnswer { peer: 2, .. })));
    match phone.done.pop_front() {
        Some(Action::ClosePeer { peer: 1, reason, .. }) => assert_eq!(reason, "alternative-session"),
        other => panic!("{other:?}"),
    }
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::Failed { detail: "old".to_owned() } });
    assert!(phone.done.is_empty(), "the old one is of no interest any more");
}

#[test]
fn candidates_before_the_offer_or_the_proposal_are_kept() {
    let mut phone = Phone::ready();
    let early = r#"{"jsonrpc":"2.0","id":"c","method":"iceCandidate","params":{"sessionId":"sess-1","sdp":"m=0 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"}}"#;
    phone.rpc(early);
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.propose("sess-1", "conv-1", true);
    phone.rpc(early);
    phone.done.clear();
    phone.offer("offer-1", "sess-1", OFFER);
    assert!(matches!(phone.done.pop_front(), Some(Action::MakeAnswer { .. })));
    for _ in 0..2 {
        match phone.done.pop_front() {
            Some(Action::AddCandidate { candidate, .. }) => assert_eq!(candidate.sdp_mid.as_deref(), Some("0")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_failed_connection_is_terminated_with_failed_transport() {
    let mut phone = Phone::ready();
    let call = phone.in_call();
    phone.give(Input::Peer { call, peer: 1, event: PeerEvent::Failed { detail: "ICE failed".to_owned() } });
    let frame = phone.sent();
    assert_eq!(recorded(&frame, "/method").as_deref(), Some("terminate"));
    assert_eq!(recorded(&frame, "/params/reason").as_deref(), Some("failed-transport"));
    phone.pass(Duration::from_secs(2));
    assert!(matches!(phone.done.pop_front(), Some(Action::Problem { .. })), "the gateway did not answer within 2 s");
    match phone.done.pop_front() {
        Some(Action::Ended { by: EndedBy::Failure, reason, .. }) => assert_eq!(reason.as_deref(), Some("ICE failed")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_without_autoanswer_rings_until_the_user_answers() {
    let mut phone = Phone::ready();
    phone.propose("sess-1", "conv-1", false);
    phone.done.pop_front();
    let call = match phone.done.pop_front() {
        Some(Action::Incoming { call, answered: false }) => call,
        other => panic!("{other:?}"),
    };
    phone.propose("sess-1", "conv-1", false);
    assert!(phone.done.is_empty(), "it rings already");
    phone.give(Input::Command { call, command: Command::Accept });
    assert!(phone.sent().contains("<proceed"));
}

#[test]
fn a_call_that_another_client_takes_or_the_caller_gives_up_is_over() {
    for (element, reason) in [("accept", "handled by another client of this user"), ("retract", "retracted")] {
        let mut phone = Phone::ready();
        phone.propose("sess-1", "conv-1", false);
        phone.done.clear();
        phone.give(Input::Text(format!(
            "<message><{element} xmlns='urn:xmpp:jingle-message:0' id='sess-1'/></message>"
        )));
        match phone.done.pop_front() {
            Some(Action::Ended { by: EndedBy::Peer, reason: said, .. }) => assert_eq!(said.as_deref(), Some(reason)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_placed_call_is_the_proposal_of_its_conversation_in_either_order() {
    for proposal_first in [false, true] {
        let mut phone = Phone::ready();
        let call = phone.machine.new_call();
        phone.give(Input::Command { call, command: Command::Place { to: "+4930123".to_owned() } });
        let http = phone.http();
        assert_eq!(http.body.as_deref(), Some(r#"{"phoneNumber":"+4930123"}"#));
        if proposal_first {
            phone.propose("sess-9", "conv-9", false);
            assert!(phone.done.is_empty(), "it is not known yet whose it is: {:?}", phone.done);
            phone.respond(&http, r#"{"id":"conv-9","selfUri":"x"}"#);
        } else {
            phone.respond(&http, r#"{"id":"conv-9"}"#);
            phone.propose("sess-9", "conv-9", false);
        }
        assert!(matches!(phone.done.pop_front(), Some(Action::Named { call: named, .. }) if named == call));
        assert!(matches!(phone.done.pop_front(), Some(Action::Incoming { answered: true, .. })));
        assert!(phone.sent().contains("<proceed"));
    }
}

#[test]
fn hanging_up_is_a_rest_call_once_the_participant_is_known_and_the_servers_terminate_ends_it() {
    let mut phone = Phone::ready();
    let call = phone.in_call();
    phone.give(Input::Text(r#"<message from='n'><event><items><item><json>{"topicName":"v2.users.user-1.conversations","eventBody":{"id":"conv-1","participants":[{"id":"p-cust","calls":[{"state":"connected"}]},{"id":"p-1","userId":"user-1","calls":[{"state":"connected"}]}]}}</json></item></items></event></message>"#.to_owned()));
    assert!(phone.done.is_empty(), "{:?}", phone.done);
    phone.give(Input::Command { call, command: Command::HangUp });
    let http = phone.http();
    assert!(http.url.ends_with("/conversations/calls/conv-1/participants/p-1"), "{}", http.url);
    phone.respond(&http, "");
    phone.rpc(r#"{"jsonrpc":"2.0","id":"t","method":"terminate","params":{"sessionId":"sess-1","reason":"success"}}"#);
    assert!(matches!(phone.done.pop_front(), Some(Action::Ended { by: EndedBy::Us, .. })));
}

#[test]
fn a_missing_token_and_an_unknown_parameter_are_refused_by_name() {
    let profile = Arc::new(Profile::parse("genesys.json", PROFILE).expect("usable"));
    let refused = |params: &[(&str, &str)]| {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Machine::new(Arc::clone(&profile), &params, Instant::now(), Duration::ZERO, 1).err().expect("refused")
    };
    assert_eq!(refused(&[]).field, "params.token");
    let error = refused(&[("token", "x"), ("tokn", "s3cret")]);
    assert!(error.field == "params.tokn" && !error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn what_a_server_sends_never_panics_and_is_bounded() {
    let mut phone = Phone::ready();
    for text in [
        "",
        "<",
        "\u{0}",
        "{}",
        "<a/>",
        "<iq type='result' id='x'/>",
        "<message><propose inin-sdp-over-xmpp='true'/></message>",
    ] {
        phone.give(Input::Text(text.to_owned()));
    }
    for number in 0..1000 {
        phone.propose(&format!("s-{number}"), "c", true);
        phone.rpc(&format!(
            r#"{{"method":"iceCandidate","params":{{"sessionId":"x-{number}","sdp":"a=candidate:1"}}}}"#
        ));
    }
    assert!(phone.machine.calls_open() <= 256);
}

/// When each of `count` agents of a server that restarted comes back, after the loss.
fn comebacks(count: u64, jitter: &str) -> Vec<Duration> {
    let profile = Arc::new(Profile::parse("genesys.json", PROFILE).expect("usable"));
    (0..count)
        .map(|seed| {
            let mut ready = Phone::of(&profile, seed, &[("jitter", jitter)]).logged_in();
            ready.give(Input::SocketClosed { detail: "restart".to_owned() });
            match ready.done.pop_back() {
                Some(Action::Unregistered { next: Next::Again(delay), .. }) => delay,
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn a_thousand_agents_come_back_in_lockstep_as_the_vendors_do_and_spread_with_jitter() {
    let lockstep = comebacks(1000, "0");
    assert!(lockstep.iter().all(|delay| *delay == Duration::from_secs(2)));
    let spread = comebacks(1000, "1");
    assert!(spread.iter().all(|delay| *delay <= Duration::from_secs(2)));
    let mut tenths = [0_u32; 21];
    for delay in &spread {
        tenths[usize::try_from(delay.as_millis() / 100).expect("small")] += 1;
    }
    assert!(tenths.iter().all(|count| *count < 100), "of 1,000 at most a tenth within 100 ms: {tenths:?}");
}

#[test]
fn a_url_leads_to_the_vendor_by_its_host_alone_whatever_its_case() {
    let profile = Profile::parse("genesys.json", PROFILE).unwrap_or_else(|error| panic!("{error}"));
    for (url, leads) in [
        ("https://api.mypurecloud.ie/api/v2/users/me", true),
        ("wss://STREAMING.MyPureCloud.DE:443/stream", true),
        ("https://mypurecloud.com", true),
        ("https://api.usw2.pure.cloud/x", true),
        ("https://notmypurecloud.com/", false),
        ("http://127.0.0.1:8080/api.mypurecloud.ie", false),
        ("http://localhost/?host=api.mypurecloud.ie", false),
        ("https://mypurecloud.ie.example.org/", false),
        ("no url", false),
    ] {
        assert_eq!(profile.is_vendors(url), leads, "{url}");
    }
}
