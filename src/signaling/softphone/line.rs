//! One WebSocket of a softphone: whole text messages in, whole text messages out.
//!
//! Guarantees: messages go out in their order, handed to the kernel by whoever sends them; only what the kernel does not take at
//! once has a task. Drop: what the kernel has not begun to take is withdrawn, and the last hold on the socket is gone.
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::actor::Note;
use super::{CallView, Failure, failure};
use crate::signaling::profile::Input;
use crate::signaling::profile::codec::MAX_BYTES;
use crate::socket::{CloseCause, Frame, Opcode, Opened, Phases, Socket, SocketConfig, SocketError, Tap, TapGuard};

/// Messages that may wait to be written.
const OUTGOING: usize = 256;
/// How long the closing handshake may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// An open WebSocket.
pub(super) struct Line {
    socket: Socket,
    /// Messages that the kernel did not take at once, in their order.
    waiting: JoinSet<()>,
    _tap: TapGuard,
}

impl Line {
    /// Takes over an open socket; what arrives goes to `notes` with `generation`.
    pub(super) fn new(socket: Socket, generation: u64, notes: mpsc::WeakSender<Note>) -> Self {
        let tap = socket.tap(Arc::new(TextTap { generation, notes, partial: Mutex::default() }));
        Self { socket, waiting: JoinSet::new(), _tap: tap }
    }

    /// Sends a message; `describes` is the call whose description it carries, if it does. False when the server's TCP has taken
    /// none for too long.
    pub(super) fn send(&mut self, text: String, describes: Option<watch::Sender<CallView>>) -> bool {
        while self.waiting.try_join_next().is_some() {}
        if self.waiting.len() >= OUTGOING {
            return false;
        }
        let socket = self.socket.clone();
        let mut sending = Box::pin(async move {
            match socket.send(Opcode::Text, true, text.as_bytes()).await {
                Ok(sent) => {
                    if let Some(view) = describes {
                        view.send_modify(|view| view.sent(sent.at));
                    }
                }
                // The tap tells of the end.
                Err(error) => log::debug!("a softphone's message was not sent: {error}"),
            }
        });
        // The first poll hands it to the kernel, or puts it behind what waits for the kernel already.
        if sending.as_mut().now_or_never().is_none() {
            self.waiting.spawn(sending);
        }
        true
    }

    /// The server's address.
    pub(super) fn peer(&self) -> std::net::IpAddr {
        self.socket.opened().peer.ip()
    }

    /// Ends it: at once, or behind what waits to be written and with a closing handshake, in the background.
    pub(super) fn close(self, abort: bool) {
        let Self { socket, waiting, _tap: tap } = self;
        drop(tap);
        if abort {
            return socket.abort(CloseCause::ScopeEnded);
        }
        tokio::spawn(async move {
            let cause = socket.close(1000, "", CLOSE_DEADLINE).await;
            drop(waiting);
            log::debug!("a softphone's WebSocket closed: {cause}");
        });
    }
}

/// Opens a WebSocket: how that went, or what to make of it.
pub(super) async fn open(config: SocketConfig) -> Result<(Socket, Opened), (Input, Failure)> {
    match Socket::open_phased(&config).await {
        Ok(open) => Ok(open),
        Err(failed) => {
            let (status, retry_after) = match &failed.error {
                SocketError::Status { status, headers, .. } => {
                    (Some(*status), crate::net::retry_after(headers, std::time::SystemTime::now()))
                }
                _ => (None, None),
            };
            let input = Input::SocketFailed { status, retry_after, detail: failed.error.to_string() };
            let failure = Failure::Unreached {
                request: None,
                server: failure::server_of(&config.url),
                error: Box::new(failed.error),
                phases: Some(Box::new(failed.phases)),
            };
            Err((input, failure))
        }
    }
}

/// The phases of an opening that succeeded.
pub(super) fn phases(opened: &Opened) -> Phases {
    Phases {
        dns_us: opened.dns_us,
        dns_from_cache: opened.dns_from_cache,
        tcp_us: Some(opened.tcp_us),
        proxy_us: opened.proxy_us,
        tls_us: opened.tls_us,
        upgrade_us: Some(opened.upgrade_us),
        first_byte_us: Some(opened.first_byte_us),
        total_us: opened.total_us,
        request_bytes: opened.request_bytes,
        peer: Some(opened.peer),
        local: Some(opened.local),
    }
}

/// Joins fragments and hands whole text messages on.
struct TextTap {
    generation: u64,
    notes: mpsc::WeakSender<Note>,
    partial: Mutex<Option<Vec<u8>>>,
}

impl TextTap {
    fn hand_on(&self, input: Input, at: Instant, failure: Option<Failure>) {
        let Some(notes) = self.notes.upgrade() else { return };
        if notes.try_send(Note::Socket { generation: self.generation, input, at, failure }).is_err() {
            log::warn!("a softphone's message was dropped: too many wait already");
        }
    }
}

impl Tap for TextTap {
    fn frame(&self, frame: &Frame) -> bool {
        let mut partial = self.partial.lock();
        let whole = match (frame.opcode, frame.fin, partial.take()) {
            // RFC 7118 §4.2: a message may come in either kind of frame, and is text in both.
            (Opcode::Text | Opcode::Binary, true, _) => Some(frame.payload.to_vec()),
            (Opcode::Text | Opcode::Binary, false, _) => {
                *partial = Some(frame.payload.to_vec());
                None
            }
            (Opcode::Continuation, fin, Some(mut so_far)) => {
                if so_far.len() + frame.payload.len() > MAX_BYTES {
                    log::warn!("a softphone's message was dropped: it is longer than {MAX_BYTES} bytes");
                    return true;
                }
                so_far.extend_from_slice(&frame.payload);
                if fin {
                    Some(so_far)
                } else {
                    *partial = Some(so_far);
                    None
                }
            }
            (_, _, kept) => {
                *partial = kept;
                return true;
            }
        };
        drop(partial);
        if let Some(whole) = whole {
            match String::from_utf8(whole) {
                Ok(text) => self.hand_on(Input::Text(text), frame.at, None),
                Err(_) => log::warn!("a softphone's message was dropped: it is not UTF-8"),
            }
        }
        true
    }

    fn closed(&self, cause: &CloseCause) {
        let failure = Failure::Closed { cause: cause.clone(), idle: None };
        self.hand_on(Input::SocketClosed { detail: cause.to_string() }, Instant::now(), Some(failure));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::net::TcpListener;
    use tungstenite::Message;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A line, and its server, which has not read anything yet.
    async fn line() -> (Line, tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>, mpsc::Receiver<Note>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let accepting = async {
            let (tcp, _) = listener.accept().await.expect("a client");
            tokio_tungstenite::accept_async(tcp).await.expect("an upgrade")
        };
        let config = SocketConfig::new(url);
        let (opened, server) = tokio::join!(Socket::open(&config), accepting);
        let (notes, inbox) = mpsc::channel(16);
        let (socket, _) = opened.expect("open");
        (Line::new(socket, 1, notes.downgrade()), server, inbox)
    }

    /// Sends numbered messages of 64 KiB until no more are taken; how many were.
    fn fill(line: &mut Line) -> usize {
        let more = |number: usize| format!("{number:08}{}", "x".repeat(64 << 10));
        (0..10_000).take_while(|number| line.send(more(*number), None)).count()
    }

    async fn next_text(server: &mut tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>) -> Option<String> {
        match server.next().await {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            _ => None,
        }
    }

    #[tokio::test]
    async fn what_the_kernel_does_not_take_at_once_is_bounded_and_follows_in_its_order() {
        let reading = async {
            let (mut line, mut server, _inbox) = line().await;
            let sent = fill(&mut line);
            assert!((OUTGOING..10_000).contains(&sent), "{sent}");
            for number in 0..sent {
                let text = next_text(&mut server).await.expect("a message");
                assert_eq!(text[..8].parse(), Ok(number));
            }
            tokio::task::yield_now().await;
            assert!(line.send("again".to_owned(), None), "all of them are through");
            assert_eq!(next_text(&mut server).await.as_deref(), Some("again"));
        };
        tokio::time::timeout(SOON, reading).await.expect("in time");
    }

    #[tokio::test]
    async fn a_close_goes_out_behind_what_waits_and_a_dropped_line_is_gone_at_once() {
        let closing = async {
            let (mut line, mut server, _inbox) = line().await;
            assert!(line.send("farewell".to_owned(), None));
            line.close(false);
            assert_eq!(next_text(&mut server).await.as_deref(), Some("farewell"));
            assert!(matches!(server.next().await, Some(Ok(Message::Close(_)))));

            let (mut line, mut server, _inbox) = self::line().await;
            let sent = fill(&mut line);
            drop(line);
            let mut read = 0;
            while next_text(&mut server).await.is_some() {
                read += 1;
            }
            assert!(read < sent, "what waited is withdrawn: {read} of {sent}");
        };
        tokio::time::timeout(SOON, closing).await.expect("in time");
    }
}
