//! The native functions, by what they are about, and the list of all that is registered.

mod auto_ice;
mod engine;
mod lab;
mod preflight;
mod session;
mod socket;
mod softphone;
#[cfg(feature = "test-natives")]
mod test_natives;

use jni::{NativeMethod, native_method};

use super::error::{BridgeError, Throw};
use auto_ice::*;
use engine::*;
use lab::*;
use preflight::*;
use session::*;
use socket::*;
use softphone::*;

/// What a native function gives.
type Answer<T> = Result<T, BridgeError>;

/// Every native function of `io.github.jmeterwebrtc.Native`, in its order.
pub(super) const METHODS: [NativeMethod<'static>; METHOD_COUNT] = [
    native_method! { static fn abi() -> jint, error_policy = Throw },
    native_method! { static fn version() -> [jbyte], error_policy = Throw },
    native_method! { static fn drain_logs(wait_ms: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn set_log_level(level: jint), error_policy = Throw },
    native_method! { static fn snapshot() -> [jbyte], error_policy = Throw },
    native_method! { static fn begin_test(), error_policy = Throw },
    native_method! { static fn garbage_collected(total_ms: jlong), error_policy = Throw },
    native_method! { static fn close_all(deadline_ms: jlong), error_policy = Throw },
    native_method! { static fn new_operation() -> jlong, error_policy = Throw },
    native_method! { static fn cancel_operation(operation: jlong), error_policy = Throw },
    native_method! { static fn end_operation(operation: jlong) -> jboolean, error_policy = Throw },
    native_method! { static fn open_scope(parent: jlong) -> jlong, error_policy = Throw },
    native_method! { static fn close_scope(scope: jlong, deadline_ms: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn is_scope_closed(scope: jlong) -> jboolean, error_policy = Throw },
    native_method! {
        static fn open_socket(scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], deadline_ms: jlong) -> jlong,
        error_policy = Throw
    },
    native_method! { static fn find_socket(scope: jlong, name: [jbyte]) -> jlong, error_policy = Throw },
    native_method! { static fn release_socket(scope: jlong, name: [jbyte]), error_policy = Throw },
    native_method! { static fn address_of(memory: JByteBuffer) -> jlong, error_policy = Throw },
    native_method! { static fn socket_opened(socket: jlong) -> [jbyte], error_policy = Throw },
    native_method! {
        static fn send_frame(
            socket: jlong, operation: jlong, opcode: jint, fin: jboolean, payload: [jbyte], deadline_ms: jlong
        ) -> [jlong],
        error_policy = Throw
    },
    native_method! {
        static raw fn exchange_frames(
            socket: jlong, operation: jlong, opcode: jint, fin: jboolean, payload: [jbyte], length: jint,
            memory: jlong, send_deadline_ms: jlong, receive_deadline_ms: jlong
        ) -> [jbyte]
    },
    native_method! {
        static raw fn receive_frame(socket: jlong, operation: jlong, memory: jlong, deadline_ms: jlong) -> [jbyte]
    },
    native_method! {
        static fn receive_matching(
            socket: jlong, operation: jlong, matcher: [jbyte], memory: jlong, deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn register(socket: jlong, operation: jlong, name: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn close_socket_with(
            socket: jlong, operation: jlong, status: jint, reason: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn abort_socket(socket: jlong), error_policy = Throw },
    native_method! { static fn close_cause(socket: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn is_socket_open(socket: jlong) -> jboolean, error_policy = Throw },
    native_method! { static fn socket_counters(socket: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn close_socket(socket: jlong), error_policy = Throw },
    native_method! {
        static fn place_call(
            scope: jlong, operation: jlong, name: [jbyte], socket: jlong, config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn answer_call(
            scope: jlong, operation: jlong, name: [jbyte], socket: jlong, config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn find_session(scope: jlong, name: [jbyte]) -> jlong, error_policy = Throw },
    native_method! {
        static fn new_session(scope: jlong, operation: jlong, name: [jbyte], config: [jbyte]) -> jlong,
        error_policy = Throw
    },
    native_method! {
        static fn create_offer(session: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn create_answer(session: jlong, operation: jlong, offer: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn set_remote_answer(session: jlong, operation: jlong, answer: [jbyte], deadline_ms: jlong),
        error_policy = Throw
    },
    native_method! { static fn add_ice_candidate(session: jlong, candidate: [jbyte]), error_policy = Throw },
    native_method! {
        static fn next_local_candidate(session: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        name = "await",
        fn = await_milestone,
        static fn await_milestone(session: jlong, operation: jlong, state: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn connection_state(session: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn is_session_lost(session: jlong) -> jboolean, error_policy = Throw },
    native_method! { static fn session_report(session: jlong) -> [jbyte], error_policy = Throw },
    native_method! {
        static fn check(session: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn stats(session: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn hang_up(session: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn close_session(session: jlong), error_policy = Throw },
    native_method! {
        static fn control_session(session: jlong, operation: jlong, command: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn register_softphone(
            scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn find_softphone(scope: jlong, name: [jbyte]) -> jlong, error_policy = Throw },
    native_method! { static fn is_softphone_registered(softphone: jlong) -> jboolean, error_policy = Throw },
    native_method! { static fn softphone_report(softphone: jlong) -> [jbyte], error_policy = Throw },
    native_method! {
        static fn softphone_call(
            softphone: jlong, scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn softphone_answer(
            softphone: jlong, scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn unregister_softphone(softphone: jlong, operation: jlong, deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn close_softphone(softphone: jlong), error_policy = Throw },
    native_method! { static fn auto_ice_waiting(scope: jlong) -> jlong, error_policy = Throw },
    native_method! { static fn auto_ice_waiting_anywhere() -> JByteBuffer, error_policy = Throw },
    native_method! { static fn take_auto_ice(scope: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn end_auto_ice(scope: jlong, deadline_ms: jlong) -> [jbyte], error_policy = Throw },
    native_method! {
        static fn auto_ice_channel(scope: jlong, name: [jbyte], config: [jbyte]) -> jlong,
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_outgoing(
            channel: jlong, operation: jlong, message: [jbyte], context: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_incoming(channel: jlong, message: [jbyte], context: [jbyte]),
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_offer(
            scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_answer(
            scope: jlong, operation: jlong, name: [jbyte], config: [jbyte], offer: [jbyte], deadline_ms: jlong
        ) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_candidate(scope: jlong, operation: jlong, name: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn auto_ice_apply(
            scope: jlong, operation: jlong, name: [jbyte], kind: [jbyte], said: [jbyte], deadline_ms: jlong
        ),
        error_policy = Throw
    },
    native_method! {
        static fn preflight(operation: jlong, config: [jbyte], deadline_ms: jlong) -> [jbyte],
        error_policy = Throw
    },
    native_method! { static fn doctor(arguments: [jbyte]) -> [jbyte], error_policy = Throw },
    native_method! { static fn start_lab(config: [jbyte], deadline_ms: jlong) -> jlong, error_policy = Throw },
    native_method! { static fn lab_urls(lab: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn lab_counters(lab: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn stop_lab(lab: jlong, deadline_ms: jlong) -> [jbyte], error_policy = Throw },
];

/// How many there are; a Java test compares them with the class by name and signature.
const METHOD_COUNT: usize = 73;
