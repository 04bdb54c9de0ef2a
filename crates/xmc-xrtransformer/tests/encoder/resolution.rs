//! Fine-tuning on the levels of a tree.

use crate::open;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::{Csr, NoProgress, Progress};
use xmc_tree::{LabelTree, TreeLayer};
use xmc_xrlinear::XrLinearParams;
use xmc_xrtransformer::{
    Bootstrap, Corpus, Encoder, FineTuneParams, FineTuner, LevelReport, TokenRows, TransformerError,
};

const WORDS: [&str; 6] = ["history", "language", "music", "water", "energy", "children"];
const TIMES: [&str; 2] = ["early", "new"];
const N_TEXTS: usize = 240;

/// A label for each word and time; words are clusters, three pairs of them the clusters above.
fn tree() -> LabelTree {
    let pairs = |n: u32| (0..n).map(|at| vec![2 * at, 2 * at + 1]);
    let layers = [
        TreeLayer::from_lists([vec![0, 1, 2]], 3).unwrap(),
        TreeLayer::from_lists(pairs(3), 6).unwrap(),
        TreeLayer::from_lists(pairs(6), 12).unwrap(),
    ];
    LabelTree::from_layers(layers.to_vec()).unwrap()
}

struct Data {
    tokens: TokenRows,
    x: Csr,
    y: Csr,
}

fn data() -> Data {
    let label = |row: usize| (row % 6, row / 6 % 2);
    let texts: Vec<String> = (0..N_TEXTS)
        .map(|row| {
            let (word, time) = label(row);
            format!("{} {} study of the {}", TIMES[time], row / 12, WORDS[word])
        })
        .collect();
    let tokens = open().tokenize(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let row = |row: usize| tokens.row(row).iter().map(|&token| (token, 1.0)).collect::<Vec<_>>();
    let x = Csr::from_rows(1000, (0..N_TEXTS).map(row)).unwrap().into_l2_normalized_rows();
    let y = (0..N_TEXTS).map(|row| vec![((2 * label(row).0 + label(row).1) as u32, 1.0)]);
    Data { y: Csr::from_rows(12, y).unwrap(), x, tokens }
}

fn params(change: impl FnOnce(&mut FineTuneParams)) -> FineTuneParams {
    let mut params = FineTuneParams::default();
    params.level.n_warm_up_steps = 4;
    params.level.learning_rate = 2e-3;
    params.level.batch_size = 24;
    params.level.report_every = 10;
    params.steps = vec![30, 20];
    params.matched = 2;
    change(&mut params);
    params
}

fn run(
    params: FineTuneParams,
    dir: Option<&Path>,
    progress: &dyn Progress,
) -> Result<(Encoder, Vec<LevelReport>), Box<TransformerError>> {
    let Data { tokens, x, y } = data();
    let tuner = FineTuner::new(params, XrLinearParams::default(), progress);
    let corpus = Corpus { tokens: &tokens, x: &x, y: &y };
    tuner.valid(Some(corpus)).run_dir(dir).fit(open(), corpus, &tree()).map_err(Box::new)
}

/// Counts what a run reports, and kills it at a given report.
struct Killer {
    reports: AtomicU64,
    at: u64,
}

impl Killer {
    fn new(at: u64) -> Self {
        Self { reports: AtomicU64::new(0), at }
    }
}

impl Progress for Killer {
    fn advance(&self, _: u64) {
        assert_ne!(self.reports.fetch_add(1, Ordering::Relaxed), self.at, "killed");
    }
}

#[test]
fn each_level_is_learned_from_the_root_down() {
    let (encoder, reports) = run(params(|_| ()), None, &NoProgress).unwrap();
    assert_ne!(encoder.fingerprint(), open().fingerprint());
    let sizes: Vec<_> = reports.iter().map(|level| (level.layer, level.n_clusters, level.n_steps)).collect();
    assert_eq!(sizes, [(0, 3, 30), (1, 6, 20), (2, 12, 20)]);
    for report in &reports {
        let last = report.curve.last().unwrap();
        let chance = 100.0 / report.n_clusters as f64;
        assert!(last.valid_p1.unwrap() > 2.0 * chance, "{report:?}");
    }
}

#[test]
fn a_run_that_was_killed_ends_as_one_that_was_not() {
    let short = || params(|params| (params.steps, params.level.report_every) = (vec![12, 8], 4));
    let unharmed = Killer::new(u64::MAX);
    let (whole, reports) = run(short(), None, &unharmed).unwrap();
    let n_reports = unharmed.reports.into_inner();
    for at in [n_reports / 8, n_reports / 3, n_reports / 2, n_reports - 2] {
        let dir = tempfile::tempdir().unwrap();
        let killer = Killer::new(at);
        let first = catch_unwind(AssertUnwindSafe(|| run(short(), Some(dir.path()), &killer)));
        let (encoder, again) = run(short(), Some(dir.path()), &NoProgress).unwrap();
        assert!(first.is_err(), "not killed at {at}");
        assert_eq!(encoder.fingerprint(), whole.fingerprint(), "killed at {at}");
        assert_eq!(again, reports);
        let curve = std::fs::read_to_string(dir.path().join("curve.jsonl")).unwrap();
        assert_eq!(curve.lines().count(), reports.iter().map(|level| level.curve.len()).sum::<usize>());
    }
}

#[test]
fn the_directory_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(params(|params| params.steps = vec![2]), Some(dir.path()), &NoProgress).unwrap();
    let other = run(params(|params| params.steps = vec![3]), Some(dir.path()), &NoProgress);
    assert!(matches!(*other.err().unwrap(), TransformerError::OtherRun { .. }));
}

#[test]
fn what_a_killed_process_left_is_removed_and_a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".level0.step.77-0.tmp");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("state.bin"), "half").unwrap();
    let lock = std::fs::File::create(dir.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let short = || params(|params| params.steps = vec![2]);
    let refused = run(short(), Some(dir.path()), &NoProgress);
    assert!(matches!(*refused.err().unwrap(), TransformerError::RunInUse { .. }));
    assert!(left.exists());
    drop(lock);
    run(short(), Some(dir.path()), &NoProgress).unwrap();
    assert!(!left.exists());
}

#[test]
fn heads_start_from_what_is_asked_for() {
    let first_loss = |bootstrap| {
        let short = params(|params| {
            params.bootstrap = bootstrap;
            params.steps = vec![2];
            params.level.report_every = 1;
            params.level.dropout = false;
            params.level.head_dropout = 0.0;
            // Three clusters that every text is told from.
            params.max_clusters = 3;
        });
        run(short, None, &NoProgress).unwrap().1.last().unwrap().curve[0].training.loss
    };
    let random = first_loss(Bootstrap::None);
    for bootstrap in [Bootstrap::Linear, Bootstrap::WeightedLinear] {
        assert!(first_loss(bootstrap) < random, "{bootstrap:?}");
    }
    assert!(first_loss(Bootstrap::Inherit).is_finite());
}

#[test]
fn one_level_alone_has_all_clusters_above_it_to_lead_to_its_candidates() {
    let last = params(|params| params.last_level_only = true);
    let (_, reports) = run(last, None, &NoProgress).unwrap();
    assert_eq!(reports.iter().map(|level| (level.layer, level.n_steps)).collect::<Vec<_>>(), [(2, 30)]);
    let top = params(|params| params.max_clusters = 6);
    let (_, reports) = run(top, None, &NoProgress).unwrap();
    assert_eq!(reports.iter().map(|level| level.layer).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn patience_ends_a_level_at_its_best() {
    let dir = tempfile::tempdir().unwrap();
    let patient = |params: &mut FineTuneParams| {
        params.patience = Some(1);
        params.steps = vec![400];
        params.max_clusters = 3;
    };
    let (_, reports) = run(params(patient), Some(dir.path()), &NoProgress).unwrap();
    let curve = &reports[0].curve;
    let best = curve.iter().map(|point| point.valid_p1.unwrap()).fold(0.0, f64::max);
    assert!(curve.len() < 40 && reports[0].n_steps == curve[curve.len() - 2].training.step, "{reports:?}");
    assert_eq!(curve[curve.len() - 2].valid_p1, Some(best));
    let alone = run(params(patient), None, &NoProgress);
    assert!(matches!(*alone.err().unwrap(), TransformerError::Parameter { name: "patience", .. }));
}
