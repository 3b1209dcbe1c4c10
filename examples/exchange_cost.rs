//! Exchanges small messages with an echo over one WebSocket, as a request-response sampler does; for counting what that costs.
//!
//! `exchange_cost [EXCHANGES]` (default 20,000) prints microseconds of wall time per exchange. Instructions:
//! `scripts/exchange-cost.sh target/release/examples/exchange_cost`.
use std::net::TcpListener;
use std::time::{Duration, Instant};

use jmeter_webrtc::engine::{Engine, OperationKey, SocketKey};
use jmeter_webrtc::socket::Opcode;
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const DEADLINE: Duration = Duration::from_secs(20);
/// Exchanges before anything is counted: the thread waits for its own frames from the second on.
const WARM_UP: u32 = 100;

fn main() -> Result<(), Failure> {
    let exchanges: u32 = std::env::args().nth(1).as_deref().unwrap_or("20000").parse()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || echo(&listener).map_err(|error| error.to_string()));
    let engine = Engine::global()?;
    let scope = engine.open_scope(None)?;
    // As drop-in samplers open it: with Auto ICE, which looks at every message.
    let config = json!({"url": format!("ws://{address}/"), "autoIce": {}});
    let key = engine.open_socket(scope, OperationKey::default(), "echo", config.to_string().as_bytes(), DEADLINE)?;
    for _ in 0..WARM_UP {
        exchange(engine, key)?;
    }
    let start = Instant::now();
    for _ in 0..exchanges {
        exchange(engine, key)?;
    }
    println!("{exchanges} exchanges, {:.2} µs each", start.elapsed().as_secs_f64() * 1e6 / f64::from(exchanges.max(1)));
    engine.close_socket(key)?;
    let _ended = server.join();
    Ok(())
}

fn exchange(engine: &Engine, key: SocketKey) -> Result<(), Failure> {
    let operation = engine.new_operation();
    let (_, received) = engine.exchange(key, operation, Opcode::Text, true, b"hello", (DEADLINE, DEADLINE))?;
    engine.end_operation(operation);
    if received?.frame.payload != b"hello".as_slice() {
        return Err("the echo is another text".into());
    }
    Ok(())
}

/// Gives back every text until the other side ends.
fn echo(listener: &TcpListener) -> Result<(), Failure> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut socket = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    loop {
        let message = socket.read()?;
        if message.is_text() {
            socket.send(message)?;
        }
    }
}
