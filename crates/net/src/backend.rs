//! The trait of operations: what a device must be able to do to run a net.
//!
//! The program ([`crate::Network`]) calls these in order, device by device. An implementation may queue them: only
//! [`Backend::download`] and [`Backend::synchronise`] must wait, and within one device operations take effect in the order of
//! the calls. Only [`Backend::gather`] and [`Backend::reduce`] touch several devices; they follow everything queued before
//! them on each. Only `upload`, `upload_labels` and `download` see host memory. Every result must be the same whatever the
//! number of threads, streams or blocks: sums run in an order fixed by the shapes; [`crate::oracle`] defines them.

use std::time::Duration;

use crate::input::no_records;
use crate::{
    Augmentation, AveragePool, Convolution, Dense, DeviceError, Dropout, Exchange, FusedOf, Gradients,
    HostMemory, LocalResponse, MaxPool, RawBatch, Replays, Replicas, Segment, SoftmaxSlice, Weights,
    WithinMap, hosted,
};

type Done = Result<(), DeviceError>;

/// Devices that can run a net. `device` is always below [`Backend::devices`], and buffers passed with it were made for it;
/// they may be longer than the operation's `n` needs. A failing device says which operation failed and why.
pub trait Backend {
    /// Values on one device: f32, or what [`Backend::activations`] makes.
    type Buffer;
    /// Winners of max pooling on one device, one byte each.
    type Places;
    /// Class numbers on one device.
    type Labels;

    /// Number of devices, at least 1.
    fn devices(&self) -> usize;

    /// The operations that this backend does in one go, if it does.
    fn fused(&mut self) -> Option<FusedOf<'_, Self>> {
        None
    }

    /// Whether operations are queued, so that a caller who does not wait gains time.
    fn queues(&self) -> bool {
        false
    }

    /// How long devices stood still between updates and batches, at most, and the time since the first batch, if measured.
    fn paused(&mut self) -> Result<Option<[Duration; 2]>, DeviceError> {
        Ok(None)
    }

    /// A training step begins: until [`Backend::update`] operations may be held back, if whoever looks sees no difference.
    fn begin_step(&mut self) -> Done {
        Ok(())
    }

    /// How much of that was replayed as graphs, if the backend can.
    fn replays(&self) -> Option<Replays> {
        None
    }

    /// Bytes of a value that travels between devices, but for logits, which are f32.
    fn activation_bytes(&self) -> u64 {
        4
    }

    /// Bytes copied from device to device so far, if the backend counts them.
    fn exchanged_bytes(&self) -> Option<u64> {
        None
    }

    /// The other replicas of a run, if there are any.
    fn replicas(&mut self) -> Option<&mut dyn Replicas<Self::Buffer>> {
        None
    }

    /// `len` zeros on `device`.
    fn floats(&mut self, device: usize, len: usize) -> Result<Self::Buffer, DeviceError>;

    /// Room for `len` values between layers, all zero: activations and their gradients. A backend may keep them in another
    /// order and with fewer bits than [`Backend::upload`] and [`Backend::download`] show; an upload replaces them all.
    fn activations(&mut self, device: usize, len: usize) -> Result<Self::Buffer, DeviceError> {
        self.floats(device, len)
    }

    /// Room for `len` winners.
    fn places(&mut self, device: usize, len: usize) -> Result<Self::Places, DeviceError>;

    /// Room for `len` labels.
    fn labels(&mut self, device: usize, len: usize) -> Result<Self::Labels, DeviceError>;

    /// Copies host values to `to[offset ..]`; the slice may be reused at once.
    fn upload(&mut self, device: usize, from: &[f32], to: &mut Self::Buffer, offset: usize) -> Done;

    /// Copies host labels.
    fn upload_labels(&mut self, device: usize, from: &[u32], to: &mut Self::Labels) -> Done;

    /// Waits for the device and copies `from[offset ..]` to the host, as many values as `to` holds.
    fn download(&mut self, device: usize, from: &Self::Buffer, offset: usize, to: &mut [f32]) -> Done;

    /// Waits until every device has done all that was asked.
    fn synchronise(&mut self) -> Done;

    /// Whether the devices make inputs of raw records; the four methods that follow are called only then.
    fn augments(&self) -> bool {
        false
    }

    /// `bytes` of host memory that copies to the devices read fastest.
    fn host_memory(&mut self, bytes: usize) -> Result<Box<dyn HostMemory>, DeviceError> {
        Ok(Box::new(vec![0; bytes]))
    }

    /// Makes room for batches of up to `n` records, and forgets those that were staged.
    fn prepare_records(&mut self, _op: &Augmentation, _n: usize) -> Done {
        Err(no_records())
    }

    /// Queues the copy of a batch to every device, and keeps it until that is done; up to [`crate::STAGED`] wait.
    fn stage(&mut self, _batch: Box<dyn RawBatch>) -> Done {
        Err(no_records())
    }

    /// Makes the batch that was staged first, of `n` records, the input x of every device.
    fn augment(&mut self, _n: usize, _x: &mut [Self::Buffer]) -> Done {
        Err(no_records())
    }

    /// Called once for each operation with the largest `n` it will see, so that no step allocates.
    fn reserve_convolution(&mut self, device: usize, op: &Convolution, n: usize) -> Done;

    /// As [`Backend::reserve_convolution`].
    fn reserve_dense(&mut self, device: usize, op: &Dense, n: usize) -> Done;

    /// y = w ∗ x + b, then max(y, 0) if `op.rectify`.
    fn convolution_forward(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        x: &Self::Buffer,
        w: Weights<'_, Self::Buffer>,
        y: &mut Self::Buffer,
    ) -> Done;

    /// dx from dy; replaces dx.
    fn convolution_backward_input(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        dy: &Self::Buffer,
        w: Weights<'_, Self::Buffer>,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// Gradients of weights and bias, summed over the batch.
    fn convolution_backward_weights(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        dw: Gradients<'_, Self::Buffer>,
    ) -> Done;

    /// y = x·wᵀ + b, then max(y, 0) if `op.rectify`.
    fn dense_forward(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        x: &Self::Buffer,
        w: Weights<'_, Self::Buffer>,
        y: &mut Self::Buffer,
    ) -> Done;

    /// dx from dy; replaces dx.
    fn dense_backward_input(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        dy: &Self::Buffer,
        w: Weights<'_, Self::Buffer>,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// Gradients of weights and bias, summed over the batch.
    fn dense_backward_weights(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        dw: Gradients<'_, Self::Buffer>,
    ) -> Done;

    /// max(y, 0) in place, on the first `len` values. A NaN stays.
    fn rectify_forward(&mut self, device: usize, len: usize, y: &mut Self::Buffer) -> Done;

    /// dy becomes 0 wherever y is not above 0 (or NaN), on the first `len` values.
    fn rectify_backward(
        &mut self,
        device: usize,
        len: usize,
        y: &Self::Buffer,
        dy: &mut Self::Buffer,
    ) -> Done;

    /// Normalisation over neighbouring maps.
    fn local_response_forward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Done;

    /// dx from x and dy; replaces dx.
    fn local_response_backward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// Normalisation over neighbouring pixels of a map.
    fn within_map_forward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Done;

    /// dx from x and dy; replaces dx.
    fn within_map_backward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// Maxima and the places they came from.
    fn max_pool_forward(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
        places: &mut Self::Places,
    ) -> Done;

    /// Each dy goes to its window's winner; replaces dx.
    fn max_pool_backward(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        places: &Self::Places,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done;

    /// y = tanh(x) of the first `len` values. This and the other provided operations go through the host unless a
    /// backend has its own.
    fn tanh_forward(&mut self, device: usize, len: usize, x: &Self::Buffer, y: &mut Self::Buffer) -> Done {
        hosted::tanh_forward(self, device, len, x, y)
    }

    /// dy · (1 − tanh²(x)), in place, on the first `len` values.
    fn tanh_backward(&mut self, device: usize, len: usize, x: &Self::Buffer, dy: &mut Self::Buffer) -> Done {
        hosted::tanh_backward(self, device, len, x, dy)
    }

    /// Means of windows.
    fn average_pool_forward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Done {
        hosted::average_pool_forward(self, device, op, n, x, y)
    }

    /// Each dy goes to its window in equal shares; replaces dx.
    fn average_pool_backward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    ) -> Done {
        hosted::average_pool_backward(self, device, op, n, dy, dx)
    }

    /// Draws the mask `[n, units]` and multiplies y by it, in place.
    fn dropout_forward(
        &mut self,
        device: usize,
        op: &Dropout,
        n: usize,
        y: &mut Self::Buffer,
        mask: &mut Self::Buffer,
    ) -> Done;

    /// Multiplies the first `len` values by those of `mask`, in place: dropout's way back.
    fn multiply(&mut self, device: usize, len: usize, mask: &Self::Buffer, dy: &mut Self::Buffer) -> Done;

    /// Multiplies the first `len` values by `factor`, in place: dropout at test.
    fn scale(&mut self, device: usize, len: usize, factor: f32, y: &mut Self::Buffer) -> Done;

    /// Per sample the cross-entropy of the softmax, and 1 or 0 for whether the label is the best and among the best
    /// five; `score` is `[3, n]`. An equal value of a lower class ranks before the label; a NaN ranks before it.
    fn score(
        &mut self,
        device: usize,
        classes: usize,
        n: usize,
        logits: &Self::Buffer,
        labels: &Self::Labels,
        score: &mut Self::Buffer,
    ) -> Done;

    /// Gradient of the summed cross-entropy with respect to the classes of `op`: softmax − one-hot, `[n, count]`.
    fn softmax_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        logits: &Self::Buffer,
        labels: &Self::Labels,
        gradient: &mut Self::Buffer,
    ) -> Done;

    /// Spreads the share `smoothing` of each label evenly over all classes, in what [`Backend::softmax_gradient`] left.
    fn smooth_labels(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        logits: &Self::Buffer,
        gradient: &mut Self::Buffer,
    ) -> Done {
        hosted::smooth_labels(self, device, op, n, smoothing, logits, gradient)
    }

    /// Softmax of each sample's `classes` logits.
    fn softmax(
        &mut self,
        device: usize,
        classes: usize,
        n: usize,
        logits: &Self::Buffer,
        probabilities: &mut Self::Buffer,
    ) -> Done;

    /// Gives every device the whole tensor: `whole[e]` for all `e` from all `parts[d]`. Never called with one device.
    fn gather(
        &mut self,
        exchange: &Exchange,
        n: usize,
        parts: &[Self::Buffer],
        whole: &mut [Self::Buffer],
    ) -> Done;

    /// Sums at each owner: `parts[d]` = the d-th part of the sum of all `whole`, added from the first device to the
    /// last. Never called with one device.
    fn reduce(
        &mut self,
        exchange: &Exchange,
        n: usize,
        whole: &[Self::Buffer],
        parts: &mut [Self::Buffer],
    ) -> Done;

    /// For each segment v ← momentum·v − decay·w − rate·g; w ← w + v, each product and sum rounded once. Values
    /// outside the segments stay as they are.
    fn update(
        &mut self,
        device: usize,
        segments: &[Segment],
        momentum: f32,
        parameters: &mut Self::Buffer,
        velocity: &mut Self::Buffer,
        gradient: &Self::Buffer,
    ) -> Done;
}
