//! How a failure becomes a Java exception: one policy for every native function.
//!
//! | failure | exception |
//! |---|---|
//! | stale, forged or doubly closed handle | `IllegalStateException` |
//! | configuration or argument | `IllegalArgumentException` |
//! | cancelled | `java.util.concurrent.CancellationException` |
//! | deadline | `java.util.concurrent.TimeoutException` |
//! | all else | `io.github.jmeterwebrtc.EngineException` with code, message and details; a panic has code `NATIVE_PANIC` |
//!
//! The details always have `resultCode`, a word of the one list of codes (`docs/causes.md`).

use std::any::Any;

use jni::errors::ErrorPolicy;
use jni::objects::{JThrowable, JValue};
use jni::strings::{JNIStr, JNIString};
use jni::{Env, jni_sig, jni_str};
use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::diagnosis::Cause;
use crate::engine::{EngineError, panic_text};

/// What a native function can fail with.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The engine's answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The JVM's answer to a JNI call; an exception may be pending.
    #[error(transparent)]
    Jni(#[from] jni::errors::Error),
    /// A value that could not be written as JSON.
    #[error("an answer cannot be written as JSON: {0}")]
    Unwritable(String),
}

impl From<ConfigError> for BridgeError {
    fn from(error: ConfigError) -> Self {
        Self::Engine(EngineError::Config(error))
    }
}

/// The facts of a failure as JSON, and as `resultCode` the word that results carry.
fn details(mut facts: Value, cause: Cause) -> String {
    if let Value::Object(members) = &mut facts {
        members.insert("resultCode".to_owned(), json!(cause));
    }
    facts.to_string()
}

/// The exception that stands for a failure.
#[derive(Debug, PartialEq, Eq)]
enum Exception {
    /// A class of the JDK with a message.
    Jdk { class: &'static JNIStr, message: String },
    /// `io.github.jmeterwebrtc.EngineException`.
    Engine { code: &'static str, message: String, details: String },
}

impl Exception {
    fn of(error: &BridgeError) -> Self {
        let message = error.to_string();
        let engine = match error {
            BridgeError::Engine(error) => error,
            BridgeError::Jni(_) | BridgeError::Unwritable(_) => {
                return Self::Engine { code: "BRIDGE", message, details: details(json!({}), Cause::EngineFailed) };
            }
        };
        if engine.config().is_some() {
            return Self::Jdk { class: jni_str!("java/lang/IllegalArgumentException"), message };
        }
        match engine {
            EngineError::Stale { .. } => Self::Jdk { class: jni_str!("java/lang/IllegalStateException"), message },
            EngineError::Cancelled { .. } => {
                Self::Jdk { class: jni_str!("java/util/concurrent/CancellationException"), message }
            }
            EngineError::Deadline { .. } => {
                Self::Jdk { class: jni_str!("java/util/concurrent/TimeoutException"), message }
            }
            other => Self::Engine { code: other.code(), message, details: details(other.details(), other.cause()) },
        }
    }

    fn throw(self, env: &mut Env<'_>) -> jni::errors::Result<()> {
        // Every `throw` answers `JavaException` once the exception is pending, which is what is wanted here.
        let thrown = match self {
            Self::Jdk { class, message } => env.throw_new(class, JNIString::new(message)),
            Self::Engine { code, message, details } => {
                let code = env.new_string(code)?;
                let message = env.new_string(message)?;
                let details = env.new_string(details)?;
                let exception = env.new_object(
                    jni_str!("io/github/jmeterwebrtc/EngineException"),
                    jni_sig!((JString, JString, JString)),
                    &[JValue::Object(&code), JValue::Object(&message), JValue::Object(&details)],
                )?;
                let exception = env.cast_local::<JThrowable<'_>>(exception)?;
                env.throw(exception)
            }
        };
        match thrown {
            Err(jni::errors::Error::JavaException) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The policy of every native function: a failure is thrown, a default value is returned.
#[derive(Debug)]
pub struct Throw;

impl<T: Default> ErrorPolicy<T, BridgeError> for Throw {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        error: BridgeError,
    ) -> jni::errors::Result<T> {
        // An exception that is pending already says more than we could.
        if !env.exception_check() {
            Exception::of(&error).throw(env)?;
        }
        Ok(T::default())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        payload: Box<dyn Any + Send + 'static>,
    ) -> jni::errors::Result<T> {
        let message = format!("the engine panicked: {}", panic_text(&*payload));
        if !env.exception_check() {
            let details = details(json!({}), Cause::EngineFailed);
            Exception::Engine { code: "NATIVE_PANIC", message, details }.throw(env)?;
        }
        Ok(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Handle, SocketKey};
    use crate::lab::LabError;
    use crate::peer::PeerError;
    use crate::socket::{CloseCause, SocketError};

    fn jdk_class(error: impl Into<EngineError>) -> String {
        match Exception::of(&BridgeError::Engine(error.into())) {
            Exception::Jdk { class, .. } => class.to_string(),
            other @ Exception::Engine { .. } => panic!("{other:?}"),
        }
    }

    fn code(error: impl Into<EngineError>) -> &'static str {
        match Exception::of(&BridgeError::Engine(error.into())) {
            Exception::Engine { code, .. } => code,
            other @ Exception::Jdk { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stale_handle_is_an_illegal_state() {
        let stale = EngineError::Stale { kind: SocketKey::KIND, handle: 7 };
        assert_eq!(jdk_class(stale), "java/lang/IllegalStateException");
    }

    #[test]
    fn a_bad_value_is_an_illegal_argument_whichever_room_found_it() {
        let bad = || ConfigError::new("url", "x", "ws:// or wss://");
        assert_eq!(jdk_class(bad()), "java/lang/IllegalArgumentException");
        assert_eq!(jdk_class(SocketError::Config(bad())), "java/lang/IllegalArgumentException");
        assert_eq!(jdk_class(PeerError::Config(bad())), "java/lang/IllegalArgumentException");
        assert_eq!(jdk_class(LabError::Config(bad())), "java/lang/IllegalArgumentException");
    }

    #[test]
    fn a_cancel_and_a_deadline_have_exceptions_of_the_jdk() {
        assert_eq!(jdk_class(EngineError::Cancelled { what: "w" }), "java/util/concurrent/CancellationException");
        assert_eq!(
            jdk_class(EngineError::Deadline { what: "w", deadline_ms: 1 }),
            "java/util/concurrent/TimeoutException"
        );
    }

    #[test]
    fn each_failure_of_opening_a_socket_has_a_code() {
        let connect = |timed_out| SocketError::Connect {
            errno: None,
            timed_out,
            attempts: Vec::new(),
            detail: "refused".to_owned(),
        };
        assert_eq!(code(connect(false)), "CONNECT");
        assert_eq!(code(connect(true)), "CONNECT_TIMEOUT");
        assert_eq!(code(SocketError::Deadline { phase: "TLS", deadline_ms: 5 }), "TIMEOUT");
        assert_eq!(code(SocketError::Closed { cause: CloseCause::Fin }), "CLOSED");
        assert_eq!(code(SocketError::Upgrade { ended: None, detail: "garbage".to_owned() }), "UPGRADE");
    }

    #[test]
    fn a_refused_upgrade_carries_every_field() {
        let error = EngineError::Socket(SocketError::Status {
            status: 503,
            status_line: "HTTP/1.1 503 Busy".to_owned(),
            headers: vec![("Retry-After".to_owned(), "5".to_owned())],
            body: "later".to_owned(),
            request_bytes: 10,
            response_bytes: 20,
        });
        let details = error.details();
        assert_eq!(error.code(), "UPGRADE_STATUS");
        assert_eq!(details["status"], 503);
        assert_eq!(details["headers"][0][0], "Retry-After");
        assert_eq!((&details["requestBytes"], &details["responseBytes"]), (&10.into(), &20.into()));
    }

    #[test]
    fn each_failure_carries_the_word_of_results() {
        let word = |error: EngineError| match Exception::of(&BridgeError::Engine(error)) {
            Exception::Engine { details, .. } => {
                let details: Value = serde_json::from_str(&details).expect("JSON");
                details["resultCode"].as_str().expect("a word").to_owned()
            }
            other @ Exception::Jdk { .. } => panic!("{other:?}"),
        };
        assert_eq!(word(SocketError::Closed { cause: CloseCause::Fin }.into()), "CLOSED_BY_FIN");
        assert_eq!(word(SocketError::Deadline { phase: "TLS", deadline_ms: 5 }.into()), "CONNECT_TIMEOUT");
        let no_descriptor = PeerError::UdpSocket { errno: Some(libc::EMFILE), detail: "EMFILE".to_owned() };
        assert_eq!(word(no_descriptor.into()), "GEN_FDS");
        assert_eq!(word(EngineError::Panicked { what: "call", text: "x".to_owned() }), "ENGINE_FAILED");
        assert_eq!(word(EngineError::Unfinished { what: "hang up", deadline_ms: 1 }), "SIGNALING_TIMEOUT");
    }

    #[test]
    fn a_panic_of_a_task_is_an_engine_exception_with_its_text() {
        let error = EngineError::Panicked { what: "call", text: "value 7".to_owned() };
        match Exception::of(&BridgeError::Engine(error)) {
            Exception::Engine { code, message, .. } => {
                assert_eq!(code, "NATIVE_PANIC");
                assert!(message.contains("value 7"), "{message}");
            }
            other @ Exception::Jdk { .. } => panic!("{other:?}"),
        }
    }
}
