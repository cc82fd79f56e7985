//! The operations that the kernels do in one go, to the bit what the separate ones do one after the other.
//!
//! [`CudaBackend::with_fusion`] turns them off, for measurements; the bits stay. A gradient by cuDNN or by columns is masked
//! by a kernel of its own, since only our tiles mask what they write.

use alexnet_net::{
    Convolution, DeviceError, Fused, LocalResponse, MaxPool, ResponsePool, SoftmaxSlice, Weights,
};

use crate::launch::Arg;
use crate::tensor::{Floats, Maps};
use crate::{CudaBackend, convolution};

type Done = Result<(), DeviceError>;

impl CudaBackend {
    /// The same devices, with operations fused (as they are if nothing is said) or each by itself.
    #[must_use]
    pub fn with_fusion(mut self, fuses: bool) -> Self {
        self.fuses = fuses;
        self
    }

    /// The same devices with dense layers' biases apart from their products, whatever [`CudaBackend::with_convolutions`] said
    /// before.
    #[must_use]
    pub fn without_epilogues(mut self) -> Self {
        for device in &mut self.devices {
            device.epilogues = None;
        }
        self
    }
}

impl Fused for CudaBackend {
    type Buffer = Floats;
    type Places = Floats<u8>;
    type Labels = Floats<u32>;

    fn response_pool_forward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &mut Floats<u8>,
    ) -> Done {
        let device = &mut self.devices[device];
        let from = device.last(x, n, op.pool.channels, op.response.pixels)?;
        y.maps = Maps::of(n, op.pool.channels, op.pool.out_height * op.pool.out_width);
        let buffers = [from, y.address, places.address];
        device.response_pool("response_pool_forward", op, n, op.rectify, (&buffers, y.of))
    }

    fn response_pool_backward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        (places, dy): (&Floats<u8>, &Floats),
        dx: &mut Floats,
    ) -> Done {
        let (channels, device) = (op.pool.channels, &mut self.devices[device]);
        let output = (dy, channels, op.pool.out_height * op.pool.out_width);
        let [x, dy] = device.both(n, (x, channels, op.response.pixels), output)?;
        dx.maps = Maps::of(n, channels, op.response.pixels);
        let buffers = [x, dy, places.address, dx.address];
        device.response_pool("response_pool_backward", op, n, op.rectified, (&buffers, dx.of))
    }

    fn local_response_backward_rectified(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.devices[device].across_maps_back(op, n, x, dy, dx, true)
    }

    fn max_pool_backward_rectified(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        (places, y): (&Floats<u8>, &Floats),
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.devices[device].maxima_back(op, n, (places, Some(y)), dy, dx)
    }

    fn convolution_backward_rectified(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        (x, dy): (&Floats, &Floats),
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        let weight = (w.buffer, w.weight.start);
        let device = &mut self.devices[device];
        if convolution::masks(device, op, x) {
            return convolution::backward_input(device, op, n, (dy, Some(x)), weight, dx);
        }
        convolution::backward_input(device, op, n, (dy, None), weight, dx)?;
        device.rectify_back(n * op.input_len(), x, dx)
    }

    fn score_and_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        (logits, labels): (&Floats, &Floats<u32>),
        (score, gradient): (&mut Floats, &mut Floats),
    ) -> Done {
        let d = &self.devices[device];
        gradient.maps = None;
        let buffers = [logits.address, labels.address, d.setting(&[score.address])?, gradient.address];
        let mut args: Vec<Arg> = buffers.map(Arg::Address).into();
        for size in [n, op.classes, op.first, op.count] {
            args.push(Arg::Int(d.int(size)?));
        }
        args.push(Arg::Float(smoothing));
        d.launch(d.typed("softmax_both", gradient.of)?, crate::launch::Grid::blocks(n), &args)
    }
}

impl CudaBackend {
    /// What [`alexnet_net::Backend::fused`] gives.
    pub(crate) fn one_go(&mut self) -> Option<alexnet_net::FusedOf<'_, Self>> {
        if self.fuses { Some(self) } else { None }
    }
}
