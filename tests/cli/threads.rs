//! Whatever is asked for, a model does not depend on the number of threads.

use crate::scene::Scene;

/// Options that take another way through training, each alone.
const OPTIONS: [&[&str]; 22] = [
    &["--negatives", "man"],
    &["--negatives", "tfn,tfn+man"],
    &["--loss", "hinge"],
    &["--loss", "logistic"],
    &["--relevance-mode", "induce"],
    &["--relevance-mode", "ranker-only", "--relevance-norm", "max"],
    &["--tail-weights"],
    &["--cp", "2,1", "--cn", "0.5", "--eps", "0.01"],
    &["--max-nonzeros", "20"],
    &["--weights", "f32", "--threshold", "0.05"],
    &["--label-rows", "0"],
    &["--label-features", "pii"],
    &["--label-features", "pifa-lf-concat"],
    &["--label-features", "pifa-lf-convex"],
    &["--clustering", "kmeans", "--branching", "6"],
    &["--clustering", "none"],
    &["--sampling"],
    &["--kmeans-tolerance", "0.05", "--spherical=false"],
    &["--trees", "3", "--combine", "rank-average"],
    &["--copies", "2", "--rounds", "2"],
    &["--copies", "3", "--keep-upper", "--folds", "1", "--copy-rule", "topk"],
    &["--vectorizer", "words:1", "--vectorizer", "char_wb:3-4,min-df=2"],
];

#[test]
fn no_option_makes_a_model_depend_on_the_threads() {
    let scene = Scene::new();
    let synth = ["synth", "multi-sense", "--out", "data", "--train", "900", "--test", "1", "--words", "1500"];
    scene.run(&[&synth[..], &["--topics", "12", "--labels-per-topic", "10"]].concat()).ok();
    let names = (0..80).map(|label| format!("l{label:02}\tw{:04} w{label:04}\n", 1499 - label));
    scene.write("labels.tsv", names.collect::<String>());
    for options in OPTIONS {
        for threads in ["1", "2"] {
            let train = ["train", "--train", "data/train.tsv", "--labels", "labels.tsv", "--model", threads];
            let small = ["--max-leaf", "8", "--no-timestamps", "--threads", threads];
            // What is given twice is an error: these have a tree of their own.
            let branching: &[&str] =
                if options.contains(&"--branching") { &[] } else { &["--branching", "4"] };
            scene.run(&[&train[..], &small, branching, options].concat()).ok();
        }
        assert!(scene.bytes_of("1") == scene.bytes_of("2"), "{options:?}");
    }
}
