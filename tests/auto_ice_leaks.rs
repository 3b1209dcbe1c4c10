//! Nothing is left of Auto ICE's calls: no descriptor, no task, no session.
#![allow(clippy::unwrap_used)]
mod auto_ice_support;

use std::time::Duration;

use auto_ice_support::{Habits, Plan, Server, bounded, descriptors, eventually};
use jmeter_webrtc::engine::Engine;
use serde_json::json;

/// Calls of every kind of end.
fn round(server: &Server, engine: &Engine) {
    let plan = Plan::new(engine);
    for _ in 0..5 {
        let socket = plan.open(&server.url(), json!({}));
        socket.offer("hung-up");
        socket.hear_json();
        plan.up();
        socket.say(json!({"type": "bye", "callId": "hung-up"}));
        socket.hear_json();
        socket.offer("replaced");
        socket.hear_json();
        plan.up();
        socket.offer("replaced");
        socket.hear_json();
        plan.up();
        socket.offer("closed");
        socket.hear_json();
        plan.up();
        socket.close();
    }
    let socket = plan.open(&server.url(), json!({}));
    socket.offer("left");
    let closed = engine.close_scope(plan.test, Duration::from_secs(10)).unwrap();
    assert_eq!(closed["scopes"], 2, "{closed:#}");
}

#[test]
fn calls_of_every_kind_of_end_leave_nothing() {
    bounded(|| {
        let (server, engine) = (Server::start(Habits::default()), Engine::start().unwrap());
        let open = |what: &str| engine.snapshot()[what]["open"].clone();
        let at_rest = || {
            server.seen.lock().calls.clear();
            eventually("sessions and sockets are closed", || {
                open("softphones") == 0 && open("webSockets") == 0 && server.sockets() == 0
            });
            eventually("the probe of the generator has ended", || engine.snapshot()["generator"]["tasks"] == 0);
        };
        // What a process opens once does not count.
        round(&server, &engine);
        at_rest();
        std::thread::sleep(Duration::from_millis(500));
        let before = descriptors();
        round(&server, &engine);
        at_rest();
        eventually("descriptors are back", || descriptors() <= before);
    });
}
