//! Requests to a TURN server, signed and signed again, and the answers that the engine gets from us (RFC 8489 §9.2,
//! RFC 8656 §7). Pure: bytes in, bytes out.
use std::io;
use std::net::SocketAddr;

use rtc::crypto::{RTCCryptoProvider, default_provider};
use rtc::stun::attributes::AttrType;
use rtc::stun::error_code::{ErrorCode, ErrorCodeAttribute};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{Message, MessageType, Setter, TransactionId as EngineTransactionId};
use rtc::stun::xoraddr::XorMappedAddress;

use crate::net::stun::{
    FINGERPRINT as FINGERPRINT_ATTRIBUTE, LIFETIME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE, REALM, Stun,
    StunClass, TransactionId, USERNAME, XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS,
};

/// REQUESTED-TRANSPORT (RFC 8656 §18.7): a UDP relay, however the server is reached.
const REQUESTED_TRANSPORT: u16 = 0x0019;
const UDP: [u8; 4] = [17, 0, 0, 0];
/// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6).
const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
const IPV6: [u8; 4] = [2, 0, 0, 0];

/// STUN message types of the requests made here (method and class Request).
const ALLOCATE_REQUEST: u16 = 0x0003;
const REFRESH_REQUEST: u16 = 0x0004;

/// What a challenge asks a request to be signed with (RFC 8489 §9.2).
#[derive(Clone)]
pub(super) struct Login {
    username: String,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    /// MD5 of user name, realm and password.
    key: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Login {
    /// The answer to `challenge`, which must carry REALM and NONCE.
    pub(super) fn to(challenge: &Stun<'_>, username: &str, credential: &str) -> Option<Self> {
        let realm = challenge.attribute(REALM)?.to_vec();
        let nonce = challenge.attribute(NONCE)?.to_vec();
        let provider = provider().ok()?;
        let realm_text = String::from_utf8_lossy(&realm).into_owned();
        let key = MessageIntegrity::long_term_integrity_key(
            username.to_owned(),
            realm_text,
            credential.to_owned(),
            provider.crypto(),
        )
        .ok()?;
        Some(Self { username: username.to_owned(), realm, nonce, key })
    }

    /// Takes over another NONCE. Returns whether it is one that was not tried.
    pub(super) fn renew(&mut self, refusal: &Stun<'_>) -> bool {
        match refusal.attribute(NONCE) {
            Some(nonce) if nonce != self.nonce => {
                self.nonce = nonce.to_vec();
                true
            }
            _ => false,
        }
    }

    /// `request` with the same transaction id and attributes, but authenticated by this login.
    ///
    /// # Errors
    /// When `request` is no STUN message.
    pub(super) fn sign(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut message = unauthenticated(request)?;
        message.add(AttrType(USERNAME), self.username.as_bytes());
        message.add(AttrType(REALM), &self.realm);
        message.add(AttrType(NONCE), &self.nonce);
        let provider = provider()?;
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(self.key.clone(), provider.crypto());
        integrity.add_to(&mut message).map_err(io::Error::other)?;
        finish(message)
    }
}

/// `request` without any authentication, for a server that asks for none.
///
/// # Errors
/// When `request` is no STUN message.
pub(super) fn bare(request: &[u8]) -> io::Result<Vec<u8>> {
    finish(unauthenticated(request)?)
}

/// `request` up to its authentication.
fn unauthenticated(request: &[u8]) -> io::Result<Message> {
    let stun = Stun::parse(request).ok_or_else(|| invalid("the request is no STUN message"))?;
    let mut message = begin(u16::from_be_bytes([request[0], request[1]]), stun.transaction_id());
    for (kind, value) in stun.attributes().filter(|(kind, _)| !authenticates(*kind)) {
        message.add(AttrType(kind), value);
    }
    Ok(message)
}

/// Whether an attribute belongs to the authentication or comes after it, so that signing replaces it.
fn authenticates(kind: u16) -> bool {
    const REPLACED: [u16; 6] =
        [USERNAME, REALM, NONCE, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, FINGERPRINT_ATTRIBUTE];
    REPLACED.contains(&kind)
}

/// An Allocate request without credentials (RFC 8656 §7.1), for a relay of IPv6 if `v6`, else of IPv4.
pub(super) fn allocate(v6: bool) -> io::Result<Vec<u8>> {
    let mut message = begin(ALLOCATE_REQUEST, rand::random());
    message.add(AttrType(REQUESTED_TRANSPORT), &UDP);
    if v6 {
        message.add(AttrType(REQUESTED_ADDRESS_FAMILY), &IPV6);
    }
    finish(message)
}

/// A Refresh request that deletes the allocation (RFC 8656 §8.1), to be signed.
pub(super) fn delete() -> io::Result<Vec<u8>> {
    let mut message = begin(REFRESH_REQUEST, rand::random());
    message.add(AttrType(LIFETIME), &[0; 4]);
    finish(message)
}

/// The engine's request, answered with the challenge it needs to go on (401).
pub(super) fn challenge(request: &Stun<'_>) -> io::Result<Vec<u8>> {
    let mut message = refusal_of(request, 401, "Unauthenticated")?;
    // Only we read what it signs with these.
    message.add(AttrType(REALM), b"relay");
    message.add(AttrType(NONCE), b"relay");
    finish(message)
}

/// The engine's request, refused with `code`.
pub(super) fn refuse(request: &Stun<'_>, code: u16, reason: &str) -> io::Result<Vec<u8>> {
    finish(refusal_of(request, code, reason)?)
}

/// The engine's Allocate request, answered with what the server gave.
pub(super) fn allocated(
    request: &Stun<'_>,
    relayed: SocketAddr,
    mapped: Option<SocketAddr>,
    lifetime_s: u32,
) -> io::Result<Vec<u8>> {
    let mut message = begin(response(request, StunClass::Success), request.transaction_id());
    let add = |message: &mut Message, kind: u16, address: SocketAddr| {
        let value = XorMappedAddress { ip: address.ip(), port: address.port() };
        value.add_to_as(message, AttrType(kind)).map_err(io::Error::other)
    };
    add(&mut message, XOR_RELAYED_ADDRESS, relayed)?;
    if let Some(mapped) = mapped {
        add(&mut message, XOR_MAPPED_ADDRESS, mapped)?;
    }
    message.add(AttrType(LIFETIME), &lifetime_s.to_be_bytes());
    finish(message)
}

fn refusal_of(request: &Stun<'_>, code: u16, reason: &str) -> io::Result<Message> {
    let mut message = begin(response(request, StunClass::Error), request.transaction_id());
    let error = ErrorCodeAttribute { code: ErrorCode(code), reason: reason.as_bytes().to_vec() };
    error.add_to(&mut message).map_err(io::Error::other)?;
    Ok(message)
}

/// The message type of a response to `request` (RFC 8489 §5): its method with the class's two bits.
fn response(request: &Stun<'_>, class: StunClass) -> u16 {
    let method = request.method();
    let bits = method & 0x000f | (method & 0x0070) << 1 | (method & 0x0f80) << 2;
    bits | match class {
        StunClass::Request => 0x0000,
        StunClass::Indication => 0x0010,
        StunClass::Success => 0x0100,
        StunClass::Error => 0x0110,
    }
}

fn begin(kind: u16, id: TransactionId) -> Message {
    let mut message = Message::new();
    let mut message_type = MessageType::default();
    message_type.read_value(kind);
    message.typ = message_type;
    message.transaction_id = EngineTransactionId(id);
    message.write_header();
    message
}

fn finish(mut message: Message) -> io::Result<Vec<u8>> {
    FINGERPRINT.add_to(&mut message).map_err(io::Error::other)?;
    Ok(message.raw)
}

fn provider() -> io::Result<std::sync::Arc<dyn RTCCryptoProvider>> {
    default_provider().map_err(io::Error::other)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stun::tests::message as bytes;

    fn stun(message: &[u8]) -> Stun<'_> {
        Stun::parse(message).expect("STUN")
    }

    fn login() -> Login {
        let challenge = bytes(0x0113, 1, &[(REALM, b"realm"), (NONCE, b"n1")]);
        Login::to(&stun(&challenge), "user", "pass").expect("a challenge")
    }

    /// Checks MESSAGE-INTEGRITY as a server does.
    fn is_signed_with(message: &[u8], password: &str) -> bool {
        let provider = provider().expect("ring");
        let mut read = Message::new();
        read.raw = message.to_vec();
        read.decode().expect("STUN");
        let realm = String::from_utf8_lossy(stun(message).attribute(REALM).expect("REALM")).into_owned();
        let key = MessageIntegrity::long_term_integrity_key("user".into(), realm, password.into(), provider.crypto());
        MessageIntegrity::check(&mut read, &key.expect("MD5"), provider.crypto()).is_ok()
    }

    #[test]
    fn a_signed_request_is_what_a_server_accepts() {
        let request = allocate(true).expect("made");
        let signed = login().sign(&request).expect("signed");
        assert!(is_signed_with(&signed, "pass") && !is_signed_with(&signed, "other"));
        assert_eq!(stun(&signed).transaction_id(), stun(&request).transaction_id());
        assert_eq!(stun(&signed).attribute(REQUESTED_TRANSPORT), Some(&UDP[..]));
        assert_eq!(stun(&signed).attribute(REQUESTED_ADDRESS_FAMILY), Some(&IPV6[..]));
    }

    #[test]
    fn signing_again_replaces_the_nonce_and_nothing_else() {
        let mut login = login();
        let first = login.sign(&delete().expect("made")).expect("signed");
        let stale = bytes(0x0114, 1, &[(NONCE, b"n2")]);
        assert!(login.renew(&stun(&stale)) && !login.renew(&stun(&stale)));
        let second = login.sign(&first).expect("signed");
        assert!(is_signed_with(&second, "pass"));
        assert_eq!(stun(&second).attribute(NONCE), Some(&b"n2"[..]));
        assert_eq!(stun(&second).lifetime(), Some(0));
        assert!(!stun(&bare(&second).expect("made")).has(NONCE));
        let kinds = |message: &[u8]| stun(message).attributes().map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(&first), kinds(&second));
    }

    #[test]
    fn the_engine_gets_answers_to_its_own_request() {
        let request = bytes(ALLOCATE_REQUEST, 7, &[]);
        let (relayed, mapped) =
            ("192.0.2.1:5000".parse().expect("address"), "[2001:db8::1]:9".parse().expect("address"));
        let answer = allocated(&stun(&request), relayed, Some(mapped), 600).expect("made");
        let answer = stun(&answer);
        assert_eq!((answer.class(), answer.method(), answer.transaction_id()), (StunClass::Success, 3, [7; 12]));
        assert_eq!(answer.xor_address(XOR_RELAYED_ADDRESS), Some(relayed));
        assert_eq!(answer.xor_address(XOR_MAPPED_ADDRESS), Some(mapped));
        assert_eq!(answer.lifetime(), Some(600));
        let refusal = refuse(&stun(&request), 486, "Allocation Quota Reached").expect("made");
        assert_eq!((stun(&refusal).class(), stun(&refusal).error_code()), (StunClass::Error, Some(486)));
        let challenged = challenge(&stun(&request)).expect("made");
        assert!(stun(&challenged).has(REALM) && stun(&challenged).has(NONCE));
    }

    #[test]
    fn a_login_shows_no_secret() {
        assert!(!format!("{:?}", login()).contains("key"));
    }
}
