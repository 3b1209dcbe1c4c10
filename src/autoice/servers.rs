//! ICE servers that the other side names: JSON (W3C `RTCIceServer`, draft-uberti-behave-turn-rest), XMPP external service discovery
//! (XEP-0215, versions 1 and 2), and the `Link` headers of WHIP (RFC 9725 §4.6).
//!
//! Guarantees: pure; only `stun:`, `stuns:`, `turn:` and `turns:` URLs count, at most [`MAX_SERVERS`] servers.
use super::classify::folded;
use super::finding::FoundIceServer;
use super::tree::{Kind, Tree};

/// The most servers of one message.
pub(super) const MAX_SERVERS: usize = 64;

fn is_url(text: &str) -> bool {
    text.len() <= 512
        && ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                && text.len() > scheme.len()
        })
}

/// The server that this JSON object is.
pub(super) fn of_object(tree: &Tree<'_>, id: u32) -> Option<FoundIceServer> {
    let mut server = FoundIceServer { urls: Vec::new(), username: String::new(), credential: String::new() };
    for member in tree.children(id).take(32) {
        match folded(&String::from_utf8_lossy(tree.key(member))).as_str() {
            "urls" | "url" | "uris" | "uri" => match tree.node(member).kind {
                Kind::Array => {
                    let urls = tree.children(member).take(MAX_SERVERS).filter_map(|url| tree.string(url));
                    server.urls.extend(urls.filter(|url| is_url(url)));
                }
                Kind::Text(_) => server.urls.extend(tree.string(member).filter(|url| is_url(url))),
                _ => {}
            },
            "username" | "user" => server.username = tree.string(member).unwrap_or_default(),
            "credential" | "password" => server.credential = tree.string(member).unwrap_or_default(),
            _ => {}
        }
    }
    server.urls.dedup();
    (!server.urls.is_empty()).then_some(server)
}

/// The server that this `<service>` element is.
pub(super) fn of_element(tree: &Tree<'_>, id: u32) -> Option<FoundIceServer> {
    if tree.key(id) != b"service" {
        return None;
    }
    let attribute = |name: &[u8]| {
        tree.children(id)
            .find(|child| tree.key(*child) == name)
            .and_then(|child| tree.string(child))
            .filter(|text| !text.is_empty())
    };
    let kind = attribute(b"type")?.to_ascii_lowercase();
    let host = attribute(b"host")?;
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let port = attribute(b"port").filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let transport = attribute(b"transport").map(|transport| transport.to_ascii_lowercase());
    let transport = match (kind.as_str(), transport.as_deref()) {
        ("turn", Some("tcp")) | ("turns", Some("tcp" | "tls")) => "?transport=tcp",
        _ => "",
    };
    let url = format!("{kind}:{host}{}{transport}", port.map(|port| format!(":{port}")).unwrap_or_default());
    is_url(&url).then(|| FoundIceServer {
        urls: vec![url],
        username: attribute(b"username").unwrap_or_default(),
        credential: attribute(b"password").unwrap_or_default(),
    })
}

/// The servers of the value of a `Link` header (RFC 8288).
pub(super) fn of_link(value: &str) -> Vec<FoundIceServer> {
    let mut servers = Vec::new();
    for link in split_outside_quotes(value, ',') {
        let mut parts = split_outside_quotes(link, ';').into_iter();
        let Some(url) = parts.next().map(str::trim).and_then(|url| url.strip_prefix('<')?.strip_suffix('>')) else {
            continue;
        };
        let mut server =
            FoundIceServer { urls: vec![url.to_owned()], username: String::new(), credential: String::new() };
        let mut is_server = false;
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = unquoted(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "rel" => is_server = value.split_whitespace().any(|rel| rel.eq_ignore_ascii_case("ice-server")),
                "username" => server.username = value,
                "credential" => server.credential = value,
                _ => {}
            }
        }
        if is_server && is_url(url) && servers.len() < MAX_SERVERS {
            servers.push(server);
        }
    }
    servers
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or(character) } else { character });
    }
    text
}

/// Cuts at `mark`, except within `<…>` and `"…"`.
fn split_outside_quotes(text: &str, mark: char) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ if character == mark && !quoted && !bracketed => {
                parts.push(&text[from..at]);
                from = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_whip_name_servers() {
        let servers = of_link(
            r#"<stun:stun.example>; rel="ice-server", <turn:turn.example?transport=udp>; rel="ice-server"; username="u,1"; credential="p\"q"; credential-type="password", <https://x>; rel="other""#,
        );
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[1].urls, ["turn:turn.example?transport=udp"]);
        assert_eq!((servers[1].username.as_str(), servers[1].credential.as_str()), ("u,1", "p\"q"));
    }
}
