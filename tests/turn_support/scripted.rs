//! A TURN server over UDP that says what a script tells it to.
use std::net::SocketAddr;

use jmeter_webrtc::peer::IceServer;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What it answers.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    /// An error with this code and nonce.
    Refuse(u16, &'static str),
    /// Success: an allocation, or the end of it.
    Grant,
    /// Bytes that are no STUN.
    Nonsense,
}

/// The server; dropping it closes its socket.
pub struct Scripted {
    pub address: SocketAddr,
    task: JoinHandle<()>,
    asked: std::sync::Arc<parking_lot::Mutex<Vec<SocketAddr>>>,
}

impl Scripted {
    /// A server that answers the first request with the first word of `script`, and all after the last with the last.
    pub async fn start(script: &'static [Says]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let address = socket.local_addr().expect("address");
        let asked = std::sync::Arc::<parking_lot::Mutex<Vec<SocketAddr>>>::default();
        let sources = std::sync::Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, source)) = socket.recv_from(&mut buffer).await {
                let nth = {
                    let mut sources = sources.lock();
                    sources.push(source);
                    sources.len() - 1
                };
                let says = script[nth.min(script.len() - 1)];
                socket.send_to(&reply(&buffer[..length], says), source).await.expect("loopback");
            }
        });
        Self { address, task, asked }
    }

    /// As an ICE server.
    pub fn ice_server(&self) -> IceServer {
        IceServer {
            urls: vec![format!("turn:{}", self.address)],
            username: "u".to_owned(),
            credential: "c".to_owned(),
            ..IceServer::default()
        }
    }

    /// Who asked, in order.
    pub fn asked(&self) -> Vec<SocketAddr> {
        self.asked.lock().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(request: &[u8], says: Says) -> Vec<u8> {
    let mut attributes = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        attributes.extend(kind.to_be_bytes());
        attributes.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
        attributes.extend(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    };
    let class: [u8; 2] = match says {
        Says::Nonsense => return b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        Says::Refuse(code, nonce) => {
            let (class, number) = (u8::try_from(code / 100).expect("small"), u8::try_from(code % 100).expect("small"));
            add(0x0009, &[0, 0, class, number, b'n', b'o']);
            add(0x0014, b"realm");
            add(0x0015, nonce.as_bytes());
            [0x01, 0x10]
        }
        Says::Grant => {
            // 192.0.2.1:50000 under the XOR of the cookie.
            add(0x0016, &[0, 1, 0xc3 ^ 0x21, 0x50 ^ 0x12, 192 ^ 0x21, 0x12, 2 ^ 0xa4, 1 ^ 0x42]);
            add(0x000d, &600u32.to_be_bytes());
            [0x01, 0x00]
        }
    };
    let mut message = vec![request[0] | class[0], request[1] | class[1]];
    message.extend(u16::try_from(attributes.len()).expect("short").to_be_bytes());
    message.extend(&request[4..20]);
    message.extend(attributes);
    message
}
