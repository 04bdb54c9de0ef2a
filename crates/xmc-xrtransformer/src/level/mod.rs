//! Fine-tuning on one level of a label tree.
//!
//! Encoder and label head learn together to score an instance's clusters above its other candidates: one round of *Fast
//! Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text Classification* (Zhang et al., NeurIPS 2021). Which tree
//! it is, where candidates come from and what the head starts from is the caller's affair.

mod adam;
mod checkpoint;
mod head;
mod params;
mod problem;
mod trainer;

pub use head::LevelHead;
pub use params::{LevelLoss, LevelParams};
pub(crate) use problem::random;
pub use problem::{AllClusters, Candidates, LevelProblem};
pub use trainer::{Flow, LearningPoint, LevelTrainer};
