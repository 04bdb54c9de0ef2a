//! Using an encoder: tokens, batches, vectors.
//!
//! On a processor each batch stays on one thread, and threads take batches: no thread waits for another one inside an
//! operation, and the result does not depend on how many there are.

use crate::batch::{self, Batch};
use crate::network::Dropout;
use crate::tokens::TokenRows;
use crate::{Encoder, TransformerError};
use rayon::prelude::*;
use xmc_embed::TextEncoder;
use xmc_sparse::Progress;

type Result<T> = std::result::Result<T, TransformerError>;

/// Texts that are tokenised at a time: enough of each length for full batches, and little memory.
const WINDOW: usize = 1 << 16;
/// Tokens of a text of which nothing is known: what begins and what ends it.
const N_ENDS: usize = 2;

/// How long vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// As they come out of the network.
    Own,
    /// All of length 1.
    Unit,
}

impl TextEncoder for Encoder {
    type Error = TransformerError;

    fn n_dims(&self) -> usize {
        Encoder::n_dims(self)
    }

    fn fingerprint(&self) -> u64 {
        Encoder::fingerprint(self)
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress, out: &mut [f32]) -> Result<()> {
        self.check_output(texts.len(), out)?;
        for (texts, out) in texts.chunks(WINDOW).zip(out.chunks_mut(WINDOW * self.n_dims())) {
            self.encode_rows(&self.tokenize(texts), Scale::Unit, progress, out)?;
        }
        Ok(())
    }
}

impl Encoder {
    /// The vectors of texts of which the tokens are known, row by row into `out` (`n_rows × n_dims`): of length 1, or zero
    /// for a text without tokens of its own. Reports finished texts.
    ///
    /// # Errors
    /// [`TransformerError::OutputLength`], [`TransformerError::OutOfMemory`], [`TransformerError::Torch`].
    pub fn encode_tokens(&self, tokens: &TokenRows, progress: &dyn Progress, out: &mut [f32]) -> Result<()> {
        self.check_output(tokens.n_rows(), out)?;
        self.encode_rows(tokens, Scale::Unit, progress, out)
    }

    /// As [`Encoder::encode_tokens`], but of the length that they have: what a label head sees.
    pub(crate) fn pool_tokens(
        &self,
        tokens: &TokenRows,
        progress: &dyn Progress,
        out: &mut [f32],
    ) -> Result<()> {
        self.check_output(tokens.n_rows(), out)?;
        self.encode_rows(tokens, Scale::Own, progress, out)
    }

    fn check_output(&self, n_texts: usize, out: &[f32]) -> Result<()> {
        let (expected, found) = (n_texts * self.n_dims(), out.len());
        if expected == found { Ok(()) } else { Err(TransformerError::OutputLength { expected, found }) }
    }

    fn encode_rows(
        &self,
        tokens: &TokenRows,
        scale: Scale,
        progress: &dyn Progress,
        out: &mut [f32],
    ) -> Result<()> {
        out.fill(0.0);
        let mut order = batch::by_length(tokens);
        let n_unknown = order.partition_point(|&row| tokens.len(row as usize) <= N_ENDS);
        progress.advance(n_unknown as u64);
        order.drain(..n_unknown);
        let mut rows: Vec<_> = out.chunks_exact_mut(self.n_dims()).map(Some).collect();
        let mut rows: Vec<_> = order.iter().filter_map(|&row| rows[row as usize].take()).collect();
        let mut jobs = Vec::new();
        let mut rest = &mut rows[..];
        for range in batch::plan(tokens, &order, self.batch_tokens()) {
            let (rows, others) = rest.split_at_mut(range.len());
            rest = others;
            jobs.push((&order[range], rows));
        }
        // The longest first: what remains for the end is short.
        jobs.reverse();
        let run = |(texts, rows): (&[u32], &mut [&mut [f32]])| {
            self.encode_batch((tokens, scale, progress), texts, rows, &|texts| self.vectors(tokens, texts))?;
            progress.advance(texts.len() as u64);
            Ok(())
        };
        if self.device.is_cuda() {
            return jobs.into_iter().try_for_each(run);
        }
        jobs.into_par_iter().with_max_len(1).try_for_each(|job| {
            // For this thread; it costs next to nothing.
            tch::set_num_threads(1);
            run(job)
        })
    }

    /// One batch by `vectors`, in halves where it does not fit into memory.
    fn encode_batch(
        &self,
        (tokens, scale, progress): (&TokenRows, Scale, &dyn Progress),
        texts: &[u32],
        rows: &mut [&mut [f32]],
        vectors: &dyn Fn(&[u32]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let longest = texts.last().map_or(0, |&row| tokens.len(row as usize));
        let padded = texts.len() * longest;
        if padded <= self.batch_tokens() || texts.len() == 1 {
            match vectors(texts) {
                Err(error) if error.is_out_of_memory() => match texts.len() {
                    1 => {
                        return Err(TransformerError::OutOfMemory {
                            device: self.device(),
                            n_tokens: longest,
                        });
                    }
                    _ if self.lower_batch_tokens(padded / 2) => progress.note(&format!(
                        "{} has too little memory for {padded} tokens at a time: going on with fewer",
                        self.device()
                    )),
                    _ => {}
                },
                Err(error) => return Err(error),
                Ok(vectors) => {
                    copy_into(&vectors, scale, rows);
                    return Ok(());
                }
            }
        }
        let half = texts.len() / 2;
        let (first, second) = rows.split_at_mut(half);
        self.encode_batch((tokens, scale, progress), &texts[..half], first, vectors)?;
        self.encode_batch((tokens, scale, progress), &texts[half..], second, vectors)
    }

    fn vectors(&self, tokens: &TokenRows, texts: &[u32]) -> Result<Vec<f32>> {
        let pooling = self.params().pooling;
        let pooled = self.with_network(|network| {
            tch::no_grad(|| {
                let batch = Batch::new(tokens, texts, self.config.padding_id, self.device)?;
                network.pooled(&batch, pooling, Dropout::NONE)
            })
        })?;
        let mut vectors = vec![0.0; texts.len() * self.n_dims()];
        pooled
            .f_to_device(tch::Device::Cpu)?
            .f_contiguous()?
            .f_copy_data(&mut vectors, texts.len() * self.n_dims())?;
        Ok(vectors)
    }
}

/// Copies vectors to their rows.
fn copy_into(vectors: &[f32], scale: Scale, rows: &mut [&mut [f32]]) {
    let n_dims = vectors.len() / rows.len();
    for (row, vector) in rows.iter_mut().zip(vectors.chunks_exact(n_dims)) {
        let norm = match scale {
            Scale::Own => 1.0,
            Scale::Unit => vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12),
        };
        row.iter_mut().zip(vector).for_each(|(to, x)| *to = x / norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceChoice, EncoderParams};
    use std::sync::Mutex;
    use xmc_sparse::NoProgress;

    fn encoder() -> Encoder {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/tiny-bert");
        Encoder::open(dir, &EncoderParams::default().device(DeviceChoice::Cpu)).unwrap()
    }

    /// Encodes texts of 4 tokens on a device with room for `room` of them; what was tried, and the first value of each text.
    fn with_room(room: usize, n_texts: usize) -> (Result<()>, Vec<usize>, Vec<f32>, usize) {
        let (encoder, tried) = (encoder(), Mutex::new(Vec::new()));
        let tokens: TokenRows = (0..n_texts).map(|_| [2, 5, 6, 3]).collect();
        let texts: Vec<u32> = (0..n_texts as u32).collect();
        let mut out = vec![0.0; n_texts * 32];
        let mut rows: Vec<_> = out.chunks_exact_mut(32).collect();
        let result = encoder.encode_batch((&tokens, Scale::Own, &NoProgress), &texts, &mut rows, &|texts| {
            tried.lock().unwrap().push(texts.len());
            match texts.len() <= room {
                true => Ok(texts.iter().flat_map(|&text| [text as f32; 32]).collect()),
                false => {
                    Err(tch::TchError::Torch("CUDA out of memory. Tried to allocate 2 GiB".to_owned()).into())
                }
            }
        });
        let firsts = out.chunks_exact(32).map(|row| row[0]).collect();
        (result, tried.into_inner().unwrap(), firsts, encoder.batch_tokens())
    }

    #[test]
    fn a_batch_that_does_not_fit_is_halved_and_later_ones_are_smaller() {
        let (result, tried, firsts, batch_tokens) = with_room(3, 10);
        result.unwrap();
        assert_eq!(firsts, (0..10).map(|text| text as f32).collect::<Vec<_>>());
        // Halves of what has failed are tried, and of the second half nothing that is larger.
        assert_eq!((tried, batch_tokens), (vec![10, 5, 2, 1, 2, 2, 1, 2], 10));
    }

    #[test]
    fn a_text_that_does_not_fit_alone_is_an_error() {
        let (result, ..) = with_room(0, 2);
        assert!(matches!(result, Err(TransformerError::OutOfMemory { n_tokens: 4, .. })));
    }
}
