//! Opening: each phase, and each way it fails.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jmeter_webrtc::socket::{Opcode, Proxy, Socket, SocketConfig, SocketError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::server::{
    acceptance, config_for, frame, header, request, serve, serve_upgraded, until_end, upgrade, within,
};

async fn failure(config: &SocketConfig) -> SocketError {
    within(Socket::open(config)).await.expect_err("opening has to fail")
}

/// The failure of an upgrade that a server answers with `answer`, after which it closes.
async fn failure_by(answer: &'static str) -> SocketError {
    let address = serve(move |mut stream| async move {
        request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.expect("the client reads");
    })
    .await;
    failure(&config_for(address)).await
}

#[tokio::test]
async fn what_the_server_said_is_kept_with_its_sizes() {
    let address = serve(|mut stream| async move {
        upgrade(&mut stream, "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n").await;
        until_end(&mut stream).await;
    })
    .await;
    let (socket, opened) = within(Socket::open(&config_for(address))).await.expect("the server upgrades");
    assert_eq!((opened.status, opened.status_line.as_str()), (101, "HTTP/1.1 101 Switching Protocols"));
    let cookies: Vec<_> =
        opened.headers.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(opened.peer, address);
    let key = "A".repeat(24);
    let answer = acceptance(&format!("Sec-WebSocket-Key: {key}"), "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
    assert_eq!(opened.response_bytes, answer.len());
    assert!(opened.request_bytes > 100);
    assert_eq!((opened.dns_us, opened.dns_from_cache, opened.tls_us, opened.proxy_us), (None, None, None, None));
    assert!(opened.total_us >= opened.tcp_us + opened.upgrade_us);
    assert!(opened.first_byte_us <= opened.upgrade_us);
    assert_eq!(socket.opened().local, opened.local);
}

#[tokio::test]
async fn the_request_has_the_users_headers_in_order_and_always_the_port() {
    let (requests, mut seen) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let requests = requests.clone();
        async move {
            requests.send(upgrade(&mut stream, "").await).expect("the test listens");
            until_end(&mut stream).await;
        }
    })
    .await;
    let mut config = SocketConfig::new(format!("ws://softphone.test:{}/a?b=c", address.port()));
    config.addresses = vec![address.ip()];
    config.headers = vec![
        ("X-Z".to_owned(), "1".to_owned()),
        ("X-A".to_owned(), "2".to_owned()),
        ("x-z".to_owned(), "3".to_owned()),
    ];
    within(Socket::open(&config)).await.expect("the server upgrades");
    let request = within(seen.recv()).await.expect("a request");
    let begin = format!(
        "GET /a?b=c HTTP/1.1\r\nHost: softphone.test:{}\r\nX-Z: 1\r\nX-A: 2\r\nx-z: 3\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        address.port()
    );
    assert!(request.starts_with(&begin), "{request}");
    assert_eq!(header(&request, "Sec-WebSocket-Version"), Some("13"));
}

#[tokio::test]
async fn bytes_right_behind_the_answer_reach_readers() {
    let address = serve(|mut stream| async move {
        let mut answer = acceptance(&request(&mut stream).await, "").into_bytes();
        answer.extend(frame(0x81, b"at once"));
        stream.write_all(&answer).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let (socket, _) = within(Socket::open(&config_for(address))).await.expect("the server upgrades");
    let received = within(socket.receive()).await.expect("a frame");
    assert_eq!((received.opcode, received.payload.as_ref()), (Opcode::Text, b"at once".as_slice()));
}

#[tokio::test]
async fn a_dead_address_gives_way_to_a_living_one() {
    let address = serve_upgraded(|mut stream| async move { until_end(&mut stream).await }).await;
    let mut config = SocketConfig::new(format!("ws://softphone.test:{}/", address.port()));
    config.addresses = vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77)), address.ip()];
    let (_socket, opened) = within(Socket::open(&config)).await.expect("the second address lives");
    assert_eq!(opened.peer, address);
}

#[tokio::test]
async fn a_refused_connection_is_told_with_errno_and_phases() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let failure = within(Socket::open_phased(&config_for(address))).await.expect_err("nobody listens");
    assert!(
        matches!(&failure.error, SocketError::Connect { errno: Some(111), timed_out: false, attempts, .. } if attempts.len() == 1),
        "{failure}"
    );
    assert!(failure.phases.tcp_us.is_some() && failure.phases.upgrade_us.is_none());
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_failure_with_its_host() {
    let mut config = SocketConfig::new("ws://no.such.host.invalid/");
    config.dns_timeout_ms = 3000;
    let error = failure(&config).await;
    assert!(matches!(&error, SocketError::Dns { host, .. } if host == "no.such.host.invalid"), "{error}");
    assert!(error.to_string().starts_with("no.such.host.invalid: "), "{error}");
}

#[tokio::test]
async fn silence_in_the_upgrade_ends_at_its_deadline() {
    let address = serve(|mut stream| async move { until_end_of_bytes(&mut stream).await }).await;
    let mut config = config_for(address);
    config.handshake_timeout_ms = 100;
    let error = failure(&config).await;
    assert!(matches!(error, SocketError::Deadline { phase: "upgrade", deadline_ms: 100 }), "{error}");
}

async fn until_end_of_bytes(stream: &mut TcpStream) {
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(read) if read > 0) {}
}

#[tokio::test]
async fn silence_in_tls_ends_at_its_deadline() {
    let address = serve(|mut stream| async move { until_end_of_bytes(&mut stream).await }).await;
    let mut config = SocketConfig::new(format!("wss://{address}/"));
    config.trust = jmeter_webrtc::socket::Trust::All;
    config.handshake_timeout_ms = 100;
    let error = failure(&config).await;
    assert!(matches!(error, SocketError::Deadline { phase: "tls", deadline_ms: 100 }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_kept_whole() {
    for (answer, status, retry_after, body) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nno way and more", 403, None, "no way"),
        ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\n\r\nslow down", 429, Some("30"), "slow down"),
        (
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfull\r\n0\r\n\r\n",
            503,
            Some("5"),
            "full",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, None, ""),
    ] {
        let error = failure_by(answer).await;
        let line = answer.lines().next().expect("a status line");
        assert_eq!(error.to_string(), format!("Got unexpected status {status} with statusLine:{line}"));
        let SocketError::Status { status: got, headers, body: said, request_bytes, response_bytes, .. } = error else {
            panic!("a status");
        };
        assert_eq!((got, said.as_str()), (status, body));
        let after = headers.iter().find(|(name, _)| name == "Retry-After").map(|(_, value)| value.as_str());
        assert_eq!(after, retry_after);
        assert!(request_bytes > 100);
        assert_eq!(response_bytes, answer.find("\r\n\r\n").expect("a head") + 4);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_tried_twice() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = serve(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n").await.expect("the client reads");
        }
    })
    .await;
    let error = failure(&config_for(address)).await;
    assert!(matches!(error, SocketError::Status { status: 302, .. }), "{error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_interim_answer_is_passed_over() {
    let address = serve(|mut stream| async move {
        let request = request(&mut stream).await;
        let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{}", acceptance(&request, ""));
        stream.write_all(answer.as_bytes()).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let (_socket, opened) = within(Socket::open(&config_for(address))).await.expect("the server upgrades");
    assert_eq!(opened.status, 101);
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_named() {
    for (answer, word) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        ("HTTP/1.1 101 Switching Proto", "after 28 bytes"),
        ("", "after 0 bytes"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
            "Sec-WebSocket-Accept",
        ),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", "'Upgrade' header"),
    ] {
        let error = failure_by(answer).await;
        assert!(matches!(error, SocketError::Upgrade { .. }) && error.to_string().contains(word), "{word}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_at_its_bound() {
    let address = serve(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").await.expect("the client reads");
        while stream.write_all(b"X-Filler: 0123456789012345678901234567890123456789\r\n").await.is_ok() {}
    })
    .await;
    let error = failure(&config_for(address)).await;
    assert!(matches!(&error, SocketError::Upgrade { .. }), "{error}");
}

#[tokio::test]
async fn a_strict_upgrade_refuses_a_connection_list() {
    let address = serve_upgraded(|mut stream| async move { until_end(&mut stream).await }).await;
    let mut config = config_for(address);
    config.strict_upgrade = true;
    let error = failure(&config).await;
    assert_eq!(error.to_string(), "Server response should contain 'Connection' header with value 'Upgrade'");
}

#[tokio::test]
async fn bad_input_leaves_no_packet() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = serve(move |_stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async {}
    })
    .await;
    let mut config = config_for(address);
    config.headers = vec![("X".to_owned(), "1".to_owned()), ("Evil".to_owned(), "a\r\nInjected: b".to_owned())];
    let error = failure(&config).await;
    assert!(matches!(&error, SocketError::Config(config) if config.field == "headers[1]"), "{error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_dropped_opening_closes_its_connection() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let ended = ended.clone();
        async move {
            until_end_of_bytes(&mut stream).await;
            ended.send(()).expect("the test listens");
        }
    })
    .await;
    let config = config_for(address);
    tokio::time::timeout(Duration::from_millis(100), Socket::open(&config)).await.expect_err("the server is silent");
    within(ends.recv()).await.expect("the server sees the end");
}

/// A proxy that answers CONNECT with `answer` and, if that is a success, relays to `target`.
async fn proxy(answer: &'static str, requests: mpsc::UnboundedSender<String>) -> std::net::SocketAddr {
    serve(move |mut client| {
        let requests = requests.clone();
        async move {
            let connect = request(&mut client).await;
            let target = connect.split(' ').nth(1).expect("an authority").to_owned();
            requests.send(connect).expect("the test listens");
            client.write_all(answer.as_bytes()).await.expect("the client reads");
            if answer.contains(" 200 ") {
                let mut server = TcpStream::connect(target).await.expect("the server listens");
                // Either end of the relay may end it.
                let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        }
    })
    .await
}

fn through(proxy: std::net::SocketAddr, password: &str) -> Proxy {
    let (user, password) = (Some("me".to_owned()), Some(password.to_owned()));
    Proxy { host: proxy.ip().to_string(), port: proxy.port(), user, password }
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_with_its_credentials() {
    let address = serve_upgraded(|mut stream| async move {
        stream.write_all(&frame(0x81, b"through")).await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let (requests, mut seen) = mpsc::unbounded_channel();
    let proxy = proxy("HTTP/1.1 200 Connection established\r\n\r\n", requests).await;
    let mut config = config_for(address);
    config.proxy = Some(through(proxy, "secret"));
    let (socket, opened) = within(Socket::open(&config)).await.expect("the proxy connects");
    let connect = within(seen.recv()).await.expect("a request");
    assert!(connect.starts_with(&format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n")), "{connect}");
    assert_eq!(header(&connect, "Proxy-Authorization"), Some("Basic bWU6c2VjcmV0"));
    assert!(opened.proxy_us.is_some());
    assert_eq!(opened.peer, proxy);
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, "through");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    let (requests, _seen) = mpsc::unbounded_channel();
    let proxy = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", requests).await;
    let mut config = SocketConfig::new("ws://192.0.2.1:81/");
    config.proxy = Some(through(proxy, "secret"));
    let error = failure(&config).await;
    assert!(matches!(&error, SocketError::Proxy { status: Some(407), .. }), "{error}");
    assert!(error.to_string().contains("CONNECT 192.0.2.1:81") && !error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_silent_proxy_ends_at_its_deadline() {
    let proxy = serve(|mut stream| async move { until_end_of_bytes(&mut stream).await }).await;
    let mut config = SocketConfig::new("ws://192.0.2.1:81/");
    config.proxy = Some(through(proxy, ""));
    config.handshake_timeout_ms = 100;
    let error = failure(&config).await;
    assert!(matches!(error, SocketError::Deadline { phase: "proxy", .. }), "{error}");
}
