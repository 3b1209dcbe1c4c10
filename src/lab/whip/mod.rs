//! A counterpart for WHIP and WHEP clients (RFC 9725, draft-ietf-wish-whep): `/whip/NAME` hears, `/whep/NAME` plays the shipped
//! audio, whatever the name.
//!
//! Guarantees: the answer has every candidate; one PATCH at a time changes a session; a session ends by DELETE, with its
//! PeerConnection, or with the lab. Requests are bounded in size, sessions in number.
mod config;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Mutex as Turn;
use tokio_util::sync::CancellationToken;

pub use self::config::{WhipConfig, WhipFaults};
use super::{ACCEPT_REST, Shared};
use crate::peer::{ConnectionState, MediaDirection, MediaLine, PeerError, Session, SessionConfig};
use crate::signaling::profile::fragment;
use crate::signaling::whip::{FRAGMENT, Fragment, SDP, restarted};

/// Largest accepted request body, bytes.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Sessions at a time.
const MAX_SESSIONS: usize = 10_000;
/// How long reading a request's head may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long describing may take.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(10);
/// How long closing a session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How often a session is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What all tasks of the counterpart share.
pub(super) struct Gateway {
    config: WhipConfig,
    lab: Arc<Shared>,
    address: SocketAddr,
    stun: SocketAddr,
    next: AtomicU64,
    offers: AtomicU64,
    sessions: Mutex<HashMap<String, Arc<Ingest>>>,
}

/// One session.
struct Ingest {
    peer: Session,
    /// One change at a time.
    turn: Turn<Described>,
    ended: CancellationToken,
}

struct Described {
    /// The client's latest description.
    remote: String,
    /// Counts ICE sessions.
    etag: u64,
    /// Our own offer has no answer yet.
    offering: bool,
}

type Answer = Response<Full<Bytes>>;

impl Gateway {
    /// Starts to listen.
    pub(super) fn start(
        config: WhipConfig,
        lab: &Arc<Shared>,
        listener: TcpListener,
        stun: SocketAddr,
    ) -> std::io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        let gateway = Arc::new(Self {
            config,
            lab: Arc::clone(lab),
            address,
            stun,
            next: AtomicU64::new(1),
            offers: AtomicU64::new(0),
            sessions: Mutex::default(),
        });
        lab.spawn(accept(listener, gateway));
        Ok(address)
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if request.method() == Method::OPTIONS {
            let mut response = plain(StatusCode::NO_CONTENT, "");
            response.headers_mut().insert("accept-post", HeaderValue::from_static(SDP));
            self.link(response.headers_mut());
            return response;
        }
        if !self.may(request.headers()) {
            let mut response = plain(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        match (request.method().clone(), &*parts) {
            (Method::POST, [kind @ ("whip" | "whep"), _]) => {
                let plays = *kind == "whep";
                match described(request, SDP).await {
                    Ok(offer) => self.offered(&path, &query, plays, &offer).await,
                    Err(refused) => refused,
                }
            }
            (Method::PATCH, ["session", id]) => {
                let found = self.sessions.lock().get(*id).cloned();
                match found {
                    Some(ingest) => self.patched(&ingest, request).await,
                    None => plain(StatusCode::NOT_FOUND, "there is no such session"),
                }
            }
            (Method::DELETE, ["session", id]) => {
                let found = self.sessions.lock().remove(*id);
                match found {
                    Some(ingest) => {
                        ingest.ended.cancel();
                        ingest.peer.close(CLOSE_DEADLINE).await;
                        plain(StatusCode::OK, "")
                    }
                    None => plain(StatusCode::NOT_FOUND, "there is no such session"),
                }
            }
            (_, ["whip" | "whep", _] | ["session", _]) => plain(StatusCode::METHOD_NOT_ALLOWED, ""),
            _ => plain(StatusCode::NOT_FOUND, "there is /whip/NAME and /whep/NAME"),
        }
    }

    fn may(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.config.token.is_empty()
            || given.and_then(|value| value.strip_prefix("Bearer ")) == Some(self.config.token.as_str())
    }

    fn link(&self, headers: &mut HeaderMap) {
        if self.config.stun {
            let value = format!("<stun:{}>; rel=\"ice-server\"", self.stun);
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(header::LINK, value);
            }
        }
    }

    async fn offered(self: &Arc<Self>, path: &str, query: &str, plays: bool, offer: &str) -> Answer {
        let faults = &self.config.faults;
        let redirected = query.strip_prefix("redirected=").and_then(|count| count.parse().ok()).unwrap_or(0_u8);
        if redirected < faults.redirects {
            let mut response = plain(StatusCode::TEMPORARY_REDIRECT, "");
            let location = format!("http://{}{path}?redirected={}", self.address, redirected + 1);
            insert(response.headers_mut(), header::LOCATION, &location);
            return response;
        }
        if faults.offer_status != 0 {
            let number = self.offers.fetch_add(1, Ordering::Relaxed);
            if faults.offer_refusals == 0 || number < faults.offer_refusals {
                let status = StatusCode::from_u16(faults.offer_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                let mut response = plain(status, "refused by the lab");
                if faults.retry_after_s > 0 {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(faults.retry_after_s));
                }
                return response;
            }
        }
        if self.sessions.lock().len() >= MAX_SESSIONS {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "too many sessions");
        }
        let counters = plays && faults.counter_offer;
        let made = tokio::time::timeout(DESCRIBE_DEADLINE, self.session(plays, (!counters).then_some(offer))).await;
        let (peer, description) = match made {
            Ok(Ok(made)) => made,
            Ok(Err(error @ PeerError::Sdp { .. })) => {
                self.lab.ledger.calls_failed.add(1);
                return plain(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string());
            }
            Ok(Err(error)) => return plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(_) => return plain(StatusCode::GATEWAY_TIMEOUT, "describing took too long"),
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let described = Described { remote: offer.to_owned(), etag: 1, offering: counters };
        let ingest = Arc::new(Ingest { peer, turn: Turn::new(described), ended: CancellationToken::new() });
        self.sessions.lock().insert(id.clone(), Arc::clone(&ingest));
        self.lab.spawn(Arc::clone(self).watch(id.clone(), ingest));
        tokio::time::sleep(Duration::from_millis(faults.answer_delay_ms)).await;
        self.lab.ledger.calls_answered.add(u64::from(!counters));
        let status = if counters { StatusCode::NOT_ACCEPTABLE } else { StatusCode::CREATED };
        let mut response = plain(status, &description);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
        if !faults.no_location {
            insert(headers, header::LOCATION, &format!("/session/{id}"));
        }
        if !faults.no_etag {
            insert(headers, header::ETAG, "\"1\"");
        }
        self.link(headers);
        response
    }

    /// A session and its whole description: the answer to `offer`, or an offer of our own.
    async fn session(&self, plays: bool, offer: Option<&str>) -> Result<(Session, String), PeerError> {
        let mut config = SessionConfig {
            source_address: Some(self.address.ip()),
            trickle: false,
            send_audio: plays,
            ..SessionConfig::default()
        };
        if offer.is_none() {
            let line = MediaLine::audio(&config.codecs);
            config.media = vec![MediaLine { direction: MediaDirection::Sendonly, ..line }];
        }
        let session = Session::new(config).await?;
        let description = match offer {
            Some(offer) => session.create_answer(offer).await,
            None => session.create_offer().await,
        };
        match description {
            Ok(description) => Ok((session, description)),
            Err(error) => {
                session.close(CLOSE_DEADLINE).await;
                Err(error)
            }
        }
    }

    async fn patched(&self, ingest: &Ingest, request: Request<Incoming>) -> Answer {
        let faults = &self.config.faults;
        let if_match = request.headers().get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        let if_match = if_match.map(str::to_owned);
        let mut described_so_far = ingest.turn.lock().await;
        if described_so_far.offering {
            let answer = match described(request, SDP).await {
                Ok(answer) => answer,
                Err(refused) => return refused,
            };
            if let Err(error) = ingest.peer.set_remote_answer(&answer).await {
                return plain(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string());
            }
            described_so_far.offering = false;
            described_so_far.remote = answer;
            self.lab.ledger.calls_answered.add(1);
            return plain(StatusCode::NO_CONTENT, "");
        }
        let text = match described(request, FRAGMENT).await {
            Ok(text) => text,
            Err(refused) => return refused,
        };
        if let Ok(status) = StatusCode::from_u16(faults.patch_status) {
            return plain(status, "refused by the lab");
        }
        if !faults.no_etag && if_match.is_none() {
            return plain(StatusCode::PRECONDITION_REQUIRED, "If-Match is missing");
        }
        let remote = fragment::ice_credentials(&described_so_far.remote);
        if if_match.as_deref() == Some("\"*\"") || if_match.as_deref() == Some("*") {
            if faults.no_etag {
                return plain(StatusCode::UNPROCESSABLE_ENTITY, "ICE cannot be restarted");
            }
            return match restart(ingest, &mut described_so_far, &text).await {
                Ok(body) => {
                    let mut response = plain(StatusCode::OK, &body);
                    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
                    insert(response.headers_mut(), header::ETAG, &format!("\"{}\"", described_so_far.etag));
                    response
                }
                Err(why) => plain(StatusCode::UNPROCESSABLE_ENTITY, &why),
            };
        }
        let current = format!("\"{}\"", described_so_far.etag);
        let is_current = if_match.is_none_or(|given| given == current);
        let is_this = fragment::ice_credentials(&text).is_none_or(|credentials| Some(credentials) == remote);
        if !is_current || !is_this {
            return plain(StatusCode::PRECONDITION_FAILED, "another ICE session is going on");
        }
        for candidate in fragment::candidates(&text) {
            if let Err(error) = ingest.peer.add_ice_candidate(candidate).await {
                log::debug!("lab whip: a candidate is not usable: {error}");
            }
        }
        plain(StatusCode::NO_CONTENT, "")
    }

    /// Counts a session and ends it with the lab, with its connection, or when it is to be forgotten.
    async fn watch(self: Arc<Self>, id: String, ingest: Arc<Ingest>) {
        let open = self.lab.ledger.call_opened();
        open.attach(ingest.peer.clone());
        let forget = self.config.faults.forget_after_ms;
        let forgotten = async {
            match forget {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        let lost = async {
            loop {
                tokio::time::sleep(LOOK).await;
                if matches!(ingest.peer.connection_state(), ConnectionState::Failed | ConnectionState::Closed) {
                    return;
                }
            }
        };
        tokio::select! {
            () = ingest.ended.cancelled() => {}
            () = self.lab.end_calls.cancelled() => {}
            () = lost => {}
            () = forgotten => {}
        }
        self.sessions.lock().remove(&id);
        ingest.peer.close(CLOSE_DEADLINE).await;
    }
}

/// Restarts ICE: the client's new credentials and candidates in, ours out.
async fn restart(ingest: &Ingest, described: &mut Described, text: &str) -> Result<String, String> {
    let offer = restarted(&described.remote, text).ok_or("the fragment has no ICE credentials")?;
    if fragment::ice_credentials(&offer) == fragment::ice_credentials(&described.remote) {
        return Err("the ICE credentials are the old ones".to_owned());
    }
    let answered = tokio::time::timeout(DESCRIBE_DEADLINE, ingest.peer.create_answer(&offer)).await;
    let answer = answered.map_err(|_| "describing took too long")?.map_err(|error| error.to_string())?;
    described.remote = offer;
    described.etag += 1;
    Fragment { of: &answer, candidates: &[], ends: true }
        .write(true)
        .ok_or_else(|| "no fragment of our answer".to_owned())
}

/// Accepts connections until the lab stops.
async fn accept(listener: TcpListener, gateway: Arc<Gateway>) {
    loop {
        let accepted = tokio::select! {
            () = gateway.lab.end_lines.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let lab = Arc::clone(&gateway.lab);
        let gateway = Arc::clone(&gateway);
        lab.spawn(async move {
            let ending = gateway.lab.end_lines.clone();
            let service = service_fn(|request| {
                let gateway = Arc::clone(&gateway);
                async move { Ok::<_, Infallible>(gateway.respond(request).await) }
            });
            let serving = http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .serve_connection(TokioIo::new(tcp), service);
            tokio::select! {
                () = ending.cancelled() => {}
                done = serving => if let Err(error) = done {
                    log::debug!("lab whip: a connection ended: {error}");
                },
            }
        });
    }
}

/// The body of a request, which has to be of this kind.
async fn described(request: Request<Incoming>, kind: &str) -> Result<String, Answer> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind) {
        return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &format!("the body has to be {kind}")));
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|_| plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was not complete"))?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|_| plain(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
