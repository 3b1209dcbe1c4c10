//! The lab's signaling server, driven by an independent WebSocket client.
#![allow(clippy::unwrap_used)]
use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jmeter_webrtc::lab::{Lab, LabConfig, LabError};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tungstenite::protocol::Message as Frame;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("within 20 s")
}

async fn lab(config: &str) -> Lab {
    Lab::start(LabConfig::from_json(config.as_bytes()).unwrap()).await.unwrap()
}

async fn client(lab: &Lab) -> Client {
    tokio_tungstenite::connect_async(lab.signaling_url()).await.unwrap().0
}

async fn say(client: &mut Client, message: Value) {
    client.send(Frame::text(message.to_string())).await.unwrap();
}

async fn hear(client: &mut Client) -> Value {
    loop {
        match within(client.next()).await.expect("open").expect("no error") {
            Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
            Frame::Ping(_) | Frame::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(client: &mut Client, message: Value) -> Value {
    say(client, message).await;
    hear(client).await
}

/// The end of a client's socket: close status if there was a close frame.
async fn end(client: &mut Client) -> Option<(u16, String)> {
    let mut status = None;
    while let Some(Ok(frame)) = within(client.next()).await {
        if let Frame::Close(Some(close)) = frame {
            status = Some((u16::from(close.code), close.reason.to_string()));
        }
    }
    status
}

#[tokio::test]
async fn two_registered_clients_reach_each_other_through_the_lab() {
    let lab = lab("{}").await;
    let (mut anna, mut bert) = (client(&lab).await, client(&lab).await);
    assert_eq!(ask(&mut anna, json!({"type":"register","name":"anna"})).await["type"], "registered");
    assert_eq!(ask(&mut bert, json!({"type":"register","name":"bert"})).await["type"], "registered");
    say(&mut anna, json!({"type":"offer","call":"c1","to":"bert","from":"mallory","sdp":"v=0"})).await;
    let offer = hear(&mut bert).await;
    assert_eq!((&offer["from"], &offer["sdp"]), (&json!("anna"), &json!("v=0")), "the lab says who calls");
    say(&mut bert, json!({"type":"answer","call":"c1","sdp":"v=1"})).await;
    assert_eq!(hear(&mut anna).await["sdp"], "v=1");
    say(&mut anna, json!({"type":"candidate","call":"c1","candidate":{"candidate":"","sdpMid":"0"}})).await;
    assert_eq!(hear(&mut bert).await["candidate"]["sdpMid"], "0");
    say(&mut bert, json!({"type":"bye","call":"c1"})).await;
    assert_eq!(hear(&mut anna).await["type"], "bye");
    say(&mut anna, json!({"type":"bye","call":"c1"})).await;
    assert_eq!(hear(&mut bert).await["type"], "bye");
    assert_eq!(ask(&mut anna, json!({"type":"bye","call":"c1"})).await["code"], "CALL_UNKNOWN");
    assert_eq!(lab.counters().calls_relayed, 1);
    within(lab.stop(Duration::from_secs(5))).await;
}

#[tokio::test]
async fn a_second_client_under_the_same_name_is_refused_until_the_first_is_gone() {
    let lab = lab("{}").await;
    let (mut first, mut second) = (client(&lab).await, client(&lab).await);
    ask(&mut first, json!({"type":"register","name":"anna"})).await;
    let refused = ask(&mut second, json!({"type":"register","name":"anna"})).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("NAME_IN_USE")));
    drop(first);
    within(async {
        while ask(&mut second, json!({"type":"register","name":"anna"})).await["type"] != "registered" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_offer_to_an_unknown_name_is_refused_for_its_call() {
    let lab = lab("{}").await;
    let mut anna = client(&lab).await;
    let refused = ask(&mut anna, json!({"type":"offer","call":"c1","to":"nobody","sdp":"v=0"})).await;
    assert_eq!((&refused["code"], &refused["call"]), (&json!("NOT_FOUND"), &json!("c1")));
}

#[tokio::test]
async fn hostile_messages_get_an_error_and_the_lab_goes_on() {
    let lab = lab("{}").await;
    let mut mallory = client(&lab).await;
    let deep = "[".repeat(50_000);
    for text in ["", "null", "{", "{\"type\":\"register\"}", "\u{0}\u{1}", &deep] {
        mallory.send(Frame::text(text.to_owned())).await.unwrap();
        assert_eq!(hear(&mut mallory).await["code"], "MESSAGE_INVALID", "{text:.40}");
    }
    mallory.send(Frame::binary(vec![0xff; 100])).await.unwrap();
    assert_eq!(hear(&mut mallory).await["code"], "MESSAGE_INVALID");
    assert_eq!(ask(&mut mallory, json!({"type":"answer","call":"x","sdp":"v=0"})).await["code"], "CALL_UNKNOWN");
    assert_eq!(lab.counters().messages_refused, 8);
    // Beyond 256 KiB the socket itself is ended, and only that one.
    mallory.send(Frame::text("x".repeat(300_000))).await.unwrap();
    end(&mut mallory).await;
    let mut anna = client(&lab).await;
    assert_eq!(ask(&mut anna, json!({"type":"ping"})).await["type"], "pong");
}

#[tokio::test]
async fn bytes_that_are_no_upgrade_are_refused_and_counted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lab = lab("{}").await;
    let mut stream = TcpStream::connect(lab.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let ended = within(stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok() || !answer.starts_with(b"HTTP/1.1 101"), "{ended:?}");
    within(async {
        while lab.counters().upgrades_refused == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(lab.counters().sockets_opened, 0);
}

#[tokio::test]
async fn a_silent_client_is_cut_and_a_pinging_one_is_not() {
    let lab = lab(r#"{"idleCutMs":3000}"#).await;
    let (mut silent, mut pinging) = (client(&lab).await, client(&lab).await);
    let pings = tokio::spawn(async move {
        for _ in 0..60 {
            pinging.send(Frame::Ping(Vec::new().into())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        pinging
    });
    assert_eq!(end(&mut silent).await, None, "cut without a close frame");
    let mut pinging = pings.await.unwrap();
    assert_eq!(ask(&mut pinging, json!({"type":"ping"})).await["type"], "pong");
    assert_eq!(lab.counters().sockets_cut, 1);
}

#[tokio::test]
async fn a_client_that_does_not_pong_is_cut_and_one_that_does_is_not() {
    let lab = lab(r#"{"faults":{"pingIntervalMs":50,"pongTimeoutMs":3000}}"#).await;
    let (deaf, mut fair) = (client(&lab).await, client(&lab).await);
    // `deaf` is never read, so its library never pongs.
    within(async {
        let mut pings = 0;
        while pings < 12 || lab.counters().sockets_cut == 0 {
            if let Frame::Ping(_) = fair.next().await.unwrap().unwrap() {
                pings += 1;
            }
        }
    })
    .await;
    assert_eq!(ask(&mut fair, json!({"type":"ping"})).await["type"], "pong");
    assert_eq!(lab.counters().sockets_cut, 1);
    drop(deaf);
}

#[tokio::test]
async fn a_socket_is_closed_after_its_time_with_the_configured_status() {
    let lab = lab(r#"{"faults":{"closeAfterMs":100,"closeCode":4001,"closeReason":"enough"}}"#).await;
    let mut anna = client(&lab).await;
    assert_eq!(end(&mut anna).await, Some((4001, "enough".to_owned())));
}

#[tokio::test]
async fn every_second_upgrade_is_refused_with_the_configured_status() {
    let lab = lab(r#"{"faults":{"upgradeStatus":503,"upgradeStatusEvery":2}}"#).await;
    for nth in 1..=4 {
        match tokio_tungstenite::connect_async(lab.signaling_url()).await {
            Ok(_) => assert_eq!(nth % 2, 1),
            Err(tungstenite::Error::Http(response)) => {
                assert_eq!((nth % 2, response.status().as_u16()), (0, 503));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(lab.counters().upgrades_refused, 2);
}

#[tokio::test]
async fn an_offer_is_never_answered_when_told_so_but_its_bye_is() {
    let lab = lab(r#"{"faults":{"neverAnswer":true}}"#).await;
    let mut anna = client(&lab).await;
    say(&mut anna, json!({"type":"offer","call":"c","sdp":"v=0"})).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), anna.next()).await.is_err(), "no answer");
    let bye = ask(&mut anna, json!({"type":"bye","call":"c"})).await;
    assert_eq!((&bye["type"], &bye["call"]), (&json!("bye"), &json!("c")));
}

#[tokio::test]
async fn the_peer_of_a_vanished_client_gets_a_bye_after_the_grace() {
    let lab = lab("{}").await;
    let (mut anna, mut bert) = (client(&lab).await, client(&lab).await);
    ask(&mut bert, json!({"type":"register","name":"bert"})).await;
    say(&mut anna, json!({"type":"offer","call":"c","to":"bert","sdp":"v=0"})).await;
    assert_eq!(hear(&mut bert).await["type"], "offer");
    drop(anna);
    let bye = hear(&mut bert).await;
    assert_eq!((&bye["type"], &bye["reason"]), (&json!("bye"), &json!("the other side's WebSocket is gone")));
}

#[tokio::test]
async fn stop_closes_every_socket_with_going_away_and_frees_the_ports() {
    let lab = lab("{}").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(client(&lab).await);
    }
    let ends = tokio::spawn(async move {
        let mut ends = Vec::new();
        for client in &mut clients {
            ends.push(end(client).await.map(|(code, _)| code));
        }
        ends
    });
    let counters = within(lab.stop(Duration::from_secs(5))).await;
    assert_eq!((counters.sockets_opened, counters.sockets_open), (20, 0));
    assert_eq!(ends.await.unwrap(), vec![Some(1001); 20]);
    std::net::TcpListener::bind(lab.address()).expect("the port is free");
    let again = within(lab.stop(Duration::from_secs(5))).await;
    assert_eq!(again, counters, "stopping twice is harmless");
}

#[tokio::test]
async fn stop_is_bounded_by_its_deadline_with_clients_that_do_not_read() {
    let lab = lab("{}").await;
    let _deaf = client(&lab).await;
    within(lab.stop(Duration::from_millis(100))).await;
    assert_eq!(lab.counters().sockets_open, 0);
}

#[tokio::test]
async fn dropping_a_lab_ends_it() {
    let lab = lab("{}").await;
    let mut anna = client(&lab).await;
    let address = lab.address();
    drop(lab);
    end(&mut anna).await;
    within(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let first = lab("{}").await;
    let config = LabConfig { port: first.address().port(), ..LabConfig::default() };
    let Err(LabError::Listen { address, detail }) = Lab::start(config).await else { panic!("must not start") };
    assert_eq!(address, first.address());
    assert!(detail.contains("choose another port"), "{detail}");
}

#[tokio::test]
async fn an_address_beyond_loopback_is_refused_before_anything_is_bound() {
    let config = LabConfig { address: "192.0.2.1".parse().unwrap(), ..LabConfig::default() };
    let Err(LabError::Config(error)) = Lab::start(config).await else { panic!("must not start") };
    assert_eq!(error.field, "address");
}

#[tokio::test]
async fn the_stun_port_mirrors_the_address_and_ignores_garbage() {
    let lab = lab("{}").await;
    let server = lab.stun_url().strip_prefix("stun:").unwrap().to_owned();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"garbage", &server).await.unwrap();
    let mut request = vec![0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42];
    request.extend_from_slice(b"transaction!");
    socket.send_to(&request, &server).await.unwrap();
    let mut answer = [0; 100];
    let (length, _) = within(socket.recv_from(&mut answer)).await.unwrap();
    assert_eq!(length, 40, "header, XOR-MAPPED-ADDRESS and FINGERPRINT, nothing more");
    assert_eq!((&answer[..2], &answer[8..20]), (&[0x01, 0x01][..], &b"transaction!"[..]));
    let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
    assert_eq!(port, socket.local_addr().unwrap().port());
    assert_eq!((lab.counters().stun_requests, lab.counters().stun_ignored), (1, 1));
}
