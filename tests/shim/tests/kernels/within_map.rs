use crate::{
    Element, channels_last, close, elements, golden, in_both_types, in_every_order, lanes, unwritten, wide,
};
use alexnet_shim::Arg;

in_both_types!(forward_and_backward);

#[repr(C)]
#[derive(Clone, Copy)]
struct Shape {
    batch: i32,
    height: i32,
    width: i32,
    channels: i32,
    half: i32,
    k: f32,
    alpha: f32,
}

/// Float64 values: the output, then the gradient's two parts as the first pass leaves them, then the whole.
struct Oracle {
    y: Vec<f64>,
    direct: Vec<f64>,
    terms: Vec<f64>,
    dx: Vec<f64>,
}

impl Shape {
    fn len(self) -> usize {
        (self.batch * self.height * self.width * self.channels) as usize
    }

    fn run<T: Element>(self, kernel: &str, inputs: &[&[T]], out: &[T], after: &[u64]) -> Vec<T> {
        in_every_order(&T::kernel(kernel), lanes::<T>(self.len()), out, |out| {
            let mut args: Vec<Arg> = inputs.iter().map(|&x| x.into()).collect();
            args.push(out.into());
            args.extend(after.iter().map(|&address| address.into()));
            args.push(Arg::plain(&self));
            args
        })
    }

    fn forward<T: Element>(self, x: &[T]) -> Vec<T> {
        self.run("within_map_forward", &[x], &unwritten(x.len()), &[])
    }

    /// What the first pass leaves in dx, and its terms.
    fn terms<T: Element>(self, x: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        // One launch writes both; each pass looks at one of them and lets the other go here.
        let mut spare = unwritten::<T>(x.len());
        let unused = spare.as_mut_ptr() as u64;
        let direct = self.run("within_map_terms", &[x, dy], &unwritten(x.len()), &[unused]);
        let terms = in_every_order(
            &T::kernel("within_map_terms"),
            lanes::<T>(x.len()),
            &unwritten::<T>(x.len()),
            |t| vec![x.into(), dy.into(), unused.into(), t.into(), Arg::plain(&self)],
        );
        drop(spare); // the launches wrote into it until here
        (direct, terms)
    }

    fn backward<T: Element>(self, x: &[T], dy: &[T]) -> Vec<T> {
        let (direct, terms) = self.terms(x, dy);
        self.run("within_map_backward", &[x, &terms], &direct, &[])
    }

    fn oracle(self, x: &[f64], dy: &[f64]) -> Oracle {
        let [h, w, channels, half] = [self.height, self.width, self.channels, self.half].map(|v| v as isize);
        let (k, alpha) = (f64::from(self.k), f64::from(self.alpha));
        let zeros = || vec![0.0; x.len()];
        let mut o = Oracle { y: zeros(), direct: zeros(), terms: zeros(), dx: zeros() };
        for at in 0..x.len() {
            let pixel = at as isize / channels;
            let (image, row, column) = (pixel / w / h, pixel / w % h, pixel % w);
            let window: Vec<usize> = (row - half..=row + half)
                .flat_map(|r| (column - half..=column + half).map(move |c| (r, c)))
                .filter(|&(r, c)| (0..h).contains(&r) && (0..w).contains(&c))
                .map(|(r, c)| (((image * h + r) * w + c) * channels) as usize + at % channels as usize)
                .collect();
            let d = k + alpha * window.iter().map(|&j| x[j].powi(2)).sum::<f64>();
            o.y[at] = x[at] * d.powf(-0.75);
            o.direct[at] = dy[at] * d.powf(-0.75);
            o.terms[at] = dy[at] * x[at] * d.powf(-1.75);
            o.dx[at] += o.direct[at];
            for j in window {
                o.dx[j] -= 1.5 * alpha * o.terms[at] * x[j];
            }
        }
        o
    }
}

fn forward_and_backward<T: Element>() {
    for (height, width, half, k, alpha) in
        [(9, 11, 2, 1.0, 0.2), (3, 2, 2, 2.0, 0.2), (13, 13, 1, 1.0, 0.1), (1, 7, 4, 1.0, 0.2)]
    {
        for channels in [8, 16, 24, 3, 5, 7, 4] {
            let shape = Shape { batch: 2, height, width, channels, half, k, alpha };
            let (x, dy) = (elements::<T>(shape.len(), 1), elements::<T>(shape.len(), 2));
            let expected = shape.oracle(&wide(&x), &wide(&dy));
            close("within_map_forward", &shape.forward(&x), &expected.y, 1e-6);
            let (direct, terms) = shape.terms(&x, &dy);
            close("within_map_terms", &direct, &expected.direct, 2e-6);
            close("within_map_terms, t", &terms, &expected.terms, 2e-6);
            // Its inputs were rounded before, if the type rounds.
            close("within_map_backward", &shape.backward(&x, &dy), &expected.dx, 2e-6 + T::ROUNDING);
        }
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    let size = g.shape("within_map_5x5.x0");
    let [batch, channels, height, width] = [0, 1, 2, 3].map(|i| size[i] as i32);
    let tensor =
        |part: &str| channels_last(&g.floats(&format!("within_map_5x5.{part}")), size[1], size[2] * size[3]);
    let shape = Shape { batch, height, width, channels, half: 2, k: 1.0, alpha: 4e-5 };
    close("within_map_5x5", &shape.forward(&tensor("x0")), &wide(&tensor("y")), 1e-5);
    close("within_map_5x5", &shape.backward(&tensor("x0"), &tensor("dy")), &wide(&tensor("dx0")), 1e-5);
}
