//! Labs.

use jni::Env;
use jni::objects::{JByteArray, JClass};
use jni::sys::jlong;

use crate::bridge::convert::{bytes, deadline, handle, json, key};
use crate::engine::Engine;

use super::Answer;

pub(super) fn start_lab<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<jlong> {
    let config = bytes(env, "configuration", &config)?;
    Ok(handle(Engine::global()?.start_lab(&config, deadline(deadline_ms)?)?))
}

pub(super) fn lab_urls<'l>(env: &mut Env<'l>, _class: JClass<'l>, lab: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.lab_urls(key(lab))?)
}

pub(super) fn lab_counters<'l>(env: &mut Env<'l>, _class: JClass<'l>, lab: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.lab_counters(key(lab))?)
}

pub(super) fn stop_lab<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    lab: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    match Engine::global()?.stop_lab(key(lab), deadline(deadline_ms)?)? {
        Some(counters) => json(env, &counters),
        None => Ok(JByteArray::default()),
    }
}
