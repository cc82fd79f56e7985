use crate::{Element, channels_last, close, elements, golden, in_both_types, in_every_order, ints, lanes};
use crate::{same_bits, unwritten, wide};

in_both_types!(forward_and_backward_at_every_window);

#[derive(Clone, Copy)]
struct Case {
    rows: usize,
    columns: usize,
    maps: usize,
    half: usize,
    k: f32,
    alpha: f32,
    rectified: bool,
}

impl Case {
    fn len(self) -> usize {
        self.rows * self.columns * self.maps
    }

    fn run<T: Element>(self, kernel: &str, inputs: &[&[T]]) -> Vec<T> {
        in_every_order(&T::kernel(kernel), lanes::<T>(self.len()), &unwritten::<T>(self.len()), |out| {
            let mut args: Vec<_> = inputs.iter().map(|&x| x.into()).collect();
            args.push(out.into());
            args.extend(ints([self.rows, self.columns, self.maps, self.half]));
            args.extend([self.k.into(), self.alpha.into()]);
            if kernel == "lrn_backward" {
                args.push(i32::from(self.rectified).into());
            }
            args
        })
    }

    /// Output and input gradient from the definition, in float64: each y_i depends on each x_j of its window, and the
    /// gradient is the transpose of that Jacobian applied to dy.
    fn oracle(self, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let (k, alpha) = (f64::from(self.k), f64::from(self.alpha));
        for start in (0..x.len()).step_by(self.maps) {
            for i in start..start + self.maps {
                let window =
                    i.saturating_sub(self.half).max(start)..(i + self.half + 1).min(start + self.maps);
                let d = k + alpha * window.clone().map(|j| x[j].powi(2)).sum::<f64>();
                y[i] = x[i] * d.powf(-0.75);
                dx[i] += dy[i] * d.powf(-0.75);
                for j in window {
                    dx[j] += dy[i] * x[i] * -0.75 * d.powf(-1.75) * 2.0 * alpha * x[j];
                }
            }
        }
        (y, dx)
    }
}

fn forward_and_backward_at_every_window<T: Element>() {
    let base = Case { rows: 12, columns: 3, maps: 7, half: 2, k: 2.0, alpha: 0.3, rectified: false };
    for case in [
        base,
        Case { half: 1, ..base },
        Case { half: 3, k: 1.0, ..base },
        Case { half: 4, ..base },
        // A column narrower than the window, and one of a single map.
        Case { maps: 3, half: 4, ..base },
        Case { maps: 1, half: 2, ..base },
        // Columns of whole vectors, in one type or in both, where only AlexNet's window reads them.
        Case { maps: 5, ..base },
        Case { maps: 4, ..base },
        Case { maps: 8, ..base },
        Case { maps: 16, columns: 2, ..base },
        Case { maps: 24, columns: 1, ..base },
        Case { maps: 8, half: 1, ..base },
        Case { maps: 8, half: 3, ..base },
        Case { maps: 16, half: 4, ..base },
    ] {
        let (x, dy) = (elements::<T>(case.len(), 1), elements::<T>(case.len(), 2));
        let (y, dx) = case.oracle(&wide(&x), &wide(&dy));
        close("lrn_forward", &case.run("lrn_forward", &[&x]), &y, 1e-6);
        let ours = case.run("lrn_backward", &[&x, &dy]);
        close("lrn_backward", &ours, &dx, 2e-6);
        let masked = Case { rectified: true, ..case }.run("lrn_backward", &[&x, &dy]);
        let kept = x.iter().zip(ours).map(|(x, dx)| if x.widened() <= 0.0 { T::rounded(0.0) } else { dx });
        same_bits("lrn_backward, masked", &masked, &kept.collect::<Vec<_>>());
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, columns, k, alpha) in [
        ("lrn_paper_2columns", 2, 2.0, 1e-4),
        ("lrn_original_2columns", 2, 2.0, 2e-5),
        ("lrn_k1_1column", 1, 1.0, 1e-4),
    ] {
        let shape = g.shape(&format!("{name}.x0"));
        let plane = shape[2] * shape[3];
        let case = Case {
            rows: shape[0] * plane,
            columns,
            maps: shape[1] / columns,
            half: 2,
            k,
            alpha,
            rectified: false,
        };
        let tensor = |part: &str| channels_last(&g.floats(&format!("{name}.{part}")), shape[1], plane);
        close(name, &case.run("lrn_forward", &[&tensor("x0")]), &wide(&tensor("y")), 1e-5);
        close(name, &case.run("lrn_backward", &[&tensor("x0"), &tensor("dy")]), &wide(&tensor("dx0")), 1e-5);
    }
}
