//! The dense features of texts: what is given beside them, then what an encoder makes of them.

use crate::encoder::{Encoder, EncoderScratch};
use crate::{EncodingParams, XmcError};
use ndarray::{Array2, s};
use xmc_sparse::{DenseBlock, Progress};
use xmc_tfidf::Documents;

/// How a model gets the dense features of a text.
#[derive(Clone, Copy)]
pub(crate) struct DenseFeatures<'a> {
    pub(crate) encoder: Option<&'a Encoder>,
    pub(crate) params: &'a EncodingParams,
}

impl DenseFeatures<'_> {
    /// Those of `texts`, of which the first have the rows `given`; the others have zeros there.
    pub(crate) fn of(
        &self,
        texts: &(impl Documents + ?Sized),
        given: Option<&DenseBlock>,
        progress: &dyn Progress,
    ) -> Result<Option<DenseBlock>, XmcError> {
        let Some(encoder) = self.encoder else {
            return Ok(given.map(|given| match given.n_rows() == texts.len() {
                true => given.clone(),
                false => widened(given, texts.len(), 0).into(),
            }));
        };
        let mut embedded = encoder.embed(texts, progress)?;
        let scale = self.scale(encoder);
        embedded.mapv_inplace(|value| value * scale);
        let Some(given) = given else { return Ok(Some(embedded.into())) };
        let mut both = widened(given, texts.len(), encoder.n_dims());
        both.slice_mut(s![.., given.n_cols()..]).assign(&embedded);
        Ok(Some(both.into()))
    }

    /// That of one text with nothing given beside it, into `out`.
    pub(crate) fn of_one(
        &self,
        text: &str,
        scratch: &mut EncoderScratch,
        out: &mut Vec<f32>,
    ) -> Result<(), XmcError> {
        out.clear();
        let Some(encoder) = self.encoder else { return Ok(()) };
        out.resize(encoder.n_dims(), 0.0);
        encoder.encode_into(text, scratch, out)?;
        let scale = self.scale(encoder);
        out.iter_mut().for_each(|value| *value *= scale);
        Ok(())
    }

    fn scale(&self, encoder: &Encoder) -> f32 {
        self.params.scale.unwrap_or_else(|| encoder.kind().scale())
    }
}

/// `rows` with zero rows below and zero columns to the right.
fn widened(rows: &DenseBlock, n_rows: usize, more_columns: usize) -> Array2<f32> {
    let mut wide = Array2::zeros((n_rows, rows.n_cols() + more_columns));
    wide.slice_mut(s![..rows.n_rows(), ..rows.n_cols()]).assign(&rows.matrix());
    wide
}
