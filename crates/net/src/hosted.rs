//! The slow way of the operations that a backend need not have: down to the host, through the oracle, back up.
//!
//! Only ablations use them (tanh, average pooling) or they touch few values (label smoothing), so a backend without
//! kernels for them still runs every net. All wait for the device.

use crate::backend::Backend;
use crate::error::DeviceError;
use crate::operation::{AveragePool, SoftmaxSlice};
use crate::oracle;

type Done = Result<(), DeviceError>;

fn read<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    from: &B::Buffer,
    len: usize,
) -> Result<Vec<f64>, DeviceError> {
    let mut values = vec![0.0; len];
    backend.download(device, from, 0, &mut values)?;
    Ok(values.iter().map(|&x| f64::from(x)).collect())
}

fn store<B: Backend + ?Sized>(backend: &mut B, device: usize, values: &[f64], to: &mut B::Buffer) -> Done {
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    backend.upload(device, &values, to, 0)
}

pub(crate) fn tanh_forward<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    len: usize,
    x: &B::Buffer,
    y: &mut B::Buffer,
) -> Done {
    let x = read(backend, device, x, len)?;
    store(backend, device, &oracle::tanh(&x), y)
}

pub(crate) fn tanh_backward<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    len: usize,
    x: &B::Buffer,
    dy: &mut B::Buffer,
) -> Done {
    let (x, gradient) = (read(backend, device, x, len)?, read(backend, device, dy, len)?);
    store(backend, device, &oracle::tanh_gradient(&x, &gradient), dy)
}

pub(crate) fn average_pool_forward<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    op: &AveragePool,
    n: usize,
    x: &B::Buffer,
    y: &mut B::Buffer,
) -> Done {
    let x = read(backend, device, x, n * op.input_len())?;
    store(backend, device, &oracle::average_pool(op, n, &x), y)
}

pub(crate) fn average_pool_backward<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    op: &AveragePool,
    n: usize,
    dy: &B::Buffer,
    dx: &mut B::Buffer,
) -> Done {
    let dy = read(backend, device, dy, n * op.output_len())?;
    store(backend, device, &oracle::average_pool_gradient(op, n, &dy), dx)
}

pub(crate) fn smooth_labels<B: Backend + ?Sized>(
    backend: &mut B,
    device: usize,
    op: &SoftmaxSlice,
    n: usize,
    smoothing: f32,
    logits: &B::Buffer,
    gradient: &mut B::Buffer,
) -> Done {
    let logits = read(backend, device, logits, n * op.classes)?;
    let plain = read(backend, device, gradient, n * op.count)?;
    let samples = logits.chunks_exact(op.classes).zip(plain.chunks_exact(op.count));
    let smoothed: Vec<f64> =
        samples.flat_map(|(l, g)| oracle::smoothed(f64::from(smoothing), l, op.first, g)).collect();
    store(backend, device, &smoothed, gradient)
}
