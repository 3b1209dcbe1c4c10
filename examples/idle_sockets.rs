//! Memory per idle WebSocket: opens N sockets to a server in a process of its own and prints KiB of
//! resident memory per socket, without and with TLS, fresh and after one echo each.
//!
//! `cargo run --release --example idle_sockets [N]` (default 1000).

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jmeter_webrtc::socket::{Opcode, Socket, SocketConfig, Trust};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tungstenite::handshake::derive_accept_key;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        Some("serve-plain") => runtime.block_on(serve(false)),
        Some("serve-tls") => runtime.block_on(serve(true)),
        count => {
            let count = count.unwrap_or("1000").parse()?;
            for secure in [false, true] {
                let server = Server::start(if secure { "serve-tls" } else { "serve-plain" })?;
                runtime.block_on(measure(count, secure, server.port))?;
            }
            Ok(())
        }
    }
}

/// Opens `count` sockets, fifty at a time, and prints what they cost.
async fn measure(count: usize, secure: bool, port: u16) -> Result<(), Failure> {
    let mut config = SocketConfig::new(format!("{}://127.0.0.1:{port}/", if secure { "wss" } else { "ws" }));
    config.trust = Trust::All;
    let mut sockets = Vec::with_capacity(count + 50);
    for socket in open(&config, 50).await {
        sockets.push(socket?);
    }
    let before = resident_kib()?;
    for socket in open(&config, count).await {
        sockets.push(socket?);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let per_socket = |now: f64| (now - before) / count as f64;
    let fresh = per_socket(resident_kib()?);
    for socket in &sockets {
        socket.send(Opcode::Text, true, &[b'x'; 1000]).await?;
        socket.receive().await?;
    }
    let after = per_socket(resident_kib()?);
    let kind = if secure { "TLS" } else { "plain" };
    println!("{kind}: {count} idle sockets, {fresh:.1} KiB each, {after:.1} KiB each after an echo of 1000 bytes");
    Ok(())
}

async fn open(config: &SocketConfig, count: usize) -> Vec<Result<Socket, Failure>> {
    let opening = (0..count).map(|_| async {
        let (socket, _) = Socket::open(config).await?;
        Ok(socket)
    });
    stream::iter(opening).buffer_unordered(50).collect().await
}

/// Resident memory of this process in KiB.
fn resident_kib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The server's process; ended on drop.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(kind: &str) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?).arg(kind).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { port: line.trim().parse()?, process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Upgrades every connection and echoes frames of up to 64 KiB; prints its port first.
async fn serve(secure: bool) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let ended = if secure {
                match acceptor.accept(stream).await {
                    Ok(stream) => echo(stream).await,
                    Err(error) => Err(error),
                }
            } else {
                echo(stream).await
            };
            if let Err(error) = ended
                && error.kind() != std::io::ErrorKind::UnexpectedEof
            {
                eprintln!("connection: {error}");
            }
        });
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    stream.write_all(answer.as_bytes()).await?;
    loop {
        let first = stream.read_u8().await?;
        let length = match stream.read_u8().await? & 0x7f {
            126 => usize::from(stream.read_u16().await?),
            length => usize::from(length),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        let mut frame = vec![first];
        match length {
            0..=125 => frame.push(length as u8),
            _ => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(payload);
        stream.write_all(&frame).await?;
        stream.flush().await?;
    }
}
