//! The preflight, for the sampler and for the command line.

use jni::Env;
use jni::objects::{JByteArray, JClass};
use jni::sys::jlong;

use crate::bridge::convert::{array, bytes, deadline, json, key, text};
use crate::engine::Engine;

use super::Answer;

pub(super) fn preflight<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    operation: jlong,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let config = bytes(env, "configuration", &config)?;
    json(env, &Engine::global()?.preflight(key(operation), &config, deadline(deadline_ms)?)?)
}

/// Arguments are separated by NUL, which none can contain; the answer is the exit status in one byte, and the text.
pub(super) fn doctor<'l>(env: &mut Env<'l>, _class: JClass<'l>, arguments: JByteArray<'l>) -> Answer<JByteArray<'l>> {
    let arguments = text(env, "arguments", &arguments)?;
    let arguments = arguments.split_terminator('\0').map(str::to_owned).collect();
    let (status, said) = Engine::global()?.doctor(arguments);
    let mut answer = vec![status];
    answer.extend_from_slice(said.as_bytes());
    array(env, &answer)
}
