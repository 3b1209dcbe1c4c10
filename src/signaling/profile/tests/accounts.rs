//! Packet accounts: told when a PeerConnection has come to rest, and taken from the other side's farewell.
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::*;
use crate::peer::MediaCounters;

/// A softphone of the profile `json` with a call that is described, and its key.
fn talking(now: Instant) -> (Machine, CallKey) {
    let profile = Profile::parse("json.json", include_str!("../../../../profiles/json.json"));
    let profile = std::sync::Arc::new(profile.unwrap_or_else(|error| panic!("{error}")));
    let params = [("url", "ws://h"), ("user", "anna")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut machine = Machine::new(profile, &params, now, Duration::ZERO, 1).expect("usable");
    for input in [Input::Start, Input::SocketOpened, Input::Text("{\"type\":\"registered\"}".to_owned())] {
        machine.step(input, now);
    }
    hear(&mut machine, json!({"type": "offer", "call": "c", "from": "bert", "sdp": "v=0"}), now);
    let call = 1;
    machine.step(Input::Command { call, command: Command::Accept }, now);
    peer(&mut machine, PeerEvent::LocalAnswer("v=0".to_owned()), now);
    (machine, call)
}

fn hear(machine: &mut Machine, message: Value, now: Instant) -> Vec<Action> {
    machine.step(Input::Text(message.to_string()), now)
}

fn peer(machine: &mut Machine, event: PeerEvent, now: Instant) -> Vec<Action> {
    machine.step(Input::Peer { call: 1, peer: 1, event }, now)
}

fn counted(packets_sent: u64, packets_received: u64) -> MediaCounters {
    MediaCounters { packets_sent, packets_received, ..MediaCounters::default() }
}

fn hung_up(machine: &mut Machine, now: Instant) -> Vec<Action> {
    machine.step(Input::Command { call: 1, command: Command::HangUp }, now)
}

/// The farewell among what is to be done, if it is there.
fn bye(done: &[Action]) -> Option<Value> {
    done.iter().find_map(|action| match action {
        Action::Send { text, template } if template == "bye" => serde_json::from_str(text).ok(),
        _ => None,
    })
}

fn packets_waited_for(done: &[Action]) -> Option<u64> {
    done.iter().find_map(|action| match action {
        Action::Rest { packets, .. } => Some(*packets),
        _ => None,
    })
}

fn ended(done: &[Action]) -> Option<EndedBy> {
    done.iter().find_map(|action| match action {
        Action::Ended { by, .. } => Some(*by),
        _ => None,
    })
}

#[test]
fn our_farewell_states_the_accounts_of_a_call_at_rest() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    let done = hung_up(&mut machine, now);
    assert_eq!((packets_waited_for(&done), bye(&done)), (Some(0), None), "{done:?}");
    let said = bye(&peer(&mut machine, PeerEvent::Rested(counted(7, 9)), now)).expect("a bye");
    assert_eq!((&said["media"]["packetsSent"], &said["media"]["packetsReceived"]), (&json!(7), &json!(9)), "{said}");
    let media = json!({"packetsSent": 10, "packetsReceived": 7});
    let done = hear(&mut machine, json!({"type": "bye", "call": "c", "media": media}), now);
    let theirs = done.iter().find_map(|action| match action {
        Action::RemoteMedia { media, .. } => Some((media.packets_sent, media.packets_received)),
        _ => None,
    });
    assert_eq!((theirs, packets_waited_for(&done), ended(&done)), (Some((10, 7)), Some(10), None), "{done:?}");
    let done = peer(&mut machine, PeerEvent::Rested(counted(7, 10)), now);
    assert_eq!((bye(&done), ended(&done)), (None, Some(EndedBy::Us)), "the answer to a bye is not answered: {done:?}");
}

#[test]
fn the_other_sides_farewell_is_answered_when_its_packets_are_in_and_hanging_up_meanwhile_says_no_more() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    let media = json!({"packetsSent": 10, "packetsReceived": 3});
    let done = hear(&mut machine, json!({"type": "bye", "call": "c", "reason": "done", "media": media}), now);
    assert_eq!((packets_waited_for(&done), bye(&done), ended(&done)), (Some(10), None, None), "{done:?}");
    assert!(hung_up(&mut machine, now).is_empty());
    let done = peer(&mut machine, PeerEvent::Rested(counted(5, 10)), now);
    assert_eq!(bye(&done).expect("a bye")["media"]["packetsReceived"], 10);
    assert!(ended(&done).is_some(), "{done:?}");
}

#[test]
fn farewells_that_cross_are_both_said_and_none_is_answered() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    hung_up(&mut machine, now);
    let media = json!({"packetsSent": 4, "packetsReceived": 4});
    let done = hear(&mut machine, json!({"type": "bye", "call": "c", "media": media}), now);
    assert_eq!((bye(&done), ended(&done)), (None, None), "{done:?}");
    let done = peer(&mut machine, PeerEvent::Rested(counted(4, 3)), now);
    assert!(bye(&done).is_some() && ended(&done).is_none(), "{done:?}");
    let done = peer(&mut machine, PeerEvent::Rested(counted(4, 4)), now);
    assert!(bye(&done).is_none() && ended(&done).is_some(), "{done:?}");
}

#[test]
fn a_call_that_does_not_come_to_rest_says_its_farewell_without_accounts_in_three_seconds() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    hung_up(&mut machine, now);
    let due = machine.deadline().expect("a rest has a deadline");
    assert!(due <= now + Duration::from_secs(3));
    assert_eq!(bye(&machine.step(Input::Tick, due - Duration::from_millis(1))), None);
    let said = bye(&machine.step(Input::Tick, due)).expect("a bye");
    assert_eq!(said, json!({"type": "bye", "call": "c"}));
}

#[test]
fn accounts_that_are_no_counts_are_a_problem_and_the_call_ends_all_the_same() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    hung_up(&mut machine, now);
    peer(&mut machine, PeerEvent::Rested(counted(1, 1)), now);
    let media = json!({"packetsSent": "many", "packetsReceived": -1});
    let done = hear(&mut machine, json!({"type": "bye", "call": "c", "media": media}), now);
    let problem = |action: &Action| matches!(action, Action::Problem { what } if what.contains("no whole number"));
    assert!(done.iter().any(problem), "{done:?}");
    assert!(!done.iter().any(|action| matches!(action, Action::RemoteMedia { .. })), "{done:?}");
    assert!(ended(&peer(&mut machine, PeerEvent::Rested(counted(1, 1)), now)).is_some());
}

#[test]
fn without_a_peer_connection_there_is_no_rest_to_wait_for() {
    let now = Instant::now();
    let (mut machine, _) = talking(now);
    hear(&mut machine, json!({"type": "offer", "call": "other", "from": "bert", "sdp": "v=0"}), now);
    let done = machine.step(Input::Command { call: 2, command: Command::HangUp }, now);
    assert_eq!(bye(&done), Some(json!({"type": "bye", "call": "other"})), "{done:?}");
}
