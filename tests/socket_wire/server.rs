//! Servers on loopback that do what the test says, byte for byte.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use jmeter_webrtc::socket::{Socket, SocketConfig};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `test`, which has to end within [`PATIENCE`].
pub(crate) async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, test).await.expect("the test has to end in time")
}

/// A server that treats each connection with `behaviour`.
pub(crate) async fn serve<B, F>(behaviour: B) -> SocketAddr
where
    B: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behaviour(stream));
        }
    });
    address
}

/// A server that upgrades each connection and then treats it with `behaviour`.
pub(crate) async fn serve_upgraded<B, F>(behaviour: B) -> SocketAddr
where
    B: Fn(TcpStream) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    serve(move |mut stream| {
        let behaviour = behaviour.clone();
        async move {
            upgrade(&mut stream, "").await;
            behaviour(stream).await;
        }
    })
    .await
}

/// The configuration for `ws` to `address`.
pub(crate) fn config_for(address: SocketAddr) -> SocketConfig {
    SocketConfig::new(format!("ws://{address}/"))
}

/// The configuration of a connection to `address` that is taken word for word.
pub(crate) fn literal_config(address: SocketAddr, secure: bool) -> SocketConfig {
    let literal = json!({"secure": secure, "host": "127.0.0.1", "port": address.port(), "target": "/"});
    let mut config = config_for(address);
    config.literal = Some(serde_json::from_value(literal).expect("valid"));
    config
}

/// Sends `bytes` in `pieces`, with a pause before each.
pub(crate) async fn dribble<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], pieces: usize, pause: Duration) {
    for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
        tokio::time::sleep(pause).await;
        stream.write_all(piece).await.expect("the client reads");
        stream.flush().await.expect("the client reads");
    }
}

/// An open socket to `address` with the defaults.
pub(crate) async fn open(address: SocketAddr) -> Socket {
    Socket::open(&config_for(address)).await.expect("the server upgrades").0
}

/// Reads a request head.
pub(crate) async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole request"));
    }
    String::from_utf8(head).expect("a request is text")
}

/// The value of a header of a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The answer that accepts `request`, with further header lines (each ending with CR LF).
pub(crate) fn acceptance(request: &str, further: &str) -> String {
    let key = header(request, "Sec-WebSocket-Key").expect("an upgrade request has a key");
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{further}\r\n"
    )
}

/// Accepts the upgrade and returns the request.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, further: &str) -> String {
    let request = request(stream).await;
    stream.write_all(acceptance(&request, further).as_bytes()).await.expect("the client reads");
    request
}

/// A server's frame; `first` is FIN, RSV bits and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// The next frame of a client: first byte and unmasked payload; `None` at the end of the stream.
pub(crate) async fn client_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let second = stream.read_u8().await.ok()?;
    assert_eq!(second & 0x80, 0x80, "a client masks");
    let length = match second & 0x7f {
        126 => usize::from(stream.read_u16().await.ok()?),
        127 => usize::try_from(stream.read_u64().await.ok()?).expect("it fits"),
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Some((first, payload))
}

/// Waits until the client has ended the connection.
pub(crate) async fn until_end<S: AsyncRead + Unpin>(stream: &mut S) {
    while client_frame(stream).await.is_some() {}
}
