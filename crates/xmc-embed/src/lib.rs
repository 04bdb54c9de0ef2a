//! Texts to dense vectors.
//!
//! [`TextEncoder`] is the seam: whatever turns a text into a vector of fixed width, be it a table of token vectors or a
//! transformer, stands behind it, and everything above (cache, training, prediction) knows only that.

mod cache;
mod device;
mod distill;
mod encoder;
mod error;
mod rows;
mod table;

pub use device::{DeviceChoice, Pooling, UnknownDevice};
pub use distill::{Distilled, StaticParams, StaticValidParams};
pub use encoder::TextEncoder;
pub use error::EmbedError;
pub use rows::{EncodingError, embed};
pub use table::{Precision, StaticTable, TableScratch};
