//! What the user says of a SIP softphone, checked before any packet leaves.
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::digest::Credentials;
use crate::config::ConfigError;
use crate::signaling::profile::text_of;

/// Longest interval that is accepted, s: a day.
const MAX_SECONDS: u32 = 86_400;
/// Smallest session interval (RFC 4028 §4), s.
pub(super) const MIN_SESSION: u32 = 90;

/// The settings, by the names of the profile's parameters.
#[derive(Clone)]
pub(super) struct Settings {
    /// `aor`: address of record, such as `sip:alice@example.com`.
    pub(super) aor: String,
    /// Domain of the address of record, with its port if it has one.
    pub(super) domain: String,
    /// `displayName`: shown to the other side.
    pub(super) display_name: String,
    /// `authUser` (default: the user of `aor`), `password`, `realm`.
    pub(super) credentials: Credentials,
    /// `expires`, s.
    pub(super) expires: u32,
    /// `sessionExpires`, s; 0 = no session timer.
    pub(super) session_expires: u32,
    /// `keepAliveMs`; `None` = never.
    pub(super) keep_alive: Option<Duration>,
    /// `autoAnswer`.
    pub(super) auto_answer: bool,
    /// `restartIce`: an interrupted connection restarts ICE.
    pub(super) restart_ice: bool,
    /// `userAgent`.
    pub(super) user_agent: String,
}

impl Settings {
    /// Reads the values of parameters.
    pub(super) fn of(params: &BTreeMap<String, Value>) -> Result<Self, ConfigError> {
        let text = |name: &str| params.get(name).map(text_of).unwrap_or_default();
        let refuse = |name: &str, reason: &str| {
            let shown = if name == "password" { "***".to_owned() } else { text(name) };
            ConfigError::new(format!("params.{name}"), shown, reason)
        };
        for name in ["aor", "authUser", "displayName", "realm", "userAgent", "password"] {
            if text(name).chars().any(char::is_control) {
                return Err(refuse(name, "it has control characters"));
            }
        }
        let aor = text("aor");
        let rest = aor.strip_prefix("sip:").or_else(|| aor.strip_prefix("sips:")).and_then(|rest| rest.split_once('@'));
        let is_plain = !aor.contains(|c: char| c.is_whitespace() || "<>\",;?".contains(c));
        let Some((user, domain)) = rest.filter(|(user, domain)| is_plain && !user.is_empty() && !domain.is_empty())
        else {
            return Err(refuse("aor", "an address of record is sip:USER@DOMAIN, without parameters"));
        };
        let auth_user = Some(text("authUser")).filter(|user| !user.is_empty());
        if text("displayName").contains(['"', '\\']) || text("realm").contains('"') {
            let name = if text("realm").contains('"') { "realm" } else { "displayName" };
            return Err(refuse(name, "it has a quotation mark or a backslash"));
        }
        let number = |name: &str, default: u32, range: std::ops::RangeInclusive<u32>| match text(name).as_str() {
            "" => Ok(default),
            value => match value.trim().parse::<u32>() {
                Ok(number) if range.contains(&number) => Ok(number),
                _ => Err(refuse(name, &format!("{} to {}", range.start(), range.end()))),
            },
        };
        let flag = |name: &str, default: bool| match text(name).as_str() {
            "" => Ok(default),
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(refuse(name, "true or false")),
        };
        let session_expires = number("sessionExpires", MIN_SESSION, 0..=MAX_SECONDS)?;
        if session_expires != 0 && session_expires < MIN_SESSION {
            return Err(refuse("sessionExpires", "0 (no session timer), or at least 90 s (RFC 4028 §4)"));
        }
        let keep_alive_ms = number("keepAliveMs", 30_000, 0..=MAX_SECONDS * 1000)?;
        let user_agent = Some(text("userAgent")).filter(|name| !name.is_empty());
        Ok(Self {
            credentials: Credentials {
                user: auth_user.unwrap_or_else(|| user.to_owned()),
                password: text("password"),
                realm: text("realm"),
            },
            domain: domain.to_owned(),
            display_name: text("displayName"),
            expires: number("expires", 600, 1..=MAX_SECONDS)?,
            session_expires,
            keep_alive: (keep_alive_ms > 0).then(|| Duration::from_millis(keep_alive_ms.into())),
            auto_answer: flag("autoAnswer", false)?,
            restart_ice: flag("restartIce", true)?,
            user_agent: user_agent.unwrap_or_else(|| concat!("jmeter-webrtc/", env!("CARGO_PKG_VERSION")).to_owned()),
            aor,
        })
    }

    /// The URI that a user means by `to`: a URI, an address without its scheme, or a name or number of the own domain.
    pub(super) fn uri(&self, to: &str) -> Result<String, String> {
        let to = to.trim();
        let usable =
            !to.is_empty() && !to.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c));
        if !usable {
            return Err(format!("'{to}' is not usable: a SIP URI, an address, or a name or number of {}", self.domain));
        }
        let has_scheme = ["sip:", "sips:", "tel:"].iter().any(|scheme| to.starts_with(scheme));
        Ok(match (has_scheme, to.contains('@')) {
            (true, _) => to.to_owned(),
            (false, true) => format!("sip:{to}"),
            (false, false) => format!("sip:{to}@{}", self.domain),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let params = pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::String((*value).to_owned())));
        Settings::of(&params.collect())
    }

    #[test]
    fn what_is_not_usable_is_refused_by_name_and_a_password_is_not_shown() {
        for (name, value) in [
            ("aor", "alice"),
            ("aor", "sip:alice@"),
            ("aor", "sip:a lice@lab"),
            ("aor", "sip:alice@lab;x=1"),
            ("password", "s3cret\r\n"),
            ("displayName", "\"Al\""),
            ("expires", "0"),
            ("expires", "soon"),
            ("sessionExpires", "89"),
            ("keepAliveMs", "-1"),
            ("autoAnswer", "yes"),
        ] {
            let mut pairs = vec![("aor", "sip:alice@lab")];
            pairs.push((name, value));
            let error = settings(&pairs).err().unwrap_or_else(|| panic!("{name}={value}"));
            assert_eq!(error.field, format!("params.{name}"));
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_callee_is_a_uri_an_address_or_a_name_of_the_own_domain() {
        let settings = settings(&[("aor", "sip:alice@lab:5080")]).expect("usable");
        assert_eq!(settings.credentials.user, "alice");
        for (to, uri) in [
            ("bob", "sip:bob@lab:5080"),
            ("+4930123", "sip:+4930123@lab:5080"),
            ("bob@other", "sip:bob@other"),
            ("sips:bob@other", "sips:bob@other"),
            ("tel:+4930123", "tel:+4930123"),
        ] {
            assert_eq!(settings.uri(to).as_deref(), Ok(uri));
        }
        assert!(settings.uri("a b").is_err() && settings.uri("").is_err() && settings.uri("<sip:x>").is_err());
    }
}
