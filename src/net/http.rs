//! One HTTP/1.1 exchange (RFC 9112), for what signaling asks of a REST service.
//!
//! Guarantees: each exchange has a connection and a deadline of its own; names are resolved, TCP is connected and TLS is
//! verified as for WebSockets; redirects are not followed, a response of more than [`MAX_BODY_BYTES`] is refused; what cannot
//! be a request is refused before any packet leaves. Cancel safe: dropping the future ends the connection. Errors repeat
//! neither header values nor the query of the URL: both carry tokens.
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::config::ConfigError;
use crate::net::resolver::{self, DnsMode, ResolveOptions};
use crate::net::retry_after;
use crate::net::tcp;
use crate::socket::{SocketError, Trust, of_tls, tls_client};

/// Largest accepted response body, bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// How a service is reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Whom `https` trusts.
    pub trust: Trust,
    /// Local address to bind, if any.
    pub source_address: Option<IpAddr>,
    /// Who is asked for addresses.
    pub dns: DnsMode,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The wait that `Retry-After` asks for.
    pub retry_after: Option<Duration>,
    /// Header fields in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body; what is not UTF-8 is replaced.
    pub body: String,
    /// From the call to the last byte of the body.
    pub elapsed: Duration,
}

impl Response {
    /// The value of the first header field `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no response.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpError {
    /// It cannot be a request; no packet left.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It did not get through.
    #[error("{authority}: {phase}: {detail}")]
    Failed {
        /// Server, as `host:port`.
        authority: String,
        /// `dns`, `tcp`, `tls` or `http`.
        phase: &'static str,
        /// What happened.
        detail: String,
        /// What happened as data, where the phase is one that WebSockets have, too.
        cause: Option<Box<SocketError>>,
    },
    /// The deadline passed.
    #[error("{authority}: no response within {ms} ms: {phase} was not done")]
    Deadline {
        /// Server, as `host:port`.
        authority: String,
        /// What was not done: `dns`, `tcp`, `tls` or `http`.
        phase: &'static str,
        /// How long was waited, ms.
        ms: u64,
    },
}

struct Target {
    secure: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ConfigError> {
        let shown = url.split('?').next().unwrap_or_default();
        let refuse = |reason: &str| ConfigError::new("url", shown, reason);
        let uri: Uri = url.parse().map_err(|_| refuse("it is no URL (RFC 3986)"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refuse("it has to begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(ConfigError::new("url", "***", "credentials belong in a header, not in the URL"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(refuse("it has no host"));
        }
        Ok(Self {
            secure,
            host,
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

/// Makes one request. Has to be called on a tokio runtime with time and I/O.
///
/// # Errors
/// [`HttpError`]; a status of any kind is no error.
pub async fn exchange(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Option<String>,
    within: Duration,
    reach: &Reach,
) -> Result<Response, HttpError> {
    let begun = Instant::now();
    let end = begun + within;
    let target = Target::parse(url)?;
    let request = request(&target, method, headers, body)?;
    let authority = target.authority.clone();
    let fail = |phase, detail: String| HttpError::Failed { authority: authority.clone(), phase, detail, cause: None };
    let unreached = |phase, cause: SocketError| HttpError::Failed {
        authority: authority.clone(),
        phase,
        detail: cause.to_string(),
        cause: Some(Box::new(cause)),
    };
    let late = |phase| HttpError::Deadline {
        authority: authority.clone(),
        phase,
        ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
    };

    let options = ResolveOptions { mode: reach.dns, ..ResolveOptions::default() };
    let addresses = match resolver::resolve_with(&target.host, within, options).await {
        Ok(resolved) => resolved.addresses,
        Err(error) if error.timed_out => return Err(late("dns")),
        Err(error) => return Err(unreached("dns", error.into())),
    };
    let left = end.saturating_duration_since(Instant::now());
    let tcp = match tcp::connect(&addresses, target.port, reach.source_address, left).await {
        Ok(tcp) => tcp,
        Err(error) if error.timed_out && Instant::now() >= end => return Err(late("tcp")),
        Err(error) => return Err(unreached("tcp", error.into())),
    };
    let (status, headers, body) = if target.secure {
        let config = tls_client(&reach.trust)?;
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| fail("tls", format!("'{}' cannot be the name of a TLS server", target.host)))?;
        let stream = timeout_at(end, TlsConnector::from(config).connect(name, tcp))
            .await
            .map_err(|_| late("tls"))?
            .map_err(|error| unreached("tls", of_tls(&error)))?;
        timeout_at(end, converse(stream, request)).await
    } else {
        timeout_at(end, converse(tcp, request)).await
    }
    .map_err(|_| late("http"))?
    .map_err(|detail| fail("http", detail))?;
    let retry_after = retry_after(&headers, SystemTime::now());
    Ok(Response { status, retry_after, headers, body, elapsed: begun.elapsed() })
}

fn request(
    target: &Target,
    method: &str,
    headers: &[(String, String)],
    body: Option<String>,
) -> Result<Request<Full<Bytes>>, ConfigError> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| ConfigError::new("method", method, "it is no HTTP method (RFC 9110 §9)"))?;
    let mut request = Request::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *request.method_mut() = method;
    *request.uri_mut() = target.path.parse().map_err(|_| ConfigError::new("url", "***", "its path is not usable"))?;
    let into = request.headers_mut();
    into.insert(USER_AGENT, HeaderValue::from_static(concat!("jmeter-webrtc/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in headers {
        let field = format!("headers.{name}");
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ConfigError::new(&field, "***", "it is no header name (RFC 9110)"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| ConfigError::new(&field, "***", "its value has a line break or another control character"))?;
        into.append(name, value);
    }
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| ConfigError::new("url", "***", "its host is not usable"))?;
    into.insert(HOST, host);
    into.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

type Parts = (u16, Vec<(String, String)>, String);

async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Parts, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("no connection: {error}"))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| told(&error))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| format!("the body was not complete: {error}"))?;
        Ok((status, headers, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    let connection = async {
        if let Err(error) = connection.await {
            // The exchange says the same of its own request.
            log::debug!("an HTTP connection ended: {error}");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = exchange => done,
        () = connection => Err("the connection ended".to_owned()),
    }
}

/// hyper's errors name their reason in their source only.
fn told(error: &hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A server on loopback that answers one connection with `response` and gives back what it read up to an empty line.
    async fn server(response: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut read = Vec::new();
            while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut some = [0; 1024];
                match stream.read(&mut some).await {
                    Ok(count @ 1..) => read.extend_from_slice(&some[..count]),
                    _ => break,
                }
            }
            stream.write_all(response.as_bytes()).await.expect("a reader");
            String::from_utf8_lossy(&read).into_owned()
        });
        (url, task)
    }

    async fn get(url: &str, within: Duration) -> Result<Response, HttpError> {
        let headers = [("Authorization".to_owned(), "Bearer s3cret".to_owned())];
        exchange("GET", url, &headers, None, within, &Reach::default()).await
    }

    #[tokio::test]
    async fn a_response_has_its_status_body_and_retry_after() {
        let (url, server) = server("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}").await;
        let response = get(&format!("{url}/a?b=c"), SOON).await.expect("a response");
        assert_eq!((response.status, response.retry_after, &*response.body), (429, Some(Duration::from_secs(7)), "{}"));
        let request = server.await.expect("served");
        assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("authorization: Bearer s3cret\r\n") && request.contains("host: 127.0.0.1:"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_silent_server_and_a_cut_answer_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}/?token=s3cret", listener.local_addr().expect("bound"));
        let error = get(&url, Duration::from_millis(200)).await.expect_err("silent").to_string();
        assert!(error.contains("no response within 200 ms: http") && !error.contains("s3cret"), "{error}");
        let (url, _server) = server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut").await;
        let error = get(&url, SOON).await.expect_err("cut").to_string();
        assert!(error.contains("http: the body was not complete"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_a_request_is_refused_before_any_packet() {
        for url in ["", "ws://h/", "http://", "http://u:s3cret@h/", "http:///x"] {
            let error = get(url, SOON).await.expect_err(url);
            assert!(matches!(error, HttpError::Config(_)) && !error.to_string().contains("s3cret"), "{url}: {error}");
        }
        let headers = [("A".to_owned(), "s3cret\r\nB: c".to_owned())];
        let error =
            exchange("GET", "http://h/", &headers, None, SOON, &Reach::default()).await.expect_err("a line break");
        assert!(error.to_string().contains("headers.A") && !error.to_string().contains("s3cret"), "{error}");
    }
}
