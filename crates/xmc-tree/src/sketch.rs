//! Sparse features as a few dense numbers that keep inner products, about.
//!
//! Feature *f* becomes a vector of random signs over `√n_dims`; a row becomes the sum of its features' vectors, times their values
//! (Achlioptas, *Database-friendly random projections*, JCSS 2003). The inner product of two rows of length 1 is then off
//! by `1 / √n_dims` (standard deviation) at most, and means of many rows, which is what clustering works with, are off by no more. Signs are
//! computed, 64 at a time, from the feature's number, and not kept.

use ndarray::{Array2, s};
use rayon::prelude::*;
use xmc_sparse::{Csr, Features, SparseError, SparseRow};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Signs of a hash.
const WORD: usize = 64;

/// The rows of `x` with `n_dims` numbers in the place of their sparse part, left of their dense part.
pub(crate) fn sketch(x: &Features, n_dims: usize, seed: u64) -> Result<Features, SparseError> {
    let (n_rows, n_dense) = (x.n_samples(), x.n_dense());
    let mut rows = Array2::<f32>::zeros((n_rows, n_dims + n_dense));
    let all = rows.as_slice_mut().expect("invariant: a new matrix is in row order");
    all.par_chunks_exact_mut((n_dims + n_dense).max(1)).enumerate().for_each(|(row, out)| {
        project(x.sparse().row(row), seed, &mut out[..n_dims]);
    });
    if let Some(dense) = x.dense() {
        rows.slice_mut(s![.., n_dims..]).assign(&dense);
    }
    Features::new(Csr::empty(n_rows, 0), Some(rows))
}

fn project(row: SparseRow<'_>, seed: u64, out: &mut [f32]) {
    let scale = (out.len() as f32).sqrt().recip();
    for (feature, value) in row.iter() {
        let value = value * scale;
        for (word, out) in out.chunks_mut(WORD).enumerate() {
            let signs = xxh3_64_with_seed(&feature.to_le_bytes(), seed ^ ((word as u64) << 32));
            for (bit, out) in out.iter_mut().enumerate() {
                // The sign bit of the value, turned where the hash has a one.
                let turn = ((signs >> bit) as u32 & 1) << 31;
                *out += f32::from_bits(value.to_bits() ^ turn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Rows of length 1 with eight of 1000 features, every second one like the row before but for two of them.
    fn rows(n: usize) -> Csr {
        let mut rng = StdRng::seed_from_u64(1);
        let mut last = Vec::new();
        let rows = (0..n).map(|row| {
            if row % 2 == 0 {
                last = rand::seq::index::sample(&mut rng, 900, 8).into_vec();
                last.sort_unstable();
            } else {
                last[7] = rng.gen_range(901..1000);
                last[6] = 900;
            }
            last.iter().map(|&feature| (feature as u32, 0.125f32.sqrt())).collect::<Vec<_>>()
        });
        Csr::from_rows(1000, rows.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn inner_products_are_kept_about() {
        let x = rows(400);
        for (n_dims, bound) in [(64, 1.0 / 8.0), (256, 1.0 / 16.0)] {
            let sketched = sketch(&Features::from_sparse(x.clone()), n_dims, 7).unwrap();
            let dense = sketched.dense().unwrap();
            let mut squares = 0.0;
            for pair in 0..200 {
                let product = |a: usize, b: usize| dense.row(a).dot(&dense.row(b));
                let off = product(2 * pair, 2 * pair + 1) - 0.75;
                squares += off * off;
                assert!((product(2 * pair, 2 * pair) - 1.0).abs() < 6.0 * bound);
            }
            let deviation = (squares / 200.0f32).sqrt();
            assert!(deviation < 1.3 * bound && deviation > 0.3 * bound, "{n_dims}: {deviation}");
        }
    }

    #[test]
    fn dense_features_stay_as_they_are_and_seeds_differ() {
        let sparse = Csr::from_rows(3, [vec![(1, 2.0)], vec![]]).unwrap();
        let x = Features::new(sparse, Some(array![[5.0], [6.0]])).unwrap();
        let sketched = sketch(&x, 70, 0).unwrap();
        assert_eq!((sketched.n_sparse(), sketched.n_dense()), (0, 71));
        assert_eq!((sketched.row(0).dense[70], sketched.row(1).dense[70]), (5.0, 6.0));
        assert!(sketched.row(1).dense[..70].iter().all(|&value| value == 0.0));
        let size = 2.0 / 70f32.sqrt();
        assert!(sketched.row(0).dense[..70].iter().all(|&value| (value.abs() - size).abs() < 1e-6));
        assert_ne!(sketched, sketch(&x, 70, 1).unwrap());
        assert_eq!(sketched, sketch(&x, 70, 0).unwrap());
    }
}
