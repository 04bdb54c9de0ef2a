//! CUDA without being linked to it: libtorch's CUDA library is loaded where it can be found.
//!
//! A program linked to `libtorch_cuda` would not start on a machine without it. The library registers its kernels with
//! libtorch as it is loaded, which must happen before anything asks for them. This is the one module of the crate with
//! `unsafe` code.
#![allow(unsafe_code)]

use std::sync::Once;

/// Loads the library once, if it can be found. Where it cannot, there is no CUDA, and that is all.
pub(crate) fn load() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        if let Some(library) = open() {
            // Its kernels stay registered, so it must stay, too.
            std::mem::forget(library);
        }
    });
}

#[cfg(unix)]
fn open() -> Option<libloading::os::unix::Library> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: loading runs the initialisers of the library. Those of libtorch's register kernels and may run in any thread;
    // `load` runs them at most once, and the library is never unloaded.
    unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }.ok()
}

#[cfg(not(unix))]
fn open() -> Option<libloading::Library> {
    // SAFETY: as above.
    unsafe { libloading::Library::new("torch_cuda.dll") }.ok()
}
