//! Operations that a backend may do in one go, where the values between them need not be written.
//!
//! Each is defined by the separate operations of [`Backend`] one after the other: what a backend without it runs, and what
//! a backend with it is held to. A backend that has them says so by [`Backend::fused`]; the program is then made of them
//! wherever layers follow each other so (`fusion.rs`), and what lies between has no memory of its own.

use crate::backend::Backend;
use crate::error::DeviceError;
use crate::operation::{Convolution, Dense, LocalResponse, MaxPool, SoftmaxSlice};
use crate::update::Segment;
use crate::views::Weights;

type Done = Result<(), DeviceError>;

/// Normalisation over neighbouring maps, max pooling and a rectifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponsePool {
    /// The normalisation.
    pub response: LocalResponse,
    /// Pooling of what it gives.
    pub pool: MaxPool,
    /// Whether the forward pass ends in max(y, 0). The backward pass is given dy behind that, already masked.
    pub rectify: bool,
    /// Whether x is a rectifier's output: the backward pass then ends in that one's mask, 0 where x is not above 0.
    pub rectified: bool,
}

/// The operations of a backend that has them all. The arguments are those of [`Backend`]'s; where a method says `rectified`,
/// x is a rectifier's output and the gradient is taken through that one as well: dx is 0 wherever x is not above 0 (or NaN).
pub trait Fused {
    /// [`Backend::Buffer`].
    type Buffer;
    /// [`Backend::Places`].
    type Places;
    /// [`Backend::Labels`].
    type Labels;

    /// Normalises, pools, and rectifies if `op.rectify`.
    fn response_pool_forward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
        places: &mut Self::Places,
    ) -> Done;

    /// dx from x and `won`, the places of the maxima and their gradient; replaces dx.
    fn response_pool_backward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Self::Buffer,
        won: (&Self::Places, &Self::Buffer),
        dx: &mut Self::Buffer,
    ) -> Done;

    /// [`Backend::local_response_backward`], rectified.
    fn local_response_backward_rectified(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// [`Backend::max_pool_backward`], rectified. `won` are the places and y: a window's maximum says whether its
    /// winner was above 0, so y serves for x.
    fn max_pool_backward_rectified(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        won: (&Self::Places, &Self::Buffer),
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// [`Backend::convolution_backward_input`], rectified; `from` are x and dy.
    fn convolution_backward_rectified(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        from: (&Self::Buffer, &Self::Buffer),
        w: Weights<'_, Self::Buffer>,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// Updates within a layer's way back, if they save this backend anything.
    fn updating(&mut self) -> Option<&mut dyn Updating<Buffer = Self::Buffer>> {
        None
    }

    /// [`Backend::score`], [`Backend::softmax_gradient`] and, if `smoothing` is above 0, [`Backend::smooth_labels`];
    /// `from` are the logits and labels, `to` the score and the gradient.
    fn score_and_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        from: (&Self::Buffer, &Self::Labels),
        to: (&mut Self::Buffer, &mut Self::Buffer),
    ) -> Done;
}

/// What an update does to a dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseUpdate {
    /// Momentum.
    pub momentum: f32,
    /// Its weights.
    pub weight: Segment,
    /// Its bias, unless that stands still.
    pub bias: Option<Segment>,
}

/// Gradients that are used as they are made.
pub trait Updating {
    /// [`Backend::Buffer`].
    type Buffer;

    /// [`Backend::dense_backward_weights`] of x and dy, not accumulated, and [`Backend::update`] of parameters and velocities by it.
    fn dense_backward_update(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        from: (&Self::Buffer, &Self::Buffer),
        update: &DenseUpdate,
        to: (&mut Self::Buffer, &mut Self::Buffer),
    ) -> Done;
}

/// A backend's fused operations.
pub type FusedOf<'a, B> = &'a mut (
            dyn Fused<
    Buffer = <B as Backend>::Buffer,
    Places = <B as Backend>::Places,
    Labels = <B as Backend>::Labels,
> + 'a
        );

pub(crate) fn response_pool_forward<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &ResponsePool,
    n: usize,
    x: &B::Buffer,
    y: &mut B::Buffer,
    places: &mut B::Places,
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.response_pool_forward(device, op, n, x, y, places);
    }
    let mut between = backend.activations(device, n * op.pool.input_len())?;
    backend.local_response_forward(device, &op.response, n, x, &mut between)?;
    backend.max_pool_forward(device, &op.pool, n, &between, y, places)?;
    if op.rectify { backend.rectify_forward(device, n * op.pool.output_len(), y) } else { Ok(()) }
}

pub(crate) fn response_pool_backward<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &ResponsePool,
    n: usize,
    x: &B::Buffer,
    (places, dy): (&B::Places, &B::Buffer),
    dx: &mut B::Buffer,
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.response_pool_backward(device, op, n, x, (places, dy), dx);
    }
    let len = n * op.pool.input_len();
    let mut between = backend.activations(device, len)?;
    backend.max_pool_backward(device, &op.pool, n, places, dy, &mut between)?;
    backend.local_response_backward(device, &op.response, n, x, &between, dx)?;
    if op.rectified { backend.rectify_backward(device, len, x, dx) } else { Ok(()) }
}

pub(crate) fn local_response_backward_rectified<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &LocalResponse,
    n: usize,
    x: &B::Buffer,
    dy: &B::Buffer,
    dx: &mut B::Buffer,
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.local_response_backward_rectified(device, op, n, x, dy, dx);
    }
    backend.local_response_backward(device, op, n, x, dy, dx)?;
    backend.rectify_backward(device, n * op.channels * op.pixels, x, dx)
}

/// What a window's maximum says is asked of the maximum only where the backend fuses: else `x` masks.
pub(crate) fn max_pool_backward_rectified<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &MaxPool,
    n: usize,
    (x, places, y): (&B::Buffer, &B::Places, &B::Buffer),
    dy: &B::Buffer,
    dx: &mut B::Buffer,
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.max_pool_backward_rectified(device, op, n, (places, y), dy, dx);
    }
    backend.max_pool_backward(device, op, n, places, dy, dx)?;
    backend.rectify_backward(device, n * op.input_len(), x, dx)
}

pub(crate) fn convolution_backward_rectified<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &Convolution,
    n: usize,
    (x, dy): (&B::Buffer, &B::Buffer),
    w: Weights<'_, B::Buffer>,
    dx: &mut B::Buffer,
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.convolution_backward_rectified(device, op, n, (x, dy), w, dx);
    }
    backend.convolution_backward_input(device, op, n, dy, w, dx)?;
    backend.rectify_backward(device, n * op.input_len(), x, dx)
}

pub(crate) fn score_and_gradient<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &SoftmaxSlice,
    n: usize,
    smoothing: f32,
    from: (&B::Buffer, &B::Labels),
    to: (&mut B::Buffer, &mut B::Buffer),
) -> Done {
    if let Some(fused) = backend.fused() {
        return fused.score_and_gradient(device, op, n, smoothing, from, to);
    }
    backend.score(device, op.classes, n, from.0, from.1, to.0)?;
    softmax_gradient(backend, device, op, n, smoothing, from, to.1)
}

/// The gradient alone.
pub(crate) fn softmax_gradient<B: Backend>(
    backend: &mut B,
    device: usize,
    op: &SoftmaxSlice,
    n: usize,
    smoothing: f32,
    (logits, labels): (&B::Buffer, &B::Labels),
    gradient: &mut B::Buffer,
) -> Done {
    backend.softmax_gradient(device, op, n, logits, labels, gradient)?;
    if smoothing > 0.0 {
        backend.smooth_labels(device, op, n, smoothing, logits, gradient)?;
    }
    Ok(())
}
