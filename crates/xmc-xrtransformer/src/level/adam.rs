//! Adam with decoupled weight decay (Kingma & Ba, 2015; Loshchilov & Hutter, 2019).
//!
//! `tch` binds PyTorch's, whose state cannot be stored: a training could not go on where it was interrupted.

use crate::TransformerError;
use tch::{Kind, Tensor};

type Result<T> = std::result::Result<T, TransformerError>;

const BETAS: [f64; 2] = [0.9, 0.999];
const EPS: f64 = 1e-8;

/// What the parameters of a step have in common.
pub(super) struct Rates {
    learning_rate: f64,
    /// Means that begin at 0 are too small at first; these make up for it.
    corrections: [f64; 2],
}

impl Rates {
    /// For step `step`, counted from 0.
    pub(super) fn new(learning_rate: f64, step: u64) -> Self {
        let done = i32::try_from(step + 1).unwrap_or(i32::MAX);
        Self { learning_rate, corrections: BETAS.map(|beta| 1.0 - beta.powi(done)) }
    }
}

/// What gradients are multiplied by, so that together they are at most `longest` long.
pub(super) fn clip<'a>(gradients: impl IntoIterator<Item = &'a Tensor>, longest: f64) -> Result<f64> {
    let norms = gradients.into_iter().map(|gradient| Ok(gradient.f_norm()?.f_to_kind(Kind::Double)?));
    let norms = norms.collect::<Result<Vec<_>>>()?;
    // One transfer from the device, however many parameters there are.
    let length = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
    Ok((longest / (length + 1e-6)).min(1.0))
}

/// Changes a parameter by its gradient, in place.
pub(super) fn step(
    parameter: &mut Tensor,
    gradient: &Tensor,
    [mean, square]: &mut [Tensor; 2],
    rates: &Rates,
    weight_decay: f64,
) -> Result<()> {
    if weight_decay > 0.0 {
        let _ = parameter.f_mul_scalar_(1.0 - rates.learning_rate * weight_decay)?;
    }
    let _ = mean.f_lerp_(gradient, 1.0 - BETAS[0])?;
    let _ = square.f_mul_scalar_(BETAS[1])?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - BETAS[1])?)?;
    let scale = square.f_sqrt()?.f_div_scalar_(rates.corrections[1].sqrt())?.f_add_scalar_(EPS)?;
    let change = mean.f_div(&scale)?.f_mul_scalar_(-rates.learning_rate / rates.corrections[0])?;
    let _ = parameter.f_add_(&change)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{self, OptimizerConfig};

    #[test]
    fn steps_are_those_of_pytorch() {
        let vars = nn::VarStore::new(tch::Device::Cpu);
        let start = [0.5f32, -1.0, 2.0];
        let theirs = vars.root().var_copy("x", &Tensor::from_slice(&start));
        let mut optimizer = nn::AdamW { wd: 0.1, ..nn::AdamW::default() }.build(&vars, 0.01).unwrap();
        let mut ours = Tensor::from_slice(&start);
        let mut moments = [ours.zeros_like(), ours.zeros_like()];
        for at in 0..20 {
            let loss =
                (&theirs * Tensor::from_slice(&[1.0f32, -0.5, 0.1])).square().sum(Kind::Float) * (at % 3);
            optimizer.backward_step(&loss);
            step(&mut ours, &theirs.grad(), &mut moments, &Rates::new(0.01, at as u64), 0.1).unwrap();
        }
        let off = (&theirs - &ours).abs().max().double_value(&[]);
        assert!(off < 1e-6, "{off}");
        assert!((&ours - Tensor::from_slice(&start)).abs().min().double_value(&[]) > 0.01);
    }

    #[test]
    fn long_gradients_are_cut_together() {
        let gradients = [Tensor::from_slice(&[3.0f32]), Tensor::from_slice(&[0.0f32, 4.0])];
        assert!((clip(&gradients, 1.0).unwrap() - 0.2).abs() < 1e-6);
        assert_eq!(clip(&gradients, 10.0).unwrap(), 1.0);
    }
}
