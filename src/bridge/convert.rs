//! Java's values as ours, and back. A value that cannot be used is refused by the name of its argument.

use std::time::Duration;

use jni::Env;
use jni::objects::{JByteArray, JLongArray};
use jni::sys::{jint, jlong};
use serde::Serialize;

use crate::config::ConfigError;
use crate::engine::Handle;
use crate::socket::Opcode;

use super::error::BridgeError;

/// A handle. Java has no unsigned numbers: the bits are the same.
pub(super) fn key<K: Handle>(handle: jlong) -> K {
    K::of(handle.cast_unsigned())
}

/// A handle for Java; never 0.
pub(super) fn handle(key: impl Handle) -> jlong {
    key.number().cast_signed()
}

/// Milliseconds from the start of the call.
pub(super) fn deadline(ms: jlong) -> Result<Duration, ConfigError> {
    let ms = u64::try_from(ms).map_err(|_| ConfigError::new("deadlineMs", ms, "0 or more milliseconds"))?;
    Ok(Duration::from_millis(ms))
}

/// The bytes of an array that must be there.
pub(super) fn bytes(env: &Env<'_>, field: &str, array: &JByteArray<'_>) -> Result<Vec<u8>, BridgeError> {
    if array.is_null() {
        return Err(ConfigError::new(field, "null", "an array is needed").into());
    }
    Ok(env.convert_byte_array(array)?)
}

/// The text of an array of UTF-8.
pub(super) fn text(env: &Env<'_>, field: &str, array: &JByteArray<'_>) -> Result<String, BridgeError> {
    let bytes = bytes(env, field, array)?;
    String::from_utf8(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
        ConfigError::new(field, shown, "UTF-8 is needed").into()
    })
}

/// Bytes for Java.
pub(super) fn array<'l>(env: &mut Env<'l>, bytes: &[u8]) -> Result<JByteArray<'l>, BridgeError> {
    Ok(env.byte_array_from_slice(bytes)?)
}

/// JSON for Java.
pub(super) fn json<'l>(env: &mut Env<'l>, value: &impl Serialize) -> Result<JByteArray<'l>, BridgeError> {
    let text = serde_json::to_vec(value).map_err(|error| BridgeError::Unwritable(error.to_string()))?;
    array(env, &text)
}

/// Numbers for Java.
pub(super) fn longs<'l>(env: &mut Env<'l>, values: &[jlong]) -> Result<JLongArray<'l>, BridgeError> {
    let array = JLongArray::new(env, values.len())?;
    array.set_region(env, 0, values)?;
    Ok(array)
}

/// A duration in nanoseconds.
pub(super) fn nanos(duration: Duration) -> jlong {
    jlong::try_from(duration.as_nanos()).unwrap_or(jlong::MAX)
}

/// The opcode of four bits (RFC 6455 §5.2).
pub(super) fn opcode(wire: jint) -> Result<Opcode, ConfigError> {
    Ok(match wire {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(ConfigError::new("opcode", wire, "one of 0, 1, 2, 8, 9 and 10 (RFC 6455 section 5.2)")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SocketKey;

    #[test]
    fn a_negative_deadline_is_refused_by_name() {
        assert_eq!(deadline(-1).expect_err("refused").field, "deadlineMs");
        assert_eq!(deadline(0).expect("0 is now"), Duration::ZERO);
    }

    #[test]
    fn an_opcode_that_rfc_6455_does_not_define_is_refused() {
        for wire in -1..=16 {
            match opcode(wire) {
                Ok(opcode) => assert_eq!(opcode as i32, wire),
                Err(error) => assert_eq!(error.field, "opcode"),
            }
        }
    }

    #[test]
    fn a_handle_keeps_its_bits_on_the_way_to_java_and_back() {
        for number in [(1_u64 << 32) | 1, u64::MAX, 0x8000_0001_0000_0007] {
            let there: SocketKey = key(number.cast_signed());
            assert_eq!(key::<SocketKey>(handle(there)), there);
        }
    }
}
