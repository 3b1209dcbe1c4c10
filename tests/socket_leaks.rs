//! Nothing stays behind: file descriptors and tasks after sockets that ended in every way. Alone in
//! its process, because it counts what the whole process has open.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jmeter_webrtc::socket::{CloseCause, Opcode, Socket, SocketConfig};
use tokio::net::TcpListener;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_leave_neither_descriptors_nor_tasks_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut peer) = tokio_tungstenite::accept_async(stream).await {
                    while let Some(Ok(_)) = peer.next().await {}
                }
            });
        }
    });
    let mut config = SocketConfig::new(format!("ws://{address}/"));
    config.ping_interval_ms = 50;
    drop(Socket::open(&config).await.expect("the server upgrades"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (descriptors_before, tasks_before) = (descriptors(), tasks());

    for round in 0..50 {
        let (socket, _) = Socket::open(&config).await.expect("the server upgrades");
        socket.send(Opcode::Text, true, b"hello").await.expect("the server reads");
        match round % 5 {
            0 => drop(socket.close(1000, "", Duration::from_secs(20)).await),
            1 => socket.abort(CloseCause::ScopeEnded),
            2 => {
                // Threads that wait for the bytes themselves, longer than they do without a descriptor for their wakes.
                let reading = std::thread::spawn(move || {
                    for _ in 0..2 {
                        let start = Instant::now();
                        let until = start + Duration::from_millis(15);
                        drop(socket.receive_here(None, start, until, std::future::pending()));
                    }
                });
                tokio::task::spawn_blocking(|| reading.join()).await.expect("no panic").expect("no panic");
            }
            3 => drop(tokio::time::timeout(Duration::from_millis(1), socket.receive()).await),
            _ => drop(tokio::time::timeout(Duration::from_micros(300), Socket::open(&config)).await),
        }
    }
    tokio::time::timeout(Duration::from_secs(20), async {
        while descriptors() > descriptors_before || tasks() > tasks_before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| {
        panic!("{descriptors_before} → {} descriptors, {tasks_before} → {} tasks", descriptors(), tasks())
    });
}
