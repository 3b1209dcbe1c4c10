//! What an agent's desktop asks besides the softphone: a token, presence, the calls that are up, a chat by long polling.
//!
//! Presence is taken as said and changes nothing. The chat is the lab's own, under `/lab/chats`: its customer writes every
//! `chatEveryMs`. Guarantees: a poll ends after `waitMs`, at most [`MOST_WAIT`], and with its connection or the lab; a table never
//! grows beyond [`MAX_CHATS`].
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Cloud;
use super::rest::{Answer, answer, refused};

/// Chats a lab keeps.
const MAX_CHATS: usize = 100_000;
/// Longest wait of a poll, also of one that says nothing of it.
const MOST_WAIT: Duration = Duration::from_secs(25);
/// Lifetime that is said of a token, s.
const TOKEN_LIFETIME_S: u32 = 86_399;

/// Chats by id: when each began.
pub(super) type Chats = HashMap<String, Instant>;

/// `POST /oauth/token`: the token of a form's `code` or `username` is that text, so that a plan can tell its users; any other
/// grant makes a user of its own.
pub(super) fn token(cloud: &Cloud, form: &str) -> Answer {
    if field(form, "grant_type").is_none() {
        return answer(
            StatusCode::BAD_REQUEST,
            &json!({"error": "invalid_request", "description": "grant_type is missing"}),
        );
    }
    let token = field(form, "code").or_else(|| field(form, "username"));
    let token = token.unwrap_or_else(|| format!("token-{}", cloud.number()));
    answer(StatusCode::OK, &json!({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFETIME_S}))
}

/// A field of a form, as far as it can stand in an identifier.
fn field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
    let value: String = value.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(64).collect();
    (!value.is_empty()).then_some(value)
}

/// `GET /api/v2/presencedefinitions`.
pub(super) fn presences() -> Answer {
    let entities: Vec<Value> = ["Available", "On Queue", "Offline"]
        .iter()
        .map(
            |name| json!({"id": format!("presence-{}", name.to_lowercase().replace(' ', "-")), "systemPresence": name}),
        )
        .collect();
    answer(StatusCode::OK, &json!({"entities": entities, "total": entities.len()}))
}

/// `GET /api/v2/conversations/calls`: the calls of a user that are up.
pub(super) fn conversations(cloud: &Cloud, user: &str) -> Answer {
    let entities: Vec<Value> = cloud
        .calls
        .lock()
        .values()
        .filter(|call| call.user == user)
        .map(|call| {
            json!({"id": call.conversation, "participants": [
                {"id": format!("participant-{}", call.conversation), "purpose": "agent", "userId": user}]})
        })
        .collect();
    answer(StatusCode::OK, &json!({"entities": entities, "total": entities.len()}))
}

/// `/lab/chats`: begins (`POST`), polls (`GET …/{id}/messages?after=N&waitMs=N`), writes (`POST …/{id}/messages`), ends
/// (`DELETE …/{id}`).
pub(super) async fn chats(cloud: &Arc<Cloud>, method: &Method, path: &[&str], query: &str) -> Answer {
    match (method, path) {
        (&Method::POST, []) => {
            let id = format!("chat-{}", cloud.number());
            let mut chats = cloud.chats.lock();
            if chats.len() >= MAX_CHATS {
                return refused(StatusCode::SERVICE_UNAVAILABLE, "too.many.chats");
            }
            chats.insert(id.clone(), Instant::now());
            answer(StatusCode::OK, &json!({"id": id}))
        }
        (&Method::DELETE, [chat]) => match cloud.chats.lock().remove(*chat) {
            Some(_) => answer(StatusCode::NO_CONTENT, &Value::Null),
            None => refused(StatusCode::NOT_FOUND, "chat.not.found"),
        },
        (_, [chat, "messages"]) => {
            let began = cloud.chats.lock().get(*chat).copied();
            let Some(began) = began else { return refused(StatusCode::NOT_FOUND, "chat.not.found") };
            match *method {
                Method::GET => poll(cloud.config.chat_every_ms, began, query).await,
                Method::POST => answer(StatusCode::CREATED, &json!({"from": "agent"})),
                _ => refused(StatusCode::METHOD_NOT_ALLOWED, "method.not.allowed"),
            }
        }
        _ => refused(StatusCode::NOT_FOUND, "not.found"),
    }
}

/// The customer's next message, or none after the wait.
async fn poll(every_ms: u64, began: Instant, query: &str) -> Answer {
    let number = |name| field(query, name).and_then(|text| text.parse::<u64>().ok());
    let after = number("after").unwrap_or(0);
    let wait = number("waitMs").map_or(MOST_WAIT, Duration::from_millis);
    let next = after.saturating_add(1);
    let (wait, has_message) = until_message(every_ms, began.elapsed(), next, wait);
    sleep(wait).await;
    if !has_message {
        return answer(StatusCode::OK, &json!({"messages": [], "next": after}));
    }
    let said = json!({"number": next, "from": "customer", "text": format!("message {next} of the lab's customer")});
    answer(StatusCode::OK, &json!({"messages": [said], "next": next}))
}

/// How long a poll for message `next` of a chat of this `age` takes, and whether it then has it. Pure.
fn until_message(every_ms: u64, age: Duration, next: u64, wait: Duration) -> (Duration, bool) {
    let wait = wait.min(MOST_WAIT);
    let due = Duration::from_millis(every_ms.saturating_mul(next)).saturating_sub(age);
    if due <= wait { (due, true) } else { (wait, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_form_is_kept_as_far_as_it_can_stand_in_an_identifier() {
        let form = "grant_type=authorization_code&code=agent-7%20&redirect_uri=x";
        assert_eq!(field(form, "code").as_deref(), Some("agent-720"));
        assert_eq!(field(form, "cod"), None);
        assert_eq!(field("code=", "code"), None);
    }

    #[test]
    fn a_poll_waits_for_the_next_message_and_no_longer_than_it_was_asked_to() {
        let ms = Duration::from_millis;
        assert_eq!(until_message(2_000, ms(0), 1, MOST_WAIT), (ms(2_000), true));
        assert_eq!(until_message(2_000, ms(2_000), 2, ms(500)), (ms(500), false));
        assert_eq!(until_message(2_000, ms(9_000), 2, ms(500)), (ms(0), true), "it is waiting");
        assert_eq!(until_message(u64::MAX, ms(0), u64::MAX, ms(u64::MAX)), (MOST_WAIT, false));
    }
}
