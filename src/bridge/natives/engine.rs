//! The engine as a whole: version, logs, counts, operations and scopes.

use std::time::Duration;

use jni::Env;
use jni::objects::{JByteArray, JClass};
use jni::sys::{jint, jlong};

use crate::bridge::convert::{array, deadline, handle, json, key};
use crate::bridge::{ABI, log_queue};
use crate::engine::{Engine, EngineError, ScopeKey};

use super::Answer;

pub(super) fn abi<'l>(_env: &mut Env<'l>, _class: JClass<'l>) -> Answer<jint> {
    Ok(ABI)
}

pub(super) fn version<'l>(env: &mut Env<'l>, _class: JClass<'l>) -> Answer<JByteArray<'l>> {
    array(env, env!("CARGO_PKG_VERSION").as_bytes())
}

pub(super) fn drain_logs<'l>(env: &mut Env<'l>, _class: JClass<'l>, wait_ms: jlong) -> Answer<JByteArray<'l>> {
    match log_queue::drain(deadline(wait_ms)?.min(Duration::from_secs(60))) {
        Some(batch) => array(env, &batch),
        None => Ok(JByteArray::default()),
    }
}

pub(super) fn set_log_level<'l>(_env: &mut Env<'l>, _class: JClass<'l>, level: jint) -> Answer<()> {
    log_queue::set_level(level);
    Ok(())
}

pub(super) fn snapshot<'l>(env: &mut Env<'l>, _class: JClass<'l>) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.snapshot())
}

pub(super) fn begin_test<'l>(_env: &mut Env<'l>, _class: JClass<'l>) -> Answer<()> {
    Engine::global()?.begin_test();
    Ok(())
}

pub(super) fn garbage_collected<'l>(_env: &mut Env<'l>, _class: JClass<'l>, total_ms: jlong) -> Answer<()> {
    // Told all the time: a JVM that does not use the engine must not start it.
    if let Some(engine) = Engine::if_started() {
        engine.garbage_collected(deadline(total_ms)?);
    }
    Ok(())
}

pub(super) fn close_all<'l>(_env: &mut Env<'l>, _class: JClass<'l>, deadline_ms: jlong) -> Answer<()> {
    let deadline = deadline(deadline_ms)?;
    // A JVM that ends without having used the engine must not start it.
    if let Some(engine) = Engine::if_started() {
        engine.close_all(deadline);
    }
    Ok(())
}

pub(super) fn new_operation<'l>(_env: &mut Env<'l>, _class: JClass<'l>) -> Answer<jlong> {
    Ok(handle(Engine::global()?.new_operation()))
}

pub(super) fn cancel_operation<'l>(_env: &mut Env<'l>, _class: JClass<'l>, operation: jlong) -> Answer<()> {
    Engine::global()?.cancel_operation(key(operation));
    Ok(())
}

pub(super) fn end_operation<'l>(_env: &mut Env<'l>, _class: JClass<'l>, operation: jlong) -> Answer<bool> {
    Ok(Engine::global()?.end_operation(key(operation)))
}

pub(super) fn open_scope<'l>(_env: &mut Env<'l>, _class: JClass<'l>, parent: jlong) -> Answer<jlong> {
    let parent = (parent != 0).then(|| key::<ScopeKey>(parent));
    Ok(handle(Engine::global()?.open_scope(parent)?))
}

pub(super) fn close_scope<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    match Engine::global()?.close_scope(key(scope), deadline(deadline_ms)?) {
        Ok(closed) => json(env, &closed),
        // Everything is closed as far as names go; what is late ends by its own bounds.
        Err(late @ EngineError::Unfinished { .. }) => json(env, &serde_json::json!({"unfinished": late.to_string()})),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_scope_closed<'l>(_env: &mut Env<'l>, _class: JClass<'l>, scope: jlong) -> Answer<bool> {
    Ok(Engine::global()?.is_scope_closed(key(scope)))
}
