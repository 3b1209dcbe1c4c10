//! The dial pipeline: resolve → TCP → \[proxy\] → TLS → upgrade.
//!
//! Guarantees: each phase has its own deadline and its own time, taken here, next to the system call;
//! there are no redirects and no retries; what was reached before a failure is told with it. No more
//! than 64 KiB of a response head and 16 KiB of a refusal's body are read.
//!
//! Cancel: dropping the future closes whatever was open.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::close_cause::{alert_name, tls_error};
use super::config::{Proxy, SocketConfig, Target};
use super::deflate::Agreed;
use super::{CloseCause, SocketError, literal, trust, upgrade};
use crate::net::resolver::{self, ResolveOptions};
use crate::net::tcp;

/// How much of a refusal's body is read, in bytes, and for how long.
const BODY_BYTES: usize = 16 << 10;
const BODY_TIME: Duration = Duration::from_secs(1);

/// Durations of the phases of opening, and what the server said. Times are in µs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// DNS; `None` when not needed (IP literal, `localhost`, `addresses`).
    pub dns_us: Option<u64>,
    /// Whether the addresses came from the process-wide cache; `None` when no DNS was needed.
    pub dns_from_cache: Option<bool>,
    /// TCP, to the server or to the proxy.
    pub tcp_us: u64,
    /// CONNECT sent → answer of the proxy complete; `None` without a proxy.
    pub proxy_us: Option<u64>,
    /// TLS; `None` for `ws`.
    pub tls_us: Option<u64>,
    /// Upgrade request sent → response complete.
    pub upgrade_us: u64,
    /// All phases.
    pub total_us: u64,
    /// First response byte since the upgrade request was sent.
    pub first_byte_us: u64,
    /// HTTP status (101).
    pub status: u16,
    /// Status line.
    pub status_line: String,
    /// Response headers in order.
    pub headers: Vec<(String, String)>,
    /// Bytes of the upgrade request.
    pub request_bytes: usize,
    /// Bytes of the response head.
    pub response_bytes: usize,
    /// Whether permessage-deflate was agreed.
    pub deflate: bool,
    /// TLS version as `TLSv1_3`; `None` for `ws`.
    pub tls_version: Option<String>,
    /// Address at the other end of TCP: the server's or the proxy's.
    pub peer: SocketAddr,
    /// Local address.
    pub local: SocketAddr,
}

/// The phases that opening got through; what was not reached is `None`. Times are in µs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    /// DNS.
    pub dns_us: Option<u64>,
    /// Whether the addresses came from the process-wide cache.
    pub dns_from_cache: Option<bool>,
    /// TCP.
    pub tcp_us: Option<u64>,
    /// CONNECT through the proxy.
    pub proxy_us: Option<u64>,
    /// TLS.
    pub tls_us: Option<u64>,
    /// Upgrade request sent → response complete.
    pub upgrade_us: Option<u64>,
    /// First response byte since the upgrade request was sent.
    pub first_byte_us: Option<u64>,
    /// Everything until the end or the failure.
    pub total_us: u64,
    /// Bytes of the upgrade request; zero when it was not sent.
    pub request_bytes: usize,
    /// Address at the other end of TCP.
    pub peer: Option<SocketAddr>,
    /// Local address.
    pub local: Option<SocketAddr>,
}

/// Why opening failed, and how far it got.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct OpenFailure {
    /// Why.
    pub error: SocketError,
    /// The phases before it.
    pub phases: Phases,
}

/// A connection right after the upgrade.
pub(super) struct Dialed {
    pub(super) tcp: TcpStream,
    pub(super) tls: Option<Box<rustls::ClientConnection>>,
    /// What came behind the response head.
    pub(super) leftover: Vec<u8>,
    pub(super) agreed: Option<Agreed>,
    pub(super) opened: Opened,
}

/// Opens a connection as `config` says and keeps account of its `phases`.
pub(super) async fn dial(config: &SocketConfig, phases: &mut Phases) -> Result<Dialed, SocketError> {
    let target = config.target()?;
    // Before the clock starts: reading the system's certificate store is no part of any handshake.
    let tls_config = if target.secure { Some(trust::client_config(config)?) } else { None };
    trust::check(config)?;

    let begun = Instant::now();
    let dialed = async {
        let mut tcp = Heard::over(connect(&target, config, phases).await?);
        let restarts = config.literal.is_some().then(|| Arc::clone(&tcp.at));
        let handshake = Deadline::of(config.handshake_timeout_ms, restarts);
        if let Some(proxy) = &config.proxy {
            let asked = Instant::now();
            let literal = config.literal.is_some();
            handshake.wait("proxy", pass_through(&mut tcp, proxy, &target, literal)).await?;
            phases.proxy_us = Some(micros(asked));
        }
        match tls_config {
            None => {
                let upgraded = upgrade(&mut tcp, &target, config, &handshake, phases).await?;
                Ok((tcp.stream, None, upgraded))
            }
            Some(tls_config) => {
                let name = match ServerName::try_from(target.host.clone()) {
                    Ok(name) => name,
                    // Goes out as no name at all, and a certificate that has to be verified does not have it.
                    Err(_) if config.literal.is_some() => ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                    Err(_) => {
                        let detail = format!("'{}' cannot be the name of a TLS server", target.host);
                        return Err(SocketError::Tls { alert: None, detail });
                    }
                };
                let greeted = Instant::now();
                let connecting =
                    async { TlsConnector::from(tls_config).connect(name, tcp).await.map_err(|error| of_tls(&error)) };
                let mut stream = handshake.wait("tls", connecting).await?;
                phases.tls_us = Some(micros(greeted));
                let upgraded = upgrade(&mut stream, &target, config, &handshake, phases).await?;
                let (tcp, tls) = stream.into_inner();
                Ok((tcp.stream, Some(Box::new(tls)), upgraded))
            }
        }
    };
    let dialed: Result<_, SocketError> = dialed.await;
    phases.total_us = micros(begun);
    let (tcp, tls, (head, leftover, agreed)) = dialed?;
    let (peer, local) = (phases.peer, phases.local);
    let unknown = || SocketError::Upgrade { ended: None, detail: "the connection has lost its addresses".to_owned() };
    let opened = Opened {
        dns_us: phases.dns_us,
        dns_from_cache: phases.dns_from_cache,
        tcp_us: phases.tcp_us.unwrap_or_default(),
        proxy_us: phases.proxy_us,
        tls_us: phases.tls_us,
        upgrade_us: phases.upgrade_us.unwrap_or_default(),
        total_us: phases.total_us,
        first_byte_us: phases.first_byte_us.unwrap_or_default(),
        status: head.status,
        status_line: head.status_line,
        headers: head.headers,
        request_bytes: phases.request_bytes,
        response_bytes: head.bytes,
        deflate: agreed.is_some(),
        tls_version: tls.as_ref().and_then(|tls| tls.protocol_version()).map(|version| format!("{version:?}")),
        peer: peer.ok_or_else(unknown)?,
        local: local.ok_or_else(unknown)?,
    };
    Ok(Dialed { tcp, tls, leftover, agreed, opened })
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

/// When bytes last came.
type At = Arc<Mutex<Option<Instant>>>;

/// A stream that notes when bytes come.
struct Heard<S> {
    stream: S,
    at: At,
}

impl<S> Heard<S> {
    fn over(stream: S) -> Self {
        Self { stream, at: At::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            *self.at.lock() = Some(Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The deadline of a handshake phase; zero is none.
struct Deadline {
    each: Option<Duration>,
    /// Bytes that come start it anew, as they do `SO_TIMEOUT`.
    restarts: Option<At>,
}

impl Deadline {
    fn of(ms: u64, restarts: Option<At>) -> Self {
        Self { each: (ms > 0).then(|| Duration::from_millis(ms)), restarts }
    }

    /// When the time is up that was up at `until` as far as was known before; `None` where it is.
    fn later(&self, each: Duration, until: Instant) -> Option<Instant> {
        let heard = (*self.restarts.as_ref()?.lock())?;
        Some(heard + each).filter(|later| *later > until)
    }

    async fn wait<T>(
        &self,
        phase: &'static str,
        work: impl Future<Output = Result<T, SocketError>>,
    ) -> Result<T, SocketError> {
        let Some(each) = self.each else { return work.await };
        let mut work = pin!(work);
        let mut until = Instant::now() + each;
        loop {
            if let Ok(done) = tokio::time::timeout_at(until.into(), work.as_mut()).await {
                return done;
            }
            let Some(later) = self.later(each, until) else {
                return Err(SocketError::Deadline { phase, deadline_ms: each.as_millis() as u64 });
            };
            until = later;
        }
    }
}

/// Resolves and connects to the server, or to the proxy where there is one.
async fn connect(target: &Target, config: &SocketConfig, phases: &mut Phases) -> Result<TcpStream, SocketError> {
    let (host, port) = match &config.proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (target.host.as_str(), target.port),
    };
    let given = if config.proxy.is_none() && !config.addresses.is_empty() {
        Some(config.addresses.clone())
    } else if host.is_empty() {
        Some(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
    } else {
        resolver::without_dns(host)
    };
    let addresses = match given {
        Some(addresses) => addresses,
        None => {
            let options = ResolveOptions { mode: config.dns, cache: config.dns_cache };
            let asked = Instant::now();
            let resolved = resolver::resolve_with(host, Duration::from_millis(config.dns_timeout_ms), options).await;
            phases.dns_us = Some(micros(asked));
            let resolved = resolved?;
            phases.dns_from_cache = Some(resolved.from_cache);
            resolved.addresses
        }
    };
    let deadline = Duration::from_millis(config.connect_timeout_ms);
    let dialed = Instant::now();
    let connected = tcp::connect(&addresses, port, config.source_address, deadline).await;
    phases.tcp_us = Some(micros(dialed));
    let stream = connected?;
    phases.peer = stream.peer_addr().ok();
    phases.local = stream.local_addr().ok();
    Ok(stream)
}

/// HTTP CONNECT (RFC 9110 §9.3.6) to `target` through `proxy`.
async fn pass_through<S: AsyncRead + AsyncWrite + Unpin>(
    tcp: &mut S,
    proxy: &Proxy,
    target: &Target,
    literal: bool,
) -> Result<(), SocketError> {
    let fail = |status, detail: String| SocketError::Proxy { status, detail };
    let authority = target.authority();
    let host = if literal { &target.host } else { &authority };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(user) = &proxy.user {
        let credentials = BASE64.encode(format!("{user}:{}", proxy.password.as_deref().unwrap_or_default()));
        request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
    }
    request.push_str("\r\n");
    let io_error = |error: io::Error| fail(None, format!("proxy {}:{}: {error}", proxy.host, proxy.port));
    tcp.write_all(request.as_bytes()).await.map_err(io_error)?;
    // Byte by byte: what comes behind the answer is not the proxy's but the server's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= upgrade::LONGEST_HEAD {
            return Err(fail(None, format!("the answer of the proxy is longer than {} bytes", upgrade::LONGEST_HEAD)));
        }
        match tcp.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(fail(None, format!("the proxy closed the connection after {} bytes", answer.len())));
            }
            Err(error) => return Err(io_error(error)),
        }
    }
    match upgrade::Head::parse(&answer) {
        Ok(Some(head)) if (200..300).contains(&head.status) => Ok(()),
        Ok(Some(head)) => {
            let detail = format!("the proxy refuses CONNECT {authority}: {}", head.status_line);
            Err(fail(Some(head.status), detail))
        }
        Ok(None) => Err(fail(None, "the answer of the proxy is incomplete".to_owned())),
        Err(detail) => Err(fail(None, format!("proxy: {detail}"))),
    }
}

type Upgraded = (upgrade::Head, Vec<u8>, Option<Agreed>);

/// Sends the upgrade request over `stream` and checks the answer.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Target,
    config: &SocketConfig,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Result<Upgraded, SocketError> {
    let key = upgrade::new_key();
    let request = upgrade::request(target, config, &key);
    let sent = Instant::now();
    let (head, leftover) = deadline
        .wait("upgrade", async {
            let written = async {
                stream.write_all(&request).await?;
                stream.flush().await
            };
            let written = written.await;
            phases.request_bytes = request.len();
            // A server that refuses before it has read everything resets: its answer may be there.
            let read = match config.literal {
                None => read_head(stream, sent, phases).await,
                Some(_) => read_literal_head(stream, sent, phases).await,
            };
            match read {
                Err(SocketError::Upgrade { .. }) if written.is_err() => {
                    Err(of_upgrade(&written.expect_err("just checked"), 0))
                }
                read => read,
            }
        })
        .await?;
    phases.upgrade_us = Some(micros(sent));
    if head.status != 101 {
        let body = match config.literal {
            None => refusal_body(stream, leftover, &head).await,
            // Waiting for the body would be part of the time that a plan measures.
            Some(_) => String::new(),
        };
        let upgrade::Head { status, status_line, headers, bytes } = head;
        let request_bytes = request.len();
        return Err(SocketError::Status { status, status_line, headers, body, request_bytes, response_bytes: bytes });
    }
    let agreed = match config.literal {
        None => upgrade::check(&head, config, &key)?,
        Some(_) => literal::check(&head, config.strict_upgrade, &key).map(|()| None)?,
    };
    Ok((head, leftover, agreed))
}

/// Reads a response head as leniently as [`literal::head`] takes it, and what came behind it.
async fn read_literal_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    sent: Instant,
    phases: &mut Phases,
) -> Result<(upgrade::Head, Vec<u8>), SocketError> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let read = stream.read_buf(&mut buffer).await.map_err(|error| match tls_error(&error) {
            Some(_) => of_tls(&error),
            None => SocketError::Closed { cause: CloseCause::of_io(&error) },
        })?;
        if read > 0 {
            phases.first_byte_us.get_or_insert_with(|| micros(sent));
        }
        if let Some(head) = literal::head(&buffer, read == 0)? {
            let behind = buffer.split_off(head.bytes);
            return Ok((head, behind));
        }
    }
}

/// Reads a response head, passing over interim ones (RFC 9110 §15.2), and what came behind it.
async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    sent: Instant,
    phases: &mut Phases,
) -> Result<(upgrade::Head, Vec<u8>), SocketError> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let read = stream.read_buf(&mut buffer).await.map_err(|error| of_upgrade(&error, buffer.len()))?;
        if read == 0 {
            return Err(closed_during_upgrade(buffer.len()));
        }
        phases.first_byte_us.get_or_insert_with(|| micros(sent));
        while let Some(head) =
            upgrade::Head::parse(&buffer).map_err(|detail| SocketError::Upgrade { ended: None, detail })?
        {
            let behind = buffer.split_off(head.bytes);
            if head.status == 101 || head.status >= 200 {
                return Ok((head, behind));
            }
            buffer = behind;
        }
    }
}

fn closed_during_upgrade(bytes: usize) -> SocketError {
    SocketError::Upgrade {
        ended: Some(CloseCause::Fin),
        detail: format!("end of stream: the server closed the connection after {bytes} bytes of its answer"),
    }
}

/// What an I/O error while upgrading means.
fn of_upgrade(error: &io::Error, bytes: usize) -> SocketError {
    // With TLS 1.3 a server refuses the client's certificate only after the handshake.
    if tls_error(error).is_some() {
        return of_tls(error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return closed_during_upgrade(bytes);
    }
    SocketError::Upgrade {
        ended: Some(CloseCause::of_io(error)),
        detail: format!("{error} after {bytes} bytes of the server's answer"),
    }
}

/// What an I/O error of TLS means, with what to do about it.
pub(crate) fn of_tls(error: &io::Error) -> SocketError {
    let Some(tls) = tls_error(error) else {
        let detail = match error.kind() {
            io::ErrorKind::UnexpectedEof => "TLS: the server closed the connection during the handshake".to_owned(),
            _ => format!("TLS: {error}"),
        };
        return SocketError::Tls { alert: None, detail };
    };
    let alert = match tls {
        rustls::Error::AlertReceived(alert) => Some(alert_name(*alert)),
        _ => None,
    };
    let remedy = match tls {
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        ) => "; give its issuer in trust.pem, or trust all",
        rustls::Error::InvalidMessage(_) => "; the server does not speak TLS on this port",
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            rustls::AlertDescription::ProtocolVersion | rustls::AlertDescription::HandshakeFailure,
        ) => "; TLS 1.2 or 1.3 with ECDHE and an AEAD cipher is needed, which the server does not offer",
        rustls::Error::AlertReceived(
            rustls::AlertDescription::CertificateRequired | rustls::AlertDescription::BadCertificate,
        ) => "; the server wants a client certificate that it accepts (clientCertificate)",
        _ => "",
    };
    let said = match &alert {
        Some(name) => format!("the server sent the alert {name}"),
        None => tls.to_string(),
    };
    SocketError::Tls { alert, detail: format!("TLS: {said}{remedy}") }
}

/// The body of a refusal, as far as it comes quickly: it often says why.
async fn refusal_body<S: AsyncRead + Unpin>(stream: &mut S, mut body: Vec<u8>, head: &upgrade::Head) -> String {
    let length = head.joined("Content-Length").trim().parse::<usize>().unwrap_or(BODY_BYTES).min(BODY_BYTES);
    let chunked = head.joined("Transfer-Encoding").to_ascii_lowercase().contains("chunked");
    let rest = async {
        while body.len() < length && !(chunked && body.ends_with(b"0\r\n\r\n")) {
            // An error here only ends the body: the refusal itself is already known.
            if !matches!(stream.read_buf(&mut body).await, Ok(read) if read > 0) {
                break;
            }
        }
    };
    // Running out of time only ends the body as well.
    let _in_time = tokio::time::timeout(BODY_TIME, rest).await;
    body.truncate(length);
    let text = if chunked { without_chunks(&body) } else { body };
    String::from_utf8_lossy(&text).into_owned()
}

/// The chunked coding (RFC 9112 §7.1) taken off, as far as it is complete.
fn without_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(httparse::Status::Complete((begin, size))) = httparse::parse_chunk_size(body) {
        let end = begin.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)).min(body.len());
        text.extend_from_slice(&body[begin..end]);
        body = body.get(end + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together() {
        assert_eq!(without_chunks(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), b"hello!");
        assert_eq!(without_chunks(b"5\r\nhel"), b"hel");
        assert_eq!(without_chunks(b"ffffffffffffffff\r\nx"), b"x");
        assert_eq!(without_chunks(b"junk"), b"");
    }
}
