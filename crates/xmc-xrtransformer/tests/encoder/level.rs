//! Fine-tuning on one level.

use crate::{encode, fixture, open, params};
use xmc_sparse::{Csr, NoProgress};
use xmc_xrtransformer::{
    AllClusters, Encoder, Flow, LearningPoint, LevelHead, LevelLoss, LevelParams, LevelProblem, LevelTrainer,
    TokenRows, TransformerError,
};

const N_CLUSTERS: u32 = 6;
/// A word for each cluster: what has to be learned.
const WORDS: [&str; N_CLUSTERS as usize] = ["history", "language", "music", "water", "energy", "children"];

fn texts() -> Vec<String> {
    let word = |row: usize| WORDS[row % WORDS.len()];
    (0..120).map(|row| format!("a study of {} in the {} year", word(row), row / 6)).collect()
}

fn tokens(encoder: &Encoder) -> TokenRows {
    encoder.tokenize(&texts().iter().map(String::as_str).collect::<Vec<_>>())
}

fn positives() -> Csr {
    Csr::from_rows(N_CLUSTERS as usize, (0..120u32).map(|row| vec![(row % N_CLUSTERS, 1.0)])).unwrap()
}

fn level(change: impl FnOnce(&mut LevelParams)) -> LevelParams {
    let mut params = LevelParams::default();
    params.n_steps = 60;
    params.n_warm_up_steps = 5;
    params.learning_rate = 5e-3;
    params.batch_size = 24;
    params.report_every = 10;
    change(&mut params);
    params
}

fn trainer(params: LevelParams) -> LevelTrainer {
    LevelTrainer::new(open(), &LevelHead::random(N_CLUSTERS as usize, 32, 5), params).unwrap()
}

/// Trains until `until`, and gives the points of the curve.
fn train(trainer: &mut LevelTrainer, until: u64) -> Vec<LearningPoint> {
    let (tokens, positives) = (tokens(&open()), positives());
    let problem =
        LevelProblem { tokens: &tokens, positives: &positives, candidates: &AllClusters(N_CLUSTERS) };
    let stop = |_: &LevelTrainer, point: &LearningPoint| {
        Ok::<_, Box<TransformerError>>(if point.step >= until { Flow::Stop } else { Flow::Continue })
    };
    trainer.train(&problem, &NoProgress, stop).unwrap();
    trainer.curve().to_vec()
}

/// Share of the texts whose best cluster is the right one.
fn accuracy(encoder: &Encoder, head: &LevelHead) -> f64 {
    let texts = texts();
    let vectors = encode(encoder, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let right = vectors.iter().enumerate().filter(|(row, vector)| {
        let score = |cluster: &usize| {
            let weights = &head.weights[cluster * 32..][..32];
            weights.iter().zip(*vector).map(|(w, x)| w * x).sum::<f32>()
        };
        let best = (0..WORDS.len()).max_by(|a, b| score(a).total_cmp(&score(b)));
        best == Some(row % WORDS.len())
    });
    right.count() as f64 / texts.len() as f64
}

#[test]
fn every_loss_is_learned() {
    for loss in [LevelLoss::Hinge, LevelLoss::SquaredHinge, LevelLoss::CrossEntropy] {
        let mut trainer = trainer(level(|params| {
            params.loss = loss;
            params.n_steps = 120;
            params.learning_rate = 2e-3;
        }));
        let curve = train(&mut trainer, u64::MAX);
        assert_eq!(curve.len(), 12);
        assert!(curve[11].loss < 0.5 * curve[0].loss, "{loss:?}: {curve:?}");
        let before = open().fingerprint();
        let (encoder, head) = trainer.finish().unwrap();
        assert_ne!(encoder.fingerprint(), before);
        // By chance it is a sixth. Vectors are of length 1 here and biases left out, so it is not what was trained exactly.
        let accuracy = accuracy(&encoder, &head);
        assert!(accuracy > 0.5, "{loss:?}: {accuracy}");
    }
}

#[test]
fn an_interrupted_training_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = trainer(level(|_| ()));
    train(&mut whole, u64::MAX);
    let mut first = trainer(level(|_| ()));
    train(&mut first, 20);
    first.save(dir.path().join("checkpoint")).unwrap();
    first.save(dir.path().join("checkpoint")).unwrap();
    drop(first);
    let mut second = LevelTrainer::resume(open(), dir.path().join("checkpoint")).unwrap();
    assert_eq!(second.step(), 20);
    train(&mut second, u64::MAX);
    assert_eq!(whole.curve(), second.curve());
    let ((encoder, head), (again, head_again)) = (whole.finish().unwrap(), second.finish().unwrap());
    assert_eq!((encoder.fingerprint(), head), (again.fingerprint(), head_again));
}

#[test]
fn parts_of_a_step_add_up_to_the_step() {
    let off =
        |params: &mut LevelParams| (params.dropout, params.head_dropout, params.n_steps) = (false, 0.0, 3);
    let run = |part_size| {
        let mut trainer = trainer(level(|params| {
            off(params);
            params.part_size = part_size;
        }));
        train(&mut trainer, u64::MAX);
        trainer.finish().unwrap().1
    };
    let (whole, parts) = (run(None), run(Some(5)));
    // Adam's first steps have the size of the learning rate whatever the gradient: rounding shows where it is almost 0.
    let off: Vec<_> = whole.weights.iter().zip(&parts.weights).map(|(a, b)| (a - b).abs()).collect();
    let far = off.iter().filter(|&&off| off > 1e-3).count();
    assert!(far * 100 < off.len(), "{far} of {}", off.len());
}

#[test]
fn clusters_that_no_instance_is_scored_for_stay_as_they_are() {
    let positives = Csr::from_rows(N_CLUSTERS as usize, (0..120u32).map(|row| vec![(row % 2, 1.0)])).unwrap();
    let candidates = Csr::from_rows(N_CLUSTERS as usize, (0..120).map(|_| vec![(0, 1.0), (1, 1.0)])).unwrap();
    let start = LevelHead::random(N_CLUSTERS as usize, 32, 5);
    let mut trainer = trainer(level(|params| params.n_steps = 3));
    let tokens = tokens(&open());
    let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &candidates };
    trainer.train(&problem, &NoProgress, |_, _| Ok::<_, Box<TransformerError>>(Flow::Continue)).unwrap();
    let head = trainer.head().unwrap();
    assert_eq!(head.weights[2 * 32..], start.weights[2 * 32..]);
    assert!(head.weights[..2 * 32].iter().zip(&start.weights).all(|(a, b)| a != b));
}

#[test]
fn a_head_of_another_width_and_a_damaged_checkpoint_are_refused() {
    let head = LevelHead::random(4, 31, 0);
    let error = LevelTrainer::new(open(), &head, LevelParams::default()).err().unwrap();
    assert!(matches!(error, TransformerError::Parameter { name: "head", .. }));
    let dir = tempfile::tempdir().unwrap();
    trainer(level(|_| ())).save(dir.path().join("checkpoint")).unwrap();
    // An encoder of other shapes.
    let other = Encoder::open(fixture().join("roberta"), &params()).unwrap();
    let error = LevelTrainer::resume(other, dir.path().join("checkpoint")).err().unwrap();
    assert!(matches!(error, TransformerError::TensorShape { .. }), "{error}");
    std::fs::remove_file(dir.path().join("checkpoint/optimizer.bin")).unwrap();
    let error = LevelTrainer::resume(open(), dir.path().join("checkpoint")).err().unwrap();
    assert!(matches!(error, TransformerError::Store(_)), "{error}");
}

#[test]
fn clusters_inherit_the_weights_of_the_cluster_above() {
    let above = LevelHead { n_dims: 2, weights: vec![1.0, 2.0, 3.0, 4.0], biases: vec![5.0, 6.0] };
    let head = LevelHead::inherit(&above, &[1, 0, 1]);
    assert_eq!((head.n_clusters(), &head.biases[..]), (3, &[6.0, 5.0, 6.0][..]));
    assert_eq!(head.weights, [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    let random = LevelHead::random(1000, 4, 1);
    let variance = random.weights.iter().map(|w| w * w).sum::<f32>() / 4000.0;
    assert!((variance.sqrt() - 0.02).abs() < 1e-3);
    assert_eq!(random, LevelHead::random(1000, 4, 1));
}
