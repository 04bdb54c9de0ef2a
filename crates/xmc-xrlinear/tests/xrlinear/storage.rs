//! What is stored: the same bytes whatever the threads, and nearly the same predictions in half the bits.

use crate::problem::{Problem, SMALL, Shape, by_label, everything, exact, fit, predict, train};
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

#[test]
fn layers_in_parts_predict_the_same_and_take_part_in_everything() {
    let problem =
        Problem::random(Shape { n_samples: 400, n_sparse: 300, n_dense: 3, tree: &[5, 25, 700] }, 21);
    let parts = XrLinearParams::default().part_weights(300);
    let written = train(&problem, parts.clone());
    let clusters = |layer, part| {
        let section = format!("matcher/layer{layer}/part{part}/clusters");
        written.array::<u32>(&section).unwrap().to_vec()
    };
    assert_eq!(clusters(2, 0)[0], 0);
    assert_eq!(clusters(2, 1)[0], clusters(2, 0)[1]);
    assert!(written.has("matcher/layer2/part3/records") && !written.has("matcher/layer2/records"));
    assert!(!written.has("matcher/layer0/part0/clusters") && written.has("matcher/layer0/records"));
    let (whole, in_parts) = (fit(&problem, XrLinearParams::default()), fit(&problem, parts.clone()));
    let of = |model: &XrLinear| predict(model, &problem.x, SearchParams::default().beam_size(4));
    assert_eq!(of(&in_parts), of(&whole));
    let n_weights = |model: &XrLinear| model.layers().iter().map(|layer| layer.n_weights()).sum::<u64>();
    assert_eq!(n_weights(&in_parts), n_weights(&whole));
    let sections_of = |threads| with_threads(threads, || sections(&train(&problem, parts.clone())));
    assert_eq!(sections_of(1), sections_of(3));
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
