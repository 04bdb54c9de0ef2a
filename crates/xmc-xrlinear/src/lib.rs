//! XR-Linear: a linear model on every node of a label tree.
//!
//! Training ([`XrLinearParams`]) goes cluster by cluster: all children of a cluster are trained on the instances
//! of that cluster (see [`Negatives`]), sixteen at a time. The weights are stored feature by feature,
//! siblings together ([`LayerWeights`]), and [`XrLinear`] walks the tree with a beam.
//!
//! Sources: Yu, Zhong, Zhang, Chang, Dhillon, *PECOS: Prediction for Enormous and Correlated Output Spaces*, JMLR
//! 2022 (the model); Etter, Zhong, Yu, Ying, Dhillon, *Accelerating Inference for Sparse Extreme
//! Multi-Label Ranking Trees*, WWW 2022 (weights of siblings stored together).

mod assemble;
mod batch;
mod chunk;
mod compress;
mod contents;
mod error;
mod explain;
mod groups;
mod heads;
mod layer;
mod merge;
mod model;
mod negatives;
mod output;
mod pairs;
mod params;
mod part;
mod queries;
mod record;
mod relevance;
mod reuse;
#[cfg(test)]
mod roundtrip;
mod rows;
mod scatter;
mod train;
mod turned;
mod upper;
mod value;

pub use batch::Batching;
pub use compress::Compression;
pub use contents::Traffic;
pub use error::XrLinearError;
pub use explain::{MarginParts, SearchTrace, TraceStep};
pub use heads::DenseHeads;
pub use layer::LayerWeights;
pub use model::{Scratch, XrLinear, adopt_tree};
pub use negatives::Negatives;
pub use params::{CheckedXrLinearParams, MatcherBeam, PART_WEIGHTS, XrLinearParams};
pub use relevance::{RelevanceMode, RelevanceNorm, RelevanceParams};
pub use reuse::LeavesReport;
pub use train::{Instances, TrainReport};
pub use upper::UpperLayers;
pub use value::WeightType;
