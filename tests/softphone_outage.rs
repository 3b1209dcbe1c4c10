//! Many agents whose server goes down and comes back: when each of them comes back, and what is left of it.
//!
//! A test binary of its own, so that the descriptors of this process are those of its one test.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call_support::{descriptors, eventually, lab, stop, tasks};
use jmeter_webrtc::lab::Lab;
use jmeter_webrtc::net::http::{self, Reach};
use jmeter_webrtc::signaling::profile::Profile;
use jmeter_webrtc::signaling::softphone::{Softphone, SoftphoneConfig, Wait};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

const AGENTS: usize = 1_000;
/// As long as all of this may take on a machine that does something else: a login that is not done within 15 s is tried again.
const LONG: Duration = Duration::from_secs(300);
/// The pauses of the vendor's client.
const VENDORS: [u64; 6] = [2_000, 4_000, 8_000, 16_000, 32_000, 64_000];
/// Without jitter, so many of a hundred agents at least come back in the same step; a login that a slow machine does not get
/// done in 15 s takes its agent to a later one.
const LOCKSTEP: usize = 90;
/// With jitter, so many of a hundred agents at most come back within 100 ms.
const MOST_AT_ONCE: usize = 20;

async fn agents(lab: &Lab, jitter: &str) -> Vec<Softphone> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/genesys.json")).unwrap();
    let profile = Arc::new(Profile::parse("genesys.json", &text).unwrap());
    let api = lab.genesys_url().unwrap();
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let token = format!("agent-{number}");
        let params = json!({"token": token, "api": api, "streaming": api.replace("http", "ws"), "jitter": jitter});
        let config = SoftphoneConfig::from_json(json!({"params": params}).to_string().as_bytes()).unwrap();
        agents.push(Softphone::start(Arc::clone(&profile), config).unwrap());
    }
    for agent in &agents {
        agent.registered(LONG).await.unwrap();
    }
    agents
}

/// Asks the lab for something.
async fn ask(lab: &Lab, method: &str, path: &str, body: Option<String>) -> http::Response {
    let url = format!("{}/lab/{path}", lab.genesys_url().unwrap());
    http::exchange(method, &url, &[], body, LONG, &Reach::default()).await.unwrap()
}

/// Takes the server down until all agents have lost it and are back; what each waited for.
async fn comebacks(lab: &Lab, agents: &[Softphone], down: Duration) -> Vec<Wait> {
    let asked = ask(lab, "POST", "outage", Some(json!({"ms": down.as_millis() as u64}).to_string())).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    let end = Instant::now() + LONG;
    for agent in agents {
        // Twice registered, or more often where this machine is so slow that a login was not done in time.
        while agent.view().registrations < 2 {
            assert!(Instant::now() < end, "not back: {:?}", agent.view().registration);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        agent.registered(LONG).await.unwrap();
    }
    agents.iter().map(|agent| agent.view().attempt.waited.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_come_back_after_an_outage_in_lockstep_as_the_vendors_and_spread_out_with_jitter() {
    // Both ends of a thousand WebSockets are in this process.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let (tasks_before, descriptors_before) = (tasks(), descriptors());
    for (jitter, down) in [("0", Duration::from_millis(2_500)), ("1", Duration::from_secs(1))] {
        let lab = lab(json!({"genesys": {}})).await;
        let agents = agents(&lab, jitter).await;
        let begun = Instant::now();
        let waits = comebacks(&lab, &agents, down).await;

        let arrivals: Vec<u64> = serde_json::from_str(&ask(&lab, "GET", "arrivals", None).await.body).unwrap();
        assert!(arrivals.len() >= AGENTS, "{arrivals:?}");
        assert!(arrivals.iter().all(|ms| u128::from(*ms) >= down.as_millis()), "nobody gets in before: {arrivals:?}");
        for (agent, wait) in agents.iter().zip(&waits) {
            assert!(agent.view().attempt.began >= wait.due(), "too early: {:?}", agent.view().attempt);
        }
        if jitter == "0" {
            let delays: Vec<u128> = waits.iter().map(|wait| wait.delay.as_millis()).collect();
            assert!(delays.iter().all(|delay| VENDORS.iter().any(|known| u128::from(*known) == *delay)), "{delays:?}");
            // The attempt after 2 s fails, that after 4 s more finds the server.
            let together = delays.iter().filter(|delay| **delay == u128::from(VENDORS[1])).count();
            assert!(together * 100 >= AGENTS * LOCKSTEP, "{together} of {AGENTS} in the same step: {delays:?}");
        } else {
            let mut slots = BTreeMap::<u128, usize>::new();
            for wait in &waits {
                *slots.entry(wait.due().saturating_duration_since(begun).as_millis() / 100).or_default() += 1;
            }
            assert!(slots.values().all(|count| count * 100 <= AGENTS * MOST_AT_ONCE), "agents by 100 ms: {slots:?}");
        }

        drop(agents);
        let watched = lab.clone();
        eventually("no WebSocket is open", || watched.counters().sockets_open == 0).await;
        stop(&lab).await;
    }
    eventually("no task is left", || tasks() <= tasks_before).await;
    eventually("no descriptor is left", || descriptors() <= descriptors_before).await;
}
