//! Digest authentication (RFC 7616, in SIP RFC 3261 §22 and RFC 8760): answers to challenges, and the server's check of them.
//!
//! Pure: the client's nonce is an argument. Of several challenges the strongest algorithm that is known is answered; MD5 and
//! SHA-256 are, with and without `-sess`. Passwords never leave but hashed.
use md5::Digest as _;

use super::message::{Message, split_list};

/// Who answers.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Only challenges of this realm are answered; empty = any.
    pub(crate) realm: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// Of its name, and whether it is the `-sess` form; MD5 where there is no name.
    fn named(name: Option<&str>) -> Option<(Self, bool)> {
        let name = name.unwrap_or("MD5").to_ascii_uppercase();
        let (name, session) = name.strip_suffix("-SESS").map_or((name.as_str(), false), |name| (name, true));
        match name {
            "MD5" => Some((Self::Md5, session)),
            "SHA-256" => Some((Self::Sha256, session)),
            _ => None,
        }
    }

    fn hex(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()),
        }
    }
}

/// What a response is computed from (RFC 7616 §3.4.1).
struct Parts<'a> {
    algorithm: Algorithm,
    session: bool,
    user: &'a str,
    realm: &'a str,
    password: &'a str,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// `auth` or `auth-int`, with the client's nonce and its count; none as in RFC 2069.
    quality: Option<(&'a str, &'a str, &'a str)>,
    body: &'a str,
}

impl Parts<'_> {
    fn response(&self) -> String {
        let hash = |text: String| self.algorithm.hex(&text);
        let mut secret = hash(format!("{}:{}:{}", self.user, self.realm, self.password));
        if self.session {
            let cnonce = self.quality.map_or("", |(_, cnonce, _)| cnonce);
            secret = hash(format!("{secret}:{}:{cnonce}", self.nonce));
        }
        let request = match self.quality {
            Some(("auth-int", ..)) => format!("{}:{}:{}", self.method, self.uri, hash(self.body.to_owned())),
            _ => format!("{}:{}", self.method, self.uri),
        };
        let request = hash(request);
        match self.quality {
            Some((quality, cnonce, count)) => {
                hash(format!("{secret}:{}:{count}:{cnonce}:{quality}:{request}", self.nonce))
            }
            None => hash(format!("{secret}:{}:{request}", self.nonce)),
        }
    }
}

/// The parameters of a `Digest` field; none where it is of another scheme.
struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    fn of(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let pairs = split_list(rest).into_iter().filter_map(|pair| pair.split_once('='));
        Some(Self(pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))).collect()))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// The header field that answers a 401 or 407 to `request`: name and value.
///
/// # Errors
/// Why the challenge cannot be answered.
pub(crate) fn answer(
    challenge: &Message,
    request: &Message,
    uri: &str,
    credentials: &Credentials,
    cnonce: &str,
) -> Result<(&'static str, String), String> {
    let (asks, answers) = match challenge.status() {
        Some(407) => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => ("WWW-Authenticate", "Authorization"),
    };
    let mut why = format!("the challenge has no {asks}");
    let mut best: Option<(Algorithm, bool, &str, &str, Parameters<'_>)> = None;
    // One field each: commas in them separate parameters.
    for value in challenge.fields(asks) {
        let Some(parameters) = Parameters::of(value) else {
            "the challenge is no digest".clone_into(&mut why);
            continue;
        };
        let (Some(realm), Some(nonce)) = (parameters.get("realm"), parameters.get("nonce")) else {
            "the challenge has no realm or no nonce".clone_into(&mut why);
            continue;
        };
        let Some((algorithm, session)) = Algorithm::named(parameters.get("algorithm")) else {
            why = format!("the challenge wants {}", parameters.get("algorithm").unwrap_or_default());
            continue;
        };
        if !credentials.realm.is_empty() && realm != credentials.realm {
            why = format!("the challenge is of realm '{realm}', not '{}'", credentials.realm);
            continue;
        }
        if best.as_ref().is_none_or(|(known, ..)| *known < algorithm) {
            best = Some((algorithm, session, realm, nonce, parameters));
        }
    }
    let (algorithm, session, realm, nonce, parameters) = best.ok_or(why)?;
    // Where both are offered, plain authentication suffices: proxies may change bodies.
    let offered = parameters.get("qop").map(|offered| offered.split(',').map(str::trim).collect::<Vec<_>>());
    let quality = match offered {
        None => None,
        Some(offered) => {
            let known = ["auth", "auth-int"].into_iter().find(|known| offered.contains(known));
            Some(known.ok_or("the challenge wants a quality of protection other than auth and auth-int")?)
        }
    };
    let count = "00000001";
    let quality = quality.map(|quality| (quality, cnonce, count));
    let Credentials { user, password, .. } = credentials;
    let method = request.method();
    let body = &request.body;
    let parts = Parts { algorithm, session, user, realm, password, method, uri, nonce, quality, body };
    let mut value = String::from("Digest ");
    if let Some(name) = parameters.get("algorithm") {
        value.push_str(&format!("algorithm={name}, "));
    }
    let response = parts.response();
    value.push_str(&format!(
        "username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
    ));
    if let Some(opaque) = parameters.get("opaque") {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    if let Some((quality, cnonce, count)) = quality {
        value.push_str(&format!(", qop={quality}, cnonce=\"{cnonce}\", nc={count}"));
    } else if session {
        value.push_str(&format!(", cnonce=\"{cnonce}\""));
    }
    Ok((answers, value))
}

/// Whether `request` is authorised by `password`; the user it names.
pub(crate) fn verify(request: &Message, nonce: &str, password: &str) -> Option<String> {
    let value = request.header("Authorization").or_else(|| request.header("Proxy-Authorization"))?;
    let parameters = Parameters::of(value)?;
    let (algorithm, session) = Algorithm::named(parameters.get("algorithm"))?;
    let user = parameters.get("username")?;
    let quality = match parameters.get("qop") {
        Some(quality) => Some((quality, parameters.get("cnonce")?, parameters.get("nc")?)),
        None => None,
    };
    let parts = Parts {
        algorithm,
        session,
        user,
        realm: parameters.get("realm")?,
        password,
        method: request.method(),
        uri: parameters.get("uri")?,
        nonce: parameters.get("nonce").filter(|said| *said == nonce)?,
        quality,
        body: &request.body,
    };
    (parameters.get("response")? == parts.response()).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(value: &str) -> Message {
        let text = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/WS a\r\nTo: <sip:a@lab>\r\nFrom: <sip:a@lab>;tag=1\r\n\
                    Call-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n";
        let mut message = Message::parse(text).expect("a message");
        value.split('|').for_each(|value| message.add("WWW-Authenticate", value));
        message
    }

    fn credentials(realm: &str) -> Credentials {
        Credentials { user: "alice".into(), password: "secret".into(), realm: realm.into() }
    }

    #[test]
    fn both_examples_of_rfc_7616_come_out() {
        // §3.9.1, with the method, URI, nonces and password given there.
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let parts = Parts {
                algorithm,
                session: false,
                user: "Mufasa",
                realm: "http-auth@example.org",
                password: "Circle of Life",
                method: "GET",
                uri: "/dir/index.html",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                quality: Some(("auth", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "00000001")),
                body: "",
            };
            assert_eq!(parts.response(), response);
        }
    }

    #[test]
    fn what_is_answered_is_accepted_with_the_password_and_the_nonce_only() {
        for asked in [
            r#"Digest realm="lab", nonce="n0nce1", algorithm=MD5, qop="auth""#,
            r#"Digest realm="lab", nonce="n0nce1", algorithm=SHA-256-sess, qop="auth-int", opaque="x""#,
            r#"Digest realm="lab", nonce="n0nce1""#,
        ] {
            let request = Message::request("REGISTER", "sip:lab");
            let asked = challenge(asked);
            let (name, value) = answer(&asked, &request, "sip:lab", &credentials("lab"), "c").expect("a digest");
            assert_eq!(name, "Authorization");
            let signed = request.with("Authorization", &value);
            assert_eq!(verify(&signed, "n0nce1", "secret").as_deref(), Some("alice"), "{value}");
            assert_eq!((verify(&signed, "n0nce1", "wrong"), verify(&signed, "other", "secret")), (None, None));
        }
    }

    #[test]
    fn the_stronger_algorithm_and_plain_authentication_are_taken() {
        let asked = challenge(
            r#"Digest realm="lab", nonce="n", algorithm=MD5, qop="auth,auth-int"|Digest realm="lab", nonce="s", algorithm=SHA-256, qop="auth-int,auth""#,
        );
        let request = Message::request("REGISTER", "sip:lab");
        let (_, value) = answer(&asked, &request, "sip:lab", &credentials("lab"), "c").expect("a digest");
        assert!(value.contains("algorithm=SHA-256") && value.contains("qop=auth,"), "{value}");
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let request = Message::request("REGISTER", "sip:lab");
        for (asked, realm, says) in [
            ("Basic realm=\"lab\"", "", "no digest"),
            ("Digest realm=\"lab\", nonce=\"n\"", "other", "of realm 'lab', not 'other'"),
            ("Digest nonce=\"n\"", "", "no realm"),
            ("Digest realm=\"lab\", nonce=\"n\", algorithm=SHA-3", "", "wants SHA-3"),
            ("Digest realm=\"lab\", nonce=\"n\", qop=\"token\"", "", "quality of protection"),
        ] {
            let error =
                answer(&challenge(asked), &request, "sip:lab", &credentials(realm), "c").expect_err("it is not usable");
            assert!(error.contains(says), "{asked}: {error}");
        }
    }
}
