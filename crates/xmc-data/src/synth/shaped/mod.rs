//! Features and labels of the size and the statistics of a public data set, any part of it.
//!
//! Labels stand in a row, and stretches of the row are topics within topics: 8 stretches make the next larger one. A record is about one
//! label, drawn by how much labels are wanted (a few very much, most hardly), and has further ones from the stretches around it, the near ones more
//! often; some have nothing to do with it. Every label and every topic has its own features, and a record has features of its labels, of their
//! topics and of neither, rare ones with higher values, as TF-IDF would give them. So there is a tree to be found, labels to be told apart at its
//! leaves, and an end to what can be known.
//!
//! What each topic and label has is computed from its number, and each record from its own: memory grows with the labels (8 bytes each), not with
//! records or topics, and records can be made in any order.

mod params;
mod power;
mod record;

pub use params::{Shape, ShapedParams};
pub use record::{ShapedRecord, Split};

use power::{PowerLaw, Scramble};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Labels of the smallest topic.
const SMALLEST: u64 = 8;
/// Stretches that make the next larger one.
const BRANCHING: u64 = 8;

/// A checked generator: [`ShapedParams::check`] makes it, [`Shaped::record`] uses it.
///
/// ```
/// use xmc_data::synth::{Shape, ShapedParams, ShapedRecord, Split};
/// let shaped = ShapedParams::new(Shape::Amazon3m).scaled(0.001).check()?;
/// let mut record = ShapedRecord::default();
/// shaped.record(Split::Train, 17, &mut record);
/// assert!(record.labels.iter().all(|&label| label < shaped.params().n_labels));
/// # Ok::<(), xmc_data::synth::SynthError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Shaped {
    params: ShapedParams,
    /// How much the labels up to each place are wanted, in all.
    wanted: Vec<f64>,
    /// Features by rank.
    features: PowerLaw,
    label_ids: Scramble,
    feature_ids: Scramble,
}

impl Shaped {
    fn draw(params: ShapedParams) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        let offset = f64::from(params.n_labels) / 1000.0;
        let weight = |rank: u32| (f64::from(rank) + 1.0 + offset).powf(-params.label_exponent);
        let mut wanted: Vec<f64> = (0..params.n_labels).map(weight).collect();
        wanted.shuffle(&mut rng);
        let mut sum = 0.0;
        for weight in &mut wanted {
            sum += *weight;
            *weight = sum;
        }
        Self {
            wanted,
            features: PowerLaw::new(params.n_features, params.feature_exponent),
            label_ids: Scramble::new(params.n_labels, params.seed ^ 1),
            feature_ids: Scramble::new(params.n_features, params.seed ^ 2),
            params,
        }
    }

    /// The parameters.
    pub fn params(&self) -> &ShapedParams {
        &self.params
    }

    /// Number of records of a split.
    pub fn n_records(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.params.n_train,
            Split::Test => self.params.n_test,
        }
    }
}
