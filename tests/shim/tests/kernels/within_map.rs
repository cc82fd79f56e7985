use crate::{Grid, close, golden, in_every_order, values, wide};
use alexnet_shim::Arg;

#[repr(C)]
#[derive(Clone, Copy)]
struct Shape {
    height: i32,
    width: i32,
    half: i32,
    k: f32,
    alpha: f32,
}

impl Shape {
    fn run(self, kernel: &str, copies: usize, inputs: &[&[f32]]) -> Vec<f32> {
        let plane = (self.height * self.width) as usize;
        let launch = Grid(inputs[0].len() / plane, 64, copies * plane * 4);
        in_every_order(kernel, launch, &vec![f32::NAN; inputs[0].len()], |out| {
            let mut args: Vec<Arg> = inputs.iter().map(|&x| x.into()).collect();
            args.extend([out.into(), Arg::plain(&self)]);
            args
        })
    }

    fn oracle(self, x: &[f32], dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (h, w) = (self.height as isize, self.width as isize);
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for start in (0..x.len()).step_by((h * w) as usize) {
            for row in 0..h {
                for column in 0..w {
                    let half = self.half as isize;
                    let window: Vec<usize> = (row - half..=row + half)
                        .flat_map(|r| (column - half..=column + half).map(move |c| (r, c)))
                        .filter(|&(r, c)| (0..h).contains(&r) && (0..w).contains(&c))
                        .map(|(r, c)| start + (r * w + c) as usize)
                        .collect();
                    let at = start + (row * w + column) as usize;
                    let sum: f64 = window.iter().map(|&j| f64::from(x[j]).powi(2)).sum();
                    let d = f64::from(self.k) + f64::from(self.alpha) * sum;
                    let (xi, g) = (f64::from(x[at]), f64::from(dy[at]));
                    y[at] = xi * d.powf(-0.75);
                    dx[at] += g * d.powf(-0.75);
                    for j in window {
                        dx[j] -= 1.5 * f64::from(self.alpha) * g * xi * d.powf(-1.75) * f64::from(x[j]);
                    }
                }
            }
        }
        (y, dx)
    }
}

#[test]
fn forward_and_backward() {
    for shape in [
        Shape { height: 9, width: 11, half: 2, k: 1.0, alpha: 0.2 },
        Shape { height: 3, width: 2, half: 2, k: 2.0, alpha: 0.2 },
        Shape { height: 13, width: 13, half: 1, k: 1.0, alpha: 0.1 },
    ] {
        let n = 3 * (shape.height * shape.width) as usize;
        let (x, dy) = (values(n, 1), values(n, 2));
        let (y, dx) = shape.oracle(&x, &dy);
        close("within_map_forward", &shape.run("within_map_forward", 1, &[&x]), &y, 1e-6);
        close("within_map_backward", &shape.run("within_map_backward", 3, &[&x, &dy]), &dx, 2e-6);
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    let tensor = |part: &str| g.floats(&format!("within_map_5x5.{part}"));
    let shape = Shape { height: 9, width: 9, half: 2, k: 1.0, alpha: 4e-5 };
    close("within_map_5x5", &shape.run("within_map_forward", 1, &[&tensor("x0")]), &wide(&tensor("y")), 1e-5);
    let dx = shape.run("within_map_backward", 3, &[&tensor("x0"), &tensor("dy")]);
    close("within_map_5x5", &dx, &wide(&tensor("dx0")), 1e-5);
}
