//! Out and in again: directories and models.

use crate::{copy, encode, fixture, open, params};
use std::fs;
use xmc_store::ModelWriter;
use xmc_xrtransformer::{Encoder, Pooling};

const TEXTS: [&str; 2] = ["forest hydrology", "growing roses in cold climates"];

#[test]
fn a_directory_gives_the_same_encoder_again() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = Encoder::open(fixture(), &params().pooling(Pooling::Cls)).unwrap();
    encoder.save(dir.path().join("new")).unwrap();
    let again = Encoder::open(dir.path().join("new"), &params()).unwrap();
    assert_eq!(again.params().pooling, Pooling::Cls);
    assert_eq!(again.fingerprint(), encoder.fingerprint());
    assert_eq!(encode(&again, &TEXTS), encode(&encoder, &TEXTS));
    // Saved over itself.
    again.save(dir.path().join("new")).unwrap();
    assert!(!dir.path().join("new/config.json.tmp").exists());
}

#[test]
fn a_model_gives_the_same_encoder_again() {
    let encoder = Encoder::open(fixture(), &params().max_length(32)).unwrap();
    let writer = ModelWriter::in_memory();
    encoder.save_parts(&writer, "encoder/0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let memory = writer.commit(&()).unwrap();
    let disk = memory.save(dir.path().join("model")).unwrap();
    for container in [&memory, &disk] {
        let stored = Encoder::stored_params(container, "encoder/0").unwrap();
        assert_eq!((stored.max_length, stored.pooling), (32, Pooling::Mean));
        let again = Encoder::load_parts(container, "encoder/0", &stored.device(params().device)).unwrap();
        assert_eq!(again.fingerprint(), encoder.fingerprint());
        assert_eq!(encode(&again, &TEXTS), encode(&encoder, &TEXTS));
    }
}

#[test]
fn prefixes_and_half_precision_are_read() {
    let dir = copy();
    let file = dir.path().join("model.safetensors");
    let tensors = tch::Tensor::read_safetensors(&file).unwrap();
    let renamed: Vec<_> = tensors.iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
    tch::Tensor::write_safetensors(&renamed, &file).unwrap();
    let with_prefix = Encoder::open(dir.path(), &params()).unwrap();
    assert_eq!(with_prefix.fingerprint(), open().fingerprint());
    let half: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor.to_kind(tch::Kind::Half))).collect();
    tch::Tensor::write_safetensors(&half, &file).unwrap();
    let half = encode(&Encoder::open(dir.path(), &params()).unwrap(), &TEXTS);
    assert!(crate::furthest(&half[0], &encode(&open(), &TEXTS)[0]) < 1e-2);
}

#[test]
fn case_is_kept_where_the_tokenizer_says_so() {
    let dir = copy();
    fs::write(dir.path().join("tokenizer_config.json"), r#"{"do_lower_case": false}"#).unwrap();
    let cased = Encoder::open(dir.path(), &params()).unwrap();
    assert_ne!(cased.tokenize(&["Forest"]), cased.tokenize(&["forest"]));
    assert_eq!(open().tokenize(&["Forest"]), open().tokenize(&["forest"]));
}
