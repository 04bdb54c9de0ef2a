//! Finished models with fewer bits and fewer weights.

use crate::problem::{Problem, SMALL, Shape, exact, fit, predict, train};
use xmc_sparse::NoProgress;
use xmc_store::{Container, ModelWriter};
use xmc_tree::SearchParams;
use xmc_xrlinear::{Compression, WeightType, XrLinear, XrLinearError, XrLinearParams};

fn compress(model: &XrLinear, compression: &Compression) -> (Container, u64) {
    let writer = ModelWriter::in_memory();
    let n_weights = model.compress(compression, &writer, "matcher", &NoProgress).unwrap();
    (writer.commit(&()).unwrap(), n_weights)
}

fn section_bytes(container: &Container) -> Vec<(String, u64)> {
    container.manifest().sections.iter().map(|section| (section.name.clone(), section.xxh3)).collect()
}

fn problem() -> Problem {
    Problem::random(Shape { n_samples: 400, n_sparse: 300, n_dense: 3, tree: &[5, 25, 700] }, 21)
}

#[test]
fn fewer_bits_are_what_training_with_fewer_bits_writes() {
    let (problem, full) = (problem(), exact());
    let model = fit(&problem, full.clone());
    for kind in [WeightType::Int8, WeightType::Bf16, WeightType::F32] {
        let compression = Compression { weights: Some(kind), threshold: 0.0 };
        let (compressed, n_weights) = compress(&model, &compression);
        assert_eq!(section_bytes(&compressed), section_bytes(&train(&problem, full.clone().weights(kind))));
        let compressed = XrLinear::open(&compressed, "matcher").unwrap();
        assert_eq!(compressed.weight_type(), kind);
        let sum =
            |of: fn(&xmc_xrlinear::LayerWeights) -> u64| compressed.layers().iter().map(of).sum::<u64>();
        assert_eq!(n_weights, sum(|layer| layer.n_weights()));
        assert_eq!(model.compressed_bytes(&compression).unwrap(), sum(|layer| layer.n_bytes() as u64));
    }
}

#[test]
fn bytes_predict_nearly_the_same() {
    let problem = Problem::random(Shape { n_samples: 300, tree: &[6, 60], ..SMALL }, 23);
    let full = fit(&problem, exact());
    let bytes = fit(&problem, exact().weights(WeightType::Int8));
    let of = |model: &XrLinear| predict(model, &problem.x, SearchParams::default());
    let (of_full, of_bytes) = (of(&full), of(&bytes));
    let same = of_full.iter().zip(&of_bytes).filter(|(a, b)| a[0].id == b[0].id).count();
    assert!((288..300).contains(&same) || of_full != of_bytes, "{same} of 300 first labels agree");
    assert!(same >= 288, "{same} of 300 first labels agree");
    let n_bytes = |model: &XrLinear| model.layers().iter().map(|layer| layer.n_bytes()).sum::<usize>();
    assert!(n_bytes(&bytes) < n_bytes(&fit(&problem, exact().weights(WeightType::Bf16))));
}

#[test]
fn small_weights_are_left_out() {
    let problem = problem();
    let model = fit(&problem, exact());
    let pruned = exact().svm(exact().svm.map(|svm| svm.threshold(0.2)));
    let (compressed, n_weights) = compress(&model, &Compression { weights: None, threshold: 0.2 });
    assert_eq!(section_bytes(&compressed), section_bytes(&train(&problem, pruned)));
    let all: u64 = model.layers().iter().map(|layer| layer.n_weights()).sum();
    assert!(n_weights < all && n_weights > 0, "{n_weights} of {all}");
    let largest = model.largest_weight().unwrap();
    let (_, none) = compress(&model, &Compression { weights: None, threshold: largest * 1.01 });
    let (_, one) = compress(&model, &Compression { weights: None, threshold: largest });
    assert!(none == 0 && one >= 1);
}

#[test]
fn damage_is_found() {
    let problem = problem();
    let written = train(&problem, XrLinearParams::default());
    let writer = ModelWriter::in_memory();
    for section in &written.manifest().sections {
        let name = &section.name;
        match name.rsplit('/').next().unwrap() {
            "records" => {
                let mut bytes = written.array::<u8>(name).unwrap().to_vec();
                bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(37).wrapping_add(11));
                writer.put_array(name, &bytes).unwrap();
            }
            "info" => {}
            "blocks" => writer.put_array(name, &written.array::<u64>(name).unwrap()).unwrap(),
            "bias" | "dense" => writer.put_array(name, &written.array::<f32>(name).unwrap()).unwrap(),
            _ => writer.put_array(name, &written.array::<u32>(name).unwrap()).unwrap(),
        }
    }
    // The info section is that of a model of the same shape.
    let info: (u64, u64, u64, u64, WeightType, u64) = written.record("matcher/info").unwrap();
    writer.put_record("matcher/info", &info).unwrap();
    let model = XrLinear::open(&writer.commit(&()).unwrap(), "matcher").unwrap();
    let damaged = model.compressed_bytes(&Compression { weights: Some(WeightType::Int8), threshold: 0.0 });
    assert!(matches!(damaged, Err(XrLinearError::Inconsistent { .. })), "{damaged:?}");
}
