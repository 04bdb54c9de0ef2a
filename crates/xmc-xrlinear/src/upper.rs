//! A model without its last layer: what leads instances to clusters, wherever the labels stand below them.
//!
//! Label disentanglement gives labels other places under the same clusters. The layers above are asked where they send
//! the training instances; then they stay what they are or are trained again for the places, and the last layer is
//! trained where it is another one.

use crate::model::{ModelInfo, Sent, match_clusters};
use crate::output::Output;
use crate::{CheckedXrLinearParams, Instances, LayerWeights, TrainReport, XrLinear, XrLinearError};
use xmc_sparse::{Csr, Features, Progress, RankedLists, Row};
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, Matcher, Search, SearchParams, TreeLayer};

/// The layers of a model above its labels. Cheap to clone, as the model is.
#[derive(Debug, Clone)]
pub struct UpperLayers {
    pub(crate) info: ModelInfo,
    pub(crate) tree: LabelTree,
    pub(crate) layers: Vec<LayerWeights>,
    /// A last layer that has been trained below the same clusters.
    pub(crate) leaves: Option<TrainedLeaves>,
}

/// A last layer: where labels stand, and their weights.
#[derive(Debug, Clone)]
pub(crate) struct TrainedLeaves {
    pub(crate) places: TreeLayer,
    pub(crate) weights: LayerWeights,
}

impl CheckedXrLinearParams {
    /// Trains the layers of `tree` above the labels, and writes their weights to sections `<prefix>/layer…` of
    /// `writer`. [`CheckedXrLinearParams::fit_leaves`] makes a model of it.
    ///
    /// # Errors
    /// [`XrLinearError::NoClusters`], and as [`CheckedXrLinearParams::fit`].
    pub fn fit_upper(
        &self,
        instances: Instances<'_>,
        tree: &LabelTree,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<(UpperLayers, TrainReport), XrLinearError> {
        instances.check(tree)?;
        let n_layers = n_above_labels(tree)?;
        let info = ModelInfo::new(instances.x, tree, self.weights);
        let mut output = Output::new(info.clone(), tree, (writer, prefix), self.part_weights);
        self.fit_layers(n_layers, instances, tree, (&info, &mut output), progress)?;
        let layers = output.open(n_layers)?.to_vec();
        Ok((UpperLayers { info, tree: tree.clone(), layers, leaves: None }, output.report))
    }

    /// As [`CheckedXrLinearParams::fit_upper`], for a tree with the clusters of `former` and other places of its labels: the
    /// layers learn to send an instance to all places of its labels. What `former` knows of the last layer
    /// is handed on, unless its negatives depend on the layers above.
    ///
    /// # Errors
    /// As [`CheckedXrLinearParams::fit_upper`], and [`XrLinearError::Shape`] for other clusters.
    pub fn refit_upper(
        &self,
        instances: Instances<'_>,
        former: &UpperLayers,
        tree: &LabelTree,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<(UpperLayers, TrainReport), XrLinearError> {
        former.check_leaves(tree.leaves())?;
        let (upper, report) = self.fit_upper(instances, tree, writer, prefix, progress)?;
        let leaves = match self.negatives.of(tree.depth() - 1, tree.depth()).matcher {
            true => None,
            false => former.leaves.clone(),
        };
        Ok((UpperLayers { leaves, ..upper }, report))
    }
}

/// Layers of a tree that has clusters, less the last.
fn n_above_labels(tree: &LabelTree) -> Result<usize, XrLinearError> {
    match tree.depth() {
        1 => Err(XrLinearError::NoClusters),
        depth => Ok(depth - 1),
    }
}

impl UpperLayers {
    /// Those of a trained model.
    ///
    /// # Errors
    /// [`XrLinearError::NoClusters`].
    pub fn of(model: &XrLinear) -> Result<Self, XrLinearError> {
        let (tree, mut layers) = (model.tree().clone(), model.layers().to_vec());
        n_above_labels(&tree)?;
        let leaves = layers.pop().map(|weights| TrainedLeaves { places: tree.leaves().clone(), weights });
        let info = ModelInfo::like(model, &tree, model.weight_type());
        Ok(Self { info, tree, layers, leaves })
    }

    /// The tree that they were trained with.
    pub fn tree(&self) -> &LabelTree {
        &self.tree
    }

    /// Stored weights, without intercepts and dense ones; counts them.
    pub fn n_weights(&self) -> u64 {
        self.layers.iter().map(LayerWeights::n_weights).sum()
    }

    /// Writes the weights, as they are, to sections `<prefix>/layer…` of `writer`.
    ///
    /// # Errors
    /// [`XrLinearError::Store`].
    pub fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        let mut layers = self.layers.iter().enumerate();
        layers.try_for_each(|(number, layer)| layer.write(writer, &format!("{prefix}/layer{number}")))
    }

    /// The clusters above the labels that a search leads every instance to, best first. The same at any number of
    /// threads.
    ///
    /// # Errors
    /// [`XrLinearError::Shape`] for features of another width, [`XrLinearError::Tree`] for a beam of 0.
    pub fn lead(
        &self,
        x: &Features,
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<RankedLists, XrLinearError> {
        self.check(x)?;
        Ok(self.send((x.n_samples(), |row| x.row(row)), search, progress)?.lists)
    }

    /// [`UpperLayers::lead`] as a matrix: `n_samples × n_clusters`, ones.
    ///
    /// # Errors
    /// As [`UpperLayers::lead`].
    pub fn matched(
        &self,
        x: &Features,
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<Csr, XrLinearError> {
        let lists = self.lead(x, search, progress)?;
        let rows = lists.iter().map(|list| list.iter().map(|cluster| (cluster.id, 1.0)));
        Ok(Csr::from_rows(self.tree.leaves().n_parents(), rows)?)
    }

    /// Inner products of a search for one instance, were the labels to stand in `leaves`: the mean over `rows` of
    /// `x`, for each of the `leaves`.
    ///
    /// # Errors
    /// As [`UpperLayers::lead`], and [`XrLinearError::Shape`] for leaves with other clusters.
    pub fn inner_products(
        &self,
        (x, rows): (&Features, &[usize]),
        search: &SearchParams,
        leaves: &[&TreeLayer],
        progress: &dyn Progress,
    ) -> Result<Vec<f64>, XrLinearError> {
        self.check(x)?;
        leaves.iter().try_for_each(|leaves| self.check_leaves(leaves))?;
        let sent = self.send((rows.len(), |at: usize| x.row(rows[at])), search, progress)?;
        let of_leaves = |leaves: &&TreeLayer| -> usize {
            sent.lists.iter().flatten().map(|cluster| leaves.children(cluster.id as usize).len()).sum()
        };
        let mean = |leaves| (sent.n_inner_products as f64 + of_leaves(leaves) as f64) / rows.len() as f64;
        Ok(leaves.iter().map(mean).collect())
    }

    fn send<'x>(
        &self,
        rows: (usize, impl Fn(usize) -> Row<'x> + Sync),
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<Sent, XrLinearError> {
        search.check()?;
        Ok(match_clusters(&self.tree, &self.layers, rows, Search::new(search), progress))
    }

    pub(crate) fn check(&self, x: &Features) -> Result<(), XrLinearError> {
        let (n_sparse, n_dense) = self.info.n_features();
        same("sparse features (as many as the model has)", n_sparse, x.n_sparse())?;
        same("dense features (as many as the model has)", n_dense, x.n_dense())
    }

    pub(crate) fn check_leaves(&self, leaves: &TreeLayer) -> Result<(), XrLinearError> {
        let of_model = self.tree.leaves();
        same("clusters of the leaves (as many as the model has)", of_model.n_parents(), leaves.n_parents())?;
        same("labels of the leaves (as many as the model has)", of_model.n_children(), leaves.n_children())
    }
}

fn same(what: &'static str, expected: usize, found: usize) -> Result<(), XrLinearError> {
    match expected == found {
        true => Ok(()),
        false => Err(XrLinearError::Shape { what, expected, found }),
    }
}
