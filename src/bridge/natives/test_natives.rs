//! Natives that only tests have: built with the feature `test-natives`, found by their exported names.

use jni::objects::{JByteArray, JClass};
use jni::sys::jlong;
use jni::{Env, EnvUnowned};

use crate::bridge::convert::text;
use crate::bridge::error::{BridgeError, Throw};
use crate::bridge::frame_memory::{FrameMemory, answer_in};

/// `io.github.jmeterwebrtc.TestNatives.panic(byte[])`: panics with a formatted text.
#[unsafe(no_mangle)]
pub(super) extern "system" fn Java_io_github_jmeterwebrtc_TestNatives_panic<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    message: JByteArray<'l>,
) {
    env.with_env(|env: &mut Env<'l>| -> Result<(), BridgeError> {
        let message = text(env, "message", &message)?;
        panic!("formatted {message}")
    })
    .resolve::<Throw>()
}

/// `io.github.jmeterwebrtc.TestNatives.panicOnRuntime(byte[])`: panics in a task of the engine that the caller waits for.
#[unsafe(no_mangle)]
pub(super) extern "system" fn Java_io_github_jmeterwebrtc_TestNatives_panicOnRuntime<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    message: JByteArray<'l>,
) {
    env.with_env(|env: &mut Env<'l>| -> Result<(), BridgeError> {
        let message = text(env, "message", &message)?;
        Ok(crate::engine::Engine::global()?.panic_in_task(message)?)
    })
    .resolve::<Throw>()
}

/// `io.github.jmeterwebrtc.TestNatives.panicInMemory(long)`: panics in a function that answers in the memory of its thread.
#[unsafe(no_mangle)]
pub(super) extern "system" fn Java_io_github_jmeterwebrtc_TestNatives_panicInMemory<'l>(
    env: EnvUnowned<'l>,
    _class: JClass<'l>,
    memory: jlong,
) -> JByteArray<'l> {
    // SAFETY: the test gives 0, or the address of a `FrameMemory` of its own thread.
    let memory = unsafe { FrameMemory::at(memory) };
    answer_in(memory, env, |_| panic!("formatted {}", "in memory"))
}
