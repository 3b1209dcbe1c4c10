//! The bytes of one connection: what waits to go out, and TLS around both directions.
//!
//! Guarantees: frames go out whole and in the order they were handed over; a control frame of our own
//! may stand between two of them, never within one. Nothing here waits: every call does what the
//! kernel takes at once and says what is left, so that a peer that does not read never stops reading.
//! An idle wire holds no buffer of its own. That the descriptor blocks, for a thread that waits for it, changes nothing here.
//!
//! Cancel: a frame of which nothing has gone out can be withdrawn; one that has begun will be finished.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;
use tokio::sync::oneshot;

use super::frame::Encoded;
use crate::net::sys;

/// How much is encrypted at once: the largest TLS record (RFC 8446 §5.1).
const RECORD: usize = 16 << 10;

/// The outgoing side of a connection and its TLS state; the owner locks it.
pub(super) struct Wire {
    tcp: Arc<TcpStream>,
    tls: Option<Box<ClientConnection>>,
    waiting: VecDeque<Segment>,
    next_id: u64,
    /// The answer to the latest ping, which stands for those before it (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    pub(super) frames_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) pongs_sent: u64,
}

/// One frame on its way out.
struct Segment {
    id: u64,
    bytes: Vec<u8>,
    written: usize,
    /// Hears when the last byte was with the kernel.
    done: Option<oneshot::Sender<Instant>>,
}

/// What became of a frame handed to [`Wire::send`].
pub(super) enum Handed {
    /// All of it is with the kernel since then.
    Sent(Instant),
    /// The kernel is full: the rest goes out when it takes more, told through the channel. The number
    /// is for [`Wire::withdraw`].
    Waiting(u64, oneshot::Receiver<Instant>),
}

/// What a read brought.
pub(super) enum Incoming {
    /// So many bytes.
    Bytes(usize),
    /// Nothing more for now.
    Nothing,
    /// FIN or `close_notify`.
    End,
}

impl Incoming {
    /// What a successful read of so many bytes means.
    pub(super) fn of(read: usize) -> Self {
        if read == 0 { Self::End } else { Self::Bytes(read) }
    }
}

impl Wire {
    pub(super) fn new(tcp: Arc<TcpStream>, tls: Option<Box<ClientConnection>>) -> Self {
        let waiting = VecDeque::new();
        Self { tcp, tls, waiting, next_id: 0, pong: None, frames_sent: 0, bytes_sent: 0, pongs_sent: 0 }
    }

    /// Hands over an encoded frame and sends what the kernel takes.
    pub(super) fn send(&mut self, bytes: Encoded) -> io::Result<Handed> {
        let mut written = 0;
        if self.tls.is_none() && self.waiting.is_empty() && self.pong.is_none() {
            match sys::write_now(self.tcp.as_fd(), &bytes) {
                Ok(all) if all == bytes.len() => {
                    self.count(bytes.len());
                    return Ok(Handed::Sent(Instant::now()));
                }
                Ok(some) => written = some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let (done, mut sent) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(Segment { id, bytes: bytes.into_vec(), written, done: Some(done) });
        self.flush()?;
        match sent.try_recv() {
            Ok(at) => Ok(Handed::Sent(at)),
            Err(_) => Ok(Handed::Waiting(id, sent)),
        }
    }

    /// Hands over the encoded answer to a ping; it takes the place of one that still waits.
    pub(super) fn answer(&mut self, bytes: Encoded) -> io::Result<()> {
        self.pong = Some(bytes.into_vec());
        self.flush().map(|_| ())
    }

    /// Takes back the frame `id` if nothing of it has gone out; whether it did.
    pub(super) fn withdraw(&mut self, id: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|segment| segment.id != id || segment.written > 0);
        self.waiting.len() < before
    }

    /// Whether something waits for the kernel to take more.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.pong.is_some() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends what the kernel takes; whether that was all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        loop {
            if !self.flush_records()? {
                return Ok(false);
            }
            if self.waiting.front().is_some_and(|front| front.written == front.bytes.len()) {
                self.finish_front();
            }
            if self.waiting.front().is_none_or(|front| front.written == 0)
                && let Some(bytes) = self.pong.take()
            {
                self.pongs_sent += 1;
                let id = self.next_id;
                self.next_id += 1;
                self.waiting.push_front(Segment { id, bytes, written: 0, done: None });
            }
            let Some(front) = self.waiting.front_mut() else {
                if self.waiting.capacity() > 16 {
                    self.waiting = VecDeque::new();
                }
                return Ok(true);
            };
            let rest = &front.bytes[front.written..];
            match &mut self.tls {
                None => match sys::write_now(self.tcp.as_fd(), rest) {
                    Ok(written) => front.written += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                },
                Some(tls) => front.written += tls.writer().write(&rest[..rest.len().min(RECORD)])?,
            }
        }
    }

    /// Sends the TLS records that are ready; whether that was all.
    fn flush_records(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut Direct(&self.tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn finish_front(&mut self) {
        let at = Instant::now();
        if let Some(segment) = self.waiting.pop_front() {
            self.count(segment.bytes.len());
            if let Some(done) = segment.done {
                // Nobody listens any more when the send was cancelled after it had begun.
                let _unheard = done.send(at);
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        self.frames_sent += 1;
        self.bytes_sent += bytes as u64;
    }

    /// Reads decrypted bytes into `buffer`; without TLS the owner reads from TCP itself.
    ///
    /// # Errors
    /// Of the kernel, or of TLS with the `rustls::Error` inside.
    pub(super) fn read_decrypted(&mut self, buffer: &mut [u8]) -> io::Result<Incoming> {
        let Some(tls) = &mut self.tls else { return Ok(Incoming::Nothing) };
        loop {
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Incoming::End),
                Ok(read) => return Ok(Incoming::Bytes(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Incoming::End),
                Err(error) => return Err(error),
            }
            match tls.read_tls(&mut Direct(&self.tcp)) {
                Ok(0) => return Ok(Incoming::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Incoming::Nothing),
                Err(error) => return Err(error),
            }
            if let Err(error) = tls.process_new_packets() {
                // The alert that tells the server why goes out if the kernel takes it; the connection
                // ends either way.
                let _sent = self.flush_records();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Says good-bye in TLS where there is TLS, and ends both directions of TCP at once.
    pub(super) fn shut_down(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // All of this is courtesy: the connection may be gone already, and is given up in any case.
        let _sent = self.flush_records();
        let _shut = socket2::SockRef::from(self.tcp.as_ref()).shutdown(std::net::Shutdown::Both);
        self.waiting.clear();
        self.pong = None;
    }
}

/// TCP without waiting, as rustls wants it.
struct Direct<'a>(&'a TcpStream);

impl io::Read for Direct<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::read_now(self.0.as_fd(), buffer)
    }
}

impl io::Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::write_now(self.0.as_fd(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
