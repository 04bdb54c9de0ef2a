//! Texts that go through the network together.
//!
//! The time of a batch is that of its longest text times its texts. Texts of equal length together need neither padding nor
//! a mask, so texts are taken in the order of their lengths.

use crate::TransformerError;
use crate::tokens::TokenRows;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

type Result<T> = std::result::Result<T, TransformerError>;

/// Token numbers of some texts, the short ones filled up to the longest.
pub(crate) struct Batch {
    /// texts × length.
    ids: Tensor,
    /// texts × length × 1: 1 for a token and 0 for padding; none where there is no padding.
    mask: Option<Tensor>,
    /// Tokens of each text, texts × 1; none where all have the same.
    counts: Option<Tensor>,
    length: i64,
}

impl Batch {
    /// A batch of the rows `rows` of `tokens` on `device`; there is at least one, and none is empty.
    pub(crate) fn new(tokens: &TokenRows, rows: &[u32], padding_id: i64, device: Device) -> Result<Self> {
        let lengths: Vec<_> = rows.iter().map(|&row| tokens.len(row as usize)).collect();
        let longest = lengths.iter().copied().max().expect("invariant: a batch has texts");
        let mut ids = vec![padding_id; rows.len() * longest];
        for (&row, ids) in rows.iter().zip(ids.chunks_exact_mut(longest)) {
            ids.iter_mut().zip(tokens.row(row as usize)).for_each(|(to, &id)| *to = i64::from(id));
        }
        let shape = [rows.len() as i64, longest as i64];
        let ids = Tensor::f_from_slice(&ids)?.f_view(shape)?.f_to_device(device)?;
        if lengths.iter().all(|&length| length == longest) {
            return Ok(Self { ids, mask: None, counts: None, length: shape[1] });
        }
        let counts: Vec<_> = lengths.iter().map(|&length| length as f32).collect();
        let counts = Tensor::f_from_slice(&counts)?.f_view([shape[0], 1])?.f_to_device(device)?;
        let places = Tensor::f_arange(shape[1], (Kind::Float, device))?;
        let mask = places.f_lt_tensor(&counts)?.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?;
        Ok(Self { ids, mask: Some(mask), counts: Some(counts), length: shape[1] })
    }

    pub(crate) fn ids(&self) -> &Tensor {
        &self.ids
    }

    pub(crate) fn length(&self) -> i64 {
        self.length
    }

    /// What is added to attention scores, texts × 1 × length × length: 0, and −∞ for padding, which so has a weight of
    /// exactly 0.
    pub(crate) fn attention_mask(&self) -> Result<Option<Tensor>> {
        let Some(mask) = &self.mask else { return Ok(None) };
        let texts = mask.size()[0];
        let added = mask.f_log()?.f_view([texts, 1, 1, self.length])?;
        Ok(Some(added.f_expand([texts, 1, self.length, self.length], false)?))
    }

    /// The mean of the vectors of each text's tokens.
    pub(crate) fn mean(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.mask, &self.counts) {
            (Some(mask), Some(counts)) => {
                Ok(x.f_mul(mask)?.f_sum_dim_intlist(1, false, None)?.f_div(counts)?)
            }
            _ => Ok(x.f_mean_dim(1, false, None)?),
        }
    }
}

/// The rows of `tokens` in the order of their lengths.
pub(crate) fn by_length(tokens: &TokenRows) -> Vec<u32> {
    let mut order: Vec<u32> = (0..tokens.n_rows() as u32).collect();
    order.sort_by_key(|&row| tokens.len(row as usize));
    order
}

/// Cuts `order` (rows by length) into batches of at most `max_tokens`, padding included, or of one text.
///
/// A batch also ends where padding would be more than an eighth of it: a further batch costs less.
pub(crate) fn plan(tokens: &TokenRows, order: &[u32], max_tokens: usize) -> Vec<Range<usize>> {
    let length = |at: usize| tokens.len(order[at] as usize);
    let mut batches = Vec::new();
    let (mut start, mut real) = (0, 0);
    for end in 0..order.len() {
        // With the text at `end`, the longest so far.
        let padded = (end + 1 - start) * length(end);
        let wasteful = padded - (real + length(end)) > padded / 8;
        if end > start && (padded > max_tokens || wasteful) {
            batches.push(start..end);
            (start, real) = (end, 0);
        }
        real += length(end);
    }
    if start < order.len() {
        batches.push(start..order.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(lengths: &[usize]) -> TokenRows {
        lengths.iter().map(|&length| vec![7; length]).collect()
    }

    #[test]
    fn texts_of_one_length_need_no_mask() {
        let batch = Batch::new(&rows(&[3, 5, 3]), &[0, 2], 0, Device::Cpu).unwrap();
        assert_eq!(batch.ids().size(), [2, 3]);
        assert!(batch.attention_mask().unwrap().is_none());
    }

    #[test]
    fn padding_is_masked_and_left_out_of_the_mean() {
        let batch = Batch::new(&rows(&[1, 2]), &[0, 1], 9, Device::Cpu).unwrap();
        assert_eq!(Vec::<Vec<i64>>::try_from(batch.ids()).unwrap(), [[7, 9], [7, 7]]);
        let mask = batch.attention_mask().unwrap().unwrap();
        assert_eq!(mask.size(), [2, 1, 2, 2]);
        let at = |text, place| mask.double_value(&[text, 0, 0, place]);
        assert_eq!([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [0.0, f64::NEG_INFINITY, 0.0, 0.0]);
        let x = Tensor::from_slice(&[1.0f32, 100.0, 3.0, 5.0]).view([2, 2, 1]);
        let mean = batch.mean(&x).unwrap();
        assert_eq!([mean.double_value(&[0, 0]), mean.double_value(&[1, 0])], [1.0, 4.0]);
    }

    #[test]
    fn a_short_text_does_not_wait_for_a_long_one() {
        let tokens = rows(&[100, 5, 5]);
        let order = by_length(&tokens);
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(plan(&tokens, &order, 1000), [0..2, 2..3]);
        // A text that is too long for a batch is one of its own.
        assert_eq!(plan(&tokens, &order, 1), [0..1, 1..2, 2..3]);
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_within_the_limits(
            lengths in prop::collection::vec(2usize..40, 0..200),
            max_tokens in 1usize..300,
        ) {
            let tokens = rows(&lengths);
            let order = by_length(&tokens);
            prop_assert!(order.is_sorted_by_key(|&row| (lengths[row as usize], row)));
            let batches = plan(&tokens, &order, max_tokens);
            let covered: Vec<_> = batches.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..lengths.len()).collect::<Vec<_>>());
            for batch in batches {
                let longest = lengths[order[batch.end - 1] as usize];
                let real: usize = batch.clone().map(|at| lengths[order[at] as usize]).sum();
                prop_assert!(batch.len() == 1 || batch.len() * longest <= max_tokens);
                prop_assert!(batch.len() * longest - real <= batch.len() * longest / 8);
            }
        }
    }
}
