//! What a user says about a WebSocket, checked before any packet leaves.
//!
//! Pure: nothing here opens anything.

use std::net::IpAddr;

use serde::Deserialize;

use super::literal::Literal;
use crate::config::{self, ConfigError};
use crate::net::resolver::DnsMode;

/// The longest time any field accepts: one day, in ms. More is a mistake in the unit.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Configuration of one WebSocket; JSON field names are the camelCase of these.
///
/// `Debug` shows neither header values nor the query of the URL: both carry tokens.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SocketConfig {
    /// `ws://` or `wss://` URL with path and query; no fragment (RFC 6455 §3).
    pub url: String,
    /// Request headers in order, sent as given; handshake headers we own are refused by name:
    /// `Host`, `Upgrade`, `Connection`, `Sec-WebSocket-Key`, `Sec-WebSocket-Version`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Deadline of DNS, in ms (default 5000).
    #[serde(default = "default_dns_timeout_ms")]
    pub dns_timeout_ms: u64,
    /// Deadline of the TCP connect over all addresses, in ms (default 20000).
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Deadline of the proxy's answer, of TLS and of the upgrade response, each, in ms (default 6000);
    /// 0 = no deadline of its own. With `literal` it starts anew whenever bytes of the other side come.
    #[serde(default = "default_handshake_timeout_ms")]
    pub handshake_timeout_ms: u64,
    /// Whom to trust over TLS.
    #[serde(default)]
    pub trust: Trust,
    /// PEM client certificate chain and its key, if any.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// HTTP CONNECT proxy.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// Local address to bind, if any.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    /// Addresses to use instead of DNS (JMeter's DNS Cache Manager); empty = resolve.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Who is asked for the addresses of the host (default `auto`).
    #[serde(default)]
    pub dns: DnsMode,
    /// Whether a DNS answer is shared within the process for its TTL (default true).
    #[serde(default = "yes")]
    pub dns_cache: bool,
    /// WebSocket ping interval in ms with ±20 % jitter; 0 = off (default 0).
    #[serde(default)]
    pub ping_interval_ms: u64,
    /// How long a pong (or any frame) may be missing after a ping before the socket counts as dead, ms
    /// (default 10000); 0 = for ever. After a `pingText`, which a server need not answer, the missing
    /// TCP acknowledgement counts instead.
    #[serde(default = "default_ping_timeout_ms")]
    pub ping_timeout_ms: u64,
    /// Text to send every `pingIntervalMs` instead of a ping frame (application keep-alive).
    #[serde(default)]
    pub ping_text: Option<String>,
    /// Answer pings in the background (default true).
    #[serde(default = "yes")]
    pub auto_pong: bool,
    /// Whether readers get ping frames as well (default false: they are consumed).
    #[serde(default)]
    pub deliver_pings: bool,
    /// Answer a close frame in the background (default true).
    #[serde(default = "yes")]
    pub echo_close: bool,
    /// Accept only `Connection: Upgrade` and not a list that contains it (default false).
    #[serde(default)]
    pub strict_upgrade: bool,
    /// Frames kept for later readers (default 1024); the oldest is dropped and counted beyond that. With `literal` nothing is
    /// dropped: nothing more is read from the connection then, neither pings nor its end, until readers have taken half of them.
    /// Whoever waits for a frame that matches waits for that, too.
    #[serde(default = "default_queue_frames")]
    pub queue_frames: usize,
    /// Payload bytes kept for later readers (default 64 MiB); beyond that the oldest frames are
    /// dropped and counted, never the newest one. With `literal` as above.
    #[serde(default = "default_queue_bytes")]
    pub queue_bytes: usize,
    /// Largest accepted frame payload in bytes, on the wire and inflated (default 64 MiB).
    #[serde(default = "default_max_frame_bytes")]
    pub max_frame_bytes: usize,
    /// Offer permessage-deflate (RFC 7692) (default false). A `Sec-WebSocket-Extensions` header of
    /// the user is sent instead of ours.
    #[serde(default)]
    pub deflate: bool,
    /// Compress outgoing text and binary messages where permessage-deflate was agreed (default false).
    #[serde(default)]
    pub deflate_outgoing: bool,
    /// Request and connection word for word instead of `url`, frames as leniently as they come (default: none).
    #[serde(default)]
    pub literal: Option<Literal>,
}

fn default_dns_timeout_ms() -> u64 {
    5_000
}
fn default_connect_timeout_ms() -> u64 {
    20_000
}
fn default_handshake_timeout_ms() -> u64 {
    6_000
}
fn default_ping_timeout_ms() -> u64 {
    10_000
}
fn default_queue_frames() -> usize {
    1024
}
fn default_queue_bytes() -> usize {
    64 << 20
}
fn default_max_frame_bytes() -> usize {
    64 << 20
}
fn yes() -> bool {
    true
}

/// Whom a `wss` connection trusts. In JSON `"system"`, `"all"` or `{"pem": "-----BEGIN…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// The system's certificate store, host name verified.
    #[default]
    System,
    /// Everybody, as JMeter does unless configured.
    All,
    /// Only these PEM certificates, host name verified.
    Pem(String),
}

/// Client certificate for mutual TLS.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM chain, leaf first.
    pub chain_pem: String,
    /// PEM key: PKCS#8, PKCS#1 or SEC 1.
    pub key_pem: String,
}

/// HTTP CONNECT proxy (RFC 9110 §9.3.6) with optional Basic credentials (RFC 7617).
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    /// Host name or IP literal.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name; without it no credentials are sent.
    #[serde(default)]
    pub user: Option<String>,
    /// Password (default empty).
    #[serde(default)]
    pub password: Option<String>,
}

impl std::fmt::Debug for SocketConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("SocketConfig")
            .field("url", &without_query(&self.url))
            .field("headers", &headers)
            .field("trust", &self.trust)
            .field("proxy", &self.proxy)
            .field("source_address", &self.source_address)
            .field("ping_interval_ms", &self.ping_interval_ms)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").field("key_pem", &"***").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).field("password", &"***").finish()
    }
}

impl SocketConfig {
    /// The defaults for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        let only_url = serde_json::json!({ "url": url.into() });
        serde_json::from_value(only_url).expect("every other field has a default")
    }

    /// Parses and checks UTF-8 JSON.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first field that is missing, unknown, of the wrong type or unusable.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = config::from_json(json)?;
        config.target()?;
        super::trust::check(&config)?;
        Ok(config)
    }

    /// The server, as `host:port`.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL that cannot be used.
    pub fn server(&self) -> Result<String, ConfigError> {
        Ok(self.target()?.authority())
    }

    /// Checks every field that needs no file and no packet, and takes the URL apart.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first unusable field.
    pub(super) fn target(&self) -> Result<Target, ConfigError> {
        let target = match &self.literal {
            Some(literal) => literal.target(&self.headers)?,
            None => {
                for (number, (name, value)) in self.headers.iter().enumerate() {
                    check_header(&format!("headers[{number}]"), name, value)?;
                }
                Target::parse(&self.url)?
            }
        };
        for (field, value, least) in [
            ("dnsTimeoutMs", self.dns_timeout_ms, 1),
            ("connectTimeoutMs", self.connect_timeout_ms, 1),
            ("handshakeTimeoutMs", self.handshake_timeout_ms, 0),
            ("pingIntervalMs", self.ping_interval_ms, 0),
            ("pingTimeoutMs", self.ping_timeout_ms, 0),
            ("queueFrames", self.queue_frames as u64, 1),
            ("queueBytes", self.queue_bytes as u64, 1),
            ("maxFrameBytes", self.max_frame_bytes as u64, 1),
        ] {
            let most = match field {
                "queueFrames" => 1 << 20,
                "queueBytes" | "maxFrameBytes" => 1 << 31,
                _ => LONGEST_MS,
            };
            if value < least || value > most {
                return Err(ConfigError::new(field, value, format!("it has to be between {least} and {most}")));
            }
        }
        if let Some(proxy) = &self.proxy {
            if proxy.port == 0 {
                return Err(ConfigError::new("proxy.port", 0, "it has to be between 1 and 65535"));
            }
            check_host("proxy.host", &proxy.host)?;
            if proxy.user.as_deref().is_some_and(|user| user.contains(':') || user.contains(char::is_control)) {
                let reason = "a user name of Basic authentication has no colon and no control character";
                return Err(ConfigError::new("proxy.user", "***", reason));
            }
            if proxy.password.as_deref().is_some_and(|password| password.contains(char::is_control)) {
                return Err(ConfigError::new("proxy.password", "***", "it has a control character"));
            }
        }
        Ok(target)
    }
}

/// A WebSocket URL taken apart (RFC 6455 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Whether the scheme is `wss`.
    pub(super) secure: bool,
    /// Host name or IP literal, IPv6 without brackets.
    pub(super) host: String,
    /// Port, 80 or 443 where the URL has none.
    pub(super) port: u16,
    /// Path and query as they go on the wire; begins with `/`.
    pub(super) path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: &str| Err(ConfigError::new("url", without_query(url), reason));
        if url.contains(|c: char| c.is_control()) {
            return refuse("it has a control character");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse("it has to begin with ws:// or wss://");
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return refuse("its scheme has to be ws or wss"),
        };
        if rest.contains('#') {
            return refuse("a WebSocket URL has no fragment (#…)");
        }
        let path_begin = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_begin);
        if authority.contains('@') {
            return Err(ConfigError::new("url", "***", "credentials belong in a header, not in the URL"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']') {
                Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
                _ => return refuse("what is in brackets has to be an IPv6 address"),
            },
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return refuse("its port has to be between 1 and 65535"),
            },
            _ => return refuse("its port is not a number"),
        };
        check_host("url", host)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{}", percent_encoded(path));
        Ok(Self { secure, host: host.to_owned(), port, path })
    }

    /// `host:port` as the `Host` header and CONNECT have it: the port is always there.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// `url` without its query, which often carries a token.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// What must not stand in a request line, percent-encoded (RFC 3986 §2.1); `%` stays as the user wrote it.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'_' | b'a'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn check_host(field: &str, host: &str) -> Result<(), ConfigError> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let reason = if host.is_empty() {
        "the host is empty"
    } else if host.len() > 253 {
        "a host name has at most 253 characters"
    } else if !host.is_ascii() {
        "write a host name outside of ASCII in its xn-- form"
    } else if host.bytes().any(|byte| !(byte.is_ascii_alphanumeric() || b"-._".contains(&byte))) {
        "a host name has letters, digits, '-', '_' and '.' only"
    } else {
        return Ok(());
    };
    Err(ConfigError::new(field, host, reason))
}

/// Refuses names that are no tokens (RFC 9110 §5.6.2) or ours, and values that would break out of
/// their line. The value itself is never shown: it may be a token.
fn check_header(field: &str, name: &str, value: &str) -> Result<(), ConfigError> {
    const OWNED: [&str; 5] = ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ConfigError::new(field, name.escape_debug(), "it is no header name (RFC 9110)"));
    }
    if OWNED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(ConfigError::new(field, name, "this header belongs to the handshake and is set for you"));
    }
    if value.contains(|c: char| c.is_control() && c != '\t') {
        let reason = "its value has a line break or another control character";
        return Err(ConfigError::new(field, format_args!("{name}: ***"), reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> ConfigError {
        SocketConfig::from_json(json.as_bytes()).expect_err(json)
    }

    #[test]
    fn a_url_alone_gives_the_documented_defaults() {
        let config = SocketConfig::from_json(br#"{"url":"ws://127.0.0.1:9/"}"#).expect("usable");
        assert_eq!(
            (config.dns_timeout_ms, config.connect_timeout_ms, config.handshake_timeout_ms),
            (5000, 20000, 6000)
        );
        assert_eq!((config.ping_interval_ms, config.ping_timeout_ms), (0, 10_000));
        assert_eq!((config.queue_frames, config.max_frame_bytes), (1024, 64 << 20));
        assert!(config.auto_pong && config.echo_close && config.dns_cache);
        assert!(!config.deflate && !config.deflate_outgoing && !config.deliver_pings && !config.strict_upgrade);
        assert_eq!(config.trust, Trust::System);
    }

    #[test]
    fn a_url_is_taken_apart() {
        for (url, secure, host, port, path) in [
            ("ws://host", false, "host", 80, "/"),
            ("WSS://Host.example:8443/a/b?c=d", true, "Host.example", 8443, "/a/b?c=d"),
            ("wss://[::1]?q", true, "::1", 443, "/?q"),
            ("ws://[fd00::1]:81/", false, "fd00::1", 81, "/"),
            ("ws://host/a b/é%20\"", false, "host", 80, "/a%20b/%C3%A9%20%22"),
        ] {
            let target = Target::parse(url).expect(url);
            let expected = Target { secure, host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(target, expected, "{url}");
        }
        assert_eq!(Target::parse("ws://[::1]/").expect("usable").authority(), "[::1]:80");
    }

    #[test]
    fn an_unusable_url_is_refused_by_name() {
        for url in [
            "",
            "host",
            "http://host/",
            "ws://",
            "ws:///x",
            "ws://host:0/",
            "ws://host:65536/",
            "ws://host:x/",
            "ws://host:/",
            "ws://host:+1/",
            "ws://u:p@host/",
            "ws://host/#frag",
            "ws://ho st/",
            "ws://hôst/",
            "ws://[::1/",
            "ws://[::zz]/",
            "ws://host/\\r\\nX: y",
            "ws://::1/",
        ] {
            let error = refused(&format!(r#"{{"url":"{url}"}}"#));
            assert_eq!(error.field, "url", "{url}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_not_repeated() {
        assert!(!refused(r#"{"url":"ws://user:secret@host/"}"#).to_string().contains("secret"));
        assert!(!refused(r#"{"url":"wx://host/?token=secret"}"#).to_string().contains("secret"));
    }

    #[test]
    fn header_injection_is_refused_by_number_without_showing_the_value() {
        for header in [
            r#"["A","x\r\nB: y"]"#,
            r#"["A","secret\n"]"#,
            r#"["A","\u0000"]"#,
            r#"["A\r\nB","x"]"#,
            r#"["","x"]"#,
            r#"["A B","x"]"#,
            r#"["Host","x"]"#,
            r#"["sec-websocket-KEY","x"]"#,
        ] {
            let error = refused(&format!(r#"{{"url":"ws://h/","headers":[["Ok","1"],["Ok","2"],{header}]}}"#));
            assert_eq!(error.field, "headers[2]", "{header}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn absurd_sizes_and_times_are_refused_by_field() {
        for (field, value) in [
            ("dnsTimeoutMs", "0"),
            ("connectTimeoutMs", "0"),
            ("connectTimeoutMs", "86400001"),
            ("handshakeTimeoutMs", "99999999999"),
            ("pingIntervalMs", "-1"),
            ("pingTimeoutMs", "1e30"),
            ("queueFrames", "0"),
            ("queueFrames", "1048577"),
            ("maxFrameBytes", "0"),
            ("maxFrameBytes", "2147483649"),
            ("queueBytes", "0"),
            ("sourceAddress", "\"eth0\""),
            ("addresses", "[\"x\"]"),
            ("trust", "\"nobody\""),
            ("deflate", "1"),
            ("dns", "\"carrier pigeon\""),
        ] {
            let error = refused(&format!(r#"{{"url":"ws://h/","{field}":{value}}}"#));
            assert!(error.field.starts_with(field), "{field}: {error}");
        }
        assert_eq!(refused(r#"{"url":"ws://h/","pingIntervall":1}"#).field, "pingIntervall");
    }

    #[test]
    fn a_proxy_is_checked_by_field_and_its_password_never_shown() {
        let proxy = |fields: &str| refused(&format!(r#"{{"url":"ws://h/","proxy":{{{fields}}}}}"#));
        assert_eq!(proxy(r#""host":"p","port":0"#).field, "proxy.port");
        assert_eq!(proxy(r#""host":"p q","port":1"#).field, "proxy.host");
        let error = proxy(r#""host":"p","port":1,"user":"u","password":"secret\r\n""#);
        assert_eq!(error.field, "proxy.password");
        assert!(!error.to_string().contains("secret"));
        let shown = r#"{"url":"ws://h/","proxy":{"host":"p","port":1,"user":"u","password":"secret"}}"#;
        let mut config = SocketConfig::from_json(shown.as_bytes()).expect("usable");
        config.headers.push(("Authorization".to_owned(), "Bearer secret".to_owned()));
        config.url.push_str("?token=secret");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
