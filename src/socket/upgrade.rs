//! The opening handshake (RFC 6455 §4): the request as text, the answer checked. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

use super::SocketError;
use super::config::{SocketConfig, Target};
use super::deflate::{self, Agreed};

/// The longest response head that is accepted, in bytes.
pub(super) const LONGEST_HEAD: usize = 64 << 10;

/// A nonce for `Sec-WebSocket-Key` (RFC 6455 §4.1).
pub(super) fn new_key() -> String {
    BASE64.encode(rand::random::<[u8; 16]>())
}

/// The value `Sec-WebSocket-Accept` has to have for `key` (RFC 6455 §4.2.2).
pub(super) fn accept_of(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    BASE64.encode(digest)
}

/// The upgrade request, byte for byte.
pub(super) fn request(target: &Target, config: &SocketConfig, key: &str) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", target.path, target.authority());
    for (name, value) in &config.headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    text.push_str(key);
    text.push_str("\r\nSec-WebSocket-Version: 13\r\n");
    if let Some(ours) = our_offer(config) {
        text.push_str("Sec-WebSocket-Extensions: ");
        text.push_str(ours);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The extensions we offer ourselves: nothing where the user's headers already offer some.
fn our_offer(config: &SocketConfig) -> Option<&'static str> {
    let by_user = config.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(EXTENSIONS));
    match (config.deflate && !by_user, config.deflate_outgoing) {
        (false, _) => None,
        (true, false) => Some(deflate::OFFER),
        (true, true) => Some(deflate::OFFER_OUTGOING),
    }
}

const EXTENSIONS: &str = "Sec-WebSocket-Extensions";

/// A response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// HTTP status.
    pub(super) status: u16,
    /// The first line, without its end.
    pub(super) status_line: String,
    /// Headers in order.
    pub(super) headers: Vec<(String, String)>,
    /// Bytes up to and including the empty line.
    pub(super) bytes: usize,
}

impl Head {
    /// The head at the begin of `bytes`; `None` while it is not complete.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 256];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() >= LONGEST_HEAD => {
                return Err(format!("the head of the answer is longer than {LONGEST_HEAD} bytes"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => {
                let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).escape_debug().to_string();
                return Err(format!("the answer is no HTTP ({error}); it begins with '{begin}'"));
            }
        };
        let first_line = bytes.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        let status_line = String::from_utf8_lossy(first_line.unwrap_or_default()).trim_end().to_owned();
        let headers = response
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
            .collect();
        Ok(Some(Self { status: response.code.unwrap_or_default(), status_line, headers, bytes: length }))
    }

    /// The values of all headers of this name, joined by commas (RFC 9110 §5.3).
    pub(super) fn joined(&self, name: &str) -> String {
        joined(&self.headers, name)
    }
}

fn joined(headers: &[(String, String)], name: &str) -> String {
    let values = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

/// Checks a head of status 101 (RFC 6455 §4.1) and says whether compression was agreed.
pub(super) fn check(head: &Head, config: &SocketConfig, key: &str) -> Result<Option<Agreed>, SocketError> {
    let refuse = |detail: String| Err(SocketError::Upgrade { ended: None, detail });
    if !head.joined("Upgrade").eq_ignore_ascii_case("websocket") {
        return refuse("Server response should contain 'Upgrade' header with value 'websocket'".to_owned());
    }
    let connection = head.joined("Connection");
    let upgrades = if config.strict_upgrade {
        connection.eq_ignore_ascii_case("upgrade")
    } else {
        connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
    };
    if !upgrades {
        return refuse("Server response should contain 'Connection' header with value 'Upgrade'".to_owned());
    }
    let expected = accept_of(key);
    if head.joined("Sec-WebSocket-Accept") != expected {
        return refuse(format!("Server response should contain 'Sec-WebSocket-Accept' header with value '{expected}'"));
    }
    let chosen = head.joined("Sec-WebSocket-Protocol");
    let offered = joined(&config.headers, "Sec-WebSocket-Protocol");
    if !chosen.is_empty() && !offered.split(',').any(|offer| offer.trim() == chosen) {
        return refuse(format!(
            "the server chose the subprotocol '{chosen}', which was not offered in Sec-WebSocket-Protocol ('{offered}')"
        ));
    }
    let by_user = joined(&config.headers, EXTENSIONS);
    let offered = our_offer(config).unwrap_or(&by_user);
    deflate::agreed(offered, &head.joined(EXTENSIONS)).or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[&str]) -> Head {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n\r\n", lines.join("\r\n"));
        Head::parse(text.as_bytes()).expect("valid").expect("complete")
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(accept_of(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_request_is_as_specified_byte_for_byte() {
        let mut config = SocketConfig::new("wss://host/a?b");
        config.headers = vec![("X-B".to_owned(), "2".to_owned()), ("x-a".to_owned(), "1".to_owned())];
        config.deflate = true;
        let target = config.target().expect("usable");
        let text = String::from_utf8(request(&target, &config, KEY)).expect("text");
        assert_eq!(
            text,
            "GET /a?b HTTP/1.1\r\nHost: host:443\r\nX-B: 2\r\nx-a: 1\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
    }

    #[test]
    fn an_extension_header_of_the_user_is_the_only_offer() {
        let mut config = SocketConfig::new("ws://h/");
        config.deflate = true;
        config.headers = vec![("sec-websocket-extensions".to_owned(), "permessage-deflate".to_owned())];
        let text = String::from_utf8(request(&config.target().expect("usable"), &config, KEY)).expect("text");
        assert_eq!(text.to_ascii_lowercase().matches("sec-websocket-extensions").count(), 1);
        let answer = head(&[
            "Upgrade: websocket",
            "Connection: upgrade",
            ACCEPT,
            "Sec-WebSocket-Extensions: permessage-deflate",
        ]);
        assert!(check(&answer, &config, KEY).expect("valid").is_some());
    }

    #[test]
    fn a_connection_list_is_accepted_unless_strict() {
        let answer = head(&["upgrade: WebSocket", "connection: keep-alive, UPGRADE", ACCEPT]);
        let mut config = SocketConfig::new("ws://h/");
        assert!(check(&answer, &config, KEY).expect("valid").is_none());
        config.strict_upgrade = true;
        let error = check(&answer, &config, KEY).expect_err("strict").to_string();
        assert_eq!(error, "Server response should contain 'Connection' header with value 'Upgrade'");
    }

    #[test]
    fn every_wrong_answer_is_named() {
        let config = SocketConfig::new("ws://h/");
        for (lines, word) in [
            (vec!["Connection: Upgrade", ACCEPT], "'Upgrade' header with value 'websocket'"),
            (vec!["Upgrade: websocket", ACCEPT], "'Connection'"),
            (vec!["Upgrade: websocket", "Connection: Upgrade"], "'Sec-WebSocket-Accept'"),
            (vec!["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"], "'Sec-WebSocket-Accept'"),
            (vec!["Upgrade: websocket", "Connection: Upgrade", ACCEPT, "Sec-WebSocket-Protocol: sip"], "'sip'"),
            (vec!["Upgrade: websocket", "Connection: Upgrade", ACCEPT, "Sec-WebSocket-Extensions: zip"], "'zip'"),
        ] {
            let error = check(&head(&lines), &config, KEY).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn an_answer_that_is_no_http_is_quoted() {
        let error = Head::parse(b"SSH-2.0-OpenSSH_9.2\r\n").expect_err("no HTTP");
        assert!(error.contains("SSH-2.0"), "{error}");
    }
}
