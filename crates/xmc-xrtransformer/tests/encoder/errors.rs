//! One test for each way that an encoder's files can be wrong.

use crate::{copy, params};
use std::fs;
use std::path::Path;
use tch::Tensor;
use xmc_xrtransformer::{DeviceChoice, Encoder, TransformerError};

fn error(dir: &Path) -> TransformerError {
    Encoder::open(dir, &params()).unwrap_err()
}

/// The error for a changed set of weights.
fn with_weights(change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> TransformerError {
    let dir = copy();
    let file = dir.path().join("model.safetensors");
    let mut tensors = Tensor::read_safetensors(&file).unwrap();
    change(&mut tensors);
    Tensor::write_safetensors(&tensors, &file).unwrap();
    error(dir.path())
}

fn replace(tensors: &mut [(String, Tensor)], name: &str, with: impl FnOnce(&Tensor) -> Tensor) {
    let (_, tensor) = tensors.iter_mut().find(|(found, _)| found == name).unwrap();
    *tensor = with(tensor);
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "model.safetensors"] {
        let dir = copy();
        fs::remove_file(dir.path().join(file)).unwrap();
        match error(dir.path()) {
            TransformerError::Io { path, .. } => assert_eq!(path, dir.path().join(file)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_directory_without_vocabulary_says_what_would_do() {
    let dir = copy();
    fs::remove_file(dir.path().join("vocab.txt")).unwrap();
    let error = error(dir.path());
    assert!(matches!(error, TransformerError::VocabularyMissing { .. }));
    assert!(error.to_string().contains("sentencepiece.bpe.model"));
}

#[test]
fn damaged_weights_are_refused() {
    let dir = copy();
    let file = dir.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    for damaged in
        [&bytes[..bytes.len() - 1], &bytes[..100], &bytes[..4], b"version https://git-lfs.github.com/spec/v1"]
    {
        fs::write(&file, damaged).unwrap();
        assert!(matches!(error(dir.path()), TransformerError::Weights { .. }));
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let name = "encoder.layer.1.output.dense.bias";
    let error = with_weights(|tensors| tensors.retain(|(found, _)| found != name));
    assert!(
        matches!(&error, TransformerError::TensorMissing { name: found, .. } if found == name),
        "{error}"
    );
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both() {
    let name = "embeddings.word_embeddings.weight";
    let error =
        with_weights(|tensors| replace(tensors, name, |tensor| tensor.narrow(0, 0, 100).contiguous()));
    let message = error.to_string();
    assert!(matches!(error, TransformerError::TensorShape { .. }));
    assert!(message.ends_with(&format!("'{name}' has the shape [100, 32], expected [640, 32]")), "{message}");
}

#[test]
fn tensors_of_whole_numbers_and_of_nan_are_refused() {
    let name = "embeddings.LayerNorm.bias";
    let error = with_weights(|tensors| replace(tensors, name, |tensor| tensor.to_kind(tch::Kind::Int)));
    assert!(matches!(error, TransformerError::TensorKind { .. }));
    let error = with_weights(|tensors| replace(tensors, name, |tensor| tensor * f64::NAN));
    assert!(matches!(error, TransformerError::TensorNonFinite { .. }));
}

#[test]
fn a_vocabulary_larger_than_the_table_is_refused() {
    let dir = copy();
    let file = dir.path().join("vocab.txt");
    let words = fs::read_to_string(&file).unwrap() + "another\n";
    fs::write(&file, words).unwrap();
    let error = error(dir.path());
    assert!(
        matches!(error, TransformerError::VocabularyTooLarge { expected: 640, found: 640, .. }),
        "{error}"
    );
}

#[test]
fn a_vocabulary_without_the_special_tokens_is_refused() {
    let dir = copy();
    fs::write(dir.path().join("vocab.txt"), "just\nwords\n").unwrap();
    assert!(matches!(error(dir.path()), TransformerError::VocabularyInvalid { .. }));
}

#[test]
fn an_unknown_architecture_is_named() {
    let dir = copy();
    let file = dir.path().join("config.json");
    let config =
        fs::read_to_string(&file).unwrap().replace(r#""model_type": "bert""#, r#""model_type": "gpt2""#);
    fs::write(&file, config).unwrap();
    let error = error(dir.path());
    assert!(
        matches!(&error, TransformerError::UnknownArchitecture { found, .. } if found == "gpt2"),
        "{error}"
    );
}

#[test]
fn settings_that_are_not_json_are_refused() {
    for file in ["config.json", "tokenizer_config.json"] {
        let dir = copy();
        fs::write(dir.path().join(file), "{").unwrap();
        match error(dir.path()) {
            TransformerError::Json { path, .. } => assert_eq!(path, dir.path().join(file)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn texts_longer_than_the_model_has_positions_for_are_refused() {
    let error = Encoder::open(crate::fixture(), &params().max_length(129)).unwrap_err();
    assert_eq!(error.to_string(), "max_length is 129, expected 3 to 128, the positions of the model");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let error = Encoder::open(crate::fixture(), &params().device(DeviceChoice::Cuda(99))).unwrap_err();
    assert!(matches!(error, TransformerError::DeviceMissing { .. }));
}
