//! Small random problems that can be learnt, and models of them.

use ndarray::Array2;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::borrow::Borrow;
use xmc_linear::SvmParams;
use xmc_sparse::{Csr, Features, NoProgress, Progress, Scored};
use xmc_store::{Container, ModelWriter};
use xmc_tree::{LabelTree, Matcher, Search, SearchParams, TreeLayer};
use xmc_xrlinear::{Instances, Scratch, XrLinear, XrLinearParams};

/// Instances, their labels and a tree over the labels.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) x: Features,
    pub(crate) y: Csr,
    pub(crate) tree: LabelTree,
}

/// What a random [`Problem`] looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    pub(crate) n_samples: usize,
    pub(crate) n_sparse: usize,
    pub(crate) n_dense: usize,
    /// Clusters of each inner layer, root's children first; then the labels.
    pub(crate) tree: &'a [usize],
}

pub(crate) const SMALL: Shape<'_> = Shape { n_samples: 60, n_sparse: 40, n_dense: 0, tree: &[4, 30] };

impl Problem {
    /// Every instance has a label or two, the features that go with them, and noise.
    pub(crate) fn random(shape: Shape<'_>, seed: u64) -> Self {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
        let n_labels = shape.tree[shape.tree.len() - 1];
        let mut rows = Vec::with_capacity(shape.n_samples);
        let mut labels = Vec::with_capacity(shape.n_samples);
        let mut dense = Vec::with_capacity(shape.n_samples * shape.n_dense);
        for sample in 0..shape.n_samples {
            // The first label in turn, so that each has an instance when there are enough of them.
            let own = [sample % n_labels, rng.gen_range(0..n_labels)];
            let signal = own.map(|label| ((label * 7) % shape.n_sparse, 1.0));
            let noise = (0..4).map(|_| (rng.gen_range(0..shape.n_sparse), rng.gen_range(0.1..0.6)));
            let row: Vec<(u32, f32)> =
                signal.into_iter().chain(noise.collect::<Vec<_>>()).map(|(col, v)| (col as u32, v)).collect();
            rows.push(row);
            labels.push(own.map(|label| (label as u32, 1.0)));
            dense.extend((0..shape.n_dense).map(|col| ((own[0] * (col + 3)) as f32).sin() * 0.5));
        }
        let sparse = Csr::from_rows(shape.n_sparse, rows).unwrap();
        let dense = (shape.n_dense > 0)
            .then(|| Array2::from_shape_vec((shape.n_samples, shape.n_dense), dense).unwrap());
        Self {
            x: Features::new(sparse, dense).unwrap(),
            y: Csr::from_rows(n_labels, labels).unwrap().binarized(),
            tree: tree(shape.tree, rng),
        }
    }
}

/// A tree with these numbers of nodes on its levels; children are dealt out at random.
fn tree(levels: &[usize], rng: &mut Xoshiro256PlusPlus) -> LabelTree {
    let mut layers = Vec::new();
    let mut n_parents = 1;
    for &n_children in levels {
        let mut children: Vec<u32> = (0..n_children as u32).collect();
        children.shuffle(rng);
        let deal = |parent: usize| children[parent..].iter().step_by(n_parents).copied().collect::<Vec<_>>();
        layers.push(TreeLayer::from_lists((0..n_parents).map(deal), n_children).unwrap());
        n_parents = n_children;
    }
    LabelTree::from_layers(layers).unwrap()
}

/// Parameters that leave nothing of a weight away: the optimum itself.
pub(crate) fn exact() -> XrLinearParams {
    let svm = SvmParams::default().eps(1e-5).max_iter(5000).threshold(0.0);
    XrLinearParams::default().svm(svm).weights(xmc_xrlinear::WeightType::F32)
}

/// Trains in memory; all sections are below `matcher/`.
pub(crate) fn train(problem: &Problem, params: impl Borrow<XrLinearParams>) -> Container {
    train_watched(problem, params, &NoProgress)
}

pub(crate) fn train_watched(
    problem: &Problem,
    params: impl Borrow<XrLinearParams>,
    progress: &dyn Progress,
) -> Container {
    let writer = ModelWriter::in_memory();
    let Problem { x, y, tree } = problem;
    let params = params.borrow().check().unwrap();
    params.fit(Instances::new(x, y), tree, &writer, "matcher", progress).unwrap();
    writer.commit(&()).unwrap()
}

pub(crate) fn fit(problem: &Problem, params: XrLinearParams) -> XrLinear {
    XrLinear::open(&train(problem, params), "matcher").unwrap()
}

/// The labels of every instance of `x`.
pub(crate) fn predict(model: &XrLinear, x: &Features, params: impl Borrow<SearchParams>) -> Vec<Vec<Scored>> {
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let predict = |row| {
        model.predict_row(x.row(row), Search::new(params.borrow()), &mut scratch, &mut out);
        out.clone()
    };
    (0..x.n_samples()).map(predict).collect()
}

/// A search that leaves out nothing.
pub(crate) fn everything() -> SearchParams {
    SearchParams::default().beam_size(usize::MAX).top_k(usize::MAX)
}

/// Scores by label, for lists that hold every label once.
pub(crate) fn by_label(list: &[Scored]) -> Vec<f32> {
    let mut sorted = list.to_vec();
    sorted.sort_by_key(|scored| scored.id);
    assert!(sorted.iter().enumerate().all(|(label, scored)| scored.id as usize == label));
    sorted.iter().map(|scored| scored.score).collect()
}

/// Both lists of scores, label by label, differ by less than `tolerance`.
pub(crate) fn assert_close(found: &[Vec<Scored>], expected: &[Vec<Scored>], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (label, (found, expected)) in by_label(found).iter().zip(by_label(expected)).enumerate() {
            assert!((found - expected).abs() < tolerance, "row {row} label {label}: {found} {expected}");
        }
    }
}
