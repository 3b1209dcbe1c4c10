//! The task that lives with one socket: it waits for bytes while no thread does, writes what the kernel did not take at once,
//! keeps the times of keep-alive and closing, and gives TCP up when all is over.
//!
//! Guarantees: however the task ends, the connection ends with it, also by a panic or with its runtime. It is registered
//! with the runtime's poller only while it waits for the descriptor.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{Interest, Ready};

use super::Connection;
use super::reading::{Next, Took};
use crate::net::sys;
use crate::socket::CloseCause;

/// The task's hold on the connection: however the task ends, the connection ends with it.
struct LastWord(Arc<Connection>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let detail = "the task of the socket was ended from outside".to_owned();
        self.0.end(CloseCause::Io { errno: None, detail });
        self.0.release();
        let mut reading = self.0.reading.lock();
        reading.over = true;
        reading.tcp = None;
    }
}

/// The task of one socket.
pub(super) struct Task {
    connection: LastWord,
    tcp: Arc<TcpStream>,
    /// While it waits for the descriptor.
    registered: Option<AsyncFd<Arc<TcpStream>>>,
    /// What waits to go out never will; only with `write_after_end`.
    write_dead: bool,
}

impl Task {
    /// The task of `connection`, whose descriptor is `tcp`.
    pub(super) fn of(connection: Arc<Connection>, tcp: Arc<TcpStream>) -> Self {
        Self { connection: LastWord(connection), tcp, registered: None, write_dead: false }
    }

    /// Lives until the connection is over. `leftover`: what came behind the answer to the upgrade.
    pub(super) async fn run(mut self, leftover: Vec<u8>) {
        if !leftover.is_empty() {
            let connection = &self.connection.0;
            connection.reading.lock().bytes(connection, &leftover, Instant::now(), None);
        }
        drop(leftover);
        loop {
            let connection = &self.connection.0;
            let (waiting, write_failure) = {
                let core = connection.core.lock();
                let Some(wire) = &core.wire else { return };
                (wire.is_waiting() && !self.write_dead, core.write_failure.clone())
            };
            if write_failure.is_some() && connection.write_after_end {
                // Whoever sends next hears of it from the kernel.
                connection.core.lock().write_failure = None;
                self.write_dead = true;
                continue;
            }
            if let Some(cause) = write_failure {
                match connection.judge_write_failure(cause) {
                    Next::Stop => return,
                    // The thread that reads tells when it is back: soon, since a broken connection gives nothing to wait for.
                    Next::GoOn => connection.wake.notified().await,
                }
                continue;
            }
            let (watches, reads, over, due) = {
                let mut reading = connection.reading.lock();
                let (watches, look_again) = reading.watch.task_looks(Instant::now());
                let due = [look_again, reading.due()].into_iter().flatten().min();
                (watches, watches && !reading.over && connection.may_read(), reading.over, due)
            };
            if over && !connection.write_after_end {
                return;
            }
            if self.registered.is_none() && (waiting || reads) {
                match sys::register(Arc::clone(&self.tcp)) {
                    Ok(registered) => self.registered = Some(registered),
                    Err(error) => {
                        connection.end(CloseCause::of_io(&error));
                        return;
                    }
                }
                // What came before, and what TLS holds already, makes no event.
                if reads {
                    connection.reading.lock().read(connection, true);
                    continue;
                }
            } else if !watches && !waiting {
                self.registered = None;
            }
            let interest = match (waiting, reads) {
                (true, true) => Interest::READABLE | Interest::WRITABLE,
                (true, false) => Interest::WRITABLE,
                (false, _) => Interest::READABLE,
            };
            tokio::select! {
                biased;
                () = connection.wake.notified() => {}
                ready = ready(self.registered.as_ref(), interest), if waiting || reads => match ready {
                    Ok(mut ready) => self.serve(&mut ready, reads),
                    Err(error) => {
                        // Only a runtime that shuts down refuses to wait.
                        connection.end(CloseCause::of_io(&error));
                        return;
                    }
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    if connection.reading.lock().time(connection, Instant::now()) == Next::Stop {
                        return;
                    }
                }
            }
        }
    }

    /// The kernel can take or give something.
    fn serve(&self, ready: &mut AsyncFdReadyGuard<'_, Arc<TcpStream>>, reads: bool) {
        let connection = &self.connection.0;
        if !self.write_dead && connection.flush() {
            ready.clear_ready_matching(Ready::WRITABLE);
        }
        if reads {
            let mut reading = connection.reading.lock();
            // What comes behind a short read makes another event; only the end of TCP may have been in this one.
            let end = ready.ready().is_read_closed();
            // A thread that waits meanwhile is told by the kernel itself.
            if !reading.watch.is_with_task() || reading.read(connection, end) == Took::All {
                ready.clear_ready_matching(Ready::READABLE);
            }
        }
    }
}

impl Connection {
    /// Writing has failed with `cause`; [`Next::GoOn`] where a thread that reads without the lock has to come back first.
    fn judge_write_failure(&self, cause: CloseCause) -> Next {
        let mut reading = self.reading.lock();
        if reading.watch.is_outside() {
            reading.watch.call_back();
            return Next::GoOn;
        }
        // What came before the server ended TCP says more than that writing failed; it is with the kernel, and no more than that.
        let rested = self.inbox.open_up() && !self.read_on_demand;
        while !reading.over {
            let took = reading.read(self, true);
            if !(rested && took == Took::Enough) {
                break;
            }
        }
        if !reading.over {
            drop(reading);
            self.end(cause);
        }
        Next::Stop
    }
}

/// Waits until the kernel can take or give something.
async fn ready(
    registered: Option<&AsyncFd<Arc<TcpStream>>>,
    interest: Interest,
) -> io::Result<AsyncFdReadyGuard<'_, Arc<TcpStream>>> {
    match registered {
        Some(registered) => registered.ready(interest).await,
        None => std::future::pending().await,
    }
}
