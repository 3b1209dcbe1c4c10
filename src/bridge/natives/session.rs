//! Sessions and calls.

use jni::Env;
use jni::objects::{JByteArray, JClass};
use jni::sys::jlong;

use crate::bridge::convert::{array, bytes, deadline, handle, json, key, text};
use crate::engine::{Engine, Milestone};

use super::Answer;

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn place_call<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    socket: jlong,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    let outcome = Engine::global()?.place_call(key(scope), key(operation), &name, key(socket), &config, deadline)?;
    let session = outcome.session.map(handle);
    json(env, &serde_json::json!({"outcome": outcome.outcome, "session": session}))
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn answer_call<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    socket: jlong,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    let outcome = Engine::global()?.answer_call(key(scope), key(operation), &name, key(socket), &config, deadline)?;
    let session = outcome.session.map(handle);
    json(env, &serde_json::json!({"outcome": outcome.outcome, "session": session}))
}

pub(super) fn find_session<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    name: JByteArray<'l>,
) -> Answer<jlong> {
    let name = text(env, "name", &name)?;
    Ok(Engine::global()?.find_session(key(scope), &name)?.map_or(0, handle))
}

pub(super) fn new_session<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
) -> Answer<jlong> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    Ok(handle(Engine::global()?.new_session(key(scope), key(operation), &name, &config)?))
}

pub(super) fn create_offer<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let offer = Engine::global()?.create_offer(key(session), key(operation), deadline(deadline_ms)?)?;
    array(env, offer.as_bytes())
}

pub(super) fn create_answer<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    offer: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let offer = text(env, "offer", &offer)?;
    let answer = Engine::global()?.create_answer(key(session), key(operation), offer, deadline(deadline_ms)?)?;
    array(env, answer.as_bytes())
}

pub(super) fn set_remote_answer<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    answer: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<()> {
    let answer = text(env, "answer", &answer)?;
    Ok(Engine::global()?.set_remote_answer(key(session), key(operation), answer, deadline(deadline_ms)?)?)
}

pub(super) fn add_ice_candidate<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    candidate: JByteArray<'l>,
) -> Answer<()> {
    let candidate = bytes(env, "candidate", &candidate)?;
    Ok(Engine::global()?.add_ice_candidate(key(session), &candidate)?)
}

pub(super) fn next_local_candidate<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    match Engine::global()?.next_local_candidate(key(session), key(operation), deadline(deadline_ms)?)? {
        Some(candidate) => json(env, &candidate),
        None => Ok(JByteArray::default()),
    }
}

pub(super) fn await_milestone<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    state: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let milestone: Milestone = text(env, "state", &state)?.parse()?;
    let state = Engine::global()?.await_milestone(key(session), key(operation), milestone, deadline(deadline_ms)?)?;
    array(env, state.name().as_bytes())
}

pub(super) fn connection_state<'l>(env: &mut Env<'l>, _class: JClass<'l>, session: jlong) -> Answer<JByteArray<'l>> {
    array(env, Engine::global()?.connection_state(key(session))?.name().as_bytes())
}

pub(super) fn is_session_lost<'l>(_env: &mut Env<'l>, _class: JClass<'l>, session: jlong) -> Answer<bool> {
    Ok(Engine::global()?.is_session_lost(key(session)))
}

pub(super) fn session_report<'l>(env: &mut Env<'l>, _class: JClass<'l>, session: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.session_report(key(session))?)
}

pub(super) fn check<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.check_media(key(session), key(operation), deadline(deadline_ms)?)?)
}

pub(super) fn stats<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.stats(key(session), key(operation), deadline(deadline_ms)?)?)
}

pub(super) fn hang_up<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    session: jlong,
    operation: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.hang_up(key(session), key(operation), deadline(deadline_ms)?)?)
}

pub(super) fn close_session<'l>(_env: &mut Env<'l>, _class: JClass<'l>, session: jlong) -> Answer<()> {
    Engine::global()?.close_session(key(session))?;
    Ok(())
}
