//! The REST side: who a token is, channels, calls; and the upgrade to the streaming WebSocket.
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use super::call::CallEvent;
use super::{Channel, Cloud, MAX_CHANNELS, desk, stream};
use crate::lab::ACCEPT_REST;
use crate::lab::config::MAX_TIME_MS;

/// Largest accepted request body, bytes.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Largest accepted stanza, bytes.
const MAX_STANZA_BYTES: usize = 1 << 20;
/// How long reading a request's head may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// Accepts connections until the lab stops; none during an outage.
pub(super) async fn accept(mut listener: TcpListener, cloud: Arc<Cloud>) {
    loop {
        let up = cloud.up();
        let accepted = tokio::select! {
            () = cloud.lab.end_lines.cancelled() => return,
            () = up.cancelled() => {
                drop(listener);
                match cloud.back().await {
                    Some(again) => listener = again,
                    None => return,
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let lab = Arc::clone(&cloud.lab);
        let cloud = Arc::clone(&cloud);
        lab.spawn(async move {
            let service = service_fn(|request| respond(Arc::clone(&cloud), request));
            let serving = http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .serve_connection(TokioIo::new(tcp), service)
                .with_upgrades();
            tokio::select! {
                () = up.cancelled() => {}
                done = serving => if let Err(error) = done {
                    log::debug!("lab genesys: a connection ended: {error}");
                },
            }
        });
    }
}

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn answer(status: StatusCode, body: &Value) -> Answer {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn refused(status: StatusCode, code: &str) -> Answer {
    answer(status, &json!({"status": status.as_u16(), "code": code, "message": "refused by the lab"}))
}

/// The user of a request: its bearer token, as far as it can stand in an identifier.
fn user(request: &Request<Incoming>) -> Option<String> {
    let token = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let id: String = token.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(64).collect();
    (!id.is_empty()).then(|| format!("user-{}", id.to_ascii_lowercase()))
}

/// The bare JID of a user.
pub(super) fn jid(user: &str) -> String {
    format!("{user}@{}", stream::DOMAIN)
}

async fn respond(cloud: Arc<Cloud>, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["stream", "channels", channel] = *parts {
        return Ok(upgrade(&cloud, channel, &mut request));
    }
    if let ["lab", "calls"] = *parts {
        let wanted = body(request).await;
        let Some(user) = wanted["userId"].as_str().filter(|user| cloud.agents.lock().contains_key(*user)) else {
            return Ok(refused(StatusCode::NOT_FOUND, "not.registered"));
        };
        return Ok(answer(StatusCode::OK, &json!({"id": cloud.call(user, false)})));
    }
    let method = request.method().clone();
    match (&method, &*parts) {
        (&Method::POST, ["lab", "outage"]) => return Ok(outage(&cloud, &body(request).await)),
        (&Method::GET, ["lab", "arrivals"]) => return Ok(answer(StatusCode::OK, &json!(cloud.arrivals()))),
        (&Method::GET, ["lab", "heard"]) => return Ok(answer(StatusCode::OK, &json!(*cloud.heard.lock()))),
        _ => {}
    }
    if let ["lab", "chats", rest @ ..] = &*parts {
        let query = request.uri().query().unwrap_or_default().to_owned();
        return Ok(desk::chats(&cloud, &method, rest, &query).await);
    }
    if let (&Method::POST, ["oauth", "token"]) = (&method, &*parts) {
        return Ok(desk::token(&cloud, &String::from_utf8_lossy(&bytes(request).await)));
    }
    let faults = &cloud.config.faults;
    if cloud.requests.fetch_add(1, Ordering::Relaxed) < faults.too_many_requests {
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "too.many.requests");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(faults.retry_after_s));
        return Ok(response);
    }
    let ["api", "v2", rest @ ..] = &*parts else { return Ok(refused(StatusCode::NOT_FOUND, "not.found")) };
    let Some(user) = user(&request) else {
        return Ok(refused(StatusCode::UNAUTHORIZED, "authentication.required"));
    };
    Ok(match (&method, rest) {
        (&Method::GET, ["users", "me"]) => {
            answer(StatusCode::OK, &json!({"id": user, "name": user, "chat": {"jabberId": jid(&user)}}))
        }
        (&Method::GET, ["organizations", "me"]) => answer(StatusCode::OK, &json!({"id": "org1", "name": "lab"})),
        (&Method::GET, ["stations", station]) => answer(
            StatusCode::OK,
            &json!({"id": station, "type": "inin_webrtc_softphone", "webRtcPersistentEnabled": cloud.config.persistent,
                "webRtcForceTurn": !cloud.config.stun,
                "webRtcCallAppearances": if cloud.config.persistent { 1 } else { 100 }}),
        ),
        (&Method::POST, ["notifications", "channels"]) => channel(&cloud, user),
        (&Method::POST | &Method::PUT, ["notifications", "channels", _, "subscriptions"]) => {
            let topics = body(request).await;
            // The vendor's client subscribes this way unless it is in a hurry.
            if topics.to_string().contains("conversations") {
                cloud.call_from_now_on(&user);
            }
            answer(StatusCode::OK, &json!({"entities": topics}))
        }
        (&Method::GET, ["presencedefinitions"]) => desk::presences(),
        (&Method::PATCH, ["users", _, "presences", _]) => answer(StatusCode::OK, &body(request).await),
        (&Method::DELETE, ["tokens", "me"]) => answer(StatusCode::OK, &Value::Null),
        (&Method::GET, ["conversations", "calls"]) => desk::conversations(&cloud, &user),
        (&Method::POST, ["conversations", "calls"]) => {
            let id = cloud.call(&user, true);
            let own = format!("/api/v2/conversations/calls/{id}");
            answer(StatusCode::OK, &json!({"id": id, "selfUri": own}))
        }
        (&Method::PATCH, ["conversations", "calls", conversation, "participants", _]) => {
            let wanted = body(request).await;
            let event = match wanted["state"].as_str() {
                Some("disconnected") => Some(CallEvent::Terminate),
                Some("connected") => Some(CallEvent::Accepted),
                _ => None,
            };
            match event {
                Some(event) if !cloud.tell_conversation(conversation, &event) => {
                    refused(StatusCode::NOT_FOUND, "conversation.not.found")
                }
                _ => answer(StatusCode::ACCEPTED, &Value::Null),
            }
        }
        (&Method::POST, ["conversations", "calls", _, ..] | ["diagnostics", ..]) => {
            answer(StatusCode::ACCEPTED, &Value::Null)
        }
        _ => refused(StatusCode::NOT_FOUND, "not.found"),
    })
}

fn outage(cloud: &Arc<Cloud>, wanted: &Value) -> Answer {
    match wanted["ms"].as_u64().filter(|ms| *ms <= MAX_TIME_MS) {
        Some(ms) => {
            cloud.go_down(Duration::from_millis(ms));
            answer(StatusCode::ACCEPTED, &Value::Null)
        }
        None => refused(StatusCode::BAD_REQUEST, "ms.not.usable"),
    }
}

async fn body(request: Request<Incoming>) -> Value {
    serde_json::from_slice(&bytes(request).await).unwrap_or_default()
}

/// The body; nothing of one that is too long.
async fn bytes(request: Request<Incoming>) -> Bytes {
    let limited = Limited::new(request.into_body(), MAX_BODY_BYTES);
    limited.collect().await.map(|body| body.to_bytes()).unwrap_or_default()
}

fn channel(cloud: &Arc<Cloud>, user: String) -> Answer {
    let id = format!("streaming-{}", cloud.number());
    let mut channels = cloud.channels.lock();
    if channels.len() >= MAX_CHANNELS {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too.many.channels");
    }
    let uri = format!("ws://{}/stream/channels/{id}", cloud.address);
    channels.insert(id.clone(), Channel { user, in_use: CancellationToken::new() });
    answer(StatusCode::OK, &json!({"id": id, "connectUri": uri}))
}

fn upgrade(cloud: &Arc<Cloud>, channel: &str, request: &mut Request<Incoming>) -> Answer {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let in_use = CancellationToken::new();
    let user = cloud.channels.lock().get_mut(channel).map(|known| {
        // One WebSocket per channel: the newest.
        std::mem::replace(&mut known.in_use, in_use.clone()).cancel();
        known.user.clone()
    });
    cloud.arrived();
    let (Some(key), Some(user)) = (key, user) else {
        cloud.lab.ledger.upgrades_refused.add(1);
        return refused(StatusCode::NOT_FOUND, "channel.not.found");
    };
    let asked = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let asks_for_xmpp =
        asked.flat_map(|value| value.to_str()).any(|value| value.split(',').any(|name| name.trim() == "xmpp"));
    let upgrading = hyper::upgrade::on(request);
    let (owner, up) = (Arc::clone(cloud), cloud.up());
    cloud.lab.spawn(async move {
        match upgrading.await {
            Ok(upgraded) => {
                let config = WebSocketConfig::default()
                    .read_buffer_size(4096)
                    .write_buffer_size(0)
                    .max_message_size(Some(MAX_STANZA_BYTES))
                    .max_frame_size(Some(MAX_STANZA_BYTES));
                let stream = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
                stream::serve(socket, owner, user, in_use, up).await;
            }
            Err(error) => log::debug!("lab genesys: an upgrade failed: {error}"),
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    // A client that did not ask for it has to fail the connection (RFC 6455 §4.1).
    if asks_for_xmpp {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
    }
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
