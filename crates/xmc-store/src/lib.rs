//! The container of models and data sets: one directory that holds everything a model (or a data set) is.
//!
//! A container is a `manifest.json` and one file for each section, a section being one array of
//! fixed-width little-endian numbers or one small structured record. It is
//!
//! * **memory-mapped**: [`Container::open`] reads the manifest and nothing else, so it takes
//!   milliseconds whatever the size, and processes that open the same model share its pages;
//! * **checksummed**: XXH3-64 over each section, [`Container::verify`] checks them all;
//! * **versioned**: a reader states the range of format versions that it reads;
//! * **written whole or not at all**: [`ModelWriter`] works beside the target and renames last.
//!
//! `docs/FORMAT.md` gives the layout byte by byte.
//!
//! ```
//! use xmc_store::{Container, ModelWriter};
//! # let parent = tempfile::tempdir()?;
//! # let dir = parent.path().join("model");
//! let writer = ModelWriter::create(&dir)?;
//! let mut weights = writer.array::<f32>("layer/0/weights")?;
//! weights.push(&[0.5, 0.25])?; // as they become known
//! weights.push(&[0.125])?;
//! weights.finish()?;
//! writer.commit(&"what the model says about itself")?;
//!
//! let model = Container::open(&dir)?;
//! assert_eq!(&model.array::<f32>("layer/0/weights")?[..], &[0.5, 0.25, 0.125]);
//! assert_eq!(model.meta::<String>()?, "what the model says about itself");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(target_endian = "big")]
compile_error!("sections are little-endian arrays used in place: xmc-store needs a little-endian machine");

mod codec;
mod container;
mod dtype;
mod error;
mod fingerprint;
mod header;
mod kind;
mod manifest;
mod mmap;
mod name;
mod section;
mod staging;
mod verify;
mod writer;

pub use container::Container;
pub use dtype::{Dtype, Element};
pub use error::StoreError;
pub use fingerprint::Fingerprint;
pub use kind::Kind;
pub use manifest::{Manifest, SectionEntry};
pub use mmap::Buffer;
pub use section::SectionWriter;
pub use staging::remove_unfinished;
pub use verify::Report;
pub use writer::ModelWriter;

/// What most functions of this crate return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
