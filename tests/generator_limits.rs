//! The generator at its own limits, in a network and a process of its own: nothing here touches the machine.
//!
//! Each test runs itself again as a child (`unshare -Urn`, `prlimit`) whose limits are then reached on purpose.

use std::process::Command;
use std::time::{Duration, Instant};

use jmeter_webrtc::engine::{Engine, EngineError, OperationKey, ScopeKey, SessionKey, SocketKey};
use serde_json::json;

const LONG: Duration = Duration::from_secs(20);
/// Set in the child.
const CHILD: &str = "GENERATOR_LIMITS_CHILD";

/// Whether this is the child. The parent runs `prepare` and then this very test in a user and network namespace of its own,
/// and fails with what the child said.
fn is_child(test: &str, prepare: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("this program");
    let script =
        format!("set -e; ip link set lo up; {prepare}; exec \"$0\" --exact {test} --nocapture --test-threads=1");
    let mut child = Command::new("unshare")
        .args(["-Urn", "sh", "-c", &script])
        .arg(own)
        .env(CHILD, "1")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("unshare starts (util-linux)");
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().expect("killed");
            panic!("{test}: the child takes longer than a minute");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}");
    false
}

fn engine() -> (Engine, ScopeKey) {
    let engine = Engine::start().expect("an engine");
    let scope = engine.open_scope(None).expect("a scope");
    (engine, scope)
}

fn session(engine: &Engine, scope: ScopeKey, number: usize) -> Result<SessionKey, EngineError> {
    engine.new_session(scope, OperationKey::default(), &format!("s{number}"), br#"{"sourceAddress":"127.0.0.1"}"#)
}

fn socket(engine: &Engine, scope: ScopeKey, url: &str, number: usize) -> Result<SocketKey, EngineError> {
    let config = json!({"url": url}).to_string();
    engine.open_socket(scope, OperationKey::default(), &format!("w{number}"), config.as_bytes(), LONG)
}

/// The first failure of `open`, of at most `most` tries.
fn first_failure<T>(most: usize, mut open: impl FnMut(usize) -> Result<T, EngineError>) -> EngineError {
    (0..most).find_map(|number| open(number).err()).expect("the limit is reached")
}

fn is(error: &EngineError, cause: &str) {
    let details = error.details();
    assert_eq!(details["verdict"]["cause"], cause, "{error}: {details}");
    assert_eq!(details["verdict"]["confidence"], "certain", "{details}");
}

#[test]
fn sessions_beyond_the_local_ports_lack_a_udp_port() {
    let prepare = "echo '40000 40007' > /proc/sys/net/ipv4/ip_local_port_range";
    if !is_child("sessions_beyond_the_local_ports_lack_a_udp_port", prepare) {
        return;
    }
    let (engine, scope) = engine();
    let error = first_failure(20, |number| session(&engine, scope, number));
    is(&error, "GEN_UDP_PORTS");
    assert!(error.details()["verdict"]["advice"].as_str().is_some_and(|advice| advice.contains("8 ports")), "{error}");
    assert_eq!(error.details()["starved"], true, "all ports used is a state of the generator");
    engine.close_all(LONG);
}

#[test]
fn web_sockets_beyond_the_local_ports_lack_a_tcp_port() {
    let prepare = "echo '40000 40007' > /proc/sys/net/ipv4/ip_local_port_range";
    if !is_child("web_sockets_beyond_the_local_ports_lack_a_tcp_port", prepare) {
        return;
    }
    let (engine, scope) = engine();
    let lab = engine.start_lab(br#"{"port":8080,"stunPort":8081}"#, LONG).expect("a lab");
    let error = first_failure(20, |number| socket(&engine, scope, "ws://127.0.0.1:8080/", number));
    is(&error, "GEN_TCP_PORTS");
    engine.stop_lab(lab, LONG).expect("stopped");
    engine.close_all(LONG);
}

#[test]
fn a_process_without_descriptors_says_so_for_sessions_and_web_sockets() {
    if !is_child("a_process_without_descriptors_says_so_for_sessions_and_web_sockets", "ulimit -n 64") {
        return;
    }
    let (engine, scope) = engine();
    let error = first_failure(80, |number| session(&engine, scope, number));
    is(&error, "GEN_FDS");
    assert!(error.details()["verdict"]["evidence"].to_string().contains("now 64"), "{}", error.details());
    let error = socket(&engine, scope, "ws://127.0.0.1:9/", 0).expect_err("no descriptor");
    is(&error, "GEN_FDS");
    engine.close_all(LONG);
}

#[test]
fn a_network_without_a_route_refuses_to_send() {
    let prepare = "ip route add unreachable 192.0.2.0/24";
    if !is_child("a_network_without_a_route_refuses_to_send", prepare) {
        return;
    }
    let (engine, scope) = engine();
    let error = socket(&engine, scope, "ws://192.0.2.7/", 0).expect_err("no route");
    is(&error, "SEND_REFUSED");
    engine.close_all(LONG);
}
