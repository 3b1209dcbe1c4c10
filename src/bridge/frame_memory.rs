//! Memory of the calling Java thread in which a small frame crosses the border both ways, and the numbers about it.
//!
//! An array costs a call of JNI to make, one to measure and one to copy, and each of them a check for an exception: for a short
//! message more than all the rest of the border. What is longer than the memory crosses as an array.
//!
//! Guarantees: the memory is touched only while the call runs that was given it, by its thread. Nothing of it is kept, so
//! nothing happens on drop.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::time::Duration;

use jni::objects::JByteArray;
use jni::sys::{jint, jlong};
use jni::{Env, EnvUnowned};

use super::convert::{array, nanos};
use super::error::{BridgeError, Throw};
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
/// arrival (8), bytes of its payload here (4), µs from its first byte to its last (4), payload.
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

    /// What is to be sent, as it lies in the memory.
    ///
    /// # Errors
    /// A length that the memory does not have.
    pub(super) fn outgoing(&self, length: jint) -> Result<&[u8], ConfigError> {
        let here = usize::try_from(length).ok().and_then(|length| self.0[HEAD..].get(..length));
        here.ok_or_else(|| ConfigError::new("length", length, format!("0 to {} bytes", BYTES - HEAD)))
    }

    /// Writes what sending did.
    pub(super) fn sent(&mut self, bytes: usize, took: Duration) {
        self.put(0, i64::try_from(bytes).unwrap_or(i64::MAX).to_ne_bytes());
        self.put(8, nanos(took).to_ne_bytes());
    }

    /// Writes a frame that came; whether its payload had room, too.
    fn received(&mut self, Received { frame, waited }: &Received) -> bool {
        let payload = &frame.payload;
        self.put(16, [frame.opcode as u8, u8::from(frame.fin)]);
        self.put(20, i32::try_from(frame.header_bytes).unwrap_or(i32::MAX).to_ne_bytes());
        self.put(24, i64::try_from(frame.wire_payload_bytes).unwrap_or(i64::MAX).to_ne_bytes());
        self.put(32, nanos(*waited).to_ne_bytes());
        self.put(52, frame.arriving_us.to_ne_bytes());
        let here = self.0[HEAD..].get_mut(..payload.len());
        let has_room = here.is_some();
        if let Some(here) = here {
            here.copy_from_slice(payload);
            self.put(48, i32::try_from(payload.len()).unwrap_or(i32::MAX).to_ne_bytes());
        }
        self.put(40, nanos(frame.at.elapsed()).to_ne_bytes());
        has_room
    }

    /// Writes a frame that came; gives its payload as an array where the memory is too small for it, and null where it is not.
    pub(super) fn answer<'l>(&mut self, env: &mut Env<'l>, received: &Received) -> Result<JByteArray<'l>, BridgeError> {
        if self.received(received) {
            return Ok(JByteArray::default());
        }
        let outside = array(env, &received.frame.payload)?;
        self.put(40, nanos(received.frame.at.elapsed()).to_ne_bytes());
        Ok(outside)
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&value);
    }
}

/// A native function that takes and gives what lies in its `memory`: `work` gives the frame that came.
///
/// The [`Env`] is made for what has no room there only, a long payload and a failure: to make it and to end it costs more than
/// all the rest of the border.
pub(super) fn answer_in<'l>(
    memory: Result<FrameMemory<'_>, ConfigError>,
    mut env: EnvUnowned<'l>,
    work: impl FnOnce(&mut FrameMemory<'_>) -> Result<Received, BridgeError>,
) -> JByteArray<'l> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut memory = memory?;
        let received = work(&mut memory)?;
        Ok::<_, BridgeError>((!memory.received(&received)).then_some((memory, received)))
    }));
    if let Ok(Ok(None)) = done {
        return JByteArray::default();
    }
    let say = |env: &mut Env<'l>| match done.unwrap_or_else(|panic| resume_unwind(panic))? {
        Some((mut memory, received)) => memory.answer(env, &received),
        None => Ok(JByteArray::default()),
    };
    env.with_env(say).resolve::<Throw>()
}
