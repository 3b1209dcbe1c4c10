//! What a session is made from, checked field by field before any packet leaves.
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rtc::crypto::{HmacAlgorithm, default_provider};

use serde::Deserialize;

use crate::config::{ConfigError, from_json};
use crate::diagnosis::facts::Configured;
use crate::media::AudioCodec;
use crate::net::facts::ServerTransport;
use crate::net::turn::TurnServer;
use crate::net::udp::route_source;
use crate::peer::media_line::MediaLine;
use crate::socket::{Trust, trust};

/// One STUN/TURN server (W3C `RTCIceServer`, with what a load test needs besides).
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IceServer {
    /// `stun:host[:port]` (RFC 7064), `turn:host[:port][?transport=udp|tcp]` or `turns:host[:port]` (RFC 7065); at least
    /// one. Of all `turn:` and `turns:` URLs of a session the first that gives an allocation is used.
    pub urls: Vec<String>,
    /// User name; needed by `turn:` unless there is a `secret`.
    #[serde(default)]
    pub username: String,
    /// Password; needed by `turn:` unless there is a `secret`; never shown.
    #[serde(default)]
    pub credential: String,
    /// The secret shared with the server (coturn: `static-auth-secret`): every session makes its own time-limited
    /// credentials from it, user name `expiry:username` and password Base64(HMAC-SHA1(secret, user name))
    /// (draft-uberti-behave-turn-rest §2.2). Not together with `credential`; never shown.
    #[serde(default)]
    pub secret: String,
    /// How long these are valid, s (default 86400, 1..=31536000).
    #[serde(default)]
    pub ttl_s: Option<u64>,
    /// Whom `turns:` trusts: `"system"` (default), `"all"` or `{"pem": "…"}`.
    #[serde(default)]
    pub trust: Trust,
}

/// Default of [`IceServer::ttl_s`]: a day.
const TTL_S: u64 = 86_400;
const MAX_TTL_S: u64 = 31_536_000;

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &"***")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// W3C `RTCIceTransportPolicy`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// Every candidate.
    #[default]
    All,
    /// Only candidates of TURN servers.
    Relay,
}

/// Configuration of one session; JSON names are camelCase.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SessionConfig {
    /// ICE servers (default none, at most 16).
    pub ice_servers: Vec<IceServer>,
    /// Policy (default all).
    pub ice_transport_policy: IceTransportPolicy,
    /// Local address to bind (default: the one the kernel would use toward `routeHint`; without a hint toward the ICE
    /// servers; without these 127.0.0.1).
    pub source_address: Option<IpAddr>,
    /// An address in the network that is to be reached, usually the signaling server's (default none).
    pub route_hint: Option<IpAddr>,
    /// Send candidates as they come (default true) or wait for gathering.
    pub trickle: bool,
    /// Gathering deadline in ms (default 5000, 1..=60000): what is there by then is used.
    pub gather_timeout_ms: u64,
    /// Offer → connected deadline, ms (default 30000, 1..=600000): ICE checks go on that long.
    pub connect_timeout_ms: u64,
    /// Codec preference order (default [opus, pcmu]); an answer follows the offer's order.
    pub codecs: Vec<AudioCodec>,
    /// Media lines of an offer in their order, and what an answer accepts (default: one audio line with `codecs`, and of an
    /// offer its audio and its data channels). The first audio line's codecs are offered in place of `codecs`.
    pub media: Vec<MediaLine>,
    /// Send audio (default true).
    pub send_audio: bool,
    /// ICE check interval in ms (default 50, 5..=5000).
    pub ice_check_interval_ms: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ice_servers: vec![],
            ice_transport_policy: IceTransportPolicy::All,
            source_address: None,
            route_hint: None,
            trickle: true,
            gather_timeout_ms: 5_000,
            connect_timeout_ms: 30_000,
            codecs: AudioCodec::OFFERED.to_vec(),
            media: vec![],
            send_audio: true,
            ice_check_interval_ms: 50,
        }
    }
}

/// Media lines of one session.
const MAX_MEDIA_LINES: usize = 64;
/// Servers of one session; each costs a transaction and maybe a relay.
const MAX_ICE_SERVERS: usize = 16;
/// URLs of one server.
const MAX_URLS: usize = 8;
/// Longest user name and password in bytes (RFC 8489 §14.3 allows 508 for the former).
const MAX_CREDENTIAL_BYTES: usize = 508;

impl SessionConfig {
    /// Parses and checks JSON.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first field that is not usable.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = from_json(json)?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges, URLs, schemes, ports.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first field that is not usable.
    pub fn check(&self) -> Result<(), ConfigError> {
        range("gatherTimeoutMs", self.gather_timeout_ms, 1, 60_000)?;
        range("connectTimeoutMs", self.connect_timeout_ms, 1, 600_000)?;
        range("iceCheckIntervalMs", self.ice_check_interval_ms, 5, 5_000)?;
        if self.codecs.is_empty() {
            return Err(ConfigError::new("codecs", "[]", "name at least one of opus, pcmu, pcma"));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.codecs.iter().find(|codec| !seen.insert(codec.mime_type())) {
            return Err(ConfigError::new("codecs", twice.mime_type(), "each codec may be named once"));
        }
        check_media(&self.media)?;
        for (field, address) in [("sourceAddress", self.source_address), ("routeHint", self.route_hint)] {
            if let Some(address) = address.filter(|address| address.is_unspecified() || address.is_multicast()) {
                return Err(ConfigError::new(field, address, "a unicast address, such as 192.0.2.7"));
            }
        }
        if self.ice_servers.len() > MAX_ICE_SERVERS {
            return Err(ConfigError::new(
                "iceServers",
                format!("{} servers", self.ice_servers.len()),
                format!("at most {MAX_ICE_SERVERS}"),
            ));
        }
        let mut relays = false;
        for (index, server) in self.ice_servers.iter().enumerate() {
            relays |= server.check(&format!("iceServers[{index}]"))?;
        }
        if self.ice_transport_policy == IceTransportPolicy::Relay && !relays {
            return Err(ConfigError::new("iceTransportPolicy", "relay", "relay needs a turn: URL in iceServers"));
        }
        Ok(())
    }

    /// What a diagnosis may know of it.
    pub(crate) fn configured(&self) -> Configured {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // TURN REST: the user name begins with the time at which it ends.
        let expires = self.ice_servers.iter().filter_map(|server| {
            let digits = server.username.split(':').next()?;
            (9..=11).contains(&digits.len()).then(|| digits.parse().ok())?
        });
        Configured {
            ice_servers: self.ice_servers.len(),
            relay_only: self.ice_transport_policy == IceTransportPolicy::Relay,
            send_audio: self.send_audio,
            turn_expires_s: expires.min(),
            wall_clock_s: now,
            connect_timeout_us: self.connect_timeout_ms.saturating_mul(1000),
            refused: None,
        }
    }

    /// The URLs of all servers in their order, with how each is talked to.
    pub(super) fn urls(&self) -> impl Iterator<Item = (String, ServerTransport)> + '_ {
        let urls = self.ice_servers.iter().flat_map(|server| &server.urls);
        // Unusable ones have been refused.
        urls.map(|text| (text.clone(), IceUrl::parse(text).map(|url| url.transport).unwrap_or_default()))
    }

    /// The `turn:` and `turns:` servers in their order, with the credentials of this moment.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first field that is not usable.
    pub(super) fn turn_servers(&self) -> Result<Vec<TurnServer>, ConfigError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut servers = Vec::new();
        for (index, server, url) in self.parsed() {
            if !url.turn {
                continue;
            }
            let (username, credential) = server.credentials(now)?;
            let tls = match url.transport {
                ServerTransport::Tls => Some(server.tls()?),
                ServerTransport::Udp | ServerTransport::Tcp => None,
            };
            let IceUrl { host, port, transport, .. } = url;
            servers.push(TurnServer { index, host, port, transport, username, credential, tls });
        }
        Ok(servers)
    }

    /// The `stun:` URLs.
    pub(super) fn stun_urls(&self) -> Vec<String> {
        let urls = self.ice_servers.iter().flat_map(|server| &server.urls);
        urls.filter(|url| IceUrl::parse(url).is_ok_and(|url| !url.turn)).cloned().collect()
    }

    pub(super) fn has_turn_server(&self) -> bool {
        self.parsed().any(|(_, _, url)| url.turn)
    }

    /// The `stun:` servers as `host:port`, with their places among all URLs.
    pub(super) fn stun_servers(&self) -> Vec<(String, usize)> {
        let stun = self.parsed().filter(|(_, _, url)| !url.turn);
        stun.map(|(index, _, url)| (format!("{}:{}", url.host, url.port), index)).collect()
    }

    fn parsed(&self) -> impl Iterator<Item = (usize, &IceServer, IceUrl)> {
        let urls = self.ice_servers.iter().flat_map(|server| server.urls.iter().map(move |url| (server, url)));
        urls.enumerate().filter_map(|(index, (server, url))| Some((index, server, IceUrl::parse(url).ok()?)))
    }

    /// The address to bind: what the configuration says, else what the kernel's routes say.
    pub(super) fn local_address(&self) -> IpAddr {
        const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        /// TEST-NET-2 (RFC 5737): routed as any public address, reached by none; a route lookup sends nothing.
        const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
        if let Some(address) = self.source_address {
            return address;
        }
        let mut hosts = self.ice_servers.iter().flat_map(|server| &server.urls).filter_map(|url| {
            let url = IceUrl::parse(url).ok()?;
            Some(url.host.parse().unwrap_or(ANYWHERE))
        });
        let destination = self.route_hint.or_else(|| hosts.next());
        destination.and_then(|destination| route_source(destination).ok()).unwrap_or(LOOPBACK)
    }
}

/// Checks the media lines of a configuration.
pub(super) fn check_media(lines: &[MediaLine]) -> Result<(), ConfigError> {
    if lines.len() > MAX_MEDIA_LINES {
        return Err(ConfigError::new("media", format!("{} lines", lines.len()), format!("at most {MAX_MEDIA_LINES}")));
    }
    if !lines.is_empty() && lines.iter().all(|line| line.rejected) {
        return Err(ConfigError::new("media", "only rejected lines", "at least one line that is not"));
    }
    lines.iter().enumerate().try_for_each(|(index, line)| line.check(&format!("media[{index}]")))
}

fn range(field: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(field, value, format!("milliseconds from {least} to {most}")))
}

impl IceServer {
    /// Checks one server, named `field`; returns whether it can relay.
    pub(crate) fn check(&self, field: &str) -> Result<bool, ConfigError> {
        if self.urls.is_empty() || self.urls.len() > MAX_URLS {
            let value = format!("{} URLs", self.urls.len());
            return Err(ConfigError::new(format!("{field}.urls"), value, format!("1 to {MAX_URLS} URLs")));
        }
        let (mut relays, mut secure) = (false, false);
        for (index, text) in self.urls.iter().enumerate() {
            let url = IceUrl::parse(text)
                .map_err(|reason| ConfigError::new(format!("{field}.urls[{index}]"), text, reason))?;
            relays |= url.turn;
            secure |= url.transport == ServerTransport::Tls;
        }
        let refuse = |name: &str, value: &str, reason: &str| {
            Err(ConfigError::new(format!("{field}.{name}"), value.to_owned(), reason))
        };
        let with_secret = !self.secret.is_empty();
        if with_secret && !self.credential.is_empty() {
            return refuse("secret", "***", "it makes the credential, so there must be no credential beside it");
        }
        if let Some(ttl_s) = self.ttl_s.filter(|ttl_s| !(1..=MAX_TTL_S).contains(ttl_s)) {
            return refuse("ttlS", &ttl_s.to_string(), &format!("seconds from 1 to {MAX_TTL_S}"));
        }
        for (name, value, shown, needed) in [
            ("username", &self.username, &*self.username, relays && !with_secret),
            ("credential", &self.credential, "***", relays && !with_secret),
            ("secret", &self.secret, "***", false),
        ] {
            if needed && value.is_empty() {
                return refuse(name, "", "a turn: server needs one");
            }
            if value.len() > MAX_CREDENTIAL_BYTES {
                return refuse(name, shown, &format!("at most {MAX_CREDENTIAL_BYTES} bytes, here {}", value.len()));
            }
        }
        if secure {
            self.tls().map_err(|error| ConfigError { field: format!("{field}.{}", error.field), ..error })?;
        }
        Ok(relays)
    }

    fn tls(&self) -> Result<std::sync::Arc<rustls::ClientConfig>, ConfigError> {
        trust::tls_config(&self.trust, None)
    }

    /// User name and password as of `now`, since the Unix epoch.
    fn credentials(&self, now: std::time::Duration) -> Result<(String, String), ConfigError> {
        if self.secret.is_empty() {
            return Ok((self.username.clone(), self.credential.clone()));
        }
        let expiry = now.as_secs() + self.ttl_s.unwrap_or(TTL_S);
        let username = match self.username.is_empty() {
            true => expiry.to_string(),
            false => format!("{expiry}:{}", self.username),
        };
        let mut hash = [0; 20];
        let signed = default_provider().and_then(|provider| {
            let mut mac = provider.crypto().new_hmac(HmacAlgorithm::Sha1, self.secret.as_bytes())?;
            mac.sign(&[username.as_bytes()], &mut hash)
        });
        signed.map_err(|error| ConfigError::new("secret", "***", error.to_string()))?;
        Ok((username, BASE64.encode(hash)))
    }
}

/// The parts of a `stun:` or `turn:` URI (RFC 7064 §3.1, RFC 7065 §3.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IceUrl {
    pub(crate) turn: bool,
    pub(crate) transport: ServerTransport,
    /// Host name or IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Default ports of `stun:` and `turn:`, and of `turns:` (RFC 7065 §3.2).
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

impl IceUrl {
    /// Reads a URL; the error says what would be accepted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').ok_or("expected stun:host[:port] or turn:host[:port]")?;
        let (turn, secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (false, false),
            "turn" => (true, false),
            "turns" => (true, true),
            "stuns" => return Err("STUN over TLS is not supported; use stun:".into()),
            _ => return Err(format!("scheme '{scheme}' is none of stun, turn, turns")),
        };
        let (address, query) = match rest.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (rest, None),
        };
        let transport = match query {
            None | Some("transport=tcp") if secure => ServerTransport::Tls,
            Some("transport=udp") if secure => return Err("TURN over DTLS is not supported; use ?transport=tcp".into()),
            None => ServerTransport::Udp,
            Some("transport=udp") if turn => ServerTransport::Udp,
            Some("transport=tcp") if turn => ServerTransport::Tcp,
            Some(query) if turn => return Err(format!("'?{query}' is neither ?transport=udp nor ?transport=tcp")),
            Some(_) => return Err("a stun: URL has no '?' part".into()),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("the IPv6 address has no closing ']'")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{host}' is not an IPv6 address"))?;
                match port {
                    "" => (host, None),
                    _ => (host, Some(port.strip_prefix(':').ok_or("expected ':' and a port after ']'")?)),
                }
            }
            None => match address.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err("write an IPv6 address in brackets".into()),
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if host.is_empty() {
            return Err("the host is empty".into());
        }
        if let Some(character) =
            host.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')))
        {
            return Err(format!("a host has no {character:?}"));
        }
        let port = match port {
            None if secure => TLS_PORT,
            None => PORT,
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 => number,
                _ => return Err(format!("port '{port}' is not a number from 1 to 65535")),
            },
        };
        Ok(Self { turn, transport, host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> ConfigError {
        SessionConfig::from_json(json.as_bytes()).expect_err(json)
    }

    #[test]
    fn nothing_but_defaults_is_a_usable_configuration() {
        let config = SessionConfig::from_json(b"{}").expect("defaults");
        assert_eq!(config.codecs, AudioCodec::OFFERED);
        assert_eq!(config.local_address(), IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn every_usable_url_is_accepted() {
        for url in ["stun:localhost", "STUN:192.0.2.1:3478", "stun:[2001:db8::1]", "stun:[::1]:3478"] {
            let json = format!(r#"{{"iceServers":[{{"urls":["{url}"]}}]}}"#);
            SessionConfig::from_json(json.as_bytes()).expect(url);
        }
        for url in [
            "turn:relay.example",
            "turn:relay.example:3478?transport=udp",
            "turn:relay.example?transport=tcp",
            "turns:relay.example",
            "turns:relay.example:443?transport=tcp",
        ] {
            let server = format!(r#"{{"urls":["{url}"],"username":"u","credential":"c","trust":"all"}}"#);
            let json = format!(r#"{{"iceServers":[{server}]}}"#);
            SessionConfig::from_json(json.as_bytes()).expect(url);
        }
    }

    #[test]
    fn urls_lead_to_servers_in_their_order_with_the_default_ports() {
        let json = br#"{"iceServers":[
            {"urls":["stun:a","turn:b?transport=tcp"],"username":"u","credential":"c"},
            {"urls":["turns:[::1]","turn:d:9"],"username":"v","credential":"e","trust":"all"}
        ]}"#;
        let config = SessionConfig::from_json(json).expect("usable");
        let servers = config.turn_servers().expect("usable");
        let told: Vec<_> = servers
            .iter()
            .map(|server| (server.index, &*server.host, server.port, server.transport, &*server.username))
            .collect();
        assert_eq!(
            told,
            [
                (1, "b", 3478, ServerTransport::Tcp, "u"),
                (2, "::1", 5349, ServerTransport::Tls, "v"),
                (3, "d", 9, ServerTransport::Udp, "v")
            ]
        );
        assert!(servers[1].tls.is_some() && servers[0].tls.is_none());
        assert_eq!(config.stun_servers(), [("a:3478".to_owned(), 0)]);
        assert_eq!(config.urls().count(), 4);
    }

    #[test]
    fn a_secret_makes_time_limited_credentials() {
        let server = IceServer {
            urls: vec!["turn:h".into()],
            username: "alice".into(),
            secret: "north".into(),
            ttl_s: Some(600),
            ..IceServer::default()
        };
        server.check("iceServers[0]").expect("usable");
        let (username, credential) = server.credentials(std::time::Duration::from_secs(1_700_000_000)).expect("made");
        assert_eq!(username, "1700000600:alice");
        // printf 1700000600:alice | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential, "gthUwOpcRoLI0MMCziCEBOWYnpo=");
        assert!(!format!("{server:?}").contains("north"));
    }

    #[test]
    fn every_bad_url_is_refused_by_its_place() {
        for (url, reason) in [
            ("", "stun:host"),
            ("stun.example", "stun:host"),
            ("http://x", "scheme"),
            ("stun:", "host is empty"),
            ("stun::3478", "host is empty"),
            ("stun:h:0", "port '0'"),
            ("stun:h:65536", "port '65536'"),
            ("stun:h:http", "port 'http'"),
            ("stun:h:", "port ''"),
            ("stun:::1", "brackets"),
            ("stun:[::1", "closing"),
            ("stun:[zz]", "IPv6"),
            ("stun:a b", "host"),
            ("stun:h?transport=udp", "no '?'"),
            ("stuns:h", "STUN over TLS is not supported"),
            ("turns:h?transport=udp", "TURN over DTLS is not supported"),
            ("turn:h?transport=sctp", "neither"),
            ("turn:h?x=y", "transport=udp"),
        ] {
            let json = format!(r#"{{"iceServers":[{{"urls":["stun:ok","{url}"],"username":"u","credential":"c"}}]}}"#);
            let error = refused(&json);
            assert_eq!(error.field, "iceServers[0].urls[1]", "{url}");
            assert!(error.reason.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn every_field_out_of_range_is_refused_by_name() {
        for (json, field) in [
            (r#"{"gatherTimeoutMs":0}"#, "gatherTimeoutMs"),
            (r#"{"gatherTimeoutMs":-1}"#, "gatherTimeoutMs"),
            (r#"{"connectTimeoutMs":600001}"#, "connectTimeoutMs"),
            (r#"{"connectTimeoutMs":"soon"}"#, "connectTimeoutMs"),
            (r#"{"iceCheckIntervalMs":4}"#, "iceCheckIntervalMs"),
            (r#"{"codecs":[]}"#, "codecs"),
            (r#"{"codecs":["opus","opus"]}"#, "codecs"),
            (r#"{"codecs":["opus","g729"]}"#, "codecs[1]"),
            (r#"{"media":[{"media":"audio","rejected":true}]}"#, "media"),
            (r#"{"media":[{"media":"audio","direction":"up"}]}"#, "media[0].direction"),
            (r#"{"media":[{"media":"audio","mid":""}]}"#, "media[0].mid"),
            (r#"{"sourceAddress":"0.0.0.0"}"#, "sourceAddress"),
            (r#"{"sourceAddress":"nowhere"}"#, "sourceAddress"),
            (r#"{"routeHint":"224.0.0.1"}"#, "routeHint"),
            (r#"{"iceServers":[{"urls":[]}]}"#, "iceServers[0].urls"),
            (r#"{"iceTransportPolicy":"relay"}"#, "iceTransportPolicy"),
            (r#"{"iceTransportPolicy":"some"}"#, "iceTransportPolicy"),
            (r#"{"colour":1}"#, "colour"),
            (r#"{"iceServers":[{"urls":["turn:h"]}]}"#, "iceServers[0].username"),
            (r#"{"iceServers":[{"urls":["turn:h"],"username":"u"}]}"#, "iceServers[0].credential"),
            (r#"{"iceServers":[{"urls":["turn:h"],"credential":"c","secret":"s"}]}"#, "iceServers[0].secret"),
            (r#"{"iceServers":[{"urls":["turn:h"],"secret":"s","ttlS":0}]}"#, "iceServers[0].ttlS"),
            (
                r#"{"iceServers":[{"urls":["turns:h"],"username":"u","credential":"c","trust":{"pem":"x"}}]}"#,
                "iceServers[0].trust.pem",
            ),
        ] {
            assert_eq!(refused(json).field, field, "{json}");
        }
        let many = format!(r#"{{"iceServers":[{}]}}"#, vec![r#"{"urls":["stun:h"]}"#; 17].join(","));
        assert_eq!(refused(&many).field, "iceServers");
        assert_eq!(refused("[").field, "(configuration)");
    }

    #[test]
    fn a_password_is_never_shown() {
        let secret = "s3cret".repeat(100);
        let server = IceServer {
            urls: vec!["turn:h".into()],
            username: "u".into(),
            credential: secret.clone(),
            ..IceServer::default()
        };
        let config = SessionConfig { ice_servers: vec![server], ..SessionConfig::default() };
        assert!(!format!("{config:?}").contains("s3cret"));
        let error = config.check().expect_err("too long");
        assert_eq!(error.field, "iceServers[0].credential");
        assert!(!error.to_string().contains("s3cret"));
    }

    #[test]
    fn the_local_address_follows_the_hint_and_the_servers() {
        let hint = SessionConfig { route_hint: Some([127, 0, 0, 1].into()), ..SessionConfig::default() };
        assert_eq!(hint.local_address(), IpAddr::from([127, 0, 0, 1]));
        let server = IceServer { urls: vec!["stun:127.0.0.1:3478".into()], ..IceServer::default() };
        let servers = SessionConfig { ice_servers: vec![server], ..SessionConfig::default() };
        assert_eq!(servers.local_address(), IpAddr::from([127, 0, 0, 1]));
        let bound = SessionConfig { source_address: Some([192, 0, 2, 7].into()), ..hint };
        assert_eq!(bound.local_address(), IpAddr::from([192, 0, 2, 7]));
    }
}
