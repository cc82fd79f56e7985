//! The operations that the CPU takes in one go, where that saves the memory traffic between them; the others, whose results
//! are small or still in the cache, follow each other.

use alexnet_net::{
    Backend, Convolution, Dense, DenseUpdate, DeviceError, Fused, LocalResponse, MaxPool, ResponsePool,
    SoftmaxSlice, Updating, Weights,
};

use crate::{CpuBackend, dense, normalisation, pooling, response_pool};

type Done = Result<(), DeviceError>;
type Floats = Vec<f32>;

impl Fused for CpuBackend {
    type Buffer = Floats;
    type Places = Vec<u8>;
    type Labels = Vec<u32>;

    fn response_pool_forward(
        &mut self,
        _: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &mut Vec<u8>,
    ) -> Done {
        self.reserve(response_pool::scratch_len(op), 0)?;
        response_pool::forward(&self.workers, op, n, x, y, places);
        Ok(())
    }

    fn response_pool_backward(
        &mut self,
        _: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        won: (&Vec<u8>, &Floats),
        dx: &mut Floats,
    ) -> Done {
        self.reserve(response_pool::scratch_len(op), 0)?;
        response_pool::backward(&self.workers, op, n, x, (won.0, won.1), dx);
        Ok(())
    }

    fn local_response_backward_rectified(
        &mut self,
        _: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.reserve(normalisation::scratch_len(op), 0)?;
        normalisation::local_response_backward(&self.workers, op, true, n, (x, dy), dx);
        Ok(())
    }

    fn max_pool_backward_rectified(
        &mut self,
        _: usize,
        op: &MaxPool,
        n: usize,
        won: (&Vec<u8>, &Floats),
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        pooling::backward(&self.workers, op, n, (won.0, Some(won.1)), dy, dx);
        Ok(())
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
        self.convolution_backward_input(device, op, n, dy, w, dx)?;
        self.rectify_backward(device, n * op.input_len(), x, dx)
    }

    fn updating(&mut self) -> Option<&mut dyn Updating<Buffer = Floats>> {
        Some(self)
    }

    fn score_and_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        (logits, labels): (&Floats, &Vec<u32>),
        (score, gradient): (&mut Floats, &mut Floats),
    ) -> Done {
        self.score(device, op.classes, n, logits, labels, score)?;
        self.softmax_gradient(device, op, n, logits, labels, gradient)?;
        if smoothing > 0.0 {
            self.smooth_labels(device, op, n, smoothing, logits, gradient)?;
        }
        Ok(())
    }
}

impl Updating for CpuBackend {
    type Buffer = Floats;

    fn dense_backward_update(
        &mut self,
        _: usize,
        op: &Dense,
        n: usize,
        (x, dy): (&Floats, &Floats),
        update: &DenseUpdate,
        (w, v): (&mut Floats, &mut Floats),
    ) -> Done {
        dense::backward_update(&self.workers, op, n, (x, dy), update, (w, v));
        Ok(())
    }
}
