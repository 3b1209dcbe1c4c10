//! Being reachable: one request, one answer, both taken from the socket before the plan's readers see them.
//!
//! Cancel safe: a registration that is dropped leaves its tap with it; the server may then still confirm the name, and that frame
//! reaches the plan's readers.
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::config::check_name;
use super::setup::SetUp;
use super::trouble::{Fact, Trouble};
use crate::signaling::dialog::{Event, micros};
use crate::signaling::json::Message;
use crate::signaling::outcome::{CallCode, CallFailure};
use crate::socket::{CloseCause, Frame, Opcode, Socket, Tap};

/// What registering said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The name the socket is reachable under as long as it is open.
    pub name: String,
    /// Request with the kernel → confirmation received, µs.
    pub elapsed_us: u64,
}

/// Makes `socket` reachable under `name` as long as it is open.
///
/// # Errors
/// [`CallFailure`]: refused (`NAME_IN_USE` and the like stand in the details), no confirmation within `deadline`, or the
/// socket is closed.
pub async fn register(socket: &Socket, name: &str, deadline: Duration) -> Result<Registration, CallFailure> {
    let setup = SetUp::new();
    let attempt = async {
        check_name("name", name).map_err(|error| Trouble::config(&error))?;
        let (events, mut received) = mpsc::channel(4);
        let _tap = socket.tap(Arc::new(RegistrationTap { name: name.to_owned(), events }));
        let request = Message::Register { name: name.to_owned() };
        let sent = socket
            .send(Opcode::Text, true, request.encode().as_bytes())
            .await
            .map_err(|error| Trouble::socket("registering", &error))?;
        match timeout(deadline, received.recv()).await {
            Ok(Some(Event::Message(Message::Registered { .. }, at))) => {
                Ok(Registration { name: name.to_owned(), elapsed_us: micros(at.saturating_duration_since(sent.at)) })
            }
            Ok(Some(Event::Message(Message::Error { code, message, .. }, _))) => Err(Trouble::new(
                CallCode::SignalingRefused,
                format!("the name '{name}' was refused: {code}: {message}"),
                json!({"code": code, "message": message}),
            )
            .with(Fact::Refused(code, message))),
            Ok(Some(Event::Closed(cause))) => Err(Trouble::closed("registering", &cause)),
            Ok(_) => Err(Trouble::new(CallCode::SignalingRefused, "the server's answer makes no sense", Value::Null)),
            Err(_) => Err(Trouble::new(
                CallCode::SignalingTimeout,
                format!("the name '{name}' was not confirmed within {} ms", deadline.as_millis()),
                json!({"waitedMs": u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)}),
            )
            .with(Fact::Waited(micros(deadline)))),
        }
    };
    attempt.await.map_err(|trouble| setup.failure(None, trouble))
}

/// Takes the answer to a registration.
struct RegistrationTap {
    name: String,
    events: mpsc::Sender<Event>,
}

impl Tap for RegistrationTap {
    fn frame(&self, frame: &Frame) -> bool {
        if frame.opcode != Opcode::Text || !frame.fin {
            return false;
        }
        let Some(message) = std::str::from_utf8(&frame.payload).ok().and_then(|text| Message::decode(text).ok()) else {
            return false;
        };
        let ours = match &message {
            Message::Registered { name } => *name == self.name,
            Message::Error { call: None, code, .. } => code.starts_with("NAME_") || code == "ALREADY_REGISTERED",
            _ => false,
        };
        ours && self.events.try_send(Event::Message(message, frame.at)).is_ok()
    }

    fn closed(&self, cause: &CloseCause) {
        if self.events.try_send(Event::Closed(cause.clone())).is_err() {
            log::debug!("the end of a signaling socket found its registration done");
        }
    }
}
