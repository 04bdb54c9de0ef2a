//! A trained model: its tree and the weights of every layer.

use crate::groups::FeatureGroups;
use crate::layer::LayerScratch;
use crate::record::Widths;
use crate::{LayerWeights, WeightType, XrLinearError};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::kernels::Isa;
use xmc_sparse::{Features, Progress, RankedLists, Row, Scored};
use xmc_store::{Container, ModelWriter};
use xmc_tree::{LabelTree, LayerScorer, Matcher, Search, SearchScratch, TreeLayer};
use xmc_tree::{beam_search, beam_search_clusters, rank_rows};

/// What a reader must know before it looks at the sections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ModelInfo {
    n_sparse: u64,
    n_dense: u64,
    depth: u64,
    n_labels: u64,
    weights: WeightType,
    n_groups: u64,
    /// A section of its own.
    #[serde(skip)]
    pub(crate) groups: FeatureGroups,
}

impl ModelInfo {
    pub(crate) fn new(x: &Features, tree: &LabelTree, weights: WeightType) -> Self {
        let groups = FeatureGroups::of(x.sparse());
        Self::of_shape((x.n_sparse(), x.n_dense()), tree, weights, groups)
    }

    pub(crate) fn of_shape(
        (n_sparse, n_dense): (usize, usize),
        tree: &LabelTree,
        weights: WeightType,
        groups: FeatureGroups,
    ) -> Self {
        Self {
            n_sparse: n_sparse as u64,
            n_dense: n_dense as u64,
            depth: tree.depth() as u64,
            n_labels: tree.n_labels() as u64,
            weights,
            n_groups: groups.n_records() as u64,
            groups,
        }
    }

    pub(crate) fn widths(&self, layer: &TreeLayer) -> Widths {
        Widths::new(layer.n_parents(), layer.max_siblings(), self.weights)
    }

    /// The weights of layer `number`, as `container` has them.
    pub(crate) fn open_layer(
        &self,
        container: &Container,
        prefix: &str,
        number: usize,
        layer: &TreeLayer,
    ) -> Result<LayerWeights, XrLinearError> {
        let prefix = format!("{prefix}/layer{number}");
        let (widths, n_dense) = (self.widths(layer), self.n_dense as usize);
        LayerWeights::open(container, &prefix, (number, layer), widths, (&self.groups, n_dense))
    }

    /// What `of` was trained with, for a tree with the same upper layers.
    pub(crate) fn like(of: &XrLinear, tree: &LabelTree, weights: WeightType) -> Self {
        Self::of_shape(of.n_features, tree, weights, of.layers[0].groups().clone())
    }

    /// Sparse features and their groups.
    fn grouped(&self) -> (usize, usize) {
        (self.n_sparse as usize, self.n_groups as usize)
    }

    fn open_groups(&mut self, container: &Container, prefix: &str) -> Result<(), XrLinearError> {
        self.groups = FeatureGroups::open(container, prefix, self.grouped())?;
        Ok(())
    }

    /// Records of a layer, and dense weights of a slot.
    pub(crate) fn n_stored(&self) -> (usize, usize) {
        (self.groups.n_records(), self.n_dense as usize)
    }

    /// Numbers of sparse and of dense features.
    pub(crate) fn n_features(&self) -> (usize, usize) {
        (self.n_sparse as usize, self.n_dense as usize)
    }

    /// Writes this record and the tree, unless they have been taken over ([`adopt_tree`]).
    pub(crate) fn write(
        &self,
        tree: &LabelTree,
        writer: &ModelWriter,
        prefix: &str,
    ) -> Result<(), XrLinearError> {
        if writer.has(&info_section(prefix)) {
            return Ok(());
        }
        for (number, layer) in tree.layers().iter().enumerate() {
            let [ptr, children] = tree_sections(prefix, number);
            writer.put_array(&ptr, layer.child_ptr())?;
            writer.put_array(&children, layer.slot_children())?;
        }
        self.groups.write(writer, prefix)?;
        // The last one: where it is, the tree is.
        Ok(writer.put_record(&info_section(prefix), self)?)
    }

    fn read_tree(&self, container: &Container, prefix: &str) -> Result<LabelTree, XrLinearError> {
        let mut layers = Vec::new();
        for number in 0..self.depth {
            let [ptr, children] = tree_sections(prefix, number as usize);
            let ptr = container.array::<u32>(&ptr)?.to_vec();
            let children = container.array::<u32>(&children)?.to_vec();
            let n_children = match number + 1 == self.depth {
                true => self.n_labels as usize,
                // Each cluster of an inner layer is a parent of the next one.
                false => children.iter().max().map_or(0, |&child| child as usize + 1),
            };
            // Every child has a slot. Checked before anything of that size is made.
            if n_children > children.len() {
                let what = "the tree has fewer slots than labels";
                return Err(XrLinearError::Inconsistent { layer: number as usize, what });
            }
            layers.push(TreeLayer::from_parts(ptr, children, n_children)?);
        }
        Ok(LabelTree::from_layers(layers)?)
    }
}

fn info_section(prefix: &str) -> String {
    format!("{prefix}/info")
}

/// Where layer `number` of the tree lies.
fn tree_sections(prefix: &str, number: usize) -> [String; 2] {
    ["child_ptr", "children"].map(|section| format!("{prefix}/layer{number}/{section}"))
}

/// The tree that an earlier go of making this model has written, if it has.
///
/// # Errors
/// [`XrLinearError::Store`] and those of a damaged tree.
pub fn adopt_tree(writer: &ModelWriter, prefix: &str) -> Result<Option<LabelTree>, XrLinearError> {
    if !writer.adopt(&[info_section(prefix)]) {
        return Ok(None);
    }
    let info: ModelInfo = writer.preview(&())?.record(&info_section(prefix))?;
    let of_tree = (0..info.depth as usize).flat_map(|number| tree_sections(prefix, number));
    let sections: Vec<String> = of_tree.chain(FeatureGroups::sections(prefix, info.grouped())).collect();
    if !writer.adopt(&sections) {
        let what = "an earlier go has written a part of the tree only: remove what it has left";
        return Err(XrLinearError::Inconsistent { layer: 0, what });
    }
    Ok(Some(info.read_tree(&writer.preview(&())?, prefix)?))
}

/// A trained XR-Linear model. Cheap to clone: the weights are shared, and mapped from the file when it has one.
#[derive(Debug, Clone)]
pub struct XrLinear {
    tree: LabelTree,
    layers: Vec<LayerWeights>,
    n_features: (usize, usize),
}

impl XrLinear {
    /// Opens the model in sections `<prefix>/…` of `container`.
    ///
    /// # Errors
    /// [`XrLinearError::Store`] when a section is missing or damaged, [`XrLinearError::Tree`] and
    /// [`XrLinearError::Inconsistent`] when the sections contradict each other.
    pub fn open(container: &Container, prefix: &str) -> Result<Self, XrLinearError> {
        let mut info: ModelInfo = container.record(&info_section(prefix))?;
        let tree = info.read_tree(container, prefix)?;
        info.open_groups(container, prefix)?;
        let layers = tree.layers().iter().enumerate();
        let layers = layers.map(|(number, layer)| info.open_layer(container, prefix, number, layer));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self { tree, layers, n_features: info.n_features() })
    }

    /// How the weights are stored.
    pub fn weight_type(&self) -> WeightType {
        self.layers[0].part().widths.value
    }

    /// The weights of every layer, root first.
    pub fn layers(&self) -> &[LayerWeights] {
        &self.layers
    }

    /// Bytes of the weights of all layers.
    pub fn n_bytes(&self) -> usize {
        self.layers.iter().map(LayerWeights::n_bytes).sum()
    }
}

/// Buffers of one thread for [`XrLinear`].
#[derive(Debug, Default)]
pub struct Scratch {
    search: SearchScratch,
    layer: LayerScratch,
}

impl Scratch {
    /// Buffers with which scores are made on one instruction set: for tests and benchmarks.
    pub fn on(isa: Isa) -> Self {
        Self { layer: LayerScratch::on(isa), ..Self::default() }
    }

    /// Inner products (margins computed) so far.
    pub fn n_inner_products(&self) -> u64 {
        self.search.n_inner_products()
    }
}

/// One query's view of the weights.
pub(crate) struct Query<'a> {
    tree: &'a LabelTree,
    layers: &'a [LayerWeights],
    row: Row<'a>,
    scratch: &'a mut LayerScratch,
}

impl<'a> Query<'a> {
    pub(crate) fn new(
        tree: &'a LabelTree,
        layers: &'a [LayerWeights],
        row: Row<'a>,
        scratch: &'a mut LayerScratch,
    ) -> Self {
        // All layers have the same groups.
        if let Some(layer) = layers.first() {
            scratch.begin(layer.groups(), row);
        }
        Self { tree, layers, row, scratch }
    }
}

impl LayerScorer for Query<'_> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        let tree_layer = &self.tree.layers()[layer];
        self.layers[layer].score(tree_layer, self.row, beam, self.scratch, margins);
    }
}

/// Where instances were sent.
pub(crate) struct Sent {
    /// The clusters of each instance, best first.
    pub(crate) lists: RankedLists,
    /// Inner products that this took.
    pub(crate) n_inner_products: u64,
}

/// The clusters to which `layers`, the first ones of a model of `tree`, send instances `row(0..n_rows)`.
pub(crate) fn match_clusters<'x>(
    tree: &LabelTree,
    layers: &[LayerWeights],
    (n_rows, row): (usize, impl Fn(usize) -> Row<'x> + Sync),
    search: Search<'_>,
    progress: &dyn Progress,
) -> Sent {
    let beam = *search.params.beam_size.of(layers.len() - 1, tree.depth() - 1);
    let n_inner_products = AtomicU64::new(0);
    progress.begin("match", Some(n_rows as u64), "instances");
    let lists = rank_rows(n_rows, beam, progress, |number, scratch: &mut Scratch, out| {
        let Scratch { search: beam, layer } = scratch;
        let before = beam.n_inner_products();
        let mut query = Query::new(tree, layers, row(number), layer);
        beam_search_clusters(tree, layers.len(), search, &mut query, beam, out);
        n_inner_products.fetch_add(beam.n_inner_products() - before, Ordering::Relaxed);
    });
    progress.end();
    Sent { lists, n_inner_products: n_inner_products.into_inner() }
}

impl Matcher for XrLinear {
    type Scratch = Scratch;

    fn tree(&self) -> &LabelTree {
        &self.tree
    }

    fn n_features(&self) -> (usize, usize) {
        self.n_features
    }

    fn predict_row(&self, row: Row<'_>, search: Search<'_>, scratch: &mut Scratch, out: &mut Vec<Scored>) {
        let Scratch { search: beam, layer } = scratch;
        let mut query = Query::new(&self.tree, &self.layers, row, layer);
        beam_search(&self.tree, search, &mut query, beam, out);
    }

    fn predict_batch_with(&self, x: &Features, search: Search<'_>, progress: &dyn Progress) -> RankedLists {
        self.rank_batch(x, search, progress).0
    }
}
