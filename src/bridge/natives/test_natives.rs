//! Natives that only tests have: built with the feature `test-natives`, found by their exported names.

use jni::objects::{JByteArray, JClass};
use jni::{Env, EnvUnowned};

use crate::bridge::convert::text;
use crate::bridge::error::{BridgeError, Throw};

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
