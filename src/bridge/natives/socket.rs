//! WebSockets.

use jni::objects::{JByteArray, JByteBuffer, JClass, JLongArray};
use jni::sys::{jint, jlong};
use jni::{Env, EnvUnowned};

use crate::bridge::convert::{bytes, deadline, handle, json, key, longs, nanos, opcode, text};
use crate::bridge::error::Throw;
use crate::bridge::frame_memory::{FrameMemory, answer_in};
use crate::config::ConfigError;
use crate::engine::{ABORTED, Engine, EngineError, Exchanged, Matcher, Received, cause_json};

use super::Answer;

pub(super) fn open_socket<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    config: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<jlong> {
    let name = text(env, "name", &name)?;
    let config = bytes(env, "configuration", &config)?;
    let deadline = deadline(deadline_ms)?;
    Ok(handle(Engine::global()?.open_socket(key(scope), key(operation), &name, &config, deadline)?))
}

pub(super) fn find_socket<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    name: JByteArray<'l>,
) -> Answer<jlong> {
    let name = text(env, "name", &name)?;
    Ok(Engine::global()?.find_socket(key(scope), &name)?.map_or(0, handle))
}

pub(super) fn release_socket<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    scope: jlong,
    name: JByteArray<'l>,
) -> Answer<()> {
    let name = text(env, "name", &name)?;
    Ok(Engine::global()?.release_socket(key(scope), &name)?)
}

pub(super) fn socket_opened<'l>(env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.socket_opened(key(socket))?)
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn send_frame<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    opcode_bits: jint,
    fin: bool,
    payload: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JLongArray<'l>> {
    let opcode = opcode(opcode_bits)?;
    let payload = bytes(env, "payload", &payload)?;
    let deadline = deadline(deadline_ms)?;
    let (sent, took) = Engine::global()?.send(key(socket), key(operation), opcode, fin, &payload, deadline)?;
    longs(env, &[jlong::try_from(sent).unwrap_or(jlong::MAX), nanos(took)])
}

/// Where a direct buffer begins.
pub(super) fn address_of<'l>(env: &mut Env<'l>, _class: JClass<'l>, memory: JByteBuffer<'l>) -> Answer<jlong> {
    Ok((env.get_direct_buffer_address(&memory)?.expose_provenance() as u64).cast_signed())
}

#[allow(clippy::too_many_arguments, reason = "the arguments are those of the Java method")]
pub(super) fn exchange_frames<'l>(
    mut env: EnvUnowned<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    opcode_bits: jint,
    fin: bool,
    payload: JByteArray<'l>,
    length: jint,
    memory: jlong,
    send_deadline_ms: jlong,
    receive_deadline_ms: jlong,
) -> JByteArray<'l> {
    // SAFETY: only `io.github.jmeterwebrtc.FrameMemory` gives such addresses: that of the direct buffer of the calling thread,
    // which lives as long as the thread does.
    let memory = unsafe { FrameMemory::at(memory) };
    let exchange = |payload: &[u8]| -> Answer<Exchanged> {
        let deadlines = (deadline(send_deadline_ms)?, deadline(receive_deadline_ms)?);
        Ok(Engine::global()?.exchange(key(socket), key(operation), opcode(opcode_bits)?, fin, payload, deadlines)?)
    };
    let sent = |memory: &mut FrameMemory<'_>, ((bytes, took), received): Exchanged| -> Answer<Received> {
        memory.sent(bytes, took);
        Ok(received?)
    };
    if payload.is_null() {
        return answer_in(memory, env, |memory| {
            let exchanged = exchange(memory.outgoing(length)?)?;
            sent(memory, exchanged)
        });
    }
    let with_array = |env: &mut Env<'l>| {
        let mut memory = memory?;
        let exchanged = exchange(&bytes(env, "payload", &payload)?)?;
        let received = sent(&mut memory, exchanged)?;
        memory.answer(env, &received)
    };
    env.with_env(with_array).resolve::<Throw>()
}

pub(super) fn receive_frame<'l>(
    env: EnvUnowned<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    memory: jlong,
    deadline_ms: jlong,
) -> JByteArray<'l> {
    // SAFETY: as in `exchange_frames`.
    let memory = unsafe { FrameMemory::at(memory) };
    answer_in(memory, env, |_| Ok(Engine::global()?.receive(key(socket), key(operation), deadline(deadline_ms)?)?))
}

pub(super) fn receive_matching<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    matcher: JByteArray<'l>,
    memory: jlong,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let matcher = Matcher::from_json(&bytes(env, "matcher", &matcher)?)?;
    let received = Engine::global()?.receive_matching(key(socket), key(operation), matcher, deadline(deadline_ms)?)?;
    // SAFETY: as in `exchange_frames`.
    unsafe { FrameMemory::at(memory) }?.answer(env, &received)
}

pub(super) fn register<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    name: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let name = text(env, "name", &name)?;
    json(env, &Engine::global()?.register(key(socket), key(operation), name, deadline(deadline_ms)?)?)
}

pub(super) fn close_socket_with<'l>(
    env: &mut Env<'l>,
    _class: JClass<'l>,
    socket: jlong,
    operation: jlong,
    status: jint,
    reason: JByteArray<'l>,
    deadline_ms: jlong,
) -> Answer<JByteArray<'l>> {
    let status = u16::try_from(status).map_err(|_| ConfigError::new("status", status, "0 to 65535"))?;
    let reason = text(env, "reason", &reason)?;
    let deadline = deadline(deadline_ms)?;
    let cause = Engine::global()?.close_socket_with(key(socket), key(operation), status, reason, deadline)?;
    json(env, &cause_json(&cause))
}

pub(super) fn abort_socket<'l>(_env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<()> {
    Engine::global()?.socket(key(socket))?.abort(ABORTED);
    Ok(())
}

pub(super) fn close_cause<'l>(env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<JByteArray<'l>> {
    match Engine::global()?.socket_end(key(socket))? {
        Some(end) => json(env, &end),
        None => Ok(JByteArray::default()),
    }
}

pub(super) fn is_socket_open<'l>(_env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<bool> {
    match Engine::global()?.socket(key(socket)) {
        Ok(socket) => Ok(socket.close_cause().is_none()),
        Err(EngineError::Stale { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn socket_counters<'l>(env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<JByteArray<'l>> {
    json(env, &Engine::global()?.socket(key(socket))?.counters())
}

pub(super) fn close_socket<'l>(_env: &mut Env<'l>, _class: JClass<'l>, socket: jlong) -> Answer<()> {
    Engine::global()?.close_socket(key(socket))?;
    Ok(())
}
