//! A model's weights written anew: with fewer bits, and without the small ones.
//!
//! Nothing is trained. Records stay in their order, so that one pass over them says how long the new ones are and a second one
//! writes them, a slab at a time.

use crate::assemble::Layout;
use crate::model::ModelInfo;
use crate::part::Part;
use crate::record::{RecordSize, Widths, put_posting, take_columns};
use crate::{WeightType, XrLinear, XrLinearError};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use xmc_sparse::Progress;
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, Matcher};

/// How weights are stored, and which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compression {
    /// Type of the values; `None` keeps it.
    pub weights: Option<WeightType>,
    /// Weights that are smaller, whatever their sign, are left out. At least 0.
    pub threshold: f32,
}

/// Features whose records a task looks at.
const MIN_TASK: usize = 256;

impl XrLinear {
    /// Bytes that the weights would take.
    ///
    /// # Errors
    /// [`XrLinearError::Inconsistent`] for a damaged record.
    pub fn compressed_bytes(&self, compression: &Compression) -> Result<u64, XrLinearError> {
        let mut bytes = 0;
        for (number, layer) in self.layers().iter().enumerate() {
            let (layout, ..) = self.rewriting(number, layer.part(), compression).sizes()?;
            bytes += (layer.n_bytes() - layer.n_record_bytes()) as u64 + layout.n_bytes();
        }
        Ok(bytes)
    }

    /// The largest magnitude of a weight, 0 when there are none.
    ///
    /// # Errors
    /// [`XrLinearError::Inconsistent`] for a damaged record.
    pub fn largest_weight(&self) -> Result<f32, XrLinearError> {
        let nothing = Compression { weights: None, threshold: 0.0 };
        let mut largest = 0.0f32;
        for (number, layer) in self.layers().iter().enumerate() {
            largest = largest.max(self.rewriting(number, layer.part(), &nothing).sizes()?.1);
        }
        Ok(largest)
    }

    /// Writes the model, compressed, to sections `<prefix>/…` of `writer`; the number of its weights.
    ///
    /// # Errors
    /// [`XrLinearError::Inconsistent`] for a damaged record, [`XrLinearError::Store`].
    pub fn compress(
        &self,
        compression: &Compression,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<u64, XrLinearError> {
        let tree: &LabelTree = self.tree();
        let weights = compression.weights.unwrap_or(self.weight_type());
        ModelInfo::like(self, tree, weights).write(tree, writer, prefix)?;
        progress.begin("compress", Some(self.layers().len() as u64), "layers");
        let mut n_weights = 0;
        for (number, layer) in self.layers().iter().enumerate() {
            let (prefix, part) = (format!("{prefix}/layer{number}"), layer.part());
            n_weights += self.rewriting(number, part, compression).write(writer, &prefix)?;
            part.write_beside_records(writer, &prefix)?;
            progress.advance(1);
        }
        progress.end();
        Ok(n_weights)
    }

    fn rewriting<'a>(&self, layer: usize, part: &'a Part, compression: &Compression) -> Rewriting<'a> {
        let value = compression.weights.unwrap_or(part.widths.value);
        Rewriting { layer, part, to: part.widths.with_value(value), threshold: compression.threshold }
    }
}

/// A part that gets other postings.
struct Rewriting<'a> {
    layer: usize,
    part: &'a Part,
    to: Widths,
    threshold: f32,
}

/// The posting at hand.
#[derive(Default)]
struct Posting {
    columns: Vec<u32>,
    values: Vec<f32>,
    bytes: Vec<u8>,
}

impl Rewriting<'_> {
    /// Gives `take` cluster, columns, values and bytes of each new posting of `feature`; `None` when the record is damaged.
    fn each_posting(
        &self,
        feature: u32,
        posting: &mut Posting,
        mut take: impl FnMut(u32, &Posting),
    ) -> Option<()> {
        let from = self.part.widths;
        let mut sound = true;
        self.part.record(feature)?.for_each(|cluster, weights, old| {
            let Posting { columns, values, bytes } = &mut *posting;
            take_columns(from, weights, old, columns);
            values.clear();
            from.value.take(&old[from.columns_len(weights)..], values);
            sound &= columns.len() == weights && values.len() == weights && columns.is_sorted();
            if !sound {
                return;
            }
            let mut kept = values.iter().map(|value| value.abs() >= self.threshold);
            columns.retain(|_| kept.next() == Some(true));
            values.retain(|value| value.abs() >= self.threshold);
            if !columns.is_empty() {
                bytes.clear();
                put_posting(self.to, columns, values, bytes);
                take(cluster, posting);
            }
        })?;
        sound.then_some(())
    }

    /// Where the new records go, the largest weight, and how many there are.
    fn sizes(&self) -> Result<(Layout, f32, u64), XrLinearError> {
        let of_feature = |posting: &mut Posting, feature: u32| {
            let (mut size, mut largest, mut n_weights) = (RecordSize::default(), 0.0f32, 0u64);
            self.each_posting(feature, posting, |_, posting| {
                size.add(self.to, posting.values.len());
                n_weights += posting.values.len() as u64;
                largest = posting.values.iter().fold(largest, |most, value| most.max(value.abs()));
            })?;
            Some((size, largest, n_weights))
        };
        let features = (0..self.part.n_records() as u32).into_par_iter().with_min_len(MIN_TASK);
        let sizes: Option<Vec<_>> = features.map_init(Posting::default, of_feature).collect();
        let sizes = sizes.ok_or_else(|| self.damaged())?;
        let largest = sizes.iter().fold(0.0f32, |most, size| most.max(size.1));
        let n_weights = sizes.iter().map(|size| size.2).sum();
        let sizes = sizes.into_iter().map(|(size, ..)| size).collect();
        Ok((Layout::of_sizes(self.to, sizes), largest, n_weights))
    }

    fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<u64, XrLinearError> {
        let (layout, _, n_weights) = self.sizes()?;
        let sound = AtomicBool::new(true);
        layout.write(writer, prefix, |_, slab| {
            let mut posting = Posting::default();
            for feature in slab.features() {
                let add = |cluster: u32, posting: &Posting| {
                    slab.add(feature, [(cluster as usize, posting.columns.len())], &posting.bytes);
                };
                if self.each_posting(feature, &mut posting, add).is_none() {
                    sound.store(false, Ordering::Relaxed);
                }
            }
        })?;
        if sound.into_inner() { Ok(n_weights) } else { Err(self.damaged()) }
    }

    fn damaged(&self) -> XrLinearError {
        XrLinearError::damaged_record(self.layer)
    }
}
