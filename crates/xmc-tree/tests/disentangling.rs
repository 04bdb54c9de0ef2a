//! Disentanglement: coverage, limits, the published rule and the greedy bound.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use proptest::prelude::*;
use xmc_sparse::{Csr, SparseError};
use xmc_tree::{AssignmentRule, DisentangleParams, Disentangled, TreeError, TreeLayer};

const N_CLUSTERS: usize = 6;

/// A layer, Yᵀ and M.
#[derive(Debug, Clone)]
struct Problem {
    leaves: TreeLayer,
    instances: Csr,
    matched: Csr,
}

fn ones(n_cols: usize, rows: &[Vec<u32>]) -> Csr {
    let row = |row: &Vec<u32>| row.iter().map(|&col| (col, 1.0)).collect::<Vec<_>>();
    Csr::from_rows(n_cols, rows.iter().map(row)).unwrap()
}

fn problem_of(clusters: &[u32], labels: &[Vec<u32>], matched: &[Vec<u32>]) -> Problem {
    let mut lists = vec![Vec::new(); N_CLUSTERS];
    clusters.iter().zip(0u32..).for_each(|(&cluster, label)| lists[cluster as usize].push(label));
    Problem {
        leaves: TreeLayer::from_lists(lists, clusters.len()).unwrap(),
        instances: ones(matched.len(), labels),
        matched: ones(N_CLUSTERS, matched),
    }
}

fn problems() -> impl Strategy<Value = Problem> {
    let n_clusters = N_CLUSTERS as u32;
    let set = |below: u32, most| {
        prop::collection::btree_set(0..below, 0..most).prop_map(|set| set.into_iter().collect::<Vec<u32>>())
    };
    let labels = prop::collection::vec((0..n_clusters, set(20, 12)), 1..30);
    let matched = prop::collection::vec(set(n_clusters, 4), 20);
    (labels, matched).prop_map(|(labels, matched)| {
        let (clusters, labels): (Vec<u32>, Vec<Vec<u32>>) = labels.into_iter().unzip();
        problem_of(&clusters, &labels, &matched)
    })
}

fn params() -> DisentangleParams {
    DisentangleParams::default()
}

fn assign(problem: &Problem, params: DisentangleParams) -> Disentangled {
    let disentangle = params.check().unwrap();
    disentangle.assign(&problem.leaves, &problem.instances, &problem.matched).unwrap()
}

/// Positives of `label` that clusters `places` cover.
fn covered(problem: &Problem, label: usize, places: &[u32]) -> usize {
    let instances = problem.instances.row(label).indices.iter();
    let matched = |i: u32| problem.matched.row(i as usize).indices;
    instances.filter(|&&i| matched(i).iter().any(|cluster| places.contains(cluster))).count()
}

fn rules() -> impl Strategy<Value = AssignmentRule> {
    prop_oneof![Just(AssignmentRule::Greedy), Just(AssignmentRule::TopK)]
}

proptest! {
    #[test]
    fn labels_have_a_place_and_at_most_as_many_as_allowed(
        problem in problems(), rule in rules(), copies in 1usize..5, factor in 1.0f32..4.0,
    ) {
        let found = assign(&problem, params().rule(rule).copies(copies).max_leaf_factor(factor));
        let (new, old) = (found.leaves.parents(), problem.leaves.parents());
        let n_labels = problem.leaves.n_children();
        for label in 0..n_labels {
            prop_assert!((1..=copies).contains(&new.of(label).len()));
            if covered(&problem, label, &[0, 1, 2, 3, 4, 5]) == 0 {
                prop_assert_eq!(new.of(label), old.of(label));
            }
        }
        let report = &found.report;
        prop_assert_eq!(report.copies, found.leaves.n_slots() - n_labels);
        let total = |places: &xmc_tree::ChildParents| {
            (0..n_labels).map(|label| covered(&problem, label, places.of(label))).sum::<usize>()
        };
        prop_assert_eq!((report.covered_before, report.covered), (total(&old), total(&new)));
        let moved = (0..n_labels).filter(|&label| !new.of(label).contains(&old.of(label)[0])).count();
        prop_assert_eq!(report.moved, moved);
    }

    #[test]
    fn more_copies_never_cover_less(
        problem in problems(), rule in rules(), copies in 2usize..5, factor in 1.0f32..4.0, min_gain in 0.0f32..=1.0,
    ) {
        let params = params().rule(rule).max_leaf_factor(factor).min_gain(min_gain);
        let (one, more) = (assign(&problem, params.copies(1)), assign(&problem, params.copies(copies)));
        prop_assert!(more.report.covered >= one.report.covered);
        // With room everywhere that holds for each label, and one place is no worse than the former one.
        let free = params.max_leaf_factor(f32::INFINITY);
        let (one, more) = (assign(&problem, free.copies(1)), assign(&problem, free.copies(copies)));
        let (one, more, old) = (one.leaves.parents(), more.leaves.parents(), problem.leaves.parents());
        for label in 0..problem.leaves.n_children() {
            let covered = |places: &xmc_tree::ChildParents| covered(&problem, label, places.of(label));
            prop_assert!(covered(&more) >= covered(&one) && covered(&one) >= covered(&old));
        }
    }

    #[test]
    fn places_that_are_kept_are_only_added_to(
        problem in problems(), rule in rules(), copies in 1usize..5, factor in 1.0f32..4.0,
    ) {
        let found = assign(&problem, params().rule(rule).copies(copies).max_leaf_factor(factor).keep_places(true));
        let (new, old) = (found.leaves.parents(), problem.leaves.parents());
        for label in 0..problem.leaves.n_children() {
            prop_assert!(new.of(label).contains(&old.of(label)[0]) && new.of(label).len() <= copies);
        }
        let report = &found.report;
        prop_assert!(report.covered >= report.covered_before && report.moved == 0 && report.unmatched == 0);
        prop_assert!(copies > 1 || found.leaves == problem.leaves);
        // A further place is worth it: under the greedy rule each adds two positives and more.
        if rule == AssignmentRule::Greedy {
            prop_assert!(report.covered >= report.covered_before + 2 * report.copies);
        }
    }

    #[test]
    fn clusters_stay_within_their_limit(
        problem in problems(), rule in rules(), copies in 1usize..5, factor in 1.0f32..3.0,
    ) {
        let found = assign(&problem, params().rule(rule).copies(copies).max_leaf_factor(factor));
        let report = &found.report;
        let mean = problem.leaves.n_children() as f32 / N_CLUSTERS as f32;
        prop_assert_eq!(report.max_leaf, (factor * mean).ceil() as usize);
        let mut beyond = 0;
        for cluster in 0..N_CLUSTERS {
            let size = found.leaves.children(cluster).len();
            prop_assert_eq!(size, report.sizes[cluster]);
            beyond += size.saturating_sub(report.max_leaf.max(problem.leaves.children(cluster).len()));
        }
        prop_assert!(beyond <= report.crowded_out, "{} beyond, {:?}", beyond, report);
    }

    #[test]
    fn the_published_rule_takes_the_largest_counts(problem in problems(), copies in 1usize..5) {
        let params = params().rule(AssignmentRule::TopK).copies(copies).max_leaf_factor(f32::INFINITY);
        let found = assign(&problem, params).leaves.parents();
        let counts = problem.instances.dot(&problem.matched).unwrap();
        for (label, row) in counts.rows().enumerate().filter(|(_, row)| row.nnz() > 0) {
            let mut row: Vec<(u32, f32)> = row.iter().collect();
            row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let mut expected: Vec<u32> = row.iter().take(copies).map(|&(cluster, _)| cluster).collect();
            expected.sort_unstable();
            prop_assert_eq!(found.of(label), expected);
        }
    }

    #[test]
    fn greedy_keeps_its_bound_against_every_choice(problem in problems(), copies in 1usize..4) {
        // Every instance twice: no copy is refused for adding a single positive.
        let rows = |matrix: &Csr| matrix.rows().map(|row| row.indices.to_vec()).collect::<Vec<_>>();
        let twice = |row: Vec<u32>| row.into_iter().flat_map(|i| [i, i + 20]).collect();
        let labels: Vec<Vec<u32>> = rows(&problem.instances).into_iter().map(twice).collect();
        let matched = [rows(&problem.matched), rows(&problem.matched)].concat();
        let problem = Problem {
            instances: ones(40, &labels),
            matched: ones(N_CLUSTERS, &matched),
            leaves: problem.leaves,
        };
        let params = params().copies(copies).min_gain(0.0).max_leaf_factor(f32::INFINITY);
        let found = assign(&problem, params).leaves.parents();
        for label in 0..problem.leaves.n_children() {
            let subsets = (0u32..1 << N_CLUSTERS).filter(|subset| subset.count_ones() as usize <= copies);
            let places = |subset: u32| (0..N_CLUSTERS as u32).filter(|bit| subset >> bit & 1 == 1).collect::<Vec<_>>();
            let best = subsets.map(|subset| covered(&problem, label, &places(subset))).max().unwrap();
            let share = covered(&problem, label, found.of(label)) as f64;
            prop_assert!(share >= (1.0 - (-1.0f64).exp()) * best as f64);
        }
    }
}

#[test]
fn greedy_makes_no_copy_for_positives_that_are_covered() {
    // Three positives in clusters 1 and 2 at once, two in cluster 3 alone.
    let matched = [vec![1, 2], vec![1, 2], vec![1, 2], vec![3], vec![3]];
    let problem = problem_of(&[2], &[vec![0, 1, 2, 3, 4]], &matched);
    let places = |params: DisentangleParams| {
        let found = assign(&problem, params.max_leaf_factor(f32::INFINITY));
        (found.leaves.parents().of(0).to_vec(), found.report.covered)
    };
    assert_eq!(places(params().copies(2)), (vec![2, 3], 5));
    assert_eq!(places(params().copies(6)), (vec![2, 3], 5));
    assert_eq!(places(params().copies(2).rule(AssignmentRule::TopK)), (vec![1, 2], 3));
    // Two of five positives are not half of them.
    assert_eq!(places(params().min_gain(0.5)), (vec![2], 3));
}

#[test]
fn a_label_that_does_not_fit_goes_to_its_next_best() {
    // Four labels want cluster 0, which has room for one: the one with the most positives gets it.
    let matched = [vec![0, 1], vec![0, 1], vec![0, 1], vec![0]];
    let labels = [vec![0], vec![0, 1], vec![0, 1, 2], vec![3]];
    let problem = problem_of(&[2, 3, 4, 5], &labels, &matched);
    let found = assign(&problem, params().copies(1).max_leaf_factor(1.0));
    let places: Vec<u32> = (0..4).map(|label| found.leaves.parents().of(label)[0]).collect();
    assert_eq!(places, [2, 1, 0, 5]);
    assert_eq!((found.report.crowded_out, found.report.moved, found.report.max_leaf), (2, 2, 1));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let matched: Vec<Vec<u32>> = (0..400).map(|i| vec![i % 6, (i * 7 + i / 13) % 6]).collect();
    let labels: Vec<Vec<u32>> =
        (0..900).map(|l| (0..40).map(|j| (l * 31 + j * (l % 11 + 1)) % 400).collect()).collect();
    let clusters: Vec<u32> = (0..900).map(|l| l % 6).collect();
    let problem = problem_of(&clusters, &labels, &matched);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| assign(&problem, params().copies(3).max_leaf_factor(1.2)))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    for (params, name) in [
        (params().min_gain(-0.1), "min_gain"),
        (params().min_gain(f32::NAN), "min_gain"),
        (params().max_leaf_factor(0.5), "max_leaf_factor"),
        (params().max_leaf_factor(f32::NAN), "max_leaf_factor"),
    ] {
        assert!(matches!(params.check(), Err(TreeError::RealParam { name: found, .. }) if found == name));
    }
    assert!(matches!(params().copies(0).check(), Err(TreeError::Param { name: "copies", .. })));
    let problem = problem_of(&[0, 1], &[vec![0], vec![1]], &[vec![0], vec![1]]);
    let disentangle = params().check().unwrap();
    for (instances, matched) in [
        (Csr::empty(3, 2), problem.matched.clone()),
        (Csr::empty(2, 5), problem.matched.clone()),
        (problem.instances.clone(), Csr::empty(2, 7)),
    ] {
        let found = disentangle.assign(&problem.leaves, &instances, &matched);
        assert!(matches!(found, Err(TreeError::Matrix(SparseError::Shape { .. }))), "{found:?}");
    }
}
