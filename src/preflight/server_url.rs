//! URLs of ICE servers: `stun:`, `stuns:` (RFC 7064), `turn:`, `turns:` (RFC 7065). Pure.

use std::fmt;

/// How packets get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// As it is written in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// A server and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServerUrl {
    pub(super) turn: bool,
    pub(super) transport: Transport,
    /// Name or IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl ServerUrl {
    /// Reads a URL; the error says what would be accepted.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected stun:host[:port] or turn:host[:port][?transport=udp|tcp], or stuns: or turns:";
        let (scheme, rest) = text.split_once(':').ok_or(expected)?;
        let (turn, secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return Err(format!("scheme '{scheme}' is none of stun, stuns, turn, turns")),
        };
        let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
        let transport = match (query, secure) {
            (None | Some("transport=udp"), false) => Transport::Udp,
            (Some("transport=tcp"), false) => Transport::Tcp,
            (None | Some("transport=tcp"), true) => Transport::Tls,
            (Some(query), _) => return Err(format!("'?{query}' is not usable with {scheme}:")),
        };
        if query.is_some() && !turn {
            return Err("a stun: URL has no '?' part".to_owned());
        }
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("'[' without ']'")?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || "/@?#".contains(c)) {
            return Err("the host is missing or no host name or IP address".to_owned());
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => {
                if secure {
                    5349
                } else {
                    3478
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("the port is not 1 to 65535")?,
            None => return Err("text behind ']'".to_owned()),
        };
        Ok(Self { turn, transport, host: host.to_owned(), port })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.turn { "TURN" } else { "STUN" };
        if self.host.contains(':') {
            write!(f, "{kind} [{}]:{} over {}", self.host, self.port, self.transport.name())
        } else {
            write!(f, "{kind} {}:{} over {}", self.host, self.port, self.transport.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_all_schemes_and_transports_are_read() {
        for (text, said) in [
            ("stun:a.example", "STUN a.example:3478 over UDP"),
            ("stuns:a.example", "STUN a.example:5349 over TLS"),
            ("turn:a.example:1234", "TURN a.example:1234 over UDP"),
            ("turn:a.example?transport=tcp", "TURN a.example:3478 over TCP"),
            ("turns:a.example:443?transport=tcp", "TURN a.example:443 over TLS"),
            ("TURN:[2001:db8::1]:80", "TURN [2001:db8::1]:80 over UDP"),
        ] {
            assert_eq!(ServerUrl::parse(text).expect(text).to_string(), said);
        }
    }

    #[test]
    fn others_are_refused_with_a_sentence() {
        for text in [
            "a.example",
            "http://a",
            "stun:",
            "stun:a:0",
            "stun:a:70000",
            "stun:a?transport=udp",
            "turns:a?transport=udp",
            "turn:a?transport=sctp",
            "turn:a b",
            "turn:[::1",
            "turn:[::1]x",
            "turn://a",
        ] {
            assert!(!ServerUrl::parse(text).expect_err(text).is_empty());
        }
    }
}
