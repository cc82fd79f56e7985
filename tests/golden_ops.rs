//! Every operation of every backend against numbers that PyTorch computed (tests/golden/ops.safetensors).

use alexnet_cpu::CpuBackend;
use alexnet_net::oracle::Oracle;
use alexnet_net::{
    Backend, Convolution, Dense, Gradients, LocalResponse, MaxPool, Segment, SoftmaxSlice, Weights, WithinMap,
};

use crate::golden::{Golden, assert_close};

/// A backend with one device, and the golden numbers to hold it against.
struct Bench<B: Backend> {
    name: &'static str,
    backend: B,
    golden: Golden,
}

impl<B: Backend> Bench<B> {
    fn put(&mut self, values: &[f32]) -> B::Buffer {
        let mut buffer = self.backend.floats(0, values.len()).unwrap();
        self.backend.upload(0, values, &mut buffer, 0).unwrap();
        buffer
    }

    fn load(&mut self, name: &str) -> B::Buffer {
        let values = self.golden.floats(name);
        self.put(&values)
    }

    /// A buffer that an operation must overwrite.
    fn dirty(&mut self, like: &str) -> B::Buffer {
        let len = self.golden.floats(like).len();
        self.put(&vec![7.0; len])
    }

    fn check(&mut self, tensor: &str, buffer: &B::Buffer) {
        let theirs = self.golden.floats(tensor);
        let mut ours = vec![0.0; theirs.len()];
        self.backend.download(0, buffer, 0, &mut ours).unwrap();
        assert_close(&format!("{} {tensor}", self.name), &ours, &theirs);
    }

    /// Weights, then bias, in one buffer.
    fn parameters(&mut self, case: &str, weight: &str, bias: &str) -> (B::Buffer, usize, usize) {
        let (w, b) =
            (self.golden.floats(&format!("{case}.{weight}")), self.golden.floats(&format!("{case}.{bias}")));
        let buffer = self.put(&[&w[..], &b].concat());
        (buffer, w.len(), w.len() + b.len())
    }

    fn convolution(&mut self, case: &str, groups: usize, stride: usize, padding: usize) {
        let shape = |bench: &Self, t: &str| bench.golden.shape(&format!("{case}.{t}"));
        let (x, w, y) = (shape(self, "x0"), shape(self, "x1"), shape(self, "y"));
        let op = Convolution {
            groups,
            inputs: x[1],
            outputs: y[1],
            height: x[2],
            width: x[3],
            kernel: w[2],
            stride,
            padding,
            out_height: y[2],
            out_width: y[3],
            rectify: false,
        };
        let n = x[0];
        self.backend.reserve_convolution(0, &op, n).unwrap();
        let (parameters, split, end) = self.parameters(case, "x1", "x2");
        let weights = || Weights { buffer: &parameters, weight: 0..split, bias: split..end };
        let (x, mut y) = (self.load(&format!("{case}.x0")), self.dirty(&format!("{case}.y")));
        self.backend.convolution_forward(0, &op, n, &x, weights(), &mut y).unwrap();
        self.check(&format!("{case}.y"), &y);
        let (dy, mut dx) = (self.load(&format!("{case}.dy")), self.dirty(&format!("{case}.dx0")));
        self.backend.convolution_backward_input(0, &op, n, &dy, weights(), &mut dx).unwrap();
        self.check(&format!("{case}.dx0"), &dx);
        let mut gradient = self.put(&vec![7.0; end]);
        let dw = Gradients { buffer: &mut gradient, weight: 0..split, bias: split..end, accumulate: false };
        self.backend.convolution_backward_weights(0, &op, n, &x, &dy, dw).unwrap();
        self.check_parameters(case, &gradient, split, end);
    }

    fn check_parameters(&mut self, case: &str, gradient: &B::Buffer, split: usize, end: usize) {
        let mut ours = vec![0.0; end];
        self.backend.download(0, gradient, 0, &mut ours).unwrap();
        for (tensor, ours) in [("dx1", &ours[..split]), ("dx2", &ours[split..])] {
            let tensor = format!("{case}.{tensor}");
            assert_close(&format!("{} {tensor}", self.name), ours, &self.golden.floats(&tensor));
        }
    }

    fn dense(&mut self) {
        let (x, w) = (self.golden.shape("dense.x0"), self.golden.shape("dense.x1"));
        let op = Dense { groups: 1, inputs: x[1], outputs: w[0], rectify: false };
        let n = x[0];
        self.backend.reserve_dense(0, &op, n).unwrap();
        let (parameters, split, end) = self.parameters("dense", "x1", "x2");
        let weights = || Weights { buffer: &parameters, weight: 0..split, bias: split..end };
        let (x, mut y) = (self.load("dense.x0"), self.dirty("dense.y"));
        self.backend.dense_forward(0, &op, n, &x, weights(), &mut y).unwrap();
        self.check("dense.y", &y);
        let (dy, mut dx) = (self.load("dense.dy"), self.dirty("dense.dx0"));
        self.backend.dense_backward_input(0, &op, n, &dy, weights(), &mut dx).unwrap();
        self.check("dense.dx0", &dx);
        let mut gradient = self.put(&vec![7.0; end]);
        let dw = Gradients { buffer: &mut gradient, weight: 0..split, bias: split..end, accumulate: false };
        self.backend.dense_backward_weights(0, &op, n, &x, &dy, dw).unwrap();
        self.check_parameters("dense", &gradient, split, end);
    }

    fn local_response(&mut self, case: &str, columns: usize, alpha: f32, k: f32) {
        let shape = self.golden.shape(&format!("{case}.x0"));
        let (channels, pixels) = (shape[1], shape[2] * shape[3]);
        let op = LocalResponse { columns, channels, pixels, size: 5, alpha, k, beta: 0.75 };
        let (x, mut y) = (self.load(&format!("{case}.x0")), self.dirty(&format!("{case}.y")));
        self.backend.local_response_forward(0, &op, shape[0], &x, &mut y).unwrap();
        self.check(&format!("{case}.y"), &y);
        let (dy, mut dx) = (self.load(&format!("{case}.dy")), self.dirty(&format!("{case}.dx0")));
        self.backend.local_response_backward(0, &op, shape[0], &x, &dy, &mut dx).unwrap();
        self.check(&format!("{case}.dx0"), &dx);
    }

    fn within_map(&mut self) {
        let shape = self.golden.shape("within_map_5x5.x0");
        let (channels, height, width) = (shape[1], shape[2], shape[3]);
        let op = WithinMap { channels, height, width, size: 5, alpha: 4e-5, k: 1.0, beta: 0.75 };
        let (x, mut y) = (self.load("within_map_5x5.x0"), self.dirty("within_map_5x5.y"));
        self.backend.within_map_forward(0, &op, shape[0], &x, &mut y).unwrap();
        self.check("within_map_5x5.y", &y);
        let (dy, mut dx) = (self.load("within_map_5x5.dy"), self.dirty("within_map_5x5.dx0"));
        self.backend.within_map_backward(0, &op, shape[0], &x, &dy, &mut dx).unwrap();
        self.check("within_map_5x5.dx0", &dx);
    }

    fn max_pool(&mut self, case: &str) {
        let (x, y) = (self.golden.shape(&format!("{case}.x0")), self.golden.shape(&format!("{case}.y")));
        let (height, width, out_height, out_width) = (x[2], x[3], y[2], y[3]);
        let op = MaxPool { channels: x[1], height, width, size: 3, stride: 2, out_height, out_width };
        let n = x[0];
        let mut places = self.backend.places(0, n * op.output_len()).unwrap();
        let (x, mut y) = (self.load(&format!("{case}.x0")), self.dirty(&format!("{case}.y")));
        self.backend.max_pool_forward(0, &op, n, &x, &mut y, &mut places).unwrap();
        self.check(&format!("{case}.y"), &y);
        let (dy, mut dx) = (self.load(&format!("{case}.dy")), self.dirty(&format!("{case}.dx0")));
        self.backend.max_pool_backward(0, &op, n, &places, &dy, &mut dx).unwrap();
        self.check(&format!("{case}.dx0"), &dx);
    }

    /// The golden loss and gradient are means over the batch; ours are sums.
    fn softmax(&mut self) {
        let shape = self.golden.shape("softmax_xent.x0");
        let (n, classes) = (shape[0], shape[1]);
        let labels = self.golden.labels("softmax_xent.label");
        let mut on_device = self.backend.labels(0, n).unwrap();
        self.backend.upload_labels(0, &labels, &mut on_device).unwrap();
        let logits = self.load("softmax_xent.x0");
        let mut score = self.put(&vec![7.0; 3 * n]);
        self.backend.score(0, classes, n, &logits, &on_device, &mut score).unwrap();
        let mut ours = vec![0.0; n];
        self.backend.download(0, &score, 0, &mut ours).unwrap();
        let mean = ours.iter().sum::<f32>() / n as f32;
        assert_close(self.name, &[mean], &self.golden.floats("softmax_xent.y"));
        let op = SoftmaxSlice { classes, first: 0, count: classes };
        let mut gradient = self.put(&vec![7.0; n * classes]);
        self.backend.softmax_gradient(0, &op, n, &logits, &on_device, &mut gradient).unwrap();
        self.backend.scale(0, n * classes, 1.0 / n as f32, &mut gradient).unwrap();
        self.check("softmax_xent.dx0", &gradient);
    }

    fn dropout(&mut self) {
        let len = self.golden.floats("dropout_train.x0").len();
        let (mut y, mask) = (self.load("dropout_train.x0"), self.load("dropout_train.mask"));
        self.backend.multiply(0, len, &mask, &mut y).unwrap();
        self.check("dropout_train.y", &y);
        let mut y = self.load("dropout_test.x0");
        self.backend.scale(0, len, 0.5, &mut y).unwrap();
        self.check("dropout_test.y", &y);
    }

    fn update(&mut self) {
        let flat = |bench: &mut Self, w: &str, b: &str| bench.parameters("update", w, b);
        let (mut w, split, end) = flat(self, "w", "b");
        let (mut v, ..) = flat(self, "vw", "vb");
        for (step, rate) in [0.01, 0.01, 0.001].into_iter().enumerate() {
            let (g, ..) = flat(self, &format!("{step}.gw"), &format!("{step}.gb"));
            let segments = [
                Segment { range: 0..split, rate: rate as f32, decay: (0.5 * rate) as f32 },
                Segment { range: split..end, rate: rate as f32, decay: 0.0 },
            ];
            self.backend.update(0, &segments, 0.9, &mut w, &mut v, &g).unwrap();
            for (buffer, names) in [(&w, ["w", "b"]), (&v, ["vw", "vb"])] {
                let mut ours = vec![0.0; end];
                self.backend.download(0, buffer, 0, &mut ours).unwrap();
                for (name, ours) in names.into_iter().zip([&ours[..split], &ours[split..]]) {
                    let tensor = format!("update.{step}.{name}");
                    assert_close(&format!("{} {tensor}", self.name), ours, &self.golden.floats(&tensor));
                }
            }
        }
    }
}

fn all<B: Backend>(name: &'static str, backend: B) {
    let mut bench = Bench { name, backend, golden: Golden::open("ops.safetensors") };
    bench.convolution("conv_s4_over", 1, 4, 0);
    bench.convolution("conv_5x5_groups2", 2, 1, 2);
    bench.convolution("conv_3x3", 1, 1, 1);
    bench.local_response("lrn_paper_2columns", 2, 1e-4, 2.0);
    bench.local_response("lrn_original_2columns", 2, 2e-5, 2.0);
    bench.local_response("lrn_k1_1column", 1, LRN_K1_ALPHA, 1.0);
    bench.within_map();
    bench.max_pool("maxpool_3x3_s2");
    bench.max_pool("maxpool_3x3_s2_ceil");
    bench.dense();
    bench.softmax();
    bench.dropout();
    bench.update();
}

const LRN_K1_ALPHA: f32 = 1e-4;

#[test]
fn operations_of_the_oracle() {
    all("oracle", Oracle::new(1));
}

#[test]
fn operations_of_the_cpu() {
    all("cpu", CpuBackend::new(1, 2).unwrap());
}
