//! The only place that names a concrete backend: which device a run uses, and why.

use std::fmt;
use std::str::FromStr;

use alexnet_cpu::CpuBackend;
pub use alexnet_cuda::Graphs;
use alexnet_cuda::{Among, Cache, Convolutions, CudaBackend, Precision, fastest_precision};
use alexnet_net::Backend;
use alexnet_train::{Local, World};

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

/// Where a run computes, and in what.
#[derive(clap::Args, Clone, Debug)]
pub struct Place {
    /// Where to run: auto, cpu, cuda, cuda:0 or cuda:0,1
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// What CUDA devices multiply: f32, tf32 or bf16, in which they then keep activations too; sums, weights and their
    /// gradients are f32 [default: bf16 where the devices have it, else f32]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// How CUDA devices convolve: own (our kernels and cuBLAS), cudnn (wherever it can, dense layers by cuBLASLt), or fastest
    /// (whichever was faster when the shape was first met on this machine)
    #[arg(long, default_value = "fastest")]
    pub convolutions: Convolutions,
    /// The same bits in every run on the same device with the same cuBLAS, cuDNN or none: --convolutions own
    #[arg(long)]
    pub deterministic: bool,
}

/// The backend a run uses, and why.
#[derive(Debug)]
pub struct Choice {
    /// In words, with the reason.
    pub why: String,
    /// The CUDA devices, what they multiply and how they convolve; none for the CPU.
    cuda: Option<(Vec<usize>, Precision, Convolutions)>,
    graphs: Graphs,
}

/// What a program does on whichever backend was chosen.
pub trait Work {
    /// What comes of it.
    type Done;
    /// Does it.
    fn run<B: Backend>(self, backend: B) -> anyhow::Result<Self::Done>;
}

impl Place {
    /// Decides for a net of `columns` columns; an explicit device or precision that cannot be had is refused.
    pub fn choose(&self, columns: usize) -> Result<Choice, Refusal> {
        let convolutions = if self.deterministic { Convolutions::Own } else { self.convolutions };
        let choice = self.device.choose(columns, self.precision, convolutions)?;
        match self.precision {
            Some(precision) if precision != Precision::F32 && choice.cuda.is_none() => Err(Refusal::new(
                format!("--precision {precision} {}", choice.why),
                "the CPU computes in f32; tf32 and bf16 need a CUDA device",
            )),
            _ => Ok(choice),
        }
    }
}

impl Place {
    /// As [`Place::choose`] for each of the replicas in this process of `world`.
    pub fn choose_each(
        &self,
        columns: usize,
        world: &World,
        replicas: usize,
    ) -> Result<Vec<Choice>, Refusal> {
        let devices = self.device.of_process(world, replicas)?;
        if replicas == 0 || !devices.len().is_multiple_of(replicas) {
            let (device, count) = (&self.device, devices.len());
            let cause = format!("--device {device}: {count} devices of this process for {replicas} replicas");
            return Err(Refusal::new(cause, "each replica needs as many devices as the others"));
        }
        let of =
            |part: &[usize]| Place { device: Device::Cuda(part.to_vec()), ..self.clone() }.choose(columns);
        devices.chunks(devices.len() / replicas).map(of).collect()
    }
}

impl Device {
    /// The devices of one process of several: those of its place on the machine.
    fn of_process(&self, world: &World, replicas: usize) -> Result<Vec<usize>, Refusal> {
        let cause = |what: String| format!("--device {self}: {what}");
        let named = match self {
            Device::Cpu => {
                let cause = cause(format!("{} replicas", world.count * replicas));
                return Err(Refusal::new(
                    cause,
                    "replicas sum their gradients by NCCL, between CUDA devices",
                ));
            }
            Device::Auto => &[][..],
            Device::Cuda(named) => named,
        };
        let visible = alexnet_cuda::probe().map_err(|missing| {
            Refusal::new(cause(format!("replicas need CUDA: {missing}")), missing.hint())
        })?;
        match (world.local, named) {
            (Some(Local { rank, count: Some(count) }), named) if !named.is_empty() => {
                if !named.len().is_multiple_of(count) {
                    let cause =
                        cause(format!("{} devices for {count} processes of this machine", named.len()));
                    return Err(Refusal::new(cause, "name the devices of all of them, or say --device cuda"));
                }
                let each = named.len() / count;
                Ok(named[rank * each..(rank + 1) * each].to_vec())
            }
            (_, named) if !named.is_empty() => Ok(named.to_vec()),
            // Launchers may show each process its own devices only.
            _ if visible == replicas => Ok((0..replicas).collect()),
            (Some(Local { rank, .. }), _) => Ok((rank * replicas..(rank + 1) * replicas).collect()),
            (None, _) if world.count == 1 => Ok((0..replicas).collect()),
            (None, _) => {
                let cause =
                    cause(format!("{} does not say which process of its machine this is", world.launcher));
                Err(Refusal::new(cause, "name the device of each process, such as --device cuda:1"))
            }
        }
    }

    fn choose(
        &self,
        columns: usize,
        precision: Option<Precision>,
        convolutions: Convolutions,
    ) -> Result<Choice, Refusal> {
        let cpu = |why: String| Choice { why, cuda: None, graphs: Graphs::Auto };
        let named = match self {
            Device::Cpu => return Ok(cpu("on the CPU".into())),
            Device::Auto => None,
            Device::Cuda(named) if named.is_empty() => Some(&[0][..]),
            Device::Cuda(named) => Some(&named[..]),
        };
        if let Some(named) = named.filter(|named| named.len() > columns) {
            let cause = format!("--device {self}: {} devices for {columns} columns", named.len());
            return Err(Refusal::new(cause, "name fewer devices, or give the network more columns"));
        }
        match (alexnet_cuda::probe(), named) {
            (Err(missing), None) => Ok(cpu(format!("on the CPU ({missing})"))),
            (Err(missing), Some(_)) => Err(Refusal::new(
                format!("--device {self}: {missing}"),
                missing.hint() + "; or use --device cpu",
            )),
            (Ok(count), Some(named)) if named.iter().any(|&device| device >= count) => {
                let cause = format!("--device {self}: the driver has {count} device{}", plural(count));
                Err(Refusal::new(cause, format!("devices are numbered 0 to {}", count - 1)))
            }
            (Ok(_), named) => {
                let devices = named.unwrap_or(&[0]).to_vec();
                let precision = precision.unwrap_or_else(|| fastest_precision(&devices));
                let device = Device::Cuda(devices.clone());
                let why =
                    format!("on {device}, matrix products in {precision}, convolutions: {convolutions}");
                Ok(Choice { why, cuda: Some((devices, precision, convolutions)), graphs: Graphs::Auto })
            }
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl Choice {
    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.cuda.is_none()
    }

    /// The same with steps replayed as graphs or not; refused if they are demanded of the CPU.
    pub fn with_graphs(mut self, graphs: Graphs) -> Result<Self, Refusal> {
        if graphs == Graphs::On && self.is_cpu() {
            let cause = format!("--graph on {}", self.why);
            return Err(Refusal::new(cause, "only a CUDA device replays graphs; leave --graph out"));
        }
        self.graphs = graphs;
        Ok(self)
    }

    /// Opens the backend and works on it; the CPU uses `threads` threads.
    pub fn run<W: Work>(&self, threads: usize, work: W) -> anyhow::Result<W::Done> {
        match &self.cuda {
            None => work.run(CpuBackend::new(1, threads)?),
            Some(cuda) => work.run(open(cuda, self.graphs)?),
        }
    }

    /// What the CUDA devices multiply, in words.
    pub fn precision(&self) -> String {
        self.cuda.as_ref().map_or(String::new(), |(_, precision, _)| precision.to_string())
    }

    /// Number of CUDA devices.
    pub fn devices(&self) -> usize {
        self.cuda.as_ref().map_or(0, |(devices, ..)| devices.len())
    }

    /// As [`Choice::run`], as one of several replicas: opens the devices, meets the others, works.
    pub fn run_among<W: Work>(&self, others: &Among, work: W) -> anyhow::Result<W::Done> {
        let Some(cuda) = &self.cuda else {
            return Err(Refusal::new("replicas need CUDA devices", "say --device cuda").into());
        };
        let backend = open(cuda, self.graphs)?.among(others);
        let backend = backend.map_err(alexnet_net::Error::from)?;
        work.run(backend)
    }
}

fn open(
    (devices, precision, convolutions): &(Vec<usize>, Precision, Convolutions),
    graphs: Graphs,
) -> anyhow::Result<CudaBackend> {
    let open = || -> Result<CudaBackend, alexnet_net::DeviceError> {
        let backend = CudaBackend::new(devices, &Cache::of_user())?;
        backend.with_precision(*precision).with_graphs(graphs).with_convolutions(*convolutions)
    };
    let backend = open().map_err(alexnet_net::Error::from)?;
    if *convolutions == Convolutions::Library && !backend.has_cudnn() {
        return Err(Refusal::new(
            "--convolutions cudnn: libcudnn.so.9 could not be loaded",
            "install cuDNN 9, put its folder on LD_LIBRARY_PATH, or use --convolutions own",
        )
        .into());
    }
    Ok(backend)
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

    #[test]
    fn the_cpu_refuses_other_precisions() {
        let place = |precision| Place {
            device: Device::Cpu,
            precision,
            convolutions: Convolutions::Fastest,
            deterministic: false,
        };
        assert!(place(Some(Precision::F32)).choose(2).is_ok());
        let refusal = place(Some(Precision::Bf16)).choose(2).unwrap_err();
        assert_eq!(refusal.to_string(), "--precision bf16 on the CPU");
    }

    #[test]
    fn the_cpu_has_no_graphs() {
        let choose = |graphs| Device::Cpu.choose(2, None, Convolutions::Own).unwrap().with_graphs(graphs);
        assert!(choose(Graphs::Auto).is_ok() && choose(Graphs::Off).is_ok());
        assert_eq!(choose(Graphs::On).unwrap_err().to_string(), "--graph on on the CPU");
        for text in ["auto", "on", "off"] {
            assert_eq!(text.parse::<Graphs>().unwrap().to_string(), text);
        }
        assert!("yes".parse::<Graphs>().is_err());
    }

    #[test]
    fn more_devices_than_columns_are_refused_before_anything_is_asked_of_them() {
        let refusal = "cuda:0,1,2".parse::<Device>().unwrap().choose(2, None, Convolutions::Own).unwrap_err();
        assert_eq!(refusal.to_string(), "--device cuda:0,1,2: 3 devices for 2 columns");
    }
}
