//! What a result depends on, as one number.

use bytemuck::{Pod, cast_slice};
use xmc_sparse::Csr;
use xxhash_rust::xxh3::Xxh3;

/// XXH3-64 over arrays, one after the other: to tell data apart, on one machine.
#[derive(Default)]
pub struct Fingerprint(Xxh3);

impl Fingerprint {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the bytes of `values`, not how many they are.
    pub fn array<T: Pod>(&mut self, values: &[T]) {
        self.0.update(cast_slice(values));
    }

    /// Takes in the three arrays of `matrix`.
    pub fn matrix(&mut self, matrix: &Csr) {
        self.array(matrix.indptr());
        self.array(matrix.indices());
        self.array(matrix.values());
    }

    /// Sixteen hexadecimal digits.
    pub fn to_hex(&self) -> String {
        format!("{:016x}", self.0.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_array_of_a_matrix_counts() {
        let of = |rows: &[Vec<(u32, f32)>]| {
            let mut fingerprint = Fingerprint::new();
            fingerprint.matrix(&Csr::from_rows(4, rows.iter().cloned()).unwrap());
            fingerprint.to_hex()
        };
        let all = [
            of(&[vec![(0, 1.0), (1, 2.0)], vec![]]),
            of(&[vec![(0, 1.0)], vec![(1, 2.0)]]),
            of(&[vec![(0, 1.0), (2, 2.0)], vec![]]),
            of(&[vec![(0, 1.0), (1, 3.0)], vec![]]),
        ];
        assert_eq!(all[0].len(), 16);
        assert!((1..4).all(|at| !all[..at].contains(&all[at])), "{all:?}");
    }
}
