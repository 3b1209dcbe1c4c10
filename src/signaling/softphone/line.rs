//! One WebSocket of a softphone: whole text messages in, whole text messages out.
//!
//! Drop: the writing task ends, and with it the last hold on the socket.
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::actor::Note;
use super::{CallView, Failure, failure};
use crate::signaling::profile::Input;
use crate::signaling::profile::codec::MAX_BYTES;
use crate::socket::{CloseCause, Frame, Opcode, Opened, Phases, Socket, SocketConfig, SocketError, Tap, TapGuard};

/// Messages that may wait to be written.
const OUTGOING: usize = 256;
/// How long the closing handshake may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// What is to be written.
enum Outgoing {
    /// With the call whose description it carries, if it does.
    Text(String, Option<watch::Sender<CallView>>),
    Close,
}

/// An open WebSocket.
pub(super) struct Line {
    outgoing: mpsc::Sender<Outgoing>,
    socket: Socket,
    _tap: TapGuard,
}

impl Line {
    /// Takes over an open socket; what arrives goes to `notes` with `generation`.
    pub(super) fn new(socket: Socket, generation: u64, notes: mpsc::WeakSender<Note>) -> Self {
        let tap = socket.tap(Arc::new(TextTap { generation, notes: notes.clone(), partial: Mutex::default() }));
        let (outgoing, mut waiting) = mpsc::channel(OUTGOING);
        let writer = socket.clone();
        tokio::spawn(async move {
            while let Some(next) = waiting.recv().await {
                match next {
                    Outgoing::Text(text, describes) => {
                        match writer.send(Opcode::Text, true, text.as_bytes()).await {
                            Ok(sent) => {
                                if let Some(view) = describes {
                                    view.send_modify(|view| view.sent(sent.at));
                                }
                            }
                            Err(error) => {
                                // The tap tells of the end.
                                log::debug!("a softphone's message was not sent: {error}");
                                return;
                            }
                        }
                    }
                    Outgoing::Close => {
                        let cause = writer.close(1000, "", CLOSE_DEADLINE).await;
                        return log::debug!("a softphone's WebSocket closed: {cause}");
                    }
                }
            }
        });
        Self { outgoing, socket, _tap: tap }
    }

    /// Queues a message; `describes` is the call whose description it carries, if it does. False when the server's TCP has
    /// taken none for too long.
    pub(super) fn send(&self, text: String, describes: Option<watch::Sender<CallView>>) -> bool {
        self.outgoing.try_send(Outgoing::Text(text, describes)).is_ok()
    }

    /// The server's address.
    pub(super) fn peer(&self) -> std::net::IpAddr {
        self.socket.opened().peer.ip()
    }

    /// Ends it: at once, or behind what is queued and with a closing handshake, in the background.
    pub(super) fn close(self, abort: bool) {
        if abort || self.outgoing.try_send(Outgoing::Close).is_err() {
            self.socket.abort(CloseCause::ScopeEnded);
        }
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
