//! The registrar and the proxy (RFC 3261 §10.3, §16.11): what a client's message comes to.
//!
//! The proxy keeps no state of transactions: the branch of its `Via` names the client that a response goes back to.
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::Method;
use tokio::time::Instant;

use super::{Binding, Exchange, call, user_of};
use crate::signaling::sip::digest;
use crate::signaling::sip::message::{Message, parameter, parameters, uri_of};

/// Begins the branch of a `Via` of the proxy.
const BRANCH: &str = "z9hG4bKproxy-";
/// Users whose registration is kept.
const MAX_BINDINGS: usize = 100_000;

impl Exchange {
    /// Takes a message of the client with this number; whether it registered by it for the first time.
    pub(super) fn take(self: &Arc<Self>, client: u64, message: Message) -> Option<String> {
        if message.status().is_some() {
            self.response(message);
            return None;
        }
        if message.method() == Some(Method::Register) {
            return self.register(client, &message);
        }
        self.request(client, message);
        None
    }

    fn response(&self, mut response: Message) {
        let Some(branch) = response.branch() else { return };
        let Some(rest) = branch.strip_prefix(BRANCH) else {
            if !self.tell(&response) {
                log::debug!("lab sip: a response of a call that is over");
            }
            return;
        };
        let back = rest.split('-').next().and_then(|client| client.parse::<u64>().ok());
        response.remove_first("Via");
        if back.is_none_or(|client| !self.say(client, &response)) {
            log::debug!("lab sip: a response to a client that is gone");
        }
    }

    fn register(self: &Arc<Self>, client: u64, request: &Message) -> Option<String> {
        let faults = &self.config.faults;
        let user = user_of(request.header("To").unwrap_or_default()).to_owned();
        if !matches!(faults.register_status, 0 | 401) {
            self.refuse(client, request, faults.register_status);
            return None;
        }
        let authorised = digest::verify(request, &self.nonce, &self.config.password).is_some_and(|name| name == user);
        if faults.register_status == 401 || !authorised {
            self.challenge(client, request, 401);
            return None;
        }
        let contact = request.list("Contact").first().map(|contact| (*contact).to_owned()).unwrap_or_default();
        let asked = parameter(&contact, "expires").and_then(|expires| expires.parse::<u32>().ok());
        let asked = asked.or_else(|| request.seconds("Expires")).unwrap_or(self.config.max_expires_s);
        let granted = asked.min(self.config.max_expires_s);
        let mut response = Message::response(request, 200, "registrar");
        let mut first = None;
        {
            let mut bindings = self.bindings.lock();
            if granted == 0 {
                bindings.remove(&user);
            } else if bindings.len() < MAX_BINDINGS {
                let now = Instant::now();
                let until = now + Duration::from_secs(granted.into());
                let binding = Binding { client, contact: uri_of(&contact).to_owned(), until };
                match bindings.insert(user.clone(), binding) {
                    Some(before) if before.until <= now => {
                        self.lab.ledger.registrations_expired.add(1);
                    }
                    Some(_) => {}
                    None => first = Some(user.clone()),
                }
                response.add("Contact", without_expires(&contact) + &format!(";expires={granted}"));
            }
        }
        self.say(client, &response);
        if granted > 0 {
            self.call_from_now_on(&user);
        }
        first
    }

    fn challenge(&self, client: u64, request: &Message, status: u16) {
        let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let (realm, nonce) = (&self.config.realm, &self.nonce);
        let value = format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
        self.say(client, &Message::response(request, status, "challenge").with(name, value));
    }

    fn refuse(&self, client: u64, request: &Message, status: u16) {
        let mut response = Message::response(request, status, "refusal");
        if self.config.faults.retry_after_s > 0 {
            response.add("Retry-After", self.config.faults.retry_after_s);
        }
        self.say(client, &response);
    }

    fn request(self: &Arc<Self>, client: u64, request: Message) {
        let (method, uri) = (request.method(), request.uri());
        if self.tell(&request) {
            return;
        }
        let within_dialog = request.tag("To").is_some();
        if method == Some(Method::Invite) && !within_dialog {
            let faults = &self.config.faults;
            let authorised = digest::verify(&request, &self.nonce, &self.config.password).is_some();
            if self.config.challenge_calls && !authorised {
                return self.challenge(client, &request, 407);
            }
            if faults.call_status != 0 {
                return self.refuse(client, &request, faults.call_status);
            }
            let callee = user_of(&uri);
            if callee == "tone" || callee == "echo" {
                let echo = callee == "echo";
                return call::answer(Arc::clone(self), client, request, echo);
            }
        }
        match self.binding(&uri) {
            Some(binding) => self.forward(client, &binding, request),
            None if method == Some(Method::Ack) => {}
            None if method == Some(Method::Options) => {
                self.say(client, &Message::response(&request, 200, "options"));
            }
            None => {
                let status = if within_dialog || method == Some(Method::Cancel) { 481 } else { 404 };
                self.say(client, &Message::response(&request, status, "unknown"));
            }
        }
    }

    /// Hands a request on to a registered user.
    fn forward(&self, client: u64, binding: &Binding, mut request: Message) {
        let method = request.method();
        if method == Some(Method::Invite) && request.tag("To").is_none() {
            self.lab.ledger.calls_relayed.add(1);
            self.say(client, &Message::response(&request, 100, ""));
        }
        let via = format!("SIP/2.0/WS lab.invalid;branch={BRANCH}{client}-{}", request.branch().unwrap_or_default());
        let refusal = Message::response(&request, 480, "gone");
        request.retarget(&binding.contact);
        request.remove("Authorization");
        request.remove("Proxy-Authorization");
        request.insert_first("Via", via);
        if !self.say(binding.client, &request) && method != Some(Method::Ack) {
            self.say(client, &refusal);
        }
    }
}

/// A contact without its `expires`.
fn without_expires(contact: &str) -> String {
    let kept = parameters(contact).into_iter().filter(|parameter| !parameter.starts_with("expires="));
    kept.fold(format!("<{}>", uri_of(contact)), |contact, parameter| contact + ";" + parameter)
}
