//! Softphones that are registered by a profile.

use jni::Env;
use jni::objects::{JByteArray, JClass};
use jni::sys::jlong;

use crate::bridge::convert::{bytes, deadline, handle, json, key, text};
use crate::engine::{Engine, Placed};

use super::Answer;

pub(super) fn register_softphone<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    let registering = Engine::global()?.register_softphone(key(scope), key(operation), &name, &config, deadline)?;
    let softphone = registering.softphone.map(handle);
    json(env, &serde_json::json!({"outcome": registering.outcome, "softphone": softphone}))
}

pub(super) fn find_softphone<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    name: JByteArray<'l>,
) -> Answer<jlong> {
    let name = text(env, "name", &name)?;
    Ok(Engine::global()?.find_softphone(key(scope), &name)?.map_or(0, handle))
}

pub(super) fn is_softphone_registered<'l>(_env: &mut Env<'l>, _class: JClass<'l>, softphone: jlong) -> Answer<bool> {
    Ok(Engine::global()?.is_softphone_registered(key(softphone)))
}

pub(super) fn softphone_report<'l>(env: &mut Env<'l>, _class: JClass<'l>, softphone: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.softphone_report(key(softphone))?)
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn softphone_call<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    softphone: jlong,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    let (softphone, scope) = (key(softphone), key(scope));
    told(env, Engine::global()?.softphone_call(softphone, scope, key(operation), &name, &config, deadline)?)
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn softphone_answer<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    softphone: jlong,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    let (softphone, scope) = (key(softphone), key(scope));
    told(env, Engine::global()?.softphone_answer(softphone, scope, key(operation), &name, &config, deadline)?)
}

fn told<'l>(env: &mut Env<'l>, placed: Placed) -> Answer<JByteArray<'l>> {
    json(env, &serde_json::json!({"outcome": placed.outcome, "session": placed.session.map(handle)}))
}

pub(super) fn unregister_softphone<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    softphone: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let deadline = deadline(deadline_ms)?;
    json(env, &Engine::global()?.unregister_softphone(key(softphone), key(operation), deadline)?)
}

pub(super) fn close_softphone<'l>(_env: &mut Env<'l>, _class: JClass<'l>, softphone: jlong) -> Answer<()> {
    Engine::global()?.close_softphone(key(softphone))?;
    Ok(())
}

pub(super) fn control_session<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    command: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let command = bytes(env, "command", &command)?;
    let deadline = deadline(deadline_ms)?;
    json(env, &Engine::global()?.control_session(key(session), key(operation), &command, deadline)?)
}
