//! The network against PyTorch and `transformers`: `data/tiny-bert` has what they compute (see `make.py` there).

use crate::batch::Batch;
use crate::network::{Dropout, Network, Products};
use crate::{DeviceChoice, Encoder, EncoderParams, Pooling};
use flate2::read::GzDecoder;
use safetensors::SafeTensors;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use xmc_sparse::NoProgress;

/// A folder of the fixture, and how many test titles it has token numbers of.
const FOLDERS: [(&str, usize); 4] = [("", 1000), ("distilbert", 100), ("roberta", 100), ("xlm-roberta", 100)];
const N_VECTORS: usize = 20;
const N_GRADIENT: usize = 8;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

fn open(folder: &str, pooling: Pooling) -> Encoder {
    let params = EncoderParams::default().device(DeviceChoice::Cpu).pooling(pooling);
    Encoder::open(data().join("tiny-bert").join(folder), &params).unwrap()
}

fn titles(n_titles: usize) -> Vec<String> {
    let file = File::open(data().join("finna-sample/test.tsv.gz")).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines().take(n_titles);
    lines.map(|line| line.unwrap().split_once('\t').unwrap().1.to_owned()).collect()
}

fn hard(folder: &str) -> Vec<String> {
    if folder == "xlm-roberta" {
        return Vec::new();
    }
    serde_json::from_slice(&fs::read(data().join("tiny-bert/hard.json")).unwrap()).unwrap()
}

/// What PyTorch has computed.
struct Expected(Vec<u8>);

impl Expected {
    fn of(folder: &str) -> Self {
        Self(fs::read(data().join("tiny-bert").join(folder).join("expected.safetensors")).unwrap())
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    fn numbers<const WIDTH: usize, T>(&self, name: &str, number: impl Fn([u8; WIDTH]) -> T) -> Vec<T> {
        let file = self.file();
        file.tensor(name)
            .unwrap()
            .data()
            .chunks_exact(WIDTH)
            .map(|bytes| number(bytes.try_into().unwrap()))
            .collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.numbers(name, f32::from_le_bytes)
    }

    fn ids(&self) -> Vec<Vec<u32>> {
        let ids = self.numbers("ids", |bytes| u32::from(u16::from_le_bytes(bytes)));
        let starts = self.numbers("starts", i32::from_le_bytes);
        starts.windows(2).map(|ends| ids[ends[0] as usize..ends[1] as usize].to_vec()).collect()
    }
}

#[test]
fn token_numbers_are_those_of_transformers() {
    for (folder, n_titles) in FOLDERS {
        let encoder = open(folder, Pooling::Mean);
        let texts = [titles(n_titles), hard(folder)].concat();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let (found, expected) = (encoder.tokenize(&texts), Expected::of(folder).ids());
        assert_eq!(found.n_rows(), expected.len());
        let wrong: Vec<_> = (0..texts.len())
            .filter(|&at| !is_blank(folder, texts[at]) && found.row(at) != expected[at])
            .collect();
        for &at in wrong.iter().take(5) {
            eprintln!("{folder} {:?}\n{:?}\n{:?}", texts[at], found.row(at), expected[at]);
        }
        assert!(wrong.is_empty(), "{folder}: {} of {} texts differ", wrong.len(), texts.len());
    }
}

/// RoBERTa has tokens for spaces, of which a text without anything else has none here.
fn is_blank(folder: &str, text: &str) -> bool {
    folder == "roberta" && text.trim().is_empty()
}

#[test]
fn vectors_are_those_of_pytorch() {
    for (folder, n_titles) in FOLDERS {
        // By PyTorch's token numbers, so that this is about the network alone.
        let ids = Expected::of(folder).ids();
        let rows = ids[..N_VECTORS].iter().chain(&ids[n_titles..]).collect();
        let rows: Vec<&Vec<u32>> = rows;
        for (pooling, name) in [(Pooling::Mean, "mean"), (Pooling::Cls, "cls")] {
            let encoder = open(folder, pooling);
            let mut found = vec![0.0; rows.len() * encoder.n_dims()];
            encoder.encode_tokens(&rows.iter().collect(), &NoProgress, &mut found).unwrap();
            let expected = Expected::of(folder).floats(name);
            assert_eq!(found.len(), expected.len());
            let chunks = found.chunks(encoder.n_dims()).zip(expected.chunks(encoder.n_dims()));
            for ((found, expected), row) in chunks.zip(&rows) {
                // A text without tokens has the vector zero here.
                if row.len() > 2 {
                    let furthest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(furthest < 1e-5, "{folder} {name}: off by {furthest}");
                } else {
                    assert!(found.iter().all(|&x| x == 0.0));
                }
            }
        }
    }
}

#[test]
fn gradients_of_all_parameters_are_those_of_pytorch() {
    for (folder, _) in FOLDERS {
        let encoder = open(folder, Pooling::Mean);
        let expected = Expected::of(folder);
        let tokens = expected.ids()[N_VECTORS..N_VECTORS + N_GRADIENT].iter().collect();
        let rows: Vec<u32> = (0..N_GRADIENT as u32).collect();
        let weights = encoder.weights();
        weights.values().for_each(|tensor| drop(tensor.set_requires_grad(true)));
        let network = Network::new(&encoder.config, &weights, Products::Full).unwrap();
        let batch = Batch::new(&tokens, &rows, encoder.config.padding_id, Device::Cpu).unwrap();
        let pooled = network.pooled(&batch, Pooling::Mean, Dropout::NONE).unwrap();
        let factors = Tensor::from_slice(&expected.floats("weights")).view_as(&pooled);
        (pooled * factors).sum(tch::Kind::Float).backward();
        for (name, tensor) in weights.iter() {
            let found = match name.contains("embeddings.weight") {
                true => rows_of(
                    &tensor.grad(),
                    &expected.numbers(&format!("grad.{name}.rows"), i64::from_le_bytes),
                ),
                false => floats(&tensor.grad()),
            };
            let expected = expected.floats(&format!("grad.{name}"));
            let off = distance(&found, &expected);
            // Keys' biases add the same to all scores of a token: their true gradient is 0, and what is left is rounding.
            let size = distance(&expected, &vec![0.0; expected.len()]).max(1e-2);
            assert!(off <= 1e-4 * size, "{folder} {name}: off by {off}, of {size}");
        }
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().view(-1)).unwrap()
}

/// The rows `rows`, after a look at the others: they are zero.
fn rows_of(tensor: &Tensor, rows: &[i64]) -> Vec<f32> {
    let chosen = tensor.index_select(0, &Tensor::from_slice(rows));
    let (all, some) = (tensor.abs().sum(tch::Kind::Double), chosen.abs().sum(tch::Kind::Double));
    assert!((all - some).abs().double_value(&[]) < 1e-6);
    floats(&chosen)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}
