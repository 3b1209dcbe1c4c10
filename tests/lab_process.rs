//! `webrtc-lab` as a process.
#![allow(clippy::unwrap_used)]
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A child that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    fn start(arguments: &[&str]) -> (Self, Value, BufReader<std::process::ChildStdout>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_webrtc-lab"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        (Self(child), serde_json::from_str(&ready).unwrap(), output)
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for the end, at most 20 s, and returns whether it was a success.
    fn ends_well(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < end, "still running after 20 s");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn refused(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_webrtc-lab")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn it_says_where_it_listens_and_reports_its_counters_at_sigterm() {
    let report = std::env::temp_dir().join(format!("webrtc-lab-report-{}.json", std::process::id()));
    let (mut process, ready, mut output) = Process::start(&["--report", report.to_str().unwrap()]);
    assert_eq!(ready["pid"], process.0.id());
    assert!(ready["stunUrl"].as_str().unwrap().starts_with("stun:127.0.0.1:"));
    let url = ready["signalingUrl"].as_str().unwrap();
    let address = url.strip_prefix("ws://").unwrap().strip_suffix('/').unwrap();
    let stream = std::net::TcpStream::connect(address).unwrap();
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    socket.send(tungstenite::Message::text(r#"{"type":"ping"}"#)).unwrap();
    assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), r#"{"type":"pong"}"#);
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(process.ends_well());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let printed: Value = serde_json::from_str(&rest).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    std::fs::remove_file(&report).unwrap();
    assert_eq!(printed, written);
    assert_eq!((&written["socketsOpened"], &written["socketsOpen"]), (&Value::from(1), &Value::from(0)));
}

#[test]
fn it_ends_with_its_input_when_told_so() {
    let (mut process, _, _output) = Process::start(&["--until-stdin-closes"]);
    drop(process.0.stdin.take());
    assert!(process.ends_well());
}

#[test]
fn it_ends_at_sigint() {
    let (mut process, _, _output) = Process::start(&[]);
    process.signal(nix::sys::signal::Signal::SIGINT);
    assert!(process.ends_well());
}

#[test]
fn a_bad_option_or_configuration_is_refused_by_name() {
    let file = std::env::temp_dir().join(format!("webrtc-lab-config-{}.json", std::process::id()));
    std::fs::write(&file, br#"{"faults":{"closeCode":1006}}"#).unwrap();
    let path = file.to_str().unwrap();
    for (arguments, named) in [
        (&["--surprise"][..], "--surprise"),
        (&["--port", "70000"], "--port: '70000'"),
        (&["--address", "192.0.2.1"], "address: '192.0.2.1'"),
        (&["--config", "/nonexistent/lab.json"], "/nonexistent/lab.json"),
        (&["--config", path], "faults.closeCode: '1006'"),
    ] {
        let output = refused(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(named), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty());
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn help_and_version_say_what_they_should() {
    assert!(String::from_utf8_lossy(&refused(&["--help"]).stdout).contains("--until-stdin-closes"));
    assert_eq!(
        String::from_utf8_lossy(&refused(&["--version"]).stdout).trim(),
        concat!("webrtc-lab ", env!("CARGO_PKG_VERSION"))
    );
}
