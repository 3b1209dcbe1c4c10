//! The ways to a TURN server: over the session's own UDP socket, over another one, or in a stream (TCP, TLS).
//!
//! Polled, not spawned: a relayed session costs no task. Nothing waits here but as its caller's deadline allows; what is
//! not yet written when a link is dropped is lost, as a datagram would be.
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::client::TlsStream;

use super::framing;
use crate::net::facts::ServerTransport;

/// A way to one server.
#[derive(Debug)]
pub(super) enum Link {
    /// The session's own UDP socket, which sends and receives for us.
    Shared(SocketAddr),
    /// A UDP socket of its own, connected to the server.
    Own(UdpSocket, SocketAddr),
    /// A connection.
    Stream(Box<StreamLink>),
}

impl Link {
    /// The server.
    pub(super) fn server(&self) -> SocketAddr {
        match self {
            Self::Shared(server) | Self::Own(_, server) => *server,
            Self::Stream(stream) => stream.server(),
        }
    }

    pub(super) fn transport(&self) -> ServerTransport {
        match self {
            Self::Shared(_) | Self::Own(..) => ServerTransport::Udp,
            Self::Stream(stream) => match stream.connection {
                Connection::Tcp(_) => ServerTransport::Tcp,
                Connection::Tls(_) => ServerTransport::Tls,
            },
        }
    }

    /// Whether messages may get lost on the way, so that requests are repeated.
    pub(super) fn is_datagram(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }
}

/// What carries a stream.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// TURN messages in a stream.
#[derive(Debug)]
pub(super) struct StreamLink {
    connection: Connection,
    server: SocketAddr,
    incoming: BytesMut,
    outgoing: BytesMut,
}

/// What may wait to be written, in bytes: a second of audio and more. Beyond that messages are dropped as a full socket
/// buffer drops datagrams.
const OUTGOING_BYTES: usize = 64 << 10;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 2048;

impl StreamLink {
    pub(super) fn new(connection: Connection, server: SocketAddr) -> Self {
        Self { connection, server, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// The server.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Queues one message and writes what the connection takes.
    ///
    /// # Errors
    /// `WouldBlock` when the message was dropped because too much is waiting; the error of the connection otherwise, after
    /// which it is of no use.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> io::Result<()> {
        if self.outgoing.len() + message.len() > OUTGOING_BYTES {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        framing::put(message, &mut self.outgoing);
        match self.poll_flush(cx) {
            Poll::Ready(result) => result,
            // The rest goes when the connection is read or written next.
            Poll::Pending => Ok(()),
        }
    }

    /// Writes what waits.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = match &mut self.connection {
                Connection::Tcp(stream) => Pin::new(stream).poll_write(cx, &self.outgoing),
                Connection::Tls(stream) => Pin::new(stream).poll_write(cx, &self.outgoing),
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => bytes::Buf::advance(&mut self.outgoing, written),
            }
        }
        match &mut self.connection {
            Connection::Tcp(_) => Poll::Ready(Ok(())),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// The next message, cut to `buffer`; writes what waits on the way.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            let taken = framing::take(&mut self.incoming, buffer);
            if let Some(length) = taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                return Poll::Ready(Ok(length));
            }
            let mut piece = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut piece);
            ready!(match &mut self.connection {
                Connection::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
                Connection::Tls(stream) => Pin::new(stream).poll_read(cx, &mut read),
            })?;
            if read.filled().is_empty() {
                let what = "the server closed the connection";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
            }
            self.incoming.extend_from_slice(read.filled());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn within<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("no hang")
    }

    async fn pair() -> (StreamLink, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (StreamLink::new(Connection::Tcp(stream.expect("connected")), address), accepted.expect("accepted").0)
    }

    #[tokio::test]
    async fn channel_data_is_padded_on_the_way_out_and_bare_on_the_way_in() {
        within(async {
            let (mut link, mut server) = pair().await;
            poll_fn(|cx| Poll::Ready(link.send(cx, &[0x40, 1, 0, 1, 7]))).await.expect("sent");
            let mut padded = [0; 8];
            server.read_exact(&mut padded).await.expect("read");
            assert_eq!(padded, [0x40, 1, 0, 1, 7, 0, 0, 0]);
            server.write_all(&padded).await.expect("written");
            let mut buffer = [0; 64];
            let length = poll_fn(|cx| link.poll_receive(cx, &mut buffer)).await.expect("received");
            assert_eq!(buffer[..length], [0x40, 1, 0, 1, 7]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_closed_connection_is_an_error_and_a_full_one_drops() {
        within(async {
            let (mut link, server) = pair().await;
            let message = [&[0x40, 1, 0x40, 0][..], &[0; 0x4000]].concat();
            let full = poll_fn(|cx| {
                let sent = (0..1000).find_map(|_| link.send(cx, &message).err());
                Poll::Ready(sent)
            });
            assert_eq!(full.await.expect("nobody reads").kind(), io::ErrorKind::WouldBlock);
            drop(server);
            poll_fn(|cx| link.poll_receive(cx, &mut [0; 64])).await.expect_err("closed");
        })
        .await;
    }
}
