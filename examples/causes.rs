//! Writes `docs/causes.md` to standard output: `cargo run --example causes > docs/causes.md`.

fn main() {
    print!("{}", jmeter_webrtc::diagnosis::document());
}
