//! ICE servers as a signaling server gives them. Pure.
use std::collections::BTreeMap;

use serde_json::Value;

use super::format::IceServersSection;
use super::selector::Selector;
use super::template::text_of;
use crate::peer::IceServer;

/// Servers kept of one message.
const MAX_SERVERS: usize = 16;

/// What was given so far, by the request it answered.
#[derive(Default)]
pub(super) struct Servers {
    given: BTreeMap<String, Vec<IceServer>>,
}

impl Servers {
    /// Takes the servers of `message` instead of those that the same `request` brought before.
    pub(super) fn read(&mut self, section: &IceServersSection, request: &str, message: &Value) {
        let servers = section.from.all(message).into_iter().take(MAX_SERVERS).filter_map(|node| server(section, node));
        self.given.insert(request.to_owned(), servers.collect());
    }

    /// All of them, and whether only relayed candidates are to be used.
    pub(super) fn now(&self, section: &IceServersSection) -> (Vec<IceServer>, bool) {
        let servers: Vec<IceServer> = self.given.values().flatten().cloned().collect();
        let relay_only = section.relay_only_if_no.as_ref().is_some_and(|kind| {
            let scheme = format!("{kind}:");
            !servers.iter().any(|server| server.urls.iter().any(|url| url.starts_with(&scheme)))
        });
        (servers, relay_only)
    }
}

fn server(section: &IceServersSection, node: &Value) -> Option<IceServer> {
    let text = |selector: &Option<Selector>| {
        selector.as_ref().and_then(|selector| selector.first(node)).map(text_of).filter(|text| !text.is_empty())
    };
    let urls = match section.urls.as_ref().and_then(|selector| selector.first(node)) {
        Some(Value::Array(urls)) => urls.iter().map(text_of).collect(),
        Some(url) => vec![text_of(url)],
        None => {
            let mut url = format!("{}:{}", text(&section.kind)?, text(&section.host)?);
            if let Some(port) = text(&section.port) {
                url.push(':');
                url.push_str(&port);
            }
            if let Some(transport) = text(&section.transport).filter(|transport| transport != "udp") {
                url.push_str("?transport=");
                url.push_str(&transport);
            }
            vec![url]
        }
    };
    let (username, credential) = (text(&section.username), text(&section.credential));
    Some(IceServer {
        urls,
        username: username.unwrap_or_default(),
        credential: credential.unwrap_or_default(),
        ..IceServer::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_names_its_transport_unless_it_is_udp_and_no_stun_means_relay_only() {
        let section: IceServersSection = serde_json::from_value(json!({
            "from": "$.s[*]", "type": "$.type", "host": "$.host", "port": "$.port", "transport": "$.transport",
            "username": "$.u", "credential": "$.p", "relayOnlyIfNo": "stun"
        }))
        .expect("usable");
        let mut servers = Servers::default();
        servers.read(
            &section,
            "turn",
            &json!({"s": [
            {"type": "turn", "host": "h", "port": "3478", "transport": "udp", "u": "a", "p": "b"},
            {"type": "turns", "host": "h", "port": 443, "transport": "tcp"}, {"host": "no type"}]}),
        );
        let (given, relay_only) = servers.now(&section);
        assert_eq!(
            given.iter().flat_map(|server| &server.urls).collect::<Vec<_>>(),
            ["turn:h:3478", "turns:h:443?transport=tcp"]
        );
        assert_eq!((given[0].username.as_str(), given[0].credential.as_str(), relay_only), ("a", "b", true));
        servers.read(&section, "stun", &json!({"s": [{"type": "stun", "host": "h", "port": "3478"}]}));
        assert!(!servers.now(&section).1);
        servers.read(&section, "stun", &json!({"s": []}));
        assert!(servers.now(&section).1, "a later answer takes the place of the earlier one");
    }
}
