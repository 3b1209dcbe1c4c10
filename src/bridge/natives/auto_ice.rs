//! Auto ICE: results, channels, and what functions of a plan need.

use std::sync::atomic::AtomicU64;

use jni::Env;
use jni::objects::{JByteArray, JByteBuffer, JClass};
use jni::sys::jlong;

use crate::bridge::convert::{array, bytes, deadline, handle, json, key, text};
use crate::engine::{Engine, EngineError};

use super::Answer;

pub(super) fn auto_ice_waiting<'l>(_env: &mut Env<'l>, _class: JClass<'l>, scope: jlong) -> Answer<jlong> {
    // Asked before every sample: it must not start an engine.
    let waiting = Engine::if_started().map_or(0, |engine| engine.auto_ice_waiting(key(scope)));
    Ok(jlong::try_from(waiting).unwrap_or(jlong::MAX))
}

/// Eight bytes that always are the number of results that wait anywhere, in the machine's byte order.
pub(super) fn auto_ice_waiting_anywhere<'l>(env: &mut Env<'l>, _class: JClass<'l>) -> Answer<JByteBuffer<'l>> {
    let count: &'static AtomicU64 = Engine::global()?.auto_ice_waiting_anywhere();
    // SAFETY: the engine of the process is never dropped, so the number stays where it is for as long as the JVM may look;
    // what Java reads of it is aligned and as long as it, and nobody writes through the buffer, which only `Scope` has.
    Ok(unsafe { env.new_direct_byte_buffer(count.as_ptr().cast(), size_of::<AtomicU64>()) }?)
}

pub(super) fn take_auto_ice<'l>(env: &mut Env<'l>, _class: JClass<'l>, scope: jlong) -> Answer<JByteArray<'l>> {
    let results = Engine::global()?.take_auto_ice(key(scope));
    if results.is_empty() { Ok(JByteArray::default()) } else { json(env, &results) }
}

pub(super) fn end_auto_ice<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let engine = Engine::global()?;
    let results = match engine.end_auto_ice(key(scope), deadline(deadline_ms)?) {
        // What is late ends by its own bounds; what is decided is told.
        Err(EngineError::Unfinished { .. }) => engine.take_auto_ice(key(scope)),
        results => results?,
    };
    if results.is_empty() { Ok(JByteArray::default()) } else { json(env, &results) }
}

pub(super) fn auto_ice_channel<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
) -> Answer<jlong> {
    let name = text(env, "channel", &name)?;
    let config = bytes(env, "configuration", &config)?;
    Ok(handle(Engine::global()?.auto_ice_channel(key(scope), &name, &config)?))
}

pub(super) fn auto_ice_outgoing<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    channel: jlong,
    operation: jlong,
    message: JByteArray<'l>,
    context: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let message = bytes(env, "message", &message)?;
    let context = context_bytes(env, &context)?;
    let deadline = deadline(deadline_ms)?;
    match Engine::global()?.auto_ice_outgoing(key(channel), key(operation), &message, &context, deadline)? {
        Some(live) => array(env, &live),
        None => Ok(JByteArray::default()),
    }
}

/// What stands beside a message; nothing where it is null.
fn context_bytes(env: &Env<'_>, context: &JByteArray<'_>) -> Answer<Vec<u8>> {
    if context.is_null() { Ok(Vec::new()) } else { bytes(env, "context", context) }
}

pub(super) fn auto_ice_incoming<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    channel: jlong,
    message: JByteArray<'l>,
    context: JByteArray<'l>,
) -> Answer<()> {
    let message = bytes(env, "message", &message)?;
    let context = context_bytes(env, &context)?;
    Ok(Engine::global()?.auto_ice_incoming(key(channel), message, &context)?)
}

pub(super) fn auto_ice_offer<'l>(
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
    let offer = Engine::global()?.auto_ice_offer(key(scope), key(operation), &name, &config, deadline)?;
    array(env, offer.as_bytes())
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn auto_ice_answer<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
    offer: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let offer = if offer.is_null() { None } else { Some(text(env, "offer", &offer)?) };
    let deadline = deadline(deadline_ms)?;
    let answer = Engine::global()?.auto_ice_answer(key(scope), key(operation), &name, &config, offer, deadline)?;
    array(env, answer.as_bytes())
}

pub(super) fn auto_ice_candidate<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    match Engine::global()?.auto_ice_candidate(key(scope), key(operation), &name, deadline(deadline_ms)?)? {
        Some(candidate) => json(env, &candidate),
        None => Ok(JByteArray::default()),
    }
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn auto_ice_apply<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    kind: JByteArray<'l>,
    said: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<()> {
    let name = text(env, "name", &name)?;
    let kind = text(env, "type", &kind)?;
    let said = text(env, "text", &said)?;
    let deadline = deadline(deadline_ms)?;
    Ok(Engine::global()?.auto_ice_apply(key(scope), key(operation), &name, &kind, said, deadline)?)
}
