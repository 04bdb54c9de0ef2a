//! Power laws without tables, and numbers that hide their order.

/// Ranks `0..n` with probabilities that fall with a power of the rank.
#[derive(Debug, Clone, Copy)]
pub(super) struct PowerLaw {
    n: f64,
    /// One less the exponent.
    power: f64,
    /// `(n + 1)^power − 1`, or the logarithm where `power` is 0.
    span: f64,
}

impl PowerLaw {
    pub(super) fn new(n: u32, exponent: f64) -> Self {
        let power = 1.0 - exponent;
        let end = f64::from(n) + 1.0;
        let span = if power.abs() < 1e-9 { end.ln() } else { end.powf(power) - 1.0 };
        Self { n: f64::from(n), power, span }
    }

    /// The rank at `share` (from 0 to below 1) of the probability: the inverse of the distribution of `∫ x^-exponent dx` from 1.
    pub(super) fn at(&self, share: f64) -> u32 {
        let x = match self.power.abs() < 1e-9 {
            true => (share * self.span).exp(),
            false => (1.0 + share * self.span).powf(1.0 / self.power),
        };
        (x - 1.0).clamp(0.0, self.n - 1.0) as u32
    }
}

/// A bijection of `0..n` that leaves nothing of the order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scramble {
    n: u64,
    factor: u64,
    shift: u64,
}

impl Scramble {
    pub(super) fn new(n: u32, seed: u64) -> Self {
        let n = u64::from(n);
        let random = super::record::hash([seed, n, 0, 0]);
        let mut factor = (random % n) | 1;
        while gcd(factor, n) != 1 {
            factor += 2;
        }
        Self { n, factor, shift: (random >> 32) % n }
    }

    pub(super) fn apply(&self, number: u32) -> u32 {
        ((u64::from(number) * self.factor + self.shift) % self.n) as u32
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_as_their_exponent_says() {
        for exponent in [0.0, 0.5, 0.9, 1.0, 1.5] {
            let law = PowerLaw::new(1000, exponent);
            let mut counts = vec![0.0; 1000];
            for step in 0..1_000_000 {
                counts[law.at((f64::from(step) + 0.5) / 1e6) as usize] += 1.0;
            }
            // ∫ from r+1 to r+2, against the first rank.
            let mass = |rank: f64| {
                let integral = |x: f64| match (exponent - 1.0f64).abs() < 1e-9 {
                    true => x.ln(),
                    false => x.powf(1.0 - exponent) / (1.0 - exponent),
                };
                integral(rank + 2.0) - integral(rank + 1.0)
            };
            for rank in [1, 9, 99] {
                let (found, expected) = (counts[rank] / counts[0], mass(rank as f64) / mass(0.0));
                assert!((found / expected - 1.0).abs() < 0.05, "{exponent}, {rank}: {found} {expected}");
            }
        }
    }

    #[test]
    fn every_number_comes_once_and_out_of_order() {
        for n in [1, 2, 97, 1000, 2048] {
            let scramble = Scramble::new(n, 5);
            let mut all: Vec<u32> = (0..n).map(|number| scramble.apply(number)).collect();
            assert!(n < 97 || !all.is_sorted());
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
    }
}
