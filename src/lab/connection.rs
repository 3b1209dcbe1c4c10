//! One client's WebSocket at the lab.
//!
//! Guarantees: a client can neither end nor stall the lab: messages are at most 256 KiB, the upgrade and every write have
//! a deadline, what is no message is answered with an error and the socket stays. Server pings, cuts and closes
//! happen at their times, see [`Timers`], which is pure. When the socket ends, for whatever reason, the client's
//! name is free at once and its calls end after a grace. Dropping the future drops the TCP connection.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::header::RETRY_AFTER;
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message as Frame, WebSocketConfig};

use super::Shared;
use super::answering::{self, GRACE, Incoming};
use super::config::LabConfig;
use super::switchboard::{ECHO, LineId, MAILBOX_MESSAGES, Refusal, Routed};
use crate::signaling::json::Message;

const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
const CLOSE_DEADLINE: Duration = Duration::from_millis(500);
const MAX_MESSAGE_BYTES: usize = 256 << 10;
/// The library's default of 128 KiB per socket is for bulk data; signaling messages are small.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Serves one TCP connection to its end.
pub(super) async fn serve(stream: TcpStream, client: SocketAddr, lab: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("lab client {client}: TCP_NODELAY: {error}");
    }
    let nth = lab.ledger.upgrades.add(1);
    let refusal = Refused::of(&lab, nth);
    let upgraded = tokio::select! {
        () = lab.end_lines.cancelled() => return,
        upgraded = timeout(UPGRADE_DEADLINE, upgrade(stream, refusal)) => upgraded,
    };
    let mut socket = match upgraded {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            lab.ledger.upgrades_refused.add(1);
            return log::debug!("lab client {client}: no upgrade: {error}");
        }
        Err(_) => {
            lab.ledger.upgrades_refused.add(1);
            return log::debug!("lab client {client}: no upgrade within {UPGRADE_DEADLINE:?}");
        }
    };
    let open = lab.ledger.socket_opened();
    let (mailbox, mut inbox) = mpsc::channel(MAILBOX_MESSAGES);
    let line = Client { line: lab.switchboard.open_line(mailbox.clone()), mailbox, lab: &lab };
    match line.converse(&mut socket, &mut inbox).await {
        Ok(()) => {}
        Err(Gone::Cut(why)) => {
            lab.ledger.sockets_cut.add(1);
            log::debug!("lab client {client}: cut: {why}");
        }
        Err(Gone::Failed(why)) => log::debug!("lab client {client}: gone: {why}"),
    }
    drop(socket);
    drop(open);
    let relayed = lab.switchboard.line_gone(line.line);
    if !relayed.is_empty() {
        tokio::select! {
            () = lab.end_lines.cancelled() => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        lab.switchboard.hang_up_line(&relayed);
    }
}

/// How an upgrade is refused.
struct Refused {
    status: StatusCode,
    retry_after: Option<HeaderValue>,
}

impl Refused {
    /// What the lab's faults say about the n-th upgrade.
    fn of(lab: &Shared, nth: u64) -> Option<Self> {
        let faults = &lab.config.faults;
        let status = faults.refused_upgrade(nth, &mut lab.upgrade_limit.lock(), Instant::now().into_std())?;
        let retry_after = (faults.retry_after_s > 0).then(|| HeaderValue::from(faults.retry_after_s));
        Some(Self { status: StatusCode::from_u16(status).ok()?, retry_after })
    }
}

async fn upgrade(
    stream: TcpStream,
    refusal: Option<Refused>,
) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    // The signature is the library's.
    #[allow(clippy::result_large_err)]
    let callback = |_: &Request, response: Response| match refusal {
        None => Ok(response),
        Some(Refused { status, retry_after }) => {
            let mut refused = ErrorResponse::new(Some("refused by a fault of the lab\n".to_owned()));
            *refused.status_mut() = status;
            if let Some(seconds) = retry_after {
                refused.headers_mut().insert(RETRY_AFTER, seconds);
            }
            Err(refused)
        }
    };
    tokio_tungstenite::accept_hdr_async_with_config(stream, callback, Some(config)).await
}

/// Why a conversation ended other than by a close handshake.
enum Gone {
    Cut(&'static str),
    Failed(String),
}

struct Client<'a> {
    line: LineId,
    mailbox: mpsc::Sender<Message>,
    lab: &'a Arc<Shared>,
}

impl Client<'_> {
    async fn converse(
        &self,
        socket: &mut WebSocketStream<TcpStream>,
        inbox: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Gone> {
        let faults = &self.lab.config.faults;
        let mut timers = Timers::new(&self.lab.config, Instant::now());
        loop {
            let due = timers.next();
            tokio::select! {
                () = self.lab.end_lines.cancelled() => {
                    while let Ok(message) = inbox.try_recv() {
                        write(socket, Frame::text(message.encode())).await?;
                    }
                    return close(socket, 1001, "the lab stops").await;
                }
                message = inbox.recv() => match message {
                    Some(message) => write(socket, Frame::text(message.encode())).await?,
                    // Unreachable while this client holds its own mailbox; ends the socket rather than spin.
                    None => return Ok(()),
                },
                frame = socket.next() => {
                    timers.heard(Instant::now());
                    match frame {
                        None => return Ok(()),
                        Some(Err(error)) => return Err(Gone::Failed(error.to_string())),
                        Some(Ok(Frame::Text(text))) => {
                            if let Some(reply) = self.take(&text) {
                                write(socket, Frame::text(reply.encode())).await?;
                            }
                        }
                        Some(Ok(Frame::Binary(_))) => {
                            let refusal = self.refused(None, "MESSAGE_INVALID", "signaling messages are text frames");
                            write(socket, Frame::text(refusal.encode())).await?;
                        }
                        Some(Ok(Frame::Pong(_))) => timers.pong(),
                        // The library answers pings and closes itself.
                        Some(Ok(Frame::Ping(_) | Frame::Close(_) | Frame::Frame(_))) => {}
                    }
                }
                () = at(due) => match timers.due(Instant::now()) {
                    None => {}
                    Some(Due::Ping) => write(socket, Frame::Ping(Bytes::from_static(b"lab"))).await?,
                    Some(Due::Close) => return close(socket, faults.close_code, &faults.close_reason).await,
                    Some(Due::CutSilent) => return Err(Gone::Cut("silent for idleCutMs")),
                    Some(Due::CutNoPong) => return Err(Gone::Cut("no pong within pongTimeoutMs")),
                },
            }
        }
    }

    /// Acts on one message; what it returns goes back to the client.
    fn take(&self, text: &str) -> Option<Message> {
        let message = match Message::decode(text) {
            Ok(message) => message,
            Err(error) => return Some(self.refused(None, "MESSAGE_INVALID", error.to_string())),
        };
        match message {
            Message::Ping => Some(Message::Pong),
            Message::Pong | Message::Registered { .. } | Message::Error { call: None, .. } => None,
            Message::Register { name } => Some(match self.lab.switchboard.register(self.line, &name) {
                Ok(()) => Message::Registered { name },
                Err(Refusal { code, message }) => self.refused(None, code, message),
            }),
            Message::Offer { call, to, sdp, .. } => self.offer(call, to, sdp),
            Message::Candidate { .. } if self.lab.config.faults.drop_candidates => None,
            Message::Answer { .. } | Message::Candidate { .. } | Message::Bye { .. } | Message::Error { .. } => {
                let call = message.call().map(str::to_owned);
                match self.lab.switchboard.pass(self.line, message) {
                    Ok(()) => None,
                    Err(Refusal { code, message }) => Some(self.refused(call, code, message)),
                }
            }
        }
    }

    fn offer(&self, call: String, to: Option<String>, offer: String) -> Option<Message> {
        match self.lab.switchboard.offer(self.line, &call, to.as_deref(), &offer) {
            Ok(Routed::Relayed) => {
                self.lab.ledger.calls_relayed.add(1);
                None
            }
            Ok(Routed::Answering(events)) => {
                let echo = to.as_deref() == Some(ECHO);
                let replies = self.mailbox.clone();
                let incoming = Incoming { line: self.line, call, echo, offer, replies };
                self.lab.spawn(answering::answer(incoming, events, Arc::clone(self.lab)));
                None
            }
            Err(Refusal { code, message }) => Some(self.refused(Some(call), code, message)),
        }
    }

    fn refused(&self, call: Option<String>, code: &str, message: impl Into<String>) -> Message {
        self.lab.ledger.messages_refused.add(1);
        Message::Error { call, code: code.into(), message: message.into() }
    }
}

async fn write(socket: &mut WebSocketStream<TcpStream>, frame: Frame) -> Result<(), Gone> {
    match timeout(WRITE_DEADLINE, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Gone::Failed(error.to_string())),
        Err(_) => Err(Gone::Cut("it reads nothing")),
    }
}

/// Close handshake, bounded: the client's own close is waited for, its other frames are dropped.
async fn close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) -> Result<(), Gone> {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    let handshake = async {
        socket.close(Some(frame)).await?;
        while let Some(frame) = socket.next().await {
            frame?;
        }
        Ok::<(), tungstenite::Error>(())
    };
    match timeout(CLOSE_DEADLINE, handshake).await {
        Ok(Ok(()) | Err(tungstenite::Error::ConnectionClosed)) => Ok(()),
        Ok(Err(error)) => Err(Gone::Failed(error.to_string())),
        Err(_) => Err(Gone::Failed(format!("no close within {CLOSE_DEADLINE:?}"))),
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// When a client is to be pinged, cut or closed. Pure: takes the time as an argument.
struct Timers {
    idle_cut: Option<Duration>,
    heard: Instant,
    close_at: Option<Instant>,
    ping_interval: Option<Duration>,
    ping_at: Option<Instant>,
    pong_timeout: Duration,
    unanswered_since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Due {
    Ping,
    Close,
    CutSilent,
    CutNoPong,
}

impl Timers {
    fn new(config: &LabConfig, now: Instant) -> Self {
        let some = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        let ping_interval = some(config.faults.ping_interval_ms);
        Self {
            idle_cut: some(config.idle_cut_ms),
            heard: now,
            close_at: some(config.faults.close_after_ms).map(|after| now + after),
            ping_interval,
            ping_at: ping_interval.map(|interval| now + interval),
            pong_timeout: Duration::from_millis(config.faults.pong_timeout_ms),
            unanswered_since: None,
        }
    }

    fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    fn pong(&mut self) {
        self.unanswered_since = None;
    }

    fn deadlines(&self) -> [(Option<Instant>, Due); 4] {
        [
            (self.close_at, Due::Close),
            (self.idle_cut.map(|idle| self.heard + idle), Due::CutSilent),
            (self.unanswered_since.map(|since| since + self.pong_timeout), Due::CutNoPong),
            (self.ping_at, Due::Ping),
        ]
    }

    fn next(&self) -> Option<Instant> {
        self.deadlines().into_iter().filter_map(|(at, _)| at).min()
    }

    /// What has to be done by `now`, most final first; a ping is scheduled anew.
    fn due(&mut self, now: Instant) -> Option<Due> {
        let due = self.deadlines().into_iter().find(|(at, _)| at.is_some_and(|at| at <= now)).map(|(_, due)| due);
        if due == Some(Due::Ping) {
            self.ping_at = self.ping_interval.map(|interval| now + interval);
            self.unanswered_since = self.unanswered_since.or(Some(now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> LabConfig {
        LabConfig::from_json(json.as_bytes()).expect("valid")
    }

    #[test]
    fn without_faults_nothing_is_ever_due() {
        let now = Instant::now();
        let mut timers = Timers::new(&config("{}"), now);
        assert_eq!(timers.next(), None);
        assert_eq!(timers.due(now + Duration::from_secs(86_400)), None);
    }

    #[test]
    fn a_silent_client_is_cut_and_one_that_speaks_is_not() {
        let now = Instant::now();
        let mut timers = Timers::new(&config(r#"{"idleCutMs":100}"#), now);
        assert_eq!(timers.next(), Some(now + Duration::from_millis(100)));
        timers.heard(now + Duration::from_millis(60));
        assert_eq!(timers.due(now + Duration::from_millis(120)), None);
        assert_eq!(timers.due(now + Duration::from_millis(160)), Some(Due::CutSilent));
    }

    #[test]
    fn a_missing_pong_is_counted_from_the_first_unanswered_ping() {
        let now = Instant::now();
        let mut timers = Timers::new(&config(r#"{"faults":{"pingIntervalMs":10,"pongTimeoutMs":25}}"#), now);
        let ms = |ms| now + Duration::from_millis(ms);
        assert_eq!(timers.due(ms(10)), Some(Due::Ping));
        timers.pong();
        assert_eq!(timers.due(ms(20)), Some(Due::Ping));
        assert_eq!(timers.due(ms(30)), Some(Due::Ping));
        assert_eq!(timers.due(ms(45)), Some(Due::CutNoPong));
    }
}
