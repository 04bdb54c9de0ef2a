//! Trainings that are interrupted and go on.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use xmc::{Dataset, Progress, TrainParams, Trainer, XmcError};

fn dataset() -> Dataset {
    let words = ["pie", "phone", "oak", "sail", "rose", "steel", "gene", "yarn"];
    Dataset::from_examples((0..800).map(|n| {
        let (a, b) = (words[n % 8], words[n / 8 % 8]);
        (format!("{a} {b} {}", n % 50), vec![format!("{a}{}", n % 3), format!("{b}{}", n % 5)])
    }))
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.tree = params.tree.branching(3).max_leaf(4);
    params.linear = params.linear.part_weights(40);
    params.n_trees = 2;
    params
}

fn trainer<'a>(params: TrainParams) -> Trainer<'a> {
    Trainer::new(params).timestamps(false)
}

/// Every file with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
    };
    let mut files: Vec<_> = entries.map(file).collect();
    files.sort();
    files
}

/// Ends the process's work within a stage, as a kill would: by a panic that leaves everything as it is.
struct KillAt {
    stage: &'static str,
    /// Which time the stage is begun.
    time: u64,
    /// After so many reports of its progress.
    reports: u64,
    state: Mutex<(String, u64, u64)>,
}

impl KillAt {
    fn new((stage, time, reports): (&'static str, u64, u64)) -> Self {
        Self { stage, time, reports, state: Mutex::default() }
    }

    fn check(&self, change: impl FnOnce(&mut (String, u64, u64))) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let now = (&*state.0, state.1, state.2);
        assert!(now != (self.stage, self.time, self.reports), "killed");
    }
}

impl Progress for KillAt {
    fn begin(&self, stage: &str, _: Option<u64>, _: &str) {
        self.check(|state| {
            let again = u64::from(stage == self.stage);
            *state = (stage.to_owned(), state.1 + again, 0);
        });
    }

    fn advance(&self, _: u64) {
        self.check(|state| state.2 += 1);
    }
}

#[test]
fn a_training_goes_on_where_it_was_killed_and_gives_the_same_bytes() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, resumed) = (parent.path().join("whole"), parent.path().join("resumed"));
    let dataset = dataset();
    trainer(params()).fit_to(&dataset, &whole).unwrap();
    // Four bytes for each label or cluster whose weights are there, in a part or a whole layer.
    let n_bytes = |dir: &Path| -> usize {
        let files = files(dir);
        let intercepts = files.iter().filter(|(name, _)| name.ends_with("bias.bin"));
        intercepts.map(|(_, bytes)| bytes.len() - 64).sum()
    };
    let hidden = parent.path().join(".resumed.resume");
    let mut done = 0;
    let kills = [
        ("cluster labels", 1, 0),
        ("weights", 1, 0),
        ("weights", 1, 8),
        ("weights", 1, 4),
        ("merge", 1, 0),
        ("merge", 2, 1),
        ("cluster labels", 1, 1),
        ("weights", 2, 6),
        ("weights", 2, 3),
        ("merge", 1, 1),
    ];
    // On one thread: others would finish all that is left when one of them panics.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for kill in kills {
        let progress = KillAt::new(kill);
        let job = || drop(trainer(params()).resume(true).progress(&progress).fit_to(&dataset, &resumed));
        let job = std::panic::AssertUnwindSafe(|| pool.install(job));
        assert!(std::panic::catch_unwind(job).is_err(), "{kill:?} never came");
        assert!(!resumed.exists());
        let now = n_bytes(&hidden);
        assert!(now >= done, "{kill:?}: {now} bytes, {done} before");
        eprintln!("{kill:?}: {now} bytes");
        done = now;
    }
    assert!(done == n_bytes(&whole), "all weights were there before the last merge");
    trainer(params()).resume(true).fit_to(&dataset, &resumed).unwrap();
    assert!(files(&resumed) == files(&whole), "the files differ");
    assert!(!hidden.exists());
}

#[test]
fn other_data_or_parameters_do_not_go_on() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    let dataset = dataset();
    let kill = KillAt::new(("weights", 1, 0));
    let job = || drop(trainer(params()).resume(true).progress(&kill).fit_to(&dataset, &dir));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err());
    let mut other = params();
    other.tree = other.tree.seed(5);
    let refused = trainer(other).resume(true).fit_to(&dataset, &dir);
    assert!(matches!(refused, Err(XmcError::Store(xmc_store::StoreError::OtherGo { .. }))));
    let other = Dataset::from_examples((0..800).map(|n| (format!("pie {n}"), vec![format!("{}", n % 20)])));
    assert!(trainer(params()).resume(true).fit_to(&other, &dir).is_err());
}
