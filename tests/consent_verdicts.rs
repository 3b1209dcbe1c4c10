//! Calls whose other side goes away without a word: the verdict comes with the silence, long before ICE gives up.
#![allow(clippy::unwrap_used)]
mod call_support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use call_support::{config, within};
use jmeter_webrtc::diagnosis::{Cause, Confidence, Verdict, diagnose};
use jmeter_webrtc::signaling::call::{Call, place};
use jmeter_webrtc::socket::{Socket, SocketConfig};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A lab in a process of its own, which does not outlive its test.
struct LabProcess {
    child: Child,
    url: String,
}

impl LabProcess {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-lab"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        Self { child, url: ready["signalingUrl"].as_str().unwrap().to_owned() }
    }

    fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for LabProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn call(lab: &LabProcess) -> Call {
    let config_of_socket = SocketConfig::new(lab.url.clone());
    let (socket, _) = within(Socket::open(&config_of_socket)).await.unwrap();
    within(place(socket, &config(json!({})))).await.unwrap()
}

/// The first verdict on a call, and how long it took.
async fn first_verdict(call: &Call) -> (Verdict, Duration) {
    let begun = Instant::now();
    let found = async {
        loop {
            if let Some(verdict) = diagnose(&call.facts()) {
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    (within(found).await, begun.elapsed())
}

#[tokio::test]
async fn a_peer_that_was_killed_has_closed_its_port() {
    let lab = LabProcess::start();
    let call = call(&lab).await;
    lab.signal(Signal::SIGKILL);
    let (verdict, took) = first_verdict(&call).await;
    assert_eq!((verdict.cause, verdict.confidence), (Cause::ConsentLostPeer, Confidence::Certain), "{verdict:#?}");
    assert!(took < Duration::from_secs(20), "it waits for silence, not for ICE to give up: {took:?}");
    within(call.hang_up(Duration::from_millis(500))).await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_a_lost_path() {
    let lab = LabProcess::start();
    let call = call(&lab).await;
    lab.signal(Signal::SIGSTOP);
    let (verdict, _) = first_verdict(&call).await;
    assert_eq!((verdict.cause, verdict.confidence), (Cause::ConsentLostPath, Confidence::Likely), "{verdict:#?}");
    lab.signal(Signal::SIGCONT);
    within(call.hang_up(Duration::from_millis(500))).await;
}
