//! Tells the linker where tests will find libtorch, when they are built with transformers.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_XMC_XRTRANSFORMER_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_XMC_XRTRANSFORMER_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
