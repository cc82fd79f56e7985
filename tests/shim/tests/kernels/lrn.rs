use crate::{close, golden, grid, in_every_order, values, wide};

#[derive(Clone, Copy)]
struct Case {
    batch: usize,
    columns: usize,
    maps: usize,
    plane: usize,
    half: usize,
    k: f32,
    alpha: f32,
}

impl Case {
    fn run(self, kernel: &str, inputs: &[&[f32]]) -> Vec<f32> {
        let n = self.batch * self.columns * self.maps * self.plane;
        in_every_order(kernel, grid(self.batch * self.columns * self.plane), &vec![f32::NAN; n], |out| {
            let mut args: Vec<_> = inputs.iter().map(|&x| x.into()).collect();
            args.push(out.into());
            args.extend(
                [self.batch, self.columns, self.maps, self.plane, self.half].map(|v| (v as i32).into()),
            );
            args.extend([self.k.into(), self.alpha.into()]);
            args
        })
    }

    /// Output and input gradient from the definition, in float64: each y_i depends on each x_j of its window, and the
    /// gradient is the transpose of that Jacobian applied to dy.
    fn oracle(self, x: &[f32], dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for start in (0..x.len()).step_by(self.maps * self.plane) {
            for p in 0..self.plane {
                let at = |i: usize| start + i * self.plane + p;
                for i in 0..self.maps {
                    let window = i.saturating_sub(self.half)..(i + self.half + 1).min(self.maps);
                    let sum: f64 = window.clone().map(|j| f64::from(x[at(j)]).powi(2)).sum();
                    let d = f64::from(self.k) + f64::from(self.alpha) * sum;
                    let (xi, g) = (f64::from(x[at(i)]), f64::from(dy[at(i)]));
                    y[at(i)] = xi * d.powf(-0.75);
                    dx[at(i)] += g * d.powf(-0.75);
                    for j in window {
                        dx[at(j)] += g
                            * xi
                            * -0.75
                            * d.powf(-1.75)
                            * 2.0
                            * f64::from(self.alpha)
                            * f64::from(x[at(j)]);
                    }
                }
            }
        }
        (y, dx)
    }
}

#[test]
fn forward_and_backward_at_every_window() {
    let base = Case { batch: 2, columns: 3, maps: 7, plane: 6, half: 2, k: 2.0, alpha: 0.3 };
    for case in [
        base,
        Case { half: 1, ..base },
        Case { half: 3, k: 1.0, ..base },
        Case { half: 4, ..base },
        // A column narrower than the window, and one of a single map.
        Case { maps: 3, half: 4, ..base },
        Case { maps: 1, half: 2, ..base },
    ] {
        let n = case.batch * case.columns * case.maps * case.plane;
        let (x, dy) = (values(n, 1), values(n, 2));
        let (y, dx) = case.oracle(&x, &dy);
        close("lrn_forward", &case.run("lrn_forward", &[&x]), &y, 1e-6);
        close("lrn_backward", &case.run("lrn_backward", &[&x, &dy]), &dx, 2e-6);
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, columns, k, alpha) in [
        ("lrn_paper_2columns", 2, 2.0, 1e-4),
        ("lrn_original_2columns", 2, 2.0, 2e-5),
        ("lrn_k1_1column", 1, 1.0, 0.0),
    ] {
        let shape = g.shape(&format!("{name}.x0"));
        let alpha = if alpha == 0.0 { 1e-4 } else { alpha };
        let case = Case {
            batch: shape[0],
            columns,
            maps: shape[1] / columns,
            plane: shape[2] * shape[3],
            half: 2,
            k,
            alpha,
        };
        let tensor = |part: &str| g.floats(&format!("{name}.{part}"));
        close(name, &case.run("lrn_forward", &[&tensor("x0")]), &wide(&tensor("y")), 1e-5);
        close(name, &case.run("lrn_backward", &[&tensor("x0"), &tensor("dy")]), &wide(&tensor("dx0")), 1e-5);
    }
}
