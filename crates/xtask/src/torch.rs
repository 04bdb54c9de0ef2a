//! `cargo xtask torch`: the libraries and headers that `xmc-xrtransformer` is built on.
//!
//! The index carries libtorch as part of PyTorch. Taken without its CUDA libraries it is a processor-only one, and a program
//! built on it finds those libraries at run time where they are installed. The folders stay as in the wheels: the libraries
//! look for each other from where they are.

use crate::shell;
use crate::tree::{Tree, Wheel};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Where `.cargo/config.toml` points `LIBTORCH`, from the repository's root.
const LIBTORCH: &str = "target/torch/torch";

/// `tch` 0.24 is made for exactly this version of PyTorch.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const TORCH: Option<Tree> = Some(Tree {
    what: "libtorch 2.11.0 (0.5 GB to fetch, as much on disk)",
    dir: "target/torch",
    wheels: &[
        Wheel {
            project: "torch",
            version: "2.11.0",
            platform: "manylinux_2_28_x86_64",
            path: "1a/c9/82638ef24d7877510f83baf821f5619a61b45568ce21c0a87a91576510aa/torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
        },
        Wheel {
            project: "nvidia-cuda-runtime",
            version: "13.0.96",
            platform: "manylinux2014_x86_64",
            path: "2e/24/d1558f3b68b1d26e706813b1d10aa1d785e4698c425af8db8edc3dced472/nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        },
        Wheel {
            project: "nvidia-cuda-cupti",
            version: "13.0.85",
            platform: "manylinux_2_25_x86_64",
            path: "33/6d/737d164b4837a9bbd202f5ae3078975f0525a55730fe871d8ed4e3b952b0/nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        },
    ],
    place,
});

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
const TORCH: Option<Tree> = None;

/// The folder of the libraries that the transformer crate is built on.
pub(crate) fn libraries() -> PathBuf {
    let tree = std::env::var_os("LIBTORCH").map_or_else(|| shell::root().join(LIBTORCH), PathBuf::from);
    tree.join("lib")
}

/// Fetches libtorch, unless another one is set.
pub(crate) fn run() -> Result<()> {
    let default = shell::root().join(LIBTORCH);
    // Cargo sets the variable to the default where nobody else did.
    if let Some(other) = std::env::var_os("LIBTORCH").filter(|dir| Path::new(dir) != default) {
        println!("LIBTORCH is set to {}: nothing to fetch", PathBuf::from(other).display());
        return Ok(());
    }
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        println!("LIBTORCH_USE_PYTORCH is set: Python's PyTorch will be used");
        return Ok(());
    }
    let Some(tree) = TORCH else {
        let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        bail!(
            "no libtorch is known for {system} on {processor}: install PyTorch 2.11.0, and set LIBTORCH to its folder \
             'torch' (or LIBTORCH_USE_PYTORCH=1 to have it found)"
        )
    };
    tree.fetch()
}

/// Headers, and the libraries that the processor needs. PyTorch's own are linked with two of CUDA's.
fn place(member: &str) -> Option<&str> {
    const LIBRARIES: [&str; 6] = [
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "torch/lib/libtorch.so",
        "torch/lib/libtorch_cpu.so",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/lib/libcupti.so.13",
    ];
    (member.starts_with("torch/include/") || LIBRARIES.contains(&member)).then_some(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_libraries_of_torch_stay_out() {
        assert_eq!(place("torch/lib/libtorch_cpu.so"), Some("torch/lib/libtorch_cpu.so"));
        assert_eq!(place("torch/include/torch/script.h"), Some("torch/include/torch/script.h"));
        assert_eq!(place("torch/lib/libtorch_cuda.so"), None);
        assert_eq!(place("torch/lib/libtorch_python.so"), None);
    }

    #[test]
    fn the_tree_is_where_the_configuration_says() {
        let config = std::fs::read_to_string(shell::root().join(".cargo/config.toml")).unwrap();
        assert!(config.contains(&format!("LIBTORCH = {{ value = \"{LIBTORCH}\", relative = true }}")));
        if let Some(tree) = TORCH {
            assert_eq!(format!("{}/torch", tree.dir), LIBTORCH);
        }
    }
}
