//! Normally distributed numbers for weights.

use crate::level::random;
use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Numbers with mean 0 and standard deviation 1, by the transform of Box and Muller.
pub(crate) struct Normal(Xoshiro256PlusPlus);

impl Normal {
    /// Those of a seed, for a purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(random(seed, purpose, 0))
    }

    pub(crate) fn next(&mut self) -> f32 {
        let (radius, angle) =
            (1.0 - self.0.gen_range(0.0..1.0f32), self.0.gen_range(0.0..std::f32::consts::TAU));
        (-2.0 * radius.ln()).sqrt() * angle.cos()
    }
}
