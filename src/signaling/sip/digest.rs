//! Digest authentication (RFC 7616, in SIP RFC 3261 §22 and RFC 8760): answers to challenges, and the server's check of them.
//!
//! Pure: the client's nonce is an argument. Of several challenges the strongest algorithm that is known is answered; MD5 and
//! SHA-256 are, with and without `-sess`. Passwords never leave but hashed.
//!
//! Challenges are taken apart, and responses computed, by `rsipstack`. What it lacks is here: the name `SHA-256` (to it, `SHA256`),
//! `-sess` (it leaves it out), `auth-int` (it takes every body for empty, and hashes it by MD5), several qualities of protection or
//! algorithms to choose from, and a field whose `qop` and `nc` are as RFC 7616 §3.4 writes them.
use md5::Digest as _;
use rsipstack::sip::headers::auth::{Algorithm as Hash, AuthQop};
use rsipstack::sip::typed::tokenizers::AuthTokenizer;
use rsipstack::sip::{DigestGenerator, Method};

use super::message::{Message, verbatim};

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
    method: &'a Method,
    uri: &'a str,
    nonce: &'a str,
    /// `auth` or `auth-int`, with the client's nonce and its count; none as in RFC 2069.
    quality: Option<(&'a str, &'a str, &'a str)>,
    body: &'a str,
}

impl Parts<'_> {
    fn response(&self) -> String {
        let Self { method, uri, nonce, .. } = self;
        let hash = |text: String| self.algorithm.hex(&text);
        let texts = [self.user, self.realm, self.password];
        // The secret of a session is made of three texts as well (RFC 7616 §3.4.2).
        let of_user = hash(texts.join(":"));
        let cnonce = self.quality.map_or("", |(_, cnonce, _)| cnonce);
        let texts = if self.session { [of_user.as_str(), nonce, cnonce] } else { texts };
        let quality = match self.quality {
            None => None,
            Some((quality, cnonce, count)) => match (quality, u8::from_str_radix(count, 16)) {
                ("auth", Ok(nc)) => Some(AuthQop::Auth { cnonce: cnonce.to_owned(), nc }),
                // A body, or a count that the type of `rsipstack` does not hold.
                _ => {
                    let body =
                        if quality == "auth-int" { format!(":{}", hash(self.body.to_owned())) } else { String::new() };
                    let (secret, request) = (hash(texts.join(":")), hash(format!("{method}:{uri}{body}")));
                    return hash(format!("{secret}:{nonce}:{count}:{cnonce}:{quality}:{request}"));
                }
            },
        };
        let algorithm = match self.algorithm {
            Algorithm::Md5 => Hash::Md5,
            Algorithm::Sha256 => Hash::Sha256,
        };
        let [username, realm, password] = texts;
        let (uri, qop) = (&verbatim(uri), quality.as_ref());
        DigestGenerator { username, password, nonce, uri, realm, method, qop, algorithm }.compute()
    }
}

/// The parameters of a `Digest` field; none where it is of another scheme, or cannot be read.
struct Parameters<'a>(AuthTokenizer<'a>);

impl<'a> Parameters<'a> {
    fn of(value: &'a str) -> Option<Self> {
        let read = AuthTokenizer::parse(value).ok()?;
        read.scheme.eq_ignore_ascii_case("digest").then_some(Self(read))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim_matches('"'))
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
    let method = &request.method().ok_or("the request has a method without a name")?;
    let body = request.body();
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
        method: &request.method()?,
        uri: parameters.get("uri")?,
        nonce: parameters.get("nonce").filter(|said| *said == nonce)?,
        quality,
        body: request.body(),
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
    fn the_response_of_the_recorded_softphone_comes_out() {
        // JsSIP 3.13.8 (tests/autoice/frames).
        let parts = Parts {
            algorithm: Algorithm::Md5,
            session: false,
            user: "alice",
            realm: "lab",
            password: "secret",
            method: &Method::Register,
            uri: "sip:lab",
            nonce: "n0nce1",
            quality: Some(("auth", "uajdmseuv89m", "00000001")),
            body: "",
        };
        assert_eq!(parts.response(), "66ba4021bf535d5f033afeaa79ef8855");
    }

    #[test]
    fn each_algorithm_and_quality_comes_out_as_another_implementation_has_it() {
        // By Python's hashlib, after RFC 7616 §3.4.1 to §3.4.3; the URI is hashed as it is written.
        for (algorithm, session, quality, response) in [
            (Algorithm::Md5, false, Some("auth"), "a30e5563b87016fd9b0c01ed272ec5f7"),
            (Algorithm::Md5, false, Some("auth-int"), "cf9a05f09e75afa0d0dfdedaf4ce11e5"),
            (Algorithm::Md5, false, None, "579d676477a4380ac75b6fe3d0d83aa1"),
            (Algorithm::Md5, true, Some("auth"), "1df1949fd727ed7c4802950d01c6869f"),
            (Algorithm::Md5, true, Some("auth-int"), "eb7c482ad088f0e8accad9cc869e3e99"),
            (
                Algorithm::Sha256,
                false,
                Some("auth"),
                "c95beef2bb1a4a2bd243467bf0e9e02c587def10eeef6dc8908d1667758eda35",
            ),
            (
                Algorithm::Sha256,
                false,
                Some("auth-int"),
                "020ad9cc66fb2acfddd47b3ab090cdeedc7cb090d2f82c713a8214c10719aef1",
            ),
            (Algorithm::Sha256, false, None, "5fb99b8368f27c673748b4177b6335affc6aa1e94d19e15a85b36c84d3e9825f"),
            (Algorithm::Sha256, true, Some("auth"), "79ebabd2841ac5c5156b58381f9b2c6f3e90ed51a52bb1291b4fc160c99daf5f"),
            (
                Algorithm::Sha256,
                true,
                Some("auth-int"),
                "374c44072e10ce0fa52d410d6f72deb4f47accfb8ad8667bbcafc9b41b2f5e54",
            ),
        ] {
            let parts = Parts {
                algorithm,
                session,
                user: "alice",
                realm: "lab",
                password: "secret",
                method: &Method::Invite,
                uri: "sip:bob@lab;transport=ws",
                nonce: "n0nce1",
                quality: quality.map(|quality| (quality, "c0", "00000001")),
                body: "v=0\r\n",
            };
            assert_eq!(parts.response(), response, "{algorithm:?} {session} {quality:?}");
        }
    }

    #[test]
    fn a_client_may_count_further_than_255() {
        let count = |count| {
            let quality = Some(("auth", "c", count));
            let (user, realm, password, uri, nonce) = ("alice", "lab", "secret", "sip:lab", "n");
            let (algorithm, method) = (Algorithm::Md5, &Method::Register);
            Parts { algorithm, session: false, user, realm, password, method, uri, nonce, quality, body: "" }.response()
        };
        assert_ne!(count("00000100"), count("000000ff"));
        let value = format!(
            r#"Digest username="alice", realm="lab", nonce="n", uri="sip:lab", response="{}", qop=auth, cnonce="c", nc=00000100"#,
            count("00000100")
        );
        let request = Message::request(Method::Register, "sip:lab").with("Authorization", value);
        assert_eq!(verify(&request, "n", "secret").as_deref(), Some("alice"));
    }

    #[test]
    fn what_is_answered_is_accepted_with_the_password_and_the_nonce_only() {
        for asked in [
            r#"Digest realm="lab", nonce="n0nce1", algorithm=MD5, qop="auth""#,
            r#"Digest realm="lab", nonce="n0nce1", algorithm=SHA-256-sess, qop="auth-int", opaque="x""#,
            r#"Digest realm="lab", nonce="n0nce1""#,
        ] {
            let request = Message::request(Method::Register, "sip:lab");
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
        let request = Message::request(Method::Register, "sip:lab");
        let (_, value) = answer(&asked, &request, "sip:lab", &credentials("lab"), "c").expect("a digest");
        assert!(value.contains("algorithm=SHA-256") && value.contains("qop=auth,"), "{value}");
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let request = Message::request(Method::Register, "sip:lab");
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
