//! The preflight as a whole, against servers on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::lab::{Lab, LabConfig};

const SOON: Duration = Duration::from_secs(30);

async fn report(json: serde_json::Value) -> Report {
    let config = PreflightConfig::from_json(json.to_string().as_bytes()).expect("a usable configuration");
    tokio::time::timeout(SOON, run(&config)).await.expect("it ends").expect("it runs")
}

fn check<'r>(report: &'r Report, id: &str) -> &'r Check {
    let found = report.checks.iter().find(|check| check.id.starts_with(id));
    found.unwrap_or_else(|| panic!("no {id} in {}", report.table()))
}

#[tokio::test]
async fn a_lab_on_loopback_passes() {
    let lab = tokio::time::timeout(SOON, Lab::start(LabConfig::default())).await.expect("in time").expect("a lab");
    let (signaling, stun) = (lab.signaling_url(), lab.stun_url());
    let report = report(json!({"softphones": 2, "signaling": signaling, "iceServers": [{"urls": [stun]}]})).await;
    for id in ["signaling", "iceServer:stun:", "udp", "hairpin", "ramp", "fileDescriptors"] {
        assert_eq!(check(&report, id).status, Status::Pass, "{}", report.table());
    }
    assert!(report.ok, "{}", report.table());
    assert_eq!(check(&report, "hairpin").facts["nat"], false);
    tokio::time::timeout(SOON, lab.stop(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn a_closed_port_a_silent_server_and_a_wrong_service_are_told_apart() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let closed = {
        let gone = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        gone.local_addr().expect("address").port()
    };
    let chatty = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let chatty_port = chatty.local_addr().expect("address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = chatty.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client, b"220 mail.example ESMTP ready for you\r\n").await;
        }
    });
    let silent_port = silent.local_addr().expect("address").port();
    let report = report(json!({"timeoutMs": 600, "iceServers": [{"urls": [
        format!("stun:127.0.0.1:{silent_port}"), format!("stun:127.0.0.1:{closed}"),
        format!("turn:127.0.0.1:{chatty_port}?transport=tcp")], "username": "u", "credential": "c"}]}))
    .await;
    let finding =
        |port: u16, scheme: &str| check(&report, &format!("iceServer:{scheme}:127.0.0.1:{port}")).finding.clone();
    assert_eq!(finding(silent_port, "stun"), "no answer within 600 ms");
    assert!(finding(closed, "stun").contains("closed"), "{}", report.table());
    assert!(finding(chatty_port, "turn").contains("not a usable answer"), "{}", report.table());
    assert_eq!(check(&report, "udp").status, Status::Pass, "an ICMP answer came by UDP: {}", report.table());
    assert!(!report.ok);
    drop(silent);
}

#[tokio::test]
async fn a_turn_server_that_rejects_the_login_is_quoted() {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("bound"));
    let port = socket.local_addr().expect("address").port();
    let server = Arc::clone(&socket);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = server.recv_from(&mut buffer).await {
            let _ = server.send_to(&unauthorized(&buffer[..length]), from).await;
        }
    });
    let url = format!("turn:127.0.0.1:{port}");
    let servers = json!([{"urls": [url], "username": "u", "credential": "s3cret"}]);
    let report = report(json!({"timeoutMs": 2000, "iceServers": servers})).await;
    let turn = check(&report, "iceServer:turn:");
    assert_eq!(turn.finding, "error 401 (Unauthorized)");
    assert_eq!((turn.status, &turn.facts["authenticated"]), (Status::Fail, &json!(true)));
    assert!(!format!("{}{}", report.table(), json!(report)).contains("s3cret"));
}

/// A 401 with realm and nonce for whatever was asked (RFC 8489 §9.2).
fn unauthorized(request: &[u8]) -> Vec<u8> {
    let mut response = vec![0x01, 0x13, 0, 0];
    response.extend_from_slice(&request[4..20]);
    let mut add = |kind: u16, value: &[u8]| {
        response.extend_from_slice(&kind.to_be_bytes());
        response.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        response.extend_from_slice(value);
        response.resize(response.len().next_multiple_of(4), 0);
    };
    add(0x0009, b"\0\0\x04\x01Unauthorized");
    add(0x0014, b"example.org");
    add(0x0015, b"nonce");
    let length = u16::try_from(response.len() - 20).expect("short");
    response[2..4].copy_from_slice(&length.to_be_bytes());
    response
}

#[tokio::test]
async fn a_name_that_does_not_exist_fails_its_check_and_its_servers_are_not_asked() {
    let report = report(json!({"timeoutMs": 3000, "iceServers": [{"urls": ["stun:no-such-host.invalid"]}]})).await;
    assert_eq!(check(&report, "dns:no-such-host.invalid").status, Status::Fail);
    assert_eq!(check(&report, "iceServer:stun:no-such-host.invalid").status, Status::Skip);
    assert_eq!(check(&report, "hairpin").status, Status::Skip);
}

#[tokio::test]
async fn a_signaling_server_that_is_not_there_fails() {
    let nobody: SocketAddr = {
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        gone.local_addr().expect("address")
    };
    let report = report(json!({"signaling": format!("ws://{nobody}/")})).await;
    assert_eq!(check(&report, "signaling").status, Status::Fail, "{}", report.table());
}

#[test]
fn bad_values_are_refused_by_field_name() {
    for (json, field) in [
        (r#"{"softphones":0}"#, "softphones"),
        (r#"{"softphones":-1}"#, "softphones"),
        (r#"{"rampSeconds":-1}"#, "rampSeconds"),
        (r#"{"timeoutMs":5}"#, "timeoutMs"),
        (r#"{"signaling":"http://a"}"#, "signaling"),
        (r#"{"iceServers":[{"urls":["sip:a"]}]}"#, "iceServers[0].urls[0]"),
        (r#"{"surprise":1}"#, "surprise"),
    ] {
        let error = PreflightConfig::from_json(json.as_bytes()).err().expect(json);
        assert_eq!(error.field, field, "{error}");
    }
}
