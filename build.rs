//! Link settings of the native library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Threads of the runtime may outlive the class loader that loaded the library: it must never be unmapped.
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
        println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libjmeter_webrtc.so");
    }
}
