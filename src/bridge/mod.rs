//! The border to Java: every `jni` type, and nothing else.
//!
//! Only Java calls us: a Java thread enters a native function, parks in the engine, and comes back with a value or an
//! exception. No thread of ours ever enters Java, so nothing of ours keeps a JVM from ending. Values cross as numbers and
//! as UTF-8 `byte[]`, short frames in memory of the calling thread (`frame_memory`). Every function catches panics; a panic
//! becomes an exception and the next call works. Nothing here is freed by Java: handles are generational keys of the engine.
//!
//! The library stays mapped for the life of the process (it is linked with `-z nodelete`), since threads of the runtime may
//! outlive the class loader that loaded it.

mod convert;
mod error;
mod frame_memory;
mod log_queue;
mod natives;

use std::ffi::c_void;

use jni::errors::Error;
use jni::strings::JNIString;
use jni::sys::{JNI_VERSION_1_8, jint};
use jni::vm::{AttachConfig, AttachmentExceptionPolicy};
use jni::{Env, JavaVM, jni_str};

pub use error::{BridgeError, Throw};

/// Must equal `Native.ABI` of the jar; it changes with every change of meaning that a signature does not show.
pub const ABI: jint = 3;

/// Called by the JVM when the library is loaded: registers every native function of `io.github.jmeterwebrtc.Native`.
///
/// A library that does not fit its jar leaves an `UnsatisfiedLinkError` with a sentence; returning an error would show
/// users a version number that means nothing.
///
/// # Safety
/// `vm` must be the pointer that the JVM hands to `JNI_OnLoad`.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn JNI_OnLoad(vm: *mut jni::sys::JavaVM, _reserved: *mut c_void) -> jint {
    // SAFETY: the caller is the JVM, whose pointer is valid and lives as long as the process.
    let vm = unsafe { JavaVM::from_raw(vm) };
    // The thread that loads us is a Java thread already: this attaches nothing. An exception that is left pending here is
    // meant for `System.load`.
    let leave_pending = || AttachConfig::new().exceptions_policy(AttachmentExceptionPolicy::Ignore);
    let registered = vm.attach_current_thread_with_config(leave_pending, None, |env| {
        register(env).inspect_err(|error| refuse(env, error))
    });
    if registered.is_ok() {
        log_queue::install();
    }
    JNI_VERSION_1_8
}

fn register(env: &mut Env<'_>) -> Result<(), Error> {
    let class = env.find_class(jni_str!("io/github/jmeterwebrtc/Native"))?;
    // SAFETY: every entry was made by `native_method!`, which checks the Rust function against the signature it registers,
    // and the functions are static, so they live as long as the library, which is never unloaded.
    unsafe { env.register_native_methods(&class, &natives::METHODS) }
}

/// Leaves a pending `UnsatisfiedLinkError` that says what does not fit.
fn refuse(env: &mut Env<'_>, error: &Error) {
    let cause = match env.exception_catch() {
        Err(Error::CaughtJavaException { msg, .. }) => msg,
        _ => error.to_string(),
    };
    let sentence = format!("native library {} does not match this jar: {cause} not found.", env!("CARGO_PKG_VERSION"));
    // Every `throw` answers with an error once the exception is pending, which is what is wanted here.
    let _ = env.throw_new(jni_str!("java/lang/UnsatisfiedLinkError"), JNIString::new(sentence));
}
