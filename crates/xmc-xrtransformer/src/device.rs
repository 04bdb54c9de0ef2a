//! The device that was asked for, as libtorch has it.

use crate::{DeviceChoice, TransformerError, cuda};
use tch::{Cuda, Device};

/// The device itself.
///
/// # Errors
/// [`TransformerError::DeviceMissing`].
pub(crate) fn resolve(choice: DeviceChoice) -> Result<Device, TransformerError> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(if n_cuda_devices() > 0 { Device::Cuda(0) } else { Device::Cpu }),
        DeviceChoice::Cuda(number) => match n_cuda_devices() {
            found if number < found => Ok(Device::Cuda(number)),
            found => Err(TransformerError::DeviceMissing { asked: choice, found }),
        },
    }
}

fn n_cuda_devices() -> usize {
    cuda::load();
    // Without its libraries, asking for the number of devices is an error in some builds of libtorch.
    if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 }
}

/// A device's name as it is written in options.
pub(crate) fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => DeviceChoice::Cuda(number).to_string(),
        _ => DeviceChoice::Cpu.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = resolve(DeviceChoice::Cuda(4096)).unwrap_err();
        assert!(matches!(error, TransformerError::DeviceMissing { asked: DeviceChoice::Cuda(4096), .. }));
        assert!(error.to_string().starts_with("the device cuda:4096 is not there"));
        assert_eq!(resolve(DeviceChoice::Cpu).unwrap(), Device::Cpu);
    }
}
