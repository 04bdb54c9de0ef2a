//! Encoders in the command: frozen, fine-tuned, distilled.

use crate::scene::{Scene, titles};

#[test]
fn a_directory_without_an_encoder_is_refused_and_nothing_is_written() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(40));
    std::fs::create_dir(scene.path("nothing")).unwrap();
    let ran = scene.run(&["train", "--train", "train.tsv", "--model", "m", "--encoder", "nothing"]);
    assert!(ran.message(1).contains("config.json"), "{}", ran.message(1));
    let ran = scene.run(&["train", "--train", "train.tsv", "--model", "m", "--encoder-mode", "static"]);
    assert!(ran.message(2).contains("needs --encoder"), "{}", ran.message(2));
    let ran = scene.run(&["train", "--train", "train.tsv", "--model", "m", "--embedding-cache", "cache"]);
    assert!(ran.message(2).contains("give --encoder"), "{}", ran.message(2));
    let ran = scene.run(&["encode", "--encoder", "absent", "train.tsv", "--output", "x.npy"]);
    assert!(ran.message(1).contains("absent"), "{}", ran.message(1));
    assert_eq!(scene.names(), ["nothing", "train.tsv"]);
}

#[cfg(not(feature = "transformer"))]
#[test]
fn a_build_without_transformers_says_what_it_lacks() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(40));
    std::fs::create_dir(scene.path("bert")).unwrap();
    scene.write("bert/config.json", "{}");
    let ran = scene.run(&["train", "--train", "train.tsv", "--model", "m", "--encoder", "bert"]);
    assert!(ran.message(1).contains("--features transformer"), "{}", ran.message(1));
}

#[cfg(feature = "transformer")]
mod transformer {
    use super::titles;
    use crate::scene::Scene;

    const SMALL_TREE: [&str; 4] = ["--branching", "2", "--max-leaf", "2"];

    /// An encoder of random weights, and data.
    fn scene() -> Scene {
        let scene = Scene::new();
        scene.write("train.tsv", titles(200));
        scene.write("test.tsv", titles(80));
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tiny-bert");
        std::fs::create_dir(scene.path("bert")).unwrap();
        for name in ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"] {
            std::fs::copy(from.join(name), scene.path("bert").join(name)).unwrap();
        }
        scene
    }

    fn train(scene: &Scene, model: &str, options: &[&str]) {
        let train =
            ["train", "--train", "train.tsv", "--model", model, "--encoder", "bert", "--no-timestamps"];
        scene.run(&[&train[..], &SMALL_TREE, options].concat()).ok();
    }

    #[test]
    fn a_frozen_encoder_is_part_of_the_model() {
        let scene = scene();
        train(&scene, "m", &["--embedding-cache", "cache"]);
        train(&scene, "again", &["--embedding-cache", "cache"]);
        train(&scene, "without", &[]);
        assert!(scene.bytes_of("m") == scene.bytes_of("again"), "from the cache");
        assert!(scene.bytes_of("m") == scene.bytes_of("without"), "without a cache");
        std::fs::remove_dir_all(scene.path("bert")).unwrap();
        let eval = ["eval", "--model", "m", "--test", "test.tsv", "--json"];
        let scores = scene.run(&eval).ok();
        for _ in 0..2 {
            let again = scene.run(&[&eval[..], &["--embedding-cache", "cache"]].concat()).ok();
            assert_eq!(scores, again);
        }
        let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
        assert!(scores["p@1"].as_f64() > Some(60.0), "{scores}");
        let answer = scene.run_on(&["predict", "--model", "m", "--top-k", "1", "-"], "rose and petal\n").ok();
        assert!(answer.contains("roses"), "{answer}");
        let inspected = scene.run(&["inspect", "--model", "m"]).ok();
        assert!(inspected.contains("32 dense") && inspected.contains("a transformer"), "{inspected}");
    }

    #[test]
    fn the_encoder_of_a_model_serves_another_one() {
        let scene = scene();
        train(&scene, "m", &[]);
        let again = ["train", "--train", "train.tsv", "--model", "n", "--encoder", "m", "--no-timestamps"];
        scene.run(&[&again[..], &SMALL_TREE].concat()).ok();
        let ranked = |model| scene.run(&["predict", "--model", model, "test.tsv"]).ok();
        assert_eq!(ranked("m"), ranked("n"));
        scene.run(&["train", "--train", "train.tsv", "--model", "plain"]).ok();
        let ran = scene.run(&["encode", "--encoder", "plain", "train.tsv", "--output", "x.npy"]);
        assert!(ran.message(1).contains("a model with an encoder"), "{}", ran.message(1));
    }

    #[test]
    fn embeddings_can_be_written_and_trained_on() {
        let scene = scene();
        scene.run(&["encode", "--encoder", "bert", "train.tsv", "--output", "x.npy"]).ok();
        let train = ["train", "--train", "train.tsv", "--dense", "x.npy", "--model", "m"];
        scene.run(&[&train[..], &SMALL_TREE].concat()).ok();
    }

    #[test]
    fn a_table_stands_in_for_its_encoder() {
        let scene = scene();
        let told =
            scene.run(&["distill", "--encoder", "bert", "--train", "train.tsv", "--out", "table"]).ok();
        assert!(told.contains("mean cosine"), "{told}");
        let train = ["train", "--train", "train.tsv", "--model", "m", "--encoder", "table"];
        scene.run(&[&train[..], &SMALL_TREE].concat()).ok();
        let answer = scene.run_on(&["predict", "--model", "m", "--top-k", "1", "-"], "rose and petal\n").ok();
        assert!(answer.contains("roses"), "{answer}");
    }

    #[test]
    fn a_training_can_make_the_table_itself() {
        let scene = scene();
        train(&scene, "m", &["--encoder-mode", "static"]);
        let inspected = scene.run(&["inspect", "--model", "m"]).ok();
        assert!(inspected.contains("a table") && inspected.contains("of length 0.5"), "{inspected}");
        scene.run(&["distill", "--encoder", "bert", "--train", "train.tsv", "--out", "table"]).ok();
        let train = ["train", "--train", "train.tsv", "--model", "n", "--encoder", "table"];
        let static_too = ["--encoder-mode", "static", "--no-timestamps"];
        scene.run(&[&train[..], &SMALL_TREE, &static_too].concat()).ok();
        let ranked = |model| scene.run(&["predict", "--model", model, "test.tsv"]).ok();
        assert_eq!(ranked("m"), ranked("n"));
    }

    #[test]
    fn without_an_encoder_a_small_one_is_trained_from_nothing() {
        let scene = scene();
        let train = ["train", "--train", "train.tsv", "--model", "m", "--encoder-mode", "fine-tune"];
        let few = ["--steps", "3", "--part-size", "8", "--level-loss", "hinge", "--device", "cpu", "--bf16"];
        scene.run(&[&train[..], &SMALL_TREE, &few].concat()).ok();
        let inspected = scene.run(&["inspect", "--model", "m"]).ok();
        assert!(inspected.contains("128 dense") && inspected.contains("a transformer"), "{inspected}");
        let answer = scene.run_on(&["predict", "--model", "m", "--top-k", "1", "-"], "rose and petal\n").ok();
        assert!(answer.contains("roses"), "{answer}");
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let scene = scene();
        let ran = scene.run(&[
            "encode",
            "--encoder",
            "bert",
            "train.tsv",
            "--output",
            "x.npy",
            "--device",
            "cuda:77",
        ]);
        assert!(ran.message(1).contains("cuda:77"), "{}", ran.message(1));
        let ran =
            scene.run(&["encode", "--encoder", "bert", "train.tsv", "--output", "x.npy", "--device", "tpu"]);
        assert!(ran.stderr().contains("cuda:N"), "{}", ran.stderr());
        train(&scene, "m", &["--encoder-pooling", "cls"]);
        let params = scene.run(&["inspect", "--model", "m", "--params"]).ok();
        assert!(params.contains("pooling = \"cls\""), "{params}");
    }

    #[test]
    fn a_fine_tuned_encoder_is_that_of_the_run_however_often_it_was_resumed() {
        let scene = scene();
        let tune =
            ["--encoder-mode", "fine-tune", "--steps", "6,4", "--run-dir", "run", "--valid", "test.tsv"];
        train(&scene, "frozen", &["--embedding-cache", "cache"]);
        train(&scene, "m", &[&tune[..], &["--embedding-cache", "cache"]].concat());
        let encoders_in_cache = || std::fs::read_dir(scene.path("cache")).unwrap().count();
        assert_eq!(encoders_in_cache(), 2, "the one before and the one after");
        let known = ["--encoder", "m", "--embedding-cache", "cache"];
        scene
            .run(&[&["train", "--train", "train.tsv", "--model", "o"][..], &known, &SMALL_TREE].concat())
            .ok();
        assert_eq!(encoders_in_cache(), 2, "the finished one is known again");
        let again =
            [&["train", "--train", "train.tsv", "--model", "n", "--encoder", "bert"], &tune[..]].concat();
        let refused = scene.run(&again);
        assert!(refused.message(2).contains("--resume"), "{}", refused.message(2));
        train(&scene, "n", &[&tune[..], &["--resume"]].concat());
        assert!(scene.bytes_of("m") == scene.bytes_of("n"));
        // Eight labels are one level.
        assert_eq!(scene.read("run/curve.jsonl").lines().count(), 1);
        train(&scene, "alone", &["--encoder-mode", "fine-tune", "--steps", "3", "--vectorizer", "none"]);
        scene.run(&["predict", "--model", "alone", "test.tsv"]).ok();
    }
}
