//! Making a table that imitates an encoder.

mod fit;
mod params;
mod pca;
mod ridge;

pub use fit::Distilled;
pub use params::{StaticParams, StaticValidParams};
