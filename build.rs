//! Link settings of the native library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Threads of the runtime may outlive the class loader that loaded the library: it must never be unmapped. The flag
        // goes to every linked target, where it does nothing to a program, because the manifest names no cdylib (see there)
        // and cargo warns about arguments for one.
        println!("cargo::rustc-link-arg=-Wl,-z,nodelete");
    }
}
