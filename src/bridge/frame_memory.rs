//! Memory of the calling Java thread in which a small frame crosses the border both ways, and the numbers about it.
//!
//! An array costs a call of JNI to make, one to measure and one to copy, and each of them a check for an exception: for a short
//! message more than all the rest of the border. What is longer than the memory crosses as an array.
//!
//! Guarantees: the memory is touched only while the call runs that was given it, by its thread. Nothing of it is kept, so
//! nothing happens on drop.

use std::ptr::NonNull;
use std::time::Duration;

use jni::Env;
use jni::objects::JByteArray;
use jni::sys::{jint, jlong};

use super::convert::{array, bytes, nanos};
use super::error::BridgeError;
use crate::config::ConfigError;
use crate::engine::Received;

/// Bytes of the memory; as `BYTES` of `io.github.jmeterwebrtc.FrameMemory`.
const BYTES: usize = 1 << 10;
/// Where the payload begins; as `HEAD` there.
const HEAD: usize = 56;

/// The memory, for the length of a call.
///
/// In the byte order of the machine: bytes sent (8, at 0; Java sets it to 0 before), ns until they were with the kernel (8), opcode of the frame
/// that came (1), FIN (1), nothing (2), bytes of its header (4), of its payload on the wire (8), ns waited (8), ns since the
/// arrival (8), bytes of its payload here (4), nothing (4), payload.
pub(super) struct FrameMemory<'a>(&'a mut [u8; BYTES]);

impl FrameMemory<'_> {
    /// The memory at an address that Java gives.
    ///
    /// # Safety
    /// The address must be 0 or that of a direct buffer of [`BYTES`] which nobody else touches before the native function that
    /// was given it returns.
    ///
    /// # Errors
    /// There is nothing at 0.
    pub(super) unsafe fn at(address: jlong) -> Result<Self, ConfigError> {
        let memory = usize::try_from(address.cast_unsigned()).ok().map(|address| address as *mut [u8; BYTES]);
        let Some(mut memory) = memory.and_then(NonNull::new) else {
            return Err(ConfigError::new("memory", address, "the address of a direct buffer is needed"));
        };
        // SAFETY: by the contract of this function; bytes need no alignment, and Java has set all of them to 0 in the beginning.
        Ok(Self(unsafe { memory.as_mut() }))
    }

    /// What is to be sent: the array, or where that is null what lies in the memory. `use_it` gets it; the memory is free then.
    pub(super) fn outgoing<T>(
        &mut self,
        env: &Env<'_>,
        payload: &JByteArray<'_>,
        length: jint,
        use_it: impl FnOnce(&[u8]) -> Result<T, BridgeError>,
    ) -> Result<T, BridgeError> {
        if !payload.is_null() {
            return use_it(&bytes(env, "payload", payload)?);
        }
        let here = usize::try_from(length).ok().and_then(|length| self.0[HEAD..].get(..length));
        use_it(here.ok_or_else(|| ConfigError::new("length", length, format!("0 to {} bytes", BYTES - HEAD)))?)
    }

    /// Writes what sending did.
    pub(super) fn sent(&mut self, bytes: usize, took: Duration) {
        self.put(0, i64::try_from(bytes).unwrap_or(i64::MAX).to_ne_bytes());
        self.put(8, nanos(took).to_ne_bytes());
    }

    /// Writes a frame that came; gives its payload as an array where the memory is too small for it, and null where it is not.
    pub(super) fn received<'l>(
        &mut self,
        env: &mut Env<'l>,
        Received { frame, waited }: &Received,
    ) -> Result<JByteArray<'l>, BridgeError> {
        let payload = &frame.payload;
        self.put(16, [frame.opcode as u8, u8::from(frame.fin)]);
        self.put(20, i32::try_from(frame.header_bytes).unwrap_or(i32::MAX).to_ne_bytes());
        self.put(24, i64::try_from(frame.wire_payload_bytes).unwrap_or(i64::MAX).to_ne_bytes());
        self.put(32, nanos(*waited).to_ne_bytes());
        let outside = match self.0[HEAD..].get_mut(..payload.len()) {
            Some(here) => {
                here.copy_from_slice(payload);
                self.put(48, i32::try_from(payload.len()).unwrap_or(i32::MAX).to_ne_bytes());
                JByteArray::default()
            }
            None => array(env, payload)?,
        };
        self.put(40, nanos(frame.at.elapsed()).to_ne_bytes());
        Ok(outside)
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&value);
    }
}
