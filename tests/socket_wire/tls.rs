//! TLS: whom to trust, what is refused, and sockets over it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jmeter_webrtc::socket::{ClientCertificate, CloseCause, Opcode, Socket, SocketConfig, SocketError, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{
    acceptance, client_frame, dribble, frame, literal_config, request, serve, until_end, upgrade, within,
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    issuer_named("issuer of the test")
}

fn issuer_named(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// PEM certificate and key for `name`, issued by `issuer`.
fn issued(issuer: &Issuer, name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.signed_by(&key, issuer).expect("a certificate").pem(), key.serialize_pem())
}

/// A server's configuration; clients need a certificate of `clients`, if given.
fn server_config(certificate: &(String, String), clients: Option<&Issuer>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has them");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).expect("a certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a root"))
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.0.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(certificate.1.as_bytes()).expect("PEM");
    Arc::new(builder.with_single_cert(chain, key).expect("they go together"))
}

/// A TLS server that upgrades and then treats each connection with `behaviour`.
async fn serve_tls<B, F>(config: Arc<ServerConfig>, behaviour: B) -> SocketAddr
where
    B: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    serve(move |stream| {
        let (acceptor, behaviour) = (TlsAcceptor::from(Arc::clone(&config)), behaviour.clone());
        async move {
            // A client that refuses the certificate is what some tests are about.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                upgrade(&mut stream, "").await;
                behaviour(stream).await;
            }
        }
    })
    .await
}

fn config_for(address: SocketAddr, trust: Trust) -> SocketConfig {
    let mut config = SocketConfig::new(format!("wss://softphone.test:{}/", address.port()));
    config.addresses = vec![address.ip()];
    config.trust = trust;
    config
}

async fn echo(mut stream: TlsStream<TcpStream>) {
    while let Some((first, payload)) = client_frame(&mut stream).await {
        stream.write_all(&frame(first, &payload)).await.expect("the client reads");
    }
}

async fn idle(mut stream: TlsStream<TcpStream>) {
    until_end(&mut stream).await;
}

#[tokio::test]
async fn an_issuer_given_as_pem_is_trusted_and_frames_of_all_sizes_pass() {
    let issuer = issuer();
    let address = serve_tls(server_config(&issued(&issuer, "softphone.test"), None), echo).await;
    let config = config_for(address, Trust::Pem(issuer.pem()));
    let (socket, opened) = within(Socket::open(&config)).await.expect("the issuer is trusted");
    assert!(opened.tls_us.is_some());
    assert_eq!(opened.tls_version.as_deref(), Some("TLSv1_3"));
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let payload: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
        let (sent, received) =
            within(async { tokio::join!(socket.send(Opcode::Binary, true, &payload), socket.receive()) }).await;
        sent.expect("the server reads");
        assert!(received.expect("an echo").payload == payload, "{size} bytes");
    }
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_with_the_remedy() {
    let address = serve_tls(server_config(&issued(&issuer(), "softphone.test"), None), idle).await;
    for other in [issuer(), issuer_named("another issuer")] {
        let config = config_for(address, Trust::Pem(other.pem()));
        let error = within(Socket::open(&config)).await.expect_err("not trusted");
        assert!(matches!(&error, SocketError::Tls { alert: None, .. }), "{error}");
        assert!(error.to_string().contains("trust.pem"), "{error}");
    }
}

#[tokio::test]
async fn another_name_is_refused() {
    let issuer = issuer();
    let address = serve_tls(server_config(&issued(&issuer, "elsewhere.test"), None), idle).await;
    let error = within(Socket::open(&config_for(address, Trust::Pem(issuer.pem())))).await.expect_err("another name");
    assert!(matches!(&error, SocketError::Tls { .. }) && error.to_string().contains("softphone.test"), "{error}");
}

#[tokio::test]
async fn everybody_is_trusted_where_the_user_says_so() {
    let address = serve_tls(server_config(&issued(&issuer(), "elsewhere.test"), None), echo).await;
    let (socket, _) = within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    within(socket.send(Opcode::Text, true, b"hello")).await.expect("the server reads");
    assert_eq!(within(socket.receive()).await.expect("an echo").payload, "hello");
}

#[tokio::test]
async fn the_host_name_is_sent_as_server_name() {
    let (names, mut seen) = mpsc::unbounded_channel();
    let config = server_config(&issued(&issuer(), "softphone.test"), None);
    let address = serve_tls(config, move |mut stream| {
        let names = names.clone();
        async move {
            names.send(stream.get_ref().1.server_name().map(str::to_owned)).expect("the test listens");
            until_end(&mut stream).await;
        }
    })
    .await;
    within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    assert_eq!(within(seen.recv()).await.expect("a connection").as_deref(), Some("softphone.test"));
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_lack_is_the_servers_alert() {
    let issuer = issuer();
    let server = server_config(&issued(&issuer, "softphone.test"), Some(&issuer));
    let address = serve_tls(server, echo).await;
    let mut config = config_for(address, Trust::Pem(issuer.pem()));
    let error = within(Socket::open(&config)).await.expect_err("no certificate");
    assert!(
        matches!(&error, SocketError::Tls { alert: Some(alert), .. } if alert == "certificate_required"),
        "{error}"
    );
    assert!(error.to_string().contains("clientCertificate"), "{error}");

    let (chain_pem, key_pem) = issued(&issuer, "client.test");
    config.client_certificate = Some(ClientCertificate { chain_pem, key_pem });
    let (socket, _) = within(Socket::open(&config)).await.expect("the certificate is accepted");
    within(socket.send(Opcode::Text, true, b"hello")).await.expect("the server reads");
    assert_eq!(within(socket.receive()).await.expect("an echo").payload, "hello");
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let address = serve(|mut stream| async move {
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.expect("a hello");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client reads");
    })
    .await;
    let error = within(Socket::open(&config_for(address, Trust::All))).await.expect_err("no TLS");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_ping_over_tls_is_answered_while_nobody_reads() {
    let (pongs, mut seen) = mpsc::unbounded_channel();
    let config = server_config(&issued(&issuer(), "softphone.test"), None);
    let address = serve_tls(config, move |mut stream| {
        let pongs = pongs.clone();
        async move {
            stream.write_all(&frame(0x89, b"alive?")).await.expect("the client reads");
            stream.flush().await.expect("the client reads");
            pongs.send(client_frame(&mut stream).await).expect("the test listens");
            until_end(&mut stream).await;
        }
    })
    .await;
    let (_socket, _) = within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    assert_eq!(within(seen.recv()).await.expect("an answer"), Some((0x8a, b"alive?".to_vec())));
}

#[tokio::test]
async fn frames_in_the_record_of_the_answer_reach_readers() {
    let acceptor = TlsAcceptor::from(server_config(&issued(&issuer(), "softphone.test"), None));
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.expect("everybody is trusted");
            let mut answer = acceptance(&request(&mut stream).await, "").into_bytes();
            answer.extend(frame(0x82, &[7; 5000]));
            answer.extend(frame(0x81, b"and another"));
            stream.write_all(&answer).await.expect("the client reads");
            until_end(&mut stream).await;
        }
    })
    .await;
    let (socket, _) = within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, vec![7; 5000]);
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, "and another");
}

#[tokio::test]
async fn a_server_with_tls_1_2_only_is_spoken_to() {
    let certificate = issued(&issuer(), "softphone.test");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(certificate.0.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(certificate.1.as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("ring has it")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they go together");
    let address = serve_tls(Arc::new(config), echo).await;
    let (socket, opened) = within(Socket::open(&config_for(address, Trust::All))).await.expect("TLS 1.2 is spoken");
    assert_eq!(opened.tls_version.as_deref(), Some("TLSv1_2"));
    within(socket.send(Opcode::Text, true, b"hello")).await.expect("the server reads");
    assert_eq!(within(socket.receive()).await.expect("an echo").payload, "hello");
}

#[tokio::test]
async fn the_end_of_tls_without_a_close_frame_is_a_fin() {
    let config = server_config(&issued(&issuer(), "softphone.test"), None);
    let address = serve_tls(config, |mut stream| async move {
        stream.write_all(&frame(0x81, b"last words")).await.expect("the client reads");
        stream.shutdown().await.expect("the client reads");
    })
    .await;
    let (socket, _) = within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    assert_eq!(within(socket.receive()).await.expect("a frame").payload, "last words");
    let error = within(socket.receive()).await.expect_err("the end");
    assert!(matches!(error, SocketError::Closed { cause: CloseCause::Fin }), "{error}");
}

#[tokio::test]
async fn an_alert_of_the_server_is_the_cause_of_the_end() {
    let server = serve_tls(server_config(&issued(&issuer(), "softphone.test"), None), echo).await;
    // A relay that spoils what the client sends once it is told to.
    let (spoil, spoiling) = tokio::sync::watch::channel(false);
    let relay = serve(move |client| {
        let spoiling = spoiling.clone();
        async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) =
                TcpStream::connect(server).await.expect("the server listens").into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                if *spoiling.borrow() {
                    buffer[read - 1] ^= 1;
                }
                to_server.write_all(&buffer[..read]).await.expect("the server reads");
            }
        }
    })
    .await;
    let (socket, _) = within(Socket::open(&config_for(relay, Trust::All))).await.expect("not spoilt yet");
    spoil.send_replace(true);
    within(socket.send(Opcode::Text, true, b"spoilt")).await.expect("the kernel takes it");
    let error = within(socket.receive()).await.expect_err("the end");
    let alert = CloseCause::TlsAlert { alert: "bad_record_mac".to_owned() };
    assert!(matches!(&error, SocketError::Closed { cause } if *cause == alert), "{error}");
}

#[tokio::test]
async fn a_tls_handshake_whose_pieces_come_in_time_may_come_late_as_a_whole() {
    let server = serve_tls(server_config(&issued(&issuer(), "softphone.test"), None), idle).await;
    // A relay that takes 2.4 s for the server's part of the handshake.
    let relay = serve(move |client| async move {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) =
            TcpStream::connect(server).await.expect("the server listens").into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buffer = [0; 64 << 10];
        let read = from_server.read(&mut buffer).await.expect("the server's part");
        dribble(&mut to_client, &buffer[..read], 6, Duration::from_millis(400)).await;
        // The client may be gone.
        let _copied = tokio::io::copy(&mut from_server, &mut to_client).await;
    })
    .await;
    let mut config = literal_config(relay, true);
    config.trust = Trust::All;
    config.handshake_timeout_ms = 2_000;
    let (_socket, opened) = within(Socket::open(&config)).await.expect("every piece comes in time");
    assert!(opened.tls_us.is_some_and(|us| us >= 2_000_000), "{opened:?}");
}

/// A server of another make with a certificate that [`issued`] cannot make: X.509 v1, out of date, and a key of 1024 bits. It
/// takes one connection, which it upgrades. Ended on drop.
struct OldServer {
    process: Child,
    address: SocketAddr,
}

impl OldServer {
    fn start(version: &str) -> Self {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("old-server{version}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        for command in [
            "genrsa -out key.pem 1024",
            "req -new -key key.pem -subj /CN=old.example -out request.pem",
            "x509 -req -in request.pem -signkey key.pem -set_serial 1 -days -1 -out certificate.pem",
        ] {
            let made = Command::new("openssl").args(command.split(' ')).current_dir(&directory).output();
            assert!(made.as_ref().is_ok_and(|made| made.status.success()), "openssl {command}: {made:?}");
        }
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cipher", "DEFAULT@SECLEVEL=0", version])
            .args(["-cert", "certificate.pem", "-key", "key.pem"])
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut answers = process.stdin.take().expect("piped");
        let mut said = BufReader::new(process.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let address = said.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).expect("it listens");
        std::thread::spawn(move || {
            use std::io::Write as _;
            // Between reports of its own it prints what the client sends, and sends what it is given.
            if let Some(key) = said.find(|line| line.starts_with("Sec-WebSocket-Key")) {
                let answer = [acceptance(&key, "").as_bytes(), &frame(0x81, b"from the past")].concat();
                answers.write_all(&answer).expect("it reads");
                said.for_each(drop);
            }
        });
        std::fs::remove_dir_all(&directory).expect("they are read");
        Self { process, address: address.parse().expect("an address") }
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.process.kill();
        let _status = self.process.wait();
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_trusted_where_everybody_is() {
    for version in ["-tls1_2", "-tls1_3"] {
        let server = OldServer::start(version);
        let opened = within(Socket::open(&config_for(server.address, Trust::All))).await;
        let (socket, _) = opened.unwrap_or_else(|error| panic!("{version}: {error}"));
        assert_eq!(within(socket.receive()).await.expect("a frame").payload, "from the past");
        let refusing = OldServer::start(version);
        let error = within(Socket::open(&config_for(refusing.address, Trust::System))).await.expect_err("who is it?");
        assert!(matches!(error, SocketError::Tls { alert: None, .. }), "{error}");
    }
}

#[tokio::test]
async fn frames_beyond_the_queue_of_a_literal_socket_wait_in_tls_too() {
    const FRAMES: u16 = 1_000;
    let address = serve_tls(server_config(&issued(&issuer(), "softphone.test"), None), |mut stream| async move {
        for number in 0..FRAMES {
            let payload = [number.to_be_bytes().as_slice(), &[0; 5_000]].concat();
            stream.write_all(&frame(0x82, &payload)).await.expect("the client reads");
        }
        stream.flush().await.expect("the client reads");
        until_end(&mut stream).await;
    })
    .await;
    let mut config = literal_config(address, true);
    (config.trust, config.queue_frames) = (Trust::All, 50);
    let (socket, _) = within(Socket::open(&config)).await.expect("everybody is trusted");
    tokio::time::sleep(Duration::from_millis(300)).await;
    for number in 0..FRAMES {
        let received = within(socket.receive()).await.expect("a frame");
        assert_eq!(received.payload[..2], number.to_be_bytes());
        assert!(socket.counters().queued < 100, "bounded");
    }
    assert_eq!(socket.counters().overflowed, 0);
}

#[tokio::test]
async fn dropping_a_socket_over_tls_says_good_bye() {
    let (ends, mut seen) = mpsc::unbounded_channel();
    let config = server_config(&issued(&issuer(), "softphone.test"), None);
    let address = serve_tls(config, move |mut stream| {
        let ends = ends.clone();
        async move {
            // An end without close_notify would be an error here.
            let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 16])).await;
            ends.send(matches!(end, Ok(Ok(0)))).expect("the test listens");
        }
    })
    .await;
    let (socket, _) = within(Socket::open(&config_for(address, Trust::All))).await.expect("everybody is trusted");
    drop(socket);
    assert!(within(seen.recv()).await.expect("an end"));
}
