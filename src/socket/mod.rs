//! Persistent WebSockets (RFC 6455) that stay alive while nobody reads.
//!
//! Guarantees:
//! - Opening goes resolve → TCP → \[proxy\] → TLS → upgrade, each phase with its own deadline and time;
//!   an unusable configuration is refused by field name before any packet.
//! - From then on the socket lives by itself: frames are read, pings answered and keep-alive pings sent
//!   in the background; how it ended is known at once and kept exactly ([`CloseCause`]).
//! - With [`Literal`] no frame is dropped: while too many are unread, nothing more is read, and what is said above rests.
//! - Frames are given as they were on the wire: fragments and control frames too, in wire order.
//! - Times are taken right at the system call that moved the last byte.
//!
//! Drop and cancel: every future here may be dropped at any time. A dropped [`Socket::open`] closes
//! what was open; a dropped read takes no frame; a dropped send either sent nothing or is finished in
//! the background. Dropping the last [`Socket`] of a connection ends TCP at once
//! ([`CloseCause::ScopeEnded`]).

mod close_cause;
mod config;
mod connection;
mod deflate;
mod dial;
mod error;
mod frame;
mod inbox;
mod literal;
mod payload;
pub(crate) mod trust;
mod upgrade;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use close_cause::CloseCause;
pub use config::{ClientCertificate, Proxy, SocketConfig, Trust};
pub use connection::{Sent, SocketCounters, TapGuard};
pub(crate) use dial::of_tls;
pub use dial::{OpenFailure, Opened, Phases};
pub use error::SocketError;
pub use frame::{Frame, Opcode};
pub use literal::{Inflate, Lapse, Literal};
pub use payload::Payload;
pub(crate) use trust::tls_client;

pub use crate::net::parker::Missed;
use connection::Connection;

/// Sees every frame before readers do, on the thread that has read it: must not block, and must ask nothing of the socket. It sees pings and the pongs
/// to keep-alive pings too. A tap that panics ends its socket.
pub trait Tap: Send + Sync + 'static {
    /// `true` consumes the frame: neither later taps nor readers get it.
    fn frame(&self, frame: &Frame) -> bool;
    /// The socket ended. Called once, by whoever ended it, also when the tap was added after the end.
    fn closed(&self, cause: &CloseCause);
}

/// Whether a reader wants a frame.
pub type Matching<'a> = dyn Fn(&Frame) -> bool + Send + Sync + 'a;

/// Sees every frame of a socket before taps and readers do, from the very first to the end, and takes none. It is called by
/// whoever has read the frame, on any thread: it must not block, and must ask nothing of the socket. An observer must not hold
/// a [`Socket`] of its own connection.
pub trait Observer: Send + Sync + 'static {
    /// A frame has come.
    fn frame(&self, frame: &Frame);
    /// The socket ended. Called once, by whoever ended it.
    fn closed(&self, cause: &CloseCause);
}

/// One open WebSocket. Cloning shares it; it lives until closed, aborted, or until the last clone is
/// dropped.
///
/// A [`Tap`] must not hold a `Socket` of its own connection: neither would ever be dropped.
#[derive(Clone)]
pub struct Socket {
    handle: Arc<Handle>,
}

/// What the clones of a [`Socket`] share; the task does not, so that its drop ends the connection.
struct Handle {
    connection: Arc<Connection>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.connection.abort(CloseCause::ScopeEnded);
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("peer", &self.opened().peer)
            .field("close_cause", &self.close_cause())
            .finish_non_exhaustive()
    }
}

impl Socket {
    /// Opens a WebSocket. Has to be called within a tokio runtime, on which its task then lives.
    ///
    /// # Errors
    /// [`SocketError`] of the phase that failed; [`SocketError::Config`] before any packet.
    pub async fn open(config: &SocketConfig) -> Result<(Self, Opened), SocketError> {
        Self::open_phased(config).await.map_err(|failure| failure.error)
    }

    /// Opens a WebSocket as [`Socket::open`] does; a failure tells how far it got.
    ///
    /// # Errors
    /// As [`Socket::open`], with the phases before it.
    pub async fn open_phased(config: &SocketConfig) -> Result<(Self, Opened), Box<OpenFailure>> {
        Self::open_observed(config, None).await
    }

    /// Opens a WebSocket as [`Socket::open_phased`] does, with somebody who misses nothing of it.
    ///
    /// # Errors
    /// As [`Socket::open_phased`].
    pub async fn open_observed(
        config: &SocketConfig,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<(Self, Opened), Box<OpenFailure>> {
        let mut phases = Phases::default();
        match dial::dial(config, &mut phases).await {
            Ok(dialed) => {
                let opened = dialed.opened.clone();
                match Connection::start(dialed, config, observer) {
                    Ok(connection) => Ok((Self { handle: Arc::new(Handle { connection }) }, opened)),
                    Err(error) => Err(Box::new(OpenFailure { error, phases })),
                }
            }
            Err(error) => Err(Box::new(OpenFailure { error, phases })),
        }
    }

    /// Sends one frame, masked; returns when its last byte is with the kernel. `payload` is sent as
    /// it is; fragments are the caller's to order.
    ///
    /// Concurrent sends go out one after the other, whole. Cancel safe: either nothing was sent, or
    /// the rest follows in the background.
    ///
    /// # Errors
    /// [`SocketError::Config`] for a control frame that is fragmented or longer than 125 bytes;
    /// [`SocketError::Closed`] with the cause on a socket that ended, or after a close frame was sent.
    pub async fn send(&self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<Sent, SocketError> {
        self.send_from(Instant::now(), opcode, fin, payload).await
    }

    /// As [`Socket::send`]; `start`: now.
    pub(crate) async fn send_from(
        &self,
        start: Instant,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<Sent, SocketError> {
        self.handle.connection.send(start, opcode, fin, payload).await
    }

    /// Next frame for readers (data and control frames in wire order), without a deadline of its own.
    /// Concurrent readers are served first come. Cancel safe: a dropped read takes no frame.
    ///
    /// Pings are among them only where `deliverPings` is set; pongs to keep-alive pings never are.
    ///
    /// # Errors
    /// [`SocketError::Closed`] with the cause when the socket ended and nothing is queued any more.
    pub async fn receive(&self) -> Result<Frame, SocketError> {
        self.handle.connection.receive(None).await
    }

    /// First queued or arriving frame that matches; the others stay queued, in order. Cancel safe.
    /// `matches` is called once per frame, without any lock held.
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub async fn receive_matching(&self, matches: &Matching<'_>) -> Result<Frame, SocketError> {
        self.handle.connection.receive(Some(matches)).await
    }

    /// The next frame, or the first that matches where there is something to match, as [`Socket::receive`] and
    /// [`Socket::receive_matching`] give them; but blocks the calling thread until `until` passes or `cancelled` is ready. For
    /// threads that are not of the runtime. `start`: now.
    ///
    /// A thread that comes back for the next frame within some milliseconds waits for the bytes itself, which saves the
    /// wake-up of the socket's task; for the first 100 ms in the read, which ends for nothing but bytes and the end of the socket.
    /// It takes at most 16 system calls in a row, and with taps it leaves the reading to the
    /// task.
    ///
    /// On a [`Literal`] socket the time starts anew with bytes of a frame that is not complete yet, as `SO_TIMEOUT` does, where
    /// there is nothing to match.
    ///
    /// # Errors
    /// [`Missed`] when there was no frame in time, or none before the cancel; none is lost. Otherwise as [`Socket::receive`].
    pub fn receive_here(
        &self,
        matches: Option<&Matching<'_>>,
        start: Instant,
        until: Instant,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Result<Frame, SocketError>, Missed> {
        self.handle.connection.receive_here(matches, start, until, cancelled)
    }

    /// Adds a tap at the end of the list; removed when the guard drops. It sees the frames that come
    /// from now on, not those already queued.
    pub fn tap(&self, tap: Arc<dyn Tap>) -> TapGuard {
        self.handle.connection.tap(tap)
    }

    /// Closing handshake with status and reason (cut to 123 bytes), waits for the peer's close or
    /// `deadline`, after which TCP is ended. Status 1005 sends a close frame without a status.
    ///
    /// The peer's close frame is also delivered to readers. On a socket that had ended before, its
    /// cause is returned at once. Cancel safe: the socket then ends when the peer answers or the last
    /// clone is dropped.
    pub async fn close(&self, code: u16, reason: &str, deadline: Duration) -> CloseCause {
        self.handle.connection.close(code, reason, deadline).await
    }

    /// Drops TCP at once. Without effect on the cause of a socket that had ended before.
    pub fn abort(&self, cause: CloseCause) {
        self.handle.connection.abort(cause);
    }

    /// `None` while open, and while we have sent a close frame that is not answered yet.
    pub fn close_cause(&self) -> Option<CloseCause> {
        self.handle.connection.cause()
    }

    /// When it ended, and for how long the server had been silent then; `None` while it is open.
    pub fn end_times(&self) -> Option<(Instant, Duration)> {
        self.handle.connection.end_times()
    }

    /// When it was open: right after the upgrade.
    pub fn started(&self) -> Instant {
        self.handle.connection.started()
    }

    /// What opening said.
    pub fn opened(&self) -> &Opened {
        &self.handle.connection.opened
    }

    /// Counters now; they stay readable after the end.
    pub fn counters(&self) -> SocketCounters {
        self.handle.connection.counters()
    }
}
