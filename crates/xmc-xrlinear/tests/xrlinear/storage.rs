//! What is stored: the same bytes whatever the threads, and nearly the same predictions in half the bits.

use crate::problem::{
    Problem, SMALL, Shape, by_label, everything, exact, fit, predict, train, train_watched,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use xmc_sparse::Progress;
use xmc_store::Container;
use xmc_tree::SearchParams;
use xmc_xrlinear::{WeightType, XrLinear, XrLinearParams};

fn with_threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(work)
}

/// Name, length and checksum of every section.
fn sections(container: &Container) -> Vec<(String, u64, u64)> {
    let sections = container.manifest().sections.iter();
    sections.map(|section| (section.name.clone(), section.len, section.xxh3)).collect()
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    // Clusters of more than sixteen children, so that groups of labels run beside each other.
    let shape = Shape { n_samples: 400, n_sparse: 300, n_dense: 3, tree: &[5, 25, 700] };
    let problem = Problem::random(shape, 21);
    let one = with_threads(1, || sections(&train(&problem, XrLinearParams::default())));
    assert_eq!(one.len(), 1 + 3 * 6);
    for threads in [2, 5] {
        assert_eq!(with_threads(threads, || sections(&train(&problem, XrLinearParams::default()))), one);
    }
    let other_seed = train(&problem, XrLinearParams::default().seed(1));
    assert_ne!(sections(&other_seed), one, "the seed does something");
}

/// Counts the layers that are put together from parts.
#[derive(Default)]
struct Merged(AtomicUsize);

impl Progress for Merged {
    fn begin(&self, stage: &str, _: Option<u64>, _: &str) {
        self.0.fetch_add(usize::from(stage == "merge"), Ordering::Relaxed);
    }
}

#[test]
fn layers_written_in_parts_become_what_they_are_as_a_whole() {
    let layers_in_parts = |tree: &[usize], part_weights: u64| {
        let problem = Problem::random(Shape { n_samples: 400, n_sparse: 300, n_dense: 3, tree }, 21);
        let merged = Merged::default();
        let params = XrLinearParams::default().part_weights(part_weights);
        let in_parts =
            |threads| with_threads(threads, || sections(&train_watched(&problem, params.clone(), &merged)));
        let whole = sections(&train(&problem, XrLinearParams::default()));
        assert!(in_parts(1) == whole && in_parts(3) == whole, "parts of {part_weights} weights");
        merged.0.into_inner() / 2
    };
    assert_eq!(layers_in_parts(&[5, 25, 700], 1 << 20), 0);
    // The root is one cluster, hence one part.
    assert_eq!(layers_in_parts(&[5, 25, 700], 300), 2);
    assert_eq!(layers_in_parts(&[5, 25, 700], 1), 2);
    // More clusters in the layer than in any of its parts have numbers of a byte.
    assert_eq!(layers_in_parts(&[300, 900], 500), 1);
}

#[test]
fn any_number_of_threads_predicts_the_same() {
    let problem = Problem::random(Shape { n_samples: 600, tree: &[6, 60], ..SMALL }, 22);
    let model = fit(&problem, XrLinearParams::default());
    let batch = |threads| {
        with_threads(threads, || {
            xmc_tree::Matcher::predict_batch(
                &model,
                &problem.x,
                xmc_tree::Search::new(&SearchParams::default()),
            )
        })
    };
    let one = batch(1);
    assert_eq!(one, batch(2));
    let single = predict(&model, &problem.x, SearchParams::default());
    assert!(one.iter().eq(single.iter().map(Vec::as_slice)));
}

#[test]
fn half_the_bits_predict_nearly_the_same_from_fewer_bytes() {
    let problem = Problem::random(Shape { n_samples: 300, tree: &[6, 60], ..SMALL }, 23);
    let full = fit(&problem, exact());
    let half = fit(&problem, exact().weights(WeightType::Bf16));
    let (found, expected) =
        (predict(&half, &problem.x, everything()), predict(&full, &problem.x, everything()));
    let (mut same, mut largest) = (0, 0.0f32);
    for (found, expected) in found.iter().zip(&expected) {
        same += usize::from(found[0].id == expected[0].id);
        let pairs = by_label(found).into_iter().zip(by_label(expected));
        largest = pairs.fold(largest, |largest, (found, expected)| largest.max((found - expected).abs()));
    }
    assert!(same >= 290, "{same} of 300 first labels agree");
    assert!(largest < 0.03, "scores differ by up to {largest}");
    assert_ne!(found, expected, "the weights are rounded");
    let bytes = |model: &XrLinear| model.layers().iter().map(|layer| layer.n_bytes()).sum::<usize>();
    assert!(bytes(&half) < bytes(&full));
}

#[test]
fn pruning_drops_small_weights_only() {
    let problem = Problem::random(SMALL, 24);
    let pruned = exact().svm(exact().svm.map(|svm| svm.threshold(0.05)));
    // An instance meets six features on two layers, each off by less than the threshold.
    let found =
        predict(&fit(&problem, pruned), &problem.x, everything().post_processor("noop".parse().unwrap()));
    let full =
        predict(&fit(&problem, exact()), &problem.x, everything().post_processor("noop".parse().unwrap()));
    assert_ne!(found, full);
    crate::problem::assert_close(&found, &full, 6.0 * 0.05);
}

#[test]
fn a_model_reopened_from_disk_predicts_the_same() {
    let problem = Problem::random(SMALL, 25);
    let container = train(&problem, XrLinearParams::default());
    let parent = tempfile::tempdir().unwrap();
    let saved = container.save(parent.path().join("model")).unwrap();
    let (memory, disk) = (XrLinear::open(&container, "matcher"), XrLinear::open(&saved, "matcher"));
    let search = SearchParams::default();
    assert_eq!(predict(&disk.unwrap(), &problem.x, &search), predict(&memory.unwrap(), &problem.x, &search));
}
