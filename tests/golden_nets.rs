//! Narrow nets of AlexNet's full topology against PyTorch: activations, gradients, losses of three steps, parameters
//! after them, logits at test. On the oracle with one device and on the CPU with one, two and four; the CUDA backend
//! is held to the same numbers in tests/shim.

mod check;

use alexnet_cpu::CpuBackend;
use alexnet_net::oracle::Oracle;

use self::check::run;

const NETS: [(&str, usize); 4] = [("paper", 1), ("paper", 2), ("paper", 4), ("original", 2)];

#[test]
fn nets_on_the_oracle() {
    for (preset, columns) in NETS {
        run(Oracle::new(1), preset, columns);
    }
}

#[test]
fn nets_on_the_cpu() {
    for (preset, columns) in NETS {
        run(CpuBackend::new(1, 2).unwrap(), preset, columns);
    }
}

/// Columns on devices of their own, and unevenly on fewer: the same function.
#[test]
fn nets_on_several_simulated_devices() {
    for (preset, columns, devices) in
        [("paper", 2, 2), ("original", 2, 2), ("paper", 4, 2), ("paper", 4, 3), ("paper", 4, 4)]
    {
        run(CpuBackend::new(devices, 2).unwrap(), preset, columns);
    }
}
