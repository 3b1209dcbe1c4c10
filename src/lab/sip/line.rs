//! One WebSocket of a SIP client: frames in, frames out, keep-alives.
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::accept_hdr_async;
use tungstenite::Message as Frame;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::{HeaderValue, StatusCode};

use super::{Exchange, MAILBOX};
use crate::signaling::sip::message::Message;

/// How long an upgrade, and one write, may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Serves one client until it leaves, is cut, or the lab stops.
pub(super) async fn serve(stream: TcpStream, exchange: Arc<Exchange>) {
    // Messages are small, and answered one by one.
    let _set = stream.set_nodelay(true);
    let mut socket = match timeout(DEADLINE, accept_hdr_async(stream, subprotocol)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            exchange.lab.ledger.upgrades_refused.add(1);
            return log::debug!("lab sip: no WebSocket: {error}");
        }
        Err(_) => return log::debug!("lab sip: no upgrade within 10 s"),
    };
    let open = exchange.lab.ledger.socket_opened();
    let (mailbox, mut inbox) = mpsc::channel(MAILBOX);
    let client = exchange.number();
    exchange.clients.lock().insert(client, mailbox);
    let (mut cut_at, mut pings) = (None, 0_u64);
    let ended = loop {
        let said = tokio::select! {
            () = exchange.lab.end_lines.cancelled() => break "the lab stops",
            () = at(cut_at) => {
                exchange.lab.ledger.sockets_cut.add(1);
                break "it was cut";
            }
            message = inbox.recv() => message,
            frame = socket.next() => {
                let text = match frame {
                    Some(Ok(Frame::Text(text))) => text.as_str().to_owned(),
                    Some(Ok(Frame::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
                    Some(Ok(Frame::Close(_))) | None => break "the client closed it",
                    Some(Ok(_)) => continue,
                    Some(Err(_)) => break "it failed",
                };
                if text == "\r\n\r\n" {
                    pings += 1;
                    if exchange.config.faults.drop_pongs && pings > 1 {
                        continue;
                    }
                    Some("\r\n".to_owned())
                } else if text.trim().is_empty() {
                    None
                } else {
                    match Message::parse(&text) {
                        Ok(message) => {
                            if let Some(user) = exchange.take(client, message) {
                                cut_at = due(&exchange, user);
                            }
                        }
                        Err(why) => {
                            exchange.lab.ledger.messages_refused.add(1);
                            log::debug!("lab sip: a message was ignored: {why}");
                        }
                    }
                    None
                }
            }
        };
        let Some(text) = said else { continue };
        if !matches!(timeout(DEADLINE, socket.send(Frame::text(text))).await, Ok(Ok(()))) {
            break "it takes no more";
        }
    };
    log::debug!("lab sip: WebSocket {client} ended: {ended}");
    exchange.clients.lock().remove(&client);
    if ended != "it was cut" {
        // Bounded, and of no interest beyond.
        let _closed = timeout(Duration::from_secs(1), socket.close(None)).await;
    }
    drop(open);
}

/// When the first WebSocket of a user is cut, if it is.
fn due(exchange: &Exchange, user: String) -> Option<Instant> {
    let ms = exchange.config.faults.cut_after_ms;
    let cuts = ms > 0 && exchange.cut.lock().insert(user);
    cuts.then(|| Instant::now() + Duration::from_millis(ms))
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// RFC 7118 §4.1: both sides say `sip`.
#[allow(clippy::result_large_err, reason = "the library's own type")]
fn subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("sip")) {
        let mut refusal = ErrorResponse::new(Some("the subprotocol is sip (RFC 7118)".to_owned()));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
    Ok(response)
}
