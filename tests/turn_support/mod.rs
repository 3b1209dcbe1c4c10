//! A TURN server of the package `coturn`, started for one test.
#![allow(dead_code, unreachable_pub, reason = "every test file takes what it needs")]
mod free_ports;
pub mod scripted;

use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use jmeter_webrtc::peer::{IceServer, IceTransportPolicy, SessionConfig};
use jmeter_webrtc::socket::Trust;

pub use free_ports::free_port;
use free_ports::free_range;

/// How it is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
    Tls,
}

/// A running server; dropping it ends the process and removes its files.
pub struct Coturn {
    child: Child,
    directory: PathBuf,
    ip: IpAddr,
    pub port: u16,
    pub tls_port: u16,
    relay_ports: std::ops::RangeInclusive<u16>,
    pub certificate_pem: String,
}

pub const USER: &str = "alice";
pub const PASSWORD: &str = "wonderland";
/// Of the server's time-limited credentials, where it is started with `--use-auth-secret`.
pub const SECRET: &str = "north";

impl Coturn {
    /// A server with [`USER`] and [`PASSWORD`], room for `relays` allocations, and `further` options.
    pub fn start(relays: u16, further: &[&str]) -> Self {
        let credentials = format!("{USER}:{PASSWORD}");
        let login = ["--lt-cred-mech", "--user", &credentials];
        Self::start_with(relays, &[&login, further].concat())
    }

    /// A server with these options for its users.
    pub fn start_with(relays: u16, options: &[&str]) -> Self {
        Self::start_at("127.0.0.1", relays, options)
    }

    /// A server at this address of the machine.
    pub fn start_at(ip: &str, relays: u16, options: &[&str]) -> Self {
        // Somebody else may take a port between the look and the start.
        let mut said = String::new();
        for _ in 0..3 {
            match Self::try_start_at(ip, relays, options) {
                Ok(server) => return server,
                Err(last_words) => said = last_words,
            }
        }
        panic!("turnserver ends at once:\n{said}");
    }

    /// The same on ports that seemed free a moment ago. The error is what a server said that ended at once.
    fn try_start_at(ip: &str, relays: u16, options: &[&str]) -> Result<Self, String> {
        // Two allocations of two starts never get the same port, since the ranges are distinct within the process.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let directory = std::env::temp_dir().join(format!("jmeter-webrtc-turn-{process}-{number}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a key");
        let (certificate, pkey) = (directory.join("certificate.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, key.cert.pem()).expect("written");
        std::fs::write(&pkey, key.signing_key.serialize_pem()).expect("written");
        let (port, tls_port) = (free_port(), free_port());
        let relay_ports = free_range(relays);
        let log = std::fs::File::create(directory.join("log")).expect("a log");
        let child = Command::new("turnserver")
            .args(["-n", "--allow-loopback-peers", "--no-cli"])
            .args([format!("--listening-ip={ip}"), format!("--relay-ip={ip}")])
            .args(["--realm=test", "--no-dtls", "--log-file=stdout", "--simple-log", "--verbose", "--no-rfc5780"])
            .args(["--relay-threads=1", "--no-software-attribute"])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--min-port={}", relay_ports.start()))
            .arg(format!("--max-port={}", relay_ports.end()))
            .arg(format!("--cert={}", certificate.display()))
            .arg(format!("--pkey={}", pkey.display()))
            .arg(format!("--pidfile={}", directory.join("pid").display()))
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("turnserver, of the package coturn");
        let certificate_pem = key.cert.pem();
        let ip = ip.parse().expect("an address");
        let mut server = Self { child, directory, ip, port, tls_port, relay_ports, certificate_pem };
        if server.listens() { Ok(server) } else { Err(server.log()) }
    }

    /// Waits until it listens; false when it ends instead.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let up = |port| TcpStream::connect((self.ip, port)).is_ok();
            if up(self.port) && up(self.tls_port) && udp_ports().any(|port| port == self.port) {
                return true;
            }
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "turnserver does not listen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = std::fs::File::open(self.directory.join("log")) {
            file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("a readable log");
        }
        text
    }

    /// Its URL.
    pub fn url(&self, over: Over) -> String {
        let address = SocketAddr::new(self.ip, self.port);
        match over {
            Over::Udp => format!("turn:{address}"),
            Over::Tcp => format!("turn:{address}?transport=tcp"),
            Over::Tls => format!("turns:localhost:{}", self.tls_port),
        }
    }

    /// As an ICE server.
    pub fn ice_server(&self, over: Over) -> IceServer {
        IceServer {
            urls: vec![self.url(over)],
            username: USER.to_owned(),
            credential: PASSWORD.to_owned(),
            trust: Trust::Pem(self.certificate_pem.clone()),
            ..IceServer::default()
        }
    }

    /// Allocations that it has: its sockets on relay ports.
    pub fn allocations(&self) -> usize {
        // The table is read in pieces, and a row may come twice while others come and go.
        udp_ports().filter(|port| self.relay_ports.contains(port)).collect::<BTreeSet<_>>().len()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have ended by itself; its files go in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The local ports of all UDP sockets.
fn udp_ports() -> impl Iterator<Item = u16> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|table| std::fs::read_to_string(table).expect("procfs"));
    let port = |line: &str| {
        let (_, port) = line.split_whitespace().nth(1)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines.filter_map(port).collect::<Vec<_>>().into_iter()
}

/// Relay only, over this server.
pub fn relay_only(config: &mut SessionConfig, server: IceServer) {
    config.ice_servers = vec![server];
    config.ice_transport_policy = IceTransportPolicy::Relay;
    // The server shares the machine with whatever else is being tested.
    config.gather_timeout_ms = 12_000;
    config.connect_timeout_ms = 60_000;
}
