//! One STUN or TURN server, asked over one transport: a Binding (RFC 8489), or an Allocate with credentials that is given
//! back at once (RFC 8656). Every wait ends at the deadline; dropping a probe closes its socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::crypto::RTCCryptoProvider;
use rtc::stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME,
    ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};
use rtc::stun::error_code::ErrorCodeAttribute;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{
    BINDING_REQUEST, CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, METHOD_ALLOCATE,
    METHOD_REFRESH, Message, MessageType, Setter, TransactionId,
};
use rtc::stun::textattrs::TextAttribute;
use rtc::stun::xoraddr::XorMappedAddress;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{sleep_until, timeout_at};

use crate::net::facts::ServerTransport;
use crate::net::tcp;
use crate::peer::IceUrl;
use crate::socket::{Trust, tls_client};

/// First retransmission over UDP; it doubles (RFC 8489 §6.2.1, whose 500 ms are for unknown paths).
const RETRANSMIT: Duration = Duration::from_millis(250);
/// Largest message that is read from a stream.
const LARGEST: usize = 8 * 1024;
/// REQUESTED-TRANSPORT: UDP (RFC 8656 §18.7).
const UDP_PROTOCOL: [u8; 4] = [17, 0, 0, 0];

/// A part of a message.
type Part = Box<dyn Setter + Send + Sync>;

/// User name and credential of a TURN server.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) credential: String,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Of the transaction that succeeded.
    pub(super) round_trip: Duration,
    /// Our address as the server sees it.
    pub(super) mapped: Option<SocketAddr>,
    /// What it relays for us, given back already.
    pub(super) relayed: Option<SocketAddr>,
    /// It relays for everybody, without credentials.
    pub(super) open_to_all: bool,
}

/// Why there is no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// A STUN error response.
    #[error("error {code}{}", .reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    Rejected { code: u16, reason: Option<String>, authenticated: bool },
    /// The system's errno says that nobody listens there.
    #[error("the port is closed ({0})")]
    Closed(String),
    /// Nothing came.
    #[error("no answer within {0} ms")]
    Silent(u128),
    /// No connection: TCP or TLS.
    #[error("{0}")]
    Connection(String),
    /// The answer is none.
    #[error("not a usable answer: {0}")]
    Garbage(String),
}

impl Refusal {
    /// What to do about it.
    pub(super) fn advice(&self, turn: bool) -> &'static str {
        match self {
            Self::Rejected { code: 300, .. } => {
                "the server sends clients elsewhere (ALTERNATE-SERVER): name that server"
            }
            Self::Rejected { code: 401 | 441, .. } => {
                "user name or credential are wrong, or time-limited ones have expired: compare them with the server's"
            }
            Self::Rejected { code: 403, .. } => "the server forbids it: ask who runs it which addresses may relay",
            Self::Rejected { code: 438, .. } => {
                "the server takes none of its own nonces: its clock or its cluster is broken"
            }
            Self::Rejected { code: 442, .. } => "the server does not relay UDP",
            Self::Rejected { code: 486, .. } => {
                "the quota of this user is used up: raise it, use more users, or wait for allocations of an earlier run to expire (10 minutes)"
            }
            Self::Rejected { code: 508, .. } => "the server has no capacity left: more relay ports, or more servers",
            Self::Rejected { .. } => "see the server's log for this request",
            Self::Closed(_) => "nobody listens there: check host and port, and that the server runs",
            Self::Silent(_) if turn => {
                "a firewall drops it, or the server is down: try turn: over TCP or turns: over TLS"
            }
            Self::Silent(_) => "a firewall drops UDP to it, or the server is down",
            Self::Connection(_) => "check host, port and certificate",
            Self::Garbage(_) => "another service answers there: check the port",
        }
    }
}

/// Asks the server at `address`.
pub(super) async fn ask(
    url: &IceUrl,
    address: IpAddr,
    source: Option<IpAddr>,
    credentials: &Credentials,
    trust: &Trust,
    timeout: Duration,
) -> Result<Answer, Refusal> {
    let deadline = Instant::now() + timeout;
    let server = SocketAddr::new(address, url.port);
    let mut link = Link::open(url, server, source, trust, timeout, deadline).await?;
    if url.turn { allocate(&mut link, credentials, deadline).await } else { bind(&mut link, deadline).await }
}

async fn bind(link: &mut Link, deadline: Instant) -> Result<Answer, Refusal> {
    let (response, round_trip) = link.transact(build(&[Box::new(BINDING_REQUEST)])?, deadline).await?;
    if response.typ.class == CLASS_ERROR_RESPONSE {
        return Err(rejected(&response, false));
    }
    let mapped = address(&response, Address::Mapped);
    if mapped.is_none() {
        return Err(Refusal::Garbage("a Binding success without XOR-MAPPED-ADDRESS".to_owned()));
    }
    Ok(Answer { round_trip, mapped, relayed: None, open_to_all: false })
}

async fn allocate(link: &mut Link, credentials: &Credentials, deadline: Instant) -> Result<Answer, Refusal> {
    let provider = rtc::crypto::default_provider().map_err(|error| Refusal::Garbage(error.to_string()))?;
    let kind = MessageType::new(METHOD_ALLOCATE, CLASS_REQUEST);
    let (mut response, mut round_trip) =
        link.transact(build(&[Box::new(kind), Box::new(RequestUdp)])?, deadline).await?;
    let mut login = None;
    // The first 401 brings realm and nonce; a nonce may go stale at once when it is used again (438).
    for _ in 0..2 {
        let code = error_code(&response);
        if !(code == Some(401) && login.is_none() || code == Some(438)) {
            break;
        }
        let challenge = Login::of(&response, credentials, &provider)?;
        let request = challenge.sign(&[Box::new(kind), Box::new(RequestUdp)])?;
        login = Some(challenge);
        (response, round_trip) = link.transact(request, deadline).await?;
    }
    if response.typ.class != CLASS_SUCCESS_RESPONSE {
        return Err(rejected(&response, login.is_some()));
    }
    let relayed = address(&response, Address::Relayed);
    if relayed.is_none() {
        return Err(Refusal::Garbage("an Allocate success without XOR-RELAYED-ADDRESS".to_owned()));
    }
    give_back(link, login.as_ref(), deadline).await;
    let mapped = address(&response, Address::Mapped);
    Ok(Answer { round_trip, mapped, relayed, open_to_all: login.is_none() })
}

/// Refresh with lifetime 0: the allocation would count against the quota for ten minutes.
async fn give_back(link: &mut Link, login: Option<&Login>, deadline: Instant) {
    let kind = MessageType::new(METHOD_REFRESH, CLASS_REQUEST);
    let setters: [Part; 2] = [Box::new(kind), Box::new(NoLifetime)];
    let request = match login {
        Some(login) => login.sign(&setters),
        None => build(&setters),
    };
    let given_back = match request {
        Ok(request) => link.transact(request, deadline).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = given_back {
        log::warn!("an allocation of the preflight was not given back, it expires by itself: {error}");
    }
}

/// Long-term credentials as one server wants them (RFC 8489 §9.2).
struct Login {
    realm: String,
    nonce: String,
    username: String,
    key: Vec<u8>,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl Login {
    fn of(
        challenge: &Message,
        credentials: &Credentials,
        provider: &Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, Refusal> {
        let text = |kind| {
            TextAttribute::get_from_as(challenge, kind)
                .map(|attribute| attribute.text)
                .map_err(|_| Refusal::Garbage("401 without REALM and NONCE".to_owned()))
        };
        let (realm, nonce) = (text(ATTR_REALM)?, text(ATTR_NONCE)?);
        let Credentials { username, credential } = credentials.clone();
        let key =
            MessageIntegrity::long_term_integrity_key(username.clone(), realm.clone(), credential, provider.crypto())
                .map_err(|error| Refusal::Garbage(error.to_string()))?;
        Ok(Self { realm, nonce, username, key, provider: Arc::clone(provider) })
    }

    fn sign(&self, setters: &[Part]) -> Result<Message, Refusal> {
        let mut message = build(setters)?;
        let text = |kind, text: &str| TextAttribute::new(kind, text.to_owned());
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(self.key.clone(), self.provider.crypto());
        let added = text(ATTR_USERNAME, &self.username)
            .add_to(&mut message)
            .and_then(|()| text(ATTR_REALM, &self.realm).add_to(&mut message))
            .and_then(|()| text(ATTR_NONCE, &self.nonce).add_to(&mut message))
            .and_then(|()| integrity.add_to(&mut message));
        added.map_err(|error| Refusal::Garbage(error.to_string()))?;
        Ok(message)
    }
}

/// REQUESTED-TRANSPORT with UDP.
struct RequestUdp;

impl Setter for RequestUdp {
    fn add_to(&self, message: &mut Message) -> rtc::shared::error::Result<()> {
        message.add(ATTR_REQUESTED_TRANSPORT, &UDP_PROTOCOL);
        Ok(())
    }
}

/// LIFETIME 0.
struct NoLifetime;

impl Setter for NoLifetime {
    fn add_to(&self, message: &mut Message) -> rtc::shared::error::Result<()> {
        message.add(ATTR_LIFETIME, &[0; 4]);
        Ok(())
    }
}

fn build(setters: &[Part]) -> Result<Message, Refusal> {
    let mut message = Message::new();
    let id = TransactionId::new();
    let mut built = id.add_to(&mut message);
    for setter in setters {
        built = built.and_then(|()| setter.add_to(&mut message));
    }
    message.write_header();
    built.map(|()| message).map_err(|error| Refusal::Garbage(error.to_string()))
}

fn rejected(response: &Message, authenticated: bool) -> Refusal {
    let mut error = ErrorCodeAttribute::default();
    if error.get_from(response).is_err() {
        return Refusal::Garbage("an error response without ERROR-CODE".to_owned());
    }
    let mut reason = String::from_utf8_lossy(&error.reason).trim().to_owned();
    if error.code.0 == 300
        && let Some(alternate) = address(response, Address::Alternate)
    {
        reason = format!("{reason}: {alternate}");
    }
    Refusal::Rejected { code: error.code.0, reason: (!reason.is_empty()).then_some(reason), authenticated }
}

fn error_code(response: &Message) -> Option<u16> {
    let mut error = ErrorCodeAttribute::default();
    (response.typ.class == CLASS_ERROR_RESPONSE && error.get_from(response).is_ok()).then_some(error.code.0)
}

#[derive(Clone, Copy)]
enum Address {
    Mapped,
    Relayed,
    Alternate,
}

fn address(response: &Message, which: Address) -> Option<SocketAddr> {
    let mut xored = XorMappedAddress::default();
    match which {
        Address::Mapped => xored.get_from_as(response, ATTR_XORMAPPED_ADDRESS).ok()?,
        Address::Relayed => xored.get_from_as(response, ATTR_XOR_RELAYED_ADDRESS).ok()?,
        Address::Alternate => {
            let mut plain = rtc::stun::addr::MappedAddress::default();
            plain.get_from_as(response, ATTR_ALTERNATE_SERVER).ok()?;
            return Some(SocketAddr::new(plain.ip, plain.port));
        }
    }
    Some(SocketAddr::new(xored.ip, xored.port))
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The way to a server.
enum Link {
    Datagrams { socket: UdpSocket, timeout: Duration },
    Stream { stream: Box<dyn Stream>, timeout: Duration },
}

/// Any address of a family, any port.
pub(super) fn any(server: IpAddr, source: Option<IpAddr>) -> SocketAddr {
    let any: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(source.unwrap_or(any), 0)
}

impl Link {
    async fn open(
        url: &IceUrl,
        server: SocketAddr,
        source: Option<IpAddr>,
        trust: &Trust,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Self, Refusal> {
        let failed = |error: io::Error| Refusal::Connection(error.to_string());
        if url.transport == ServerTransport::Udp {
            let socket = UdpSocket::bind(any(server.ip(), source)).await.map_err(failed)?;
            socket.connect(server).await.map_err(failed)?;
            return Ok(Self::Datagrams { socket, timeout });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = match tcp::connect(&[server.ip()], server.port(), source, left).await {
            Ok(stream) => stream,
            Err(error) if error.timed_out => return Err(Refusal::Silent(timeout.as_millis())),
            Err(error) if error.errno == Some(nix::libc::ECONNREFUSED) => return Err(Refusal::Closed(error.detail)),
            Err(error) => return Err(Refusal::Connection(error.detail)),
        };
        if url.transport == ServerTransport::Tcp {
            return Ok(Self::Stream { stream: Box::new(stream), timeout });
        }
        let name = ServerName::try_from(url.host.clone())
            .map_err(|_| Refusal::Connection(format!("'{}' is no name for TLS", url.host)))?;
        let client = tls_client(trust).map_err(|error| Refusal::Connection(error.to_string()))?;
        let handshake = tokio_rustls::TlsConnector::from(client).connect(name, stream);
        match timeout_at(deadline.into(), handshake).await {
            Ok(Ok(stream)) => Ok(Self::Stream { stream: Box::new(stream), timeout }),
            Ok(Err(error)) => Err(Refusal::Connection(format!("TLS: {error}"))),
            Err(_) => Err(Refusal::Silent(timeout.as_millis())),
        }
    }

    /// Sends a request and waits for its response; how long the last one sent was waited for.
    async fn transact(&mut self, request: Message, deadline: Instant) -> Result<(Message, Duration), Refusal> {
        let (bytes, sent) = match self {
            Self::Datagrams { socket, timeout } => by_datagrams(socket, &request, *timeout, deadline).await?,
            Self::Stream { stream, timeout } => {
                let begun = Instant::now();
                match timeout_at(deadline.into(), by_stream(stream, &request)).await {
                    Ok(response) => (response?, begun),
                    Err(_) => return Err(Refusal::Silent(timeout.as_millis())),
                }
            }
        };
        let mut response = Message { raw: bytes, ..Message::default() };
        response.decode().map_err(|error| Refusal::Garbage(error.to_string()))?;
        Ok((response, sent.elapsed()))
    }
}

async fn by_datagrams(
    socket: &UdpSocket,
    request: &Message,
    timeout: Duration,
    deadline: Instant,
) -> Result<(Vec<u8>, Instant), Refusal> {
    let told = |error: io::Error| match error.raw_os_error() {
        Some(nix::libc::ECONNREFUSED) => Refusal::Closed("ICMP port unreachable".to_owned()),
        _ => Refusal::Connection(error.to_string()),
    };
    let mut buffer = vec![0; LARGEST];
    let mut wait = RETRANSMIT;
    loop {
        let sent = Instant::now();
        socket.send(&request.raw).await.map_err(told)?;
        let again = (sent + wait).min(deadline);
        loop {
            tokio::select! {
                received = socket.recv(&mut buffer) => {
                    let length = received.map_err(told)?;
                    if is_response(&buffer[..length], request) {
                        return Ok((buffer[..length].to_vec(), sent));
                    }
                }
                () = sleep_until(again.into()) => break,
            }
        }
        if again >= deadline {
            return Err(Refusal::Silent(timeout.as_millis()));
        }
        wait *= 2;
    }
}

async fn by_stream(stream: &mut Box<dyn Stream>, request: &Message) -> Result<Vec<u8>, Refusal> {
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Refusal::Garbage("the connection was closed".to_owned()),
        _ => Refusal::Connection(error.to_string()),
    };
    stream.write_all(&request.raw).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    loop {
        let mut message = vec![0; 20];
        stream.read_exact(&mut message).await.map_err(broken)?;
        let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
        if message[4..8] != request.raw[4..8] || length + 20 > LARGEST {
            return Err(Refusal::Garbage("no STUN message".to_owned()));
        }
        message.resize(20 + length, 0);
        stream.read_exact(&mut message[20..]).await.map_err(broken)?;
        if is_response(&message, request) {
            return Ok(message);
        }
    }
}

/// Whether this is a STUN message with the transaction id of the request.
fn is_response(bytes: &[u8], request: &Message) -> bool {
    bytes.len() >= 20 && bytes[4..20] == request.raw[4..20]
}
