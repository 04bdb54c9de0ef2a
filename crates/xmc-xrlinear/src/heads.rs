//! The last layer of a tree on dense features, as plain rows: what the label head of a neural network starts from.
//!
//! Zhang et al., *Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text Classification* (NeurIPS 2021) start each
//! level's head from linear models on the embeddings of the level before.

use crate::model::ModelInfo;
use crate::train::{TrainReport, Training};
use crate::{CheckedXrLinearParams, Instances, XrLinearError};
use xmc_sparse::Progress;
use xmc_tree::LabelTree;

/// A weight vector and an intercept for each label of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseHeads {
    /// Number of dense features.
    pub n_dims: usize,
    /// Weights, `n_labels × n_dims`, row by row.
    pub weights: Vec<f32>,
    /// Intercepts, one for each label.
    pub intercepts: Vec<f32>,
}

impl CheckedXrLinearParams {
    /// Trains the labels of `tree`, each against the instances of its cluster, on the dense features alone. Layers above are
    /// not trained, so negatives cannot be matcher-aware. Of several places of a label the last one counts.
    ///
    /// # Errors
    /// As [`CheckedXrLinearParams::fit`].
    ///
    /// # Panics
    /// When `instances` have sparse features.
    pub fn fit_heads(
        &self,
        instances: Instances<'_>,
        tree: &LabelTree,
        progress: &dyn Progress,
    ) -> Result<DenseHeads, XrLinearError> {
        assert_eq!(instances.x.n_sparse(), 0, "heads are for dense features alone");
        instances.check(tree)?;
        let info = ModelInfo::new(instances.x, tree, self.weights);
        let (layer, leaves, n_dims) = (tree.depth() - 1, tree.leaves(), instances.x.n_dense());
        let training = Training::new(self, instances, tree, &info)?;
        let jobs: Vec<(usize, usize)> = (0..leaves.n_parents()).map(|parent| (layer, parent)).collect();
        let chunks = training.solve(&jobs, &mut TrainReport::default(), progress);
        let n_labels = tree.n_labels();
        let mut heads =
            DenseHeads { n_dims, weights: vec![0.0; n_labels * n_dims], intercepts: vec![0.0; n_labels] };
        for (parent, chunk) in chunks.iter().enumerate() {
            let rows = chunk.bias.iter().zip(chunk.dense.chunks_exact(n_dims.max(1)));
            for (&label, (&intercept, row)) in leaves.children(parent).iter().zip(rows) {
                heads.intercepts[label as usize] = intercept;
                heads.weights[label as usize * n_dims..][..n_dims].copy_from_slice(row);
            }
        }
        Ok(heads)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Instances, WeightType, XrLinear, XrLinearParams};
    use ndarray::Array2;
    use xmc_linear::SvmParams;
    use xmc_sparse::{Csr, Features, NoProgress};
    use xmc_store::ModelWriter;
    use xmc_tree::{LabelTree, TreeLayer};

    #[test]
    fn heads_are_the_weights_of_the_last_layer() {
        let dense = Array2::from_shape_fn((60, 5), |(row, col)| ((row * 7 + col * 3) % 11) as f32 / 10.0);
        let x = Features::new(Csr::empty(60, 0), Some(dense)).unwrap();
        let y = Csr::from_rows(6, (0..60u32).map(|row| vec![(row % 6, 1.0)])).unwrap();
        let top = TreeLayer::from_lists([vec![0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![4, 0, 2], vec![1, 3, 5]], 6).unwrap();
        let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
        let svm = SvmParams::default().costs(10.0, 10.0).threshold(0.0);
        let params = XrLinearParams::default().svm(svm).weights(WeightType::F32).check().unwrap();
        let heads = params.fit_heads(Instances::new(&x, &y), &tree, &NoProgress).unwrap();
        let writer = ModelWriter::in_memory();
        params.fit(Instances::new(&x, &y), &tree, &writer, "m", &NoProgress).unwrap();
        let model = XrLinear::open(&writer.commit(&()).unwrap(), "m").unwrap();
        let last = &model.layers()[1];
        for cluster in 0..2 {
            for (slot, &label) in tree.leaves().slots(cluster).zip(tree.leaves().children(cluster)) {
                let (label, slot) = (label as usize, slot..slot + 1);
                assert_eq!(heads.intercepts[label], last.part().bias(slot.clone())[0]);
                assert_eq!(&heads.weights[label * 5..][..5], last.part().dense(slot));
            }
        }
    }
}
