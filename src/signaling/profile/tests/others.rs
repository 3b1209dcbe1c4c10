//! The shipped Janus profile against recorded frames, and the profile that the guide writes.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::*;
use crate::peer::IceCandidateInit;

const RECORDED: &str = include_str!("../../../../tests/frames/janus-1.1.2-echotest.frames.txt");
const GUIDE: &str = include_str!("../../../../docs/profiles.md");

fn machine(name: &str, text: &str, params: &[(&str, &str)]) -> Machine {
    let profile = Profile::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    let params: BTreeMap<String, String> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Machine::new(Arc::new(profile), &params, Instant::now(), Duration::ZERO, 3)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn give(machine: &mut Machine, done: &mut VecDeque<Action>, input: Input) {
    done.extend(machine.step(input, Instant::now()));
}

/// The next frame that was sent, as JSON; what was done otherwise is passed over.
fn sent(done: &mut VecDeque<Action>) -> Value {
    while let Some(action) = done.pop_front() {
        match action {
            Action::Send { text, .. } => return serde_json::from_str(&text).expect("JSON"),
            Action::Problem { what } => panic!("{what}"),
            _ => {}
        }
    }
    panic!("a frame was expected");
}

/// The recorder cut lines at 700 characters, within the session descriptions: these end at their last whole line here. The
/// transaction of the message that was cut is known from its `ack`.
fn whole(text: &str) -> String {
    if serde_json::from_str::<Value>(text).is_ok() {
        return text.to_owned();
    }
    let cut = text.rfind("\\r\\n").map_or(text, |end| &text[..end + 4]);
    let rest = if text.contains("\"janus\":\"message\"") { "\"},\"transaction\":\"t3\"}" } else { "\"}}" };
    format!("{cut}{rest}")
}

#[test]
fn our_frames_to_janus_equal_the_recorded_ones_but_for_transactions() {
    let text = include_str!("../../../../profiles/janus.json");
    let mut machine = machine("janus.json", text, &[("url", "ws://127.0.0.1:8188/")]);
    let mut done = VecDeque::new();
    let mut ours: HashMap<String, String> = HashMap::new();
    give(&mut machine, &mut done, Input::Start);
    give(&mut machine, &mut done, Input::SocketOpened);
    let call = machine.new_call();
    let (mut compared, mut answers, mut remote) = (0, 0, 0);
    let mut ended = None;
    for line in RECORDED.lines() {
        let (kind, text) = line.split_once(' ').expect("a kind and a text");
        if kind == "NOTE" {
            continue;
        }
        let text = whole(text);
        let recorded: Value = serde_json::from_str(&text).expect("recorded JSON");
        if kind == "S>" {
            let mut text = text.clone();
            if let Some(own) = recorded["transaction"].as_str().and_then(|theirs| ours.get(theirs)) {
                let theirs = recorded["transaction"].as_str().expect("a text");
                text = text.replace(&format!("\"transaction\":\"{theirs}\""), &format!("\"transaction\":\"{own}\""));
            }
            let before = done.len();
            give(&mut machine, &mut done, Input::Text(text));
            for action in done.iter().skip(before) {
                match action {
                    Action::ApplyAnswer { .. } => answers += 1,
                    Action::AddCandidate { .. } => remote += 1,
                    Action::Ended { by, .. } => ended = Some(*by),
                    _ => {}
                }
            }
            continue;
        }
        let event = match recorded["janus"].as_str().expect("a kind") {
            "message" => {
                let sdp = recorded["jsep"]["sdp"].as_str().expect("an offer").to_owned();
                let place = Command::Place { to: "echo".to_owned() };
                give(&mut machine, &mut done, Input::Command { call, command: place });
                Some(Input::Peer { call, peer: 1, event: PeerEvent::LocalOffer(sdp) })
            }
            "trickle" if recorded["candidate"]["completed"] == true => {
                Some(Input::Peer { call, peer: 1, event: PeerEvent::EndOfCandidates })
            }
            "trickle" => {
                let candidate: IceCandidateInit =
                    serde_json::from_value(recorded["candidate"].clone()).expect("RTCIceCandidateInit");
                Some(Input::Peer { call, peer: 1, event: PeerEvent::LocalCandidate(candidate) })
            }
            "hangup" => Some(Input::Command { call, command: Command::HangUp }),
            "destroy" => Some(Input::Stop),
            "keepalive" => {
                let due = machine.deadline().expect("a keep-alive is due");
                done.extend(machine.step(Input::Tick, due + Duration::from_secs(25)));
                None
            }
            _ => None,
        };
        if let Some(input) = event {
            give(&mut machine, &mut done, input);
        }
        let mut own = sent(&mut done);
        let transaction = own["transaction"].as_str().expect("a transaction").to_owned();
        let theirs = recorded["transaction"].as_str().expect("a transaction").to_owned();
        own["transaction"] = theirs.clone().into();
        ours.insert(theirs, transaction);
        assert_eq!(own, recorded);
        compared += 1;
    }
    assert_eq!((compared, answers, ended), (11, 1, Some(EndedBy::Us)));
    assert_eq!(remote, 4, "three candidates and their end, one of them before the answer");
}

/// A softphone of the profile `janus` that has asked for the end of its call and heard of it, the answer apart: that answer.
fn hung_up() -> (Machine, VecDeque<Action>, Value) {
    let text = include_str!("../../../../profiles/janus.json");
    let mut machine = machine("janus.json", text, &[("url", "ws://127.0.0.1:8188/")]);
    let mut done = VecDeque::new();
    give(&mut machine, &mut done, Input::Start);
    give(&mut machine, &mut done, Input::SocketOpened);
    for (kind, id) in [("create", 1), ("attach", 2)] {
        let request = sent(&mut done);
        assert_eq!(request["janus"], kind);
        let success = json!({"janus": "success", "transaction": request["transaction"], "data": {"id": id}});
        give(&mut machine, &mut done, Input::Text(success.to_string()));
    }
    let call = machine.new_call();
    give(&mut machine, &mut done, Input::Command { call, command: Command::Place { to: "echo".to_owned() } });
    let offered = PeerEvent::LocalOffer("v=0\r\n".to_owned());
    give(&mut machine, &mut done, Input::Peer { call, peer: 1, event: offered });
    assert_eq!(sent(&mut done)["janus"], "message");
    give(&mut machine, &mut done, Input::Command { call, command: Command::HangUp });
    let hang_up = sent(&mut done);
    assert_eq!(hang_up["janus"], "hangup");
    let event = json!({"janus": "hangup", "session_id": 1, "sender": 2, "reason": "Close PC"});
    let success = json!({"janus": "success", "session_id": 1, "transaction": hang_up["transaction"]});
    give(&mut machine, &mut done, Input::Text(event.to_string()));
    (machine, done, success)
}

fn ends_and_problems(done: &VecDeque<Action>) -> (usize, usize) {
    let ends = done.iter().filter(|action| matches!(action, Action::Ended { .. })).count();
    let problems = done.iter().filter(|action| matches!(action, Action::Problem { .. })).count();
    (ends, problems)
}

#[test]
fn an_answer_for_a_call_that_the_other_side_has_ended_meanwhile_is_no_problem() {
    let (mut machine, mut done, success) = hung_up();
    give(&mut machine, &mut done, Input::Text(success.to_string()));
    assert_eq!(ends_and_problems(&done), (1, 0), "{done:?}");
}

#[test]
fn an_answer_that_does_not_come_for_a_call_that_is_over_is_no_problem_when_the_websocket_goes() {
    for input in [Input::Stop, Input::SocketClosed { detail: "test".to_owned() }] {
        let (mut machine, mut done, _) = hung_up();
        give(&mut machine, &mut done, input);
        assert_eq!(ends_and_problems(&done), (1, 0), "{done:?}");
    }
}

/// The example of the guide, as it stands there.
fn guide() -> &'static str {
    let blocks = GUIDE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.into_iter().find(|block| block.contains("\"name\": \"verto\"")).expect("the guide has its example")
}

#[test]
fn the_profile_of_the_guide_is_the_unverified_one_and_says_so() {
    let shipped = include_str!("../../../../profiles/unverified/verto.json");
    assert_eq!(guide(), shipped);
    let profile = Profile::parse("verto.json", shipped).unwrap_or_else(|error| panic!("{error}"));
    assert!(profile.description.contains("has not met"), "{}", profile.description);
}

#[test]
fn the_profile_of_the_guide_logs_in_calls_and_hangs_up() {
    let params = [("url", "wss://h"), ("user", "1000@h"), ("password", "p")];
    let mut machine = machine("docs/profiles.md", guide(), &params);
    let mut done = VecDeque::new();
    give(&mut machine, &mut done, Input::Start);
    give(&mut machine, &mut done, Input::SocketOpened);
    let login = sent(&mut done);
    assert_eq!((&login["method"], &login["params"]["login"]), (&json!("login"), &json!("1000@h")));
    give(
        &mut machine,
        &mut done,
        Input::Text(json!({"id": login["id"], "result": {"message": "logged in"}}).to_string()),
    );
    assert!(machine.is_registered());
    let call = machine.new_call();
    give(&mut machine, &mut done, Input::Command { call, command: Command::Place { to: "9196".to_owned() } });
    give(&mut machine, &mut done, Input::Peer { call, peer: 1, event: PeerEvent::LocalOffer("v=0\r\n".to_owned()) });
    let invite = sent(&mut done);
    assert_eq!(invite["params"]["dialogParams"]["destination_number"], "9196");
    give(
        &mut machine,
        &mut done,
        Input::Text(json!({"id": invite["id"], "result": {"message": "CALL CREATED"}}).to_string()),
    );
    let id = &invite["params"]["dialogParams"]["callID"];
    let answer =
        json!({"jsonrpc": "2.0", "id": 7, "method": "verto.answer", "params": {"callID": id, "sdp": "v=0\r\na=x\r\n"}});
    give(&mut machine, &mut done, Input::Text(answer.to_string()));
    assert_eq!(sent(&mut done), json!({"jsonrpc": "2.0", "id": 7, "result": {"method": "verto.answer"}}));
    assert!(matches!(done.pop_front(), Some(Action::ApplyAnswer { .. })));
    give(&mut machine, &mut done, Input::Command { call, command: Command::HangUp });
    let bye = sent(&mut done);
    assert_eq!(bye["method"], "verto.bye");
    give(&mut machine, &mut done, Input::Text(json!({"id": bye["id"], "result": {}}).to_string()));
    assert!(matches!(done.pop_front(), Some(Action::Ended { by: EndedBy::Us, .. })));
}

#[test]
fn a_login_that_the_guides_server_refuses_ends_the_registration() {
    let params = [("url", "wss://h"), ("user", "1000@h"), ("password", "p")];
    let mut machine = machine("docs/profiles.md", guide(), &params);
    let mut done = VecDeque::new();
    give(&mut machine, &mut done, Input::Start);
    give(&mut machine, &mut done, Input::SocketOpened);
    let login = sent(&mut done);
    give(&mut machine, &mut done, Input::Text(json!({"id": login["id"], "error": {"code": -32001}}).to_string()));
    match done.pop_back() {
        Some(Action::Unregistered { why, .. }) => assert_eq!(why, "the request 'login' failed: it was refused"),
        other => panic!("{other:?}"),
    }
}
