//! ICE servers in `Link` header fields (RFC 8288, RFC 9725 §4.6). Pure.
//!
//! Reading never fails and never panics: what is not a usable ICE server is left out.
use crate::peer::{IceServer, SessionConfig};

/// Servers taken of one response.
const MAX_SERVERS: usize = 16;

/// The ICE servers of a response, in their order. `stun:` and `turn:` URLs with the parameters `username` and `credential`;
/// other relations, and other kinds of credential than passwords, are no business of ours.
pub(super) fn ice_servers(headers: &[(String, String)]) -> Vec<IceServer> {
    let links = headers.iter().filter(|(name, _)| name == "link").flat_map(|(_, value)| links(value));
    links.filter_map(server).take(MAX_SERVERS).collect()
}

/// A target and its parameters; names are in lower case.
struct Link {
    target: String,
    parameters: Vec<(String, String)>,
}

fn server(link: Link) -> Option<IceServer> {
    let value = |name: &str| {
        // The first of a name counts (RFC 8288 §3).
        link.parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    };
    let is_server = value("rel").split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("ice-server"));
    let by_password = matches!(value("credential-type"), "" | "password");
    if !is_server || !by_password {
        return None;
    }
    let server = IceServer {
        urls: vec![link.target.clone()],
        username: value("username").to_owned(),
        credential: value("credential").to_owned(),
        ..IceServer::default()
    };
    let probe = SessionConfig { ice_servers: vec![server.clone()], ..SessionConfig::default() };
    probe.check().is_ok().then_some(server)
}

fn links(value: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some(begin) = rest.find('<') {
        let Some((target, after)) = rest[begin + 1..].split_once('>') else { break };
        let mut link = Link { target: target.trim().to_owned(), parameters: Vec::new() };
        rest = after.trim_start();
        while let Some(after) = rest.strip_prefix(';') {
            let (name, after) = token(after.trim_start());
            let after = after.trim_start();
            let (value, after) = match after.strip_prefix('=') {
                Some(after) => word(after.trim_start()),
                None => (String::new(), after),
            };
            link.parameters.push((name.to_ascii_lowercase(), value));
            rest = after.trim_start();
        }
        links.push(link);
        // The next one begins behind a comma; what stands before it was not understood.
        rest = rest.find(',').map_or("", |comma| &rest[comma + 1..]);
    }
    links
}

/// Up to a delimiter.
fn token(text: &str) -> (&str, &str) {
    text.split_at(text.find([';', ',', '=', '"', ' ', '\t', '<']).unwrap_or(text.len()))
}

/// A token or a quoted string (RFC 9110 §5.6.4).
fn word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Vec<(String, String, String)> {
        let headers: Vec<_> = values.iter().map(|value| ("link".to_owned(), (*value).to_owned())).collect();
        let servers = ice_servers(&headers).into_iter();
        servers.map(|server| (server.urls[0].clone(), server.username, server.credential)).collect()
    }

    #[test]
    fn servers_stand_in_fields_of_their_own_or_in_one() {
        let stun = "<stun:stun.example.net>; rel=\"ice-server\"";
        let turn = "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"user;,\\\"x\"; \
                    credential=\"my<Password>\"; credential-type=\"password\"";
        let expected = vec![
            ("stun:stun.example.net".to_owned(), String::new(), String::new()),
            ("turn:turn.example.net?transport=udp".to_owned(), "user;,\"x".to_owned(), "my<Password>".to_owned()),
        ];
        assert_eq!(read(&[stun, turn]), expected);
        assert_eq!(read(&[&format!("{stun}, {turn}")]), expected);
        assert_eq!(read(&["<stun:h>;rel=ice-server"]).len(), 1, "a token needs no quotes");
    }

    #[test]
    fn other_links_and_what_is_no_server_are_left_out() {
        for value in [
            "</sse>; rel=\"urn:ietf:params:whep:ext:core:server-sent-events\"",
            "<http://h/>; rel=\"ice-server\"",
            "<turn:h>; rel=\"ice-server\"",
            "<turn:h>; rel=\"ice-server\"; username=\"u\"; credential=\"t\"; credential-type=\"oauth\"",
            "<stun:h",
            "stun:h; rel=ice-server",
            "",
        ] {
            assert_eq!(read(&[value]), [], "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in ".{0,200}") {
            prop_assert!(read(&[&text]).len() <= MAX_SERVERS);
        }

        #[test]
        fn delimiters_in_any_order_are_read_without_harm(text in "[<>;,=\"\\\\ a:]{0,64}") {
            read(&[&text]);
        }

        #[test]
        fn what_is_quoted_is_read_back(name in "[ -~]{1,40}", word in "[ -~]{1,40}") {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!(
                "<turn:h:1>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"", quoted(&name), quoted(&word)
            );
            prop_assert_eq!(read(&[&value]), vec![("turn:h:1".to_owned(), name, word)]);
        }
    }
}
