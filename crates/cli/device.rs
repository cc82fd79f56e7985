//! The only place that names a concrete backend: which device a run uses, and why.

use std::fmt;
use std::str::FromStr;

use alexnet_cpu::CpuBackend;
use alexnet_net::Net;

use crate::messages::Refusal;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// CUDA if it is usable, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// These CUDA devices; none named means the first.
    Cuda(Vec<usize>),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Device::Auto),
            "cpu" => return Ok(Device::Cpu),
            "cuda" => return Ok(Device::Cuda(vec![])),
            _ => {}
        }
        let numbers = text.strip_prefix("cuda:").ok_or("give auto, cpu, cuda, cuda:0 or cuda:0,1")?;
        let parse = |n: &str| n.parse::<usize>().map_err(|_| format!("{n:?} is no number of a device"));
        Ok(Device::Cuda(numbers.split(',').map(parse).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(n) if n.is_empty() => f.write_str("cuda"),
            Device::Cuda(n) => {
                write!(f, "cuda:{}", n.iter().map(usize::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// The device a run uses.
#[derive(Debug)]
pub struct Choice {
    /// In words, with the reason.
    pub why: String,
}

const NO_CUDA: &str = "this version has no CUDA backend";

impl Device {
    /// Decides; an explicit device that cannot be had is refused.
    pub fn choose(&self) -> Result<Choice, Refusal> {
        match self {
            Device::Cpu => Ok(Choice { why: "on the CPU".into() }),
            Device::Auto => Ok(Choice { why: format!("on the CPU ({NO_CUDA})") }),
            Device::Cuda(_) => Err(Refusal::new(format!("--device {self}: {NO_CUDA}"), "use --device cpu")),
        }
    }
}

/// The CPU backend for a net.
pub fn cpu(_net: &Net, threads: usize) -> anyhow::Result<CpuBackend> {
    Ok(CpuBackend::new(1, threads)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_as_they_are_written() {
        for text in ["auto", "cpu", "cuda", "cuda:0", "cuda:0,1"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert!("gpu".parse::<Device>().is_err());
        assert!("cuda:x".parse::<Device>().is_err());
    }
}
