//! Where an encoder runs.

use crate::{TransformerError, cuda};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tch::{Cuda, Device};

/// The device that is asked for: `auto`, `cpu` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first CUDA device where there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// A name that is no device's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no device, expected auto, cpu, cuda or cuda:N")]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(name.to_owned());
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = name.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownDevice;

    fn try_from(name: String) -> Result<Self, UnknownDevice> {
        name.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl DeviceChoice {
    /// The device itself.
    ///
    /// # Errors
    /// [`TransformerError::DeviceMissing`].
    pub(crate) fn resolve(self) -> Result<Device, TransformerError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(if n_cuda_devices() > 0 { Device::Cuda(0) } else { Device::Cpu }),
            Self::Cuda(number) => match n_cuda_devices() {
                found if number < found => Ok(Device::Cuda(number)),
                found => Err(TransformerError::DeviceMissing { asked: self, found }),
            },
        }
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
    fn names_are_read_as_they_are_written() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<DeviceChoice>(&json).unwrap(), choice);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = DeviceChoice::Cuda(4096).resolve().unwrap_err();
        assert!(matches!(error, TransformerError::DeviceMissing { asked: DeviceChoice::Cuda(4096), .. }));
        assert!(error.to_string().starts_with("the device cuda:4096 is not there"));
        assert_eq!(DeviceChoice::Cpu.resolve().unwrap(), Device::Cpu);
    }
}
