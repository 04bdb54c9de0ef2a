//! A batch finds what its instances find one by one, to the bit, however it is searched.

use crate::problem::{Problem, Shape, train};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_linear::SvmParams;
use xmc_sparse::{Csr, Features, NoProgress, RankedLists, Scored};
use xmc_tree::{
    LabelFilter, LabelTree, Matcher, MergeCopies, PostProcessor, Search, SearchParams, TreeLayer,
};
use xmc_xrlinear::{Batching, Scratch, WeightType, XrLinear, XrLinearParams};

/// Everything cluster by cluster, and as much as that can be at once.
pub(crate) const ALL: Batching =
    Batching { fewest: 1, bytes_for_feature: usize::MAX, margin_bytes: 1 << 20, turned_bytes: 1 << 20 };

/// A model that was trained on a random problem, some of whose features are copies of others.
fn random_model(
    n_dense: usize,
    weights: WeightType,
    tree: &[usize],
    copies: bool,
    seed: u64,
) -> (Problem, XrLinear) {
    let mut problem = Problem::random(Shape { n_samples: 90, n_sparse: 120, n_dense, tree }, seed);
    if copies {
        problem.tree = with_copies(problem.tree, seed);
    }
    let svm = SvmParams::default().threshold(0.0);
    let params = XrLinearParams::default().svm(svm).weights(weights);
    let model = XrLinear::open(&train(&problem, params), "matcher").unwrap();
    (problem, model)
}

/// The tree with a third of its labels in another cluster, too.
fn with_copies(tree: LabelTree, seed: u64) -> LabelTree {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
    let leaves = tree.leaves();
    let mut lists: Vec<Vec<u32>> =
        (0..leaves.n_parents()).map(|parent| leaves.children(parent).to_vec()).collect();
    for label in (0..leaves.n_children() as u32).step_by(3) {
        let list = lists.choose_mut(rng).unwrap();
        if !list.contains(&label) {
            list.push(label);
        }
    }
    let leaves = TreeLayer::from_lists(lists, leaves.n_children()).unwrap();
    tree.with_leaves(leaves).unwrap()
}

/// Label, and the bits of the score.
fn bits(list: &[Scored]) -> Vec<(u32, u32)> {
    list.iter().map(|label| (label.id, label.score.to_bits())).collect()
}

fn one_by_one(model: &XrLinear, x: &Features, search: Search<'_>) -> (Vec<Vec<(u32, u32)>>, u64) {
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let lists = (0..x.n_samples()).map(|row| {
        model.predict_row(x.row(row), search, &mut scratch, &mut out);
        bits(&out)
    });
    (lists.collect(), scratch.n_inner_products())
}

fn assert_same(model: &XrLinear, x: &Features, search: Search<'_>, batching: &Batching) {
    let (expected, n_expected) = one_by_one(model, x, search);
    let (found, n_found): (RankedLists, u64) = model.rank_batch_by(batching, x, search, &NoProgress);
    let found: Vec<_> = found.iter().map(bits).collect();
    assert!(found == expected, "{batching:?}\n{found:?}\n{expected:?}");
    assert_eq!(n_found, n_expected);
}

const TREES: [&[usize]; 4] = [&[4, 60], &[3, 9, 50], &[70], &[30, 70]];

const POST_PROCESSORS: [PostProcessor; 5] = [
    PostProcessor::Hinge(3),
    PostProcessor::LogHinge(2),
    PostProcessor::Sigmoid,
    PostProcessor::LogSigmoid,
    PostProcessor::Noop,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_batch_finds_what_its_instances_find(
        n_dense in prop_oneof![Just(0usize), Just(19)],
        weights in prop_oneof![Just(WeightType::F32), Just(WeightType::Bf16), Just(WeightType::Int8)],
        tree in prop::sample::select(&TREES[..]),
        copies in any::<bool>(),
        post_processor in prop::sample::select(&POST_PROCESSORS[..]),
        leaf_noop in any::<bool>(),
        beam in prop_oneof![1usize..5, Just(usize::MAX)],
        filtered in any::<bool>(),
        weighted in any::<bool>(),
        batching in (1usize..200, prop_oneof![Just(usize::MAX), 0usize..8], 1usize..20_000, 1usize..60_000),
        seed in any::<u64>(),
    ) {
        let (problem, model) = random_model(n_dense, weights, tree, copies && tree.len() > 1, seed);
        let leaf = leaf_noop.then_some(PostProcessor::Noop);
        let merge = [MergeCopies::Mean, MergeCopies::Max, MergeCopies::Sum][seed as usize % 3];
        let params = SearchParams::default().beam_size(beam).top_k(1 + seed as usize % 20);
        let params = params.post_processor(post_processor).leaf_post_processor(leaf).merge_copies(merge);
        let only: Vec<u32> = (0..model.tree().n_labels() as u32).filter(|label| label % 7 != 1).collect();
        let filter = LabelFilter::only(model.tree(), only).unwrap();
        let log_weights: Vec<f32> = (0..model.tree().n_labels()).map(|label| (label as f32 * 0.7).sin()).collect();
        let search = Search::new(&params).filter(filtered.then_some(&filter));
        let search = search.log_weights(weighted.then_some(&log_weights[..]));
        let (fewest, bytes_for_feature, margin_bytes, turned_bytes) = batching;
        assert_same(&model, &problem.x, search, &ALL);
        assert_same(&model, &problem.x, search, &Batching { fewest, bytes_for_feature, margin_bytes, turned_bytes });
    }
}

#[test]
fn features_that_share_a_record_are_found_in_a_batch() {
    let problem = Problem::random(Shape { n_samples: 80, n_sparse: 60, n_dense: 0, tree: &[5, 40] }, 3);
    // Every feature three times, the copies of all after the features themselves.
    let thrice = problem.x.sparse().rows().map(|row| {
        let copies =
            (0..3).flat_map(move |copy| row.iter().map(move |(feature, x)| (60 * copy + feature, x)));
        copies.collect::<Vec<_>>()
    });
    let problem = Problem { x: Features::from_sparse(Csr::from_rows(180, thrice).unwrap()), ..problem };
    let model = XrLinear::open(&train(&problem, XrLinearParams::default()), "matcher").unwrap();
    assert!(model.layers()[0].record_of(179) < 60);
    let params = SearchParams::default().beam_size(2);
    assert_same(&model, &problem.x, Search::new(&params), &ALL);
}

#[test]
fn nothing_to_find_is_nothing_found() {
    let (_, model) = random_model(0, WeightType::Bf16, &[4, 60], false, 1);
    let params = SearchParams::default();
    for n_rows in [0, 3] {
        let x = Features::from_sparse(Csr::empty(n_rows, 120));
        assert_same(&model, &x, Search::new(&params), &ALL);
    }
}

#[test]
fn the_same_is_found_by_any_number_of_threads() {
    let (problem, model) = random_model(0, WeightType::Bf16, &[4, 60], false, 4);
    let params = SearchParams::default();
    let find = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| model.rank_batch_by(&ALL, &problem.x, Search::new(&params), &NoProgress).0)
    };
    assert_eq!(find(1), find(4));
}

#[test]
fn long_batches_are_turned_round_by_default() {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
    let (_, model) = random_model(0, WeightType::Bf16, &[4, 60], false, 5);
    let rows = (0..300)
        .map(|_| (0..120u32).filter(|_| rng.gen_bool(0.5)).map(|feature| (feature, 0.5)).collect::<Vec<_>>());
    let rows: Vec<_> = rows.collect();
    let x = Features::from_sparse(Csr::from_rows(120, rows).unwrap());
    let params = SearchParams::default();
    assert_same(&model, &x, Search::new(&params), &Batching::default());
    assert_eq!(model.predict_batch(&x, Search::new(&params)).n_rows(), 300);
}
