//! Where the network runs, in words that a command line can hold.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A device that libtorch may or may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor. Always there.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, from 0; needs a libtorch with CUDA.
    Cuda(usize),
    /// The GPU of an Apple computer.
    Mps,
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `cpu`, `cuda`, `cuda:N` or `mps`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Device {
            device: text.to_owned(),
            reason: "no such name; expected cpu, cuda, cuda:N or mps".to_owned(),
        };
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "mps" => Ok(Self::Mps),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Mps => f.write_str("mps"),
        }
    }
}

/// The device as libtorch names it.
///
/// # Errors
///
/// When this libtorch, or this machine, does not have it.
pub(crate) fn present(device: Device) -> Result<tch::Device, Error> {
    let absent = |reason: String| {
        Err(Error::Device {
            device: device.to_string(),
            reason,
        })
    };
    match device {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda(number) => match usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
            0 => {
                absent("libtorch finds no CUDA device here; use cpu, or build with a LIBTORCH that has CUDA".to_owned())
            }
            count if number >= count => absent(format!("there are {count} CUDA devices, numbered from 0")),
            _ => Ok(tch::Device::Cuda(number)),
        },
        Device::Mps if tch::utils::has_mps() => Ok(tch::Device::Mps),
        Device::Mps => absent("this libtorch has no Metal; use cpu".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, device) in [
            ("cpu", Device::Cpu),
            ("cuda:3", Device::Cuda(3)),
            ("mps", Device::Mps),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
    }

    #[test]
    fn other_names_are_refused_with_what_there_is() {
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let message = text.parse::<Device>().unwrap_err().to_string();
            assert!(
                message.contains("expected cpu, cuda, cuda:N or mps"),
                "{message}"
            );
        }
    }
}
