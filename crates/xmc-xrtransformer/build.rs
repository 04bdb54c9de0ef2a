//! Tells the linker where programs will find libtorch, and dependants where it is.
//!
//! A library that is found while linking is not thereby found while running. `tch` leaves that to the programs, and a
//! build script speaks for its own package only: this one for the tests and benches here. A package with programs of its
//! own reads `DEP_XMC_XRTRANSFORMER_LIBTORCH_LIB` in its build script and passes the same argument.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::metadata=libtorch_lib={lib}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
