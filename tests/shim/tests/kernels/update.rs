use crate::{Grid, close, golden, launch, same_bits, values, wide};
use alexnet_shim::{Arg, ORDERS};

#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    begin: u32,
    end: u32,
    rate: f32,
    decay: f32,
}

/// One step in each order; the weights and velocity after it.
fn run(w: &[f32], v: &[f32], g: &[f32], segments: &[Segment], momentum: f32) -> (Vec<f32>, Vec<f32>) {
    let Grid(blocks, threads, _) = Grid(w.len().div_ceil(4096), 64, 0);
    let mut outs = Vec::new();
    for order in ORDERS {
        let (mut w, mut v) = (w.to_vec(), v.to_vec());
        let mut rounded: Vec<u16> = w.iter().map(|&w| half::bf16::from_f32(w).to_bits()).collect();
        let n = w.len() as u32;
        let args: Vec<Arg> = vec![
            (&mut w).into(),
            (&mut v).into(),
            g.into(),
            segments.into(),
            (segments.len() as i32).into(),
            n.into(),
            momentum.into(),
            (&mut rounded).into(),
        ];
        launch("momentum_update", Grid(blocks, threads, 0), order, &args).expect("a right launch");
        let expected: Vec<u16> = w.iter().map(|&w| half::bf16::from_f32(w).to_bits()).collect();
        assert_eq!(rounded, expected, "the rounded copy goes on with the weights");
        outs.push((w, v));
    }
    for (w, v) in &outs[1..] {
        same_bits("weights between orders", w, &outs[0].0);
        same_bits("velocities between orders", v, &outs[0].1);
    }
    outs.swap_remove(0)
}

#[test]
fn segments_gaps_and_frozen_parameters_bit_for_bit() {
    let n = 9000;
    let (w, v, g) = (values(n, 1), values(n, 2), values(n, 3));
    // A segment of one element, one across two blocks, one that begins with a block; gaps between, before and behind.
    let segments = [(3, 4, 0.01, 5e-4), (4, 700, 0.02, 0.0), (704, 4100, 0.5, 0.1), (8192, 8990, 1e-3, 5e-4)]
        .map(|(begin, end, rate, decay)| Segment { begin, end, rate, decay });
    let (new_w, new_v) = run(&w, &v, &g, &segments, 0.9);
    let (mut expected_w, mut expected_v) = (w.clone(), v.clone());
    for s in segments {
        for i in s.begin as usize..s.end as usize {
            expected_v[i] = 0.9 * v[i] - s.decay * w[i] - s.rate * g[i];
            expected_w[i] = w[i] + expected_v[i];
        }
    }
    same_bits("velocity", &new_v, &expected_v);
    same_bits("weights", &new_w, &expected_w);
    let (same_w, same_v) = run(&w, &v, &g, &segments[..0], 0.9);
    same_bits("all frozen", &[same_w, same_v].concat(), &[w, v].concat());
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    let join =
        |a: &str, b: &str| [g.floats(&format!("update.{a}")), g.floats(&format!("update.{b}"))].concat();
    let (mut w, mut v) = (join("w", "b"), join("vw", "vb"));
    for (step, rate) in [0.01, 0.01, 0.001].into_iter().enumerate() {
        let gradient = join(&format!("{step}.gw"), &format!("{step}.gb"));
        let segments = [
            Segment { begin: 0, end: 12, rate, decay: 0.5 * rate },
            Segment { begin: 12, end: 16, rate, decay: 0.0 },
        ];
        (w, v) = run(&w, &v, &gradient, &segments, 0.9);
        close("w", &w, &wide(&join(&format!("{step}.w"), &format!("{step}.b"))), 1e-5);
        close("v", &v, &wide(&join(&format!("{step}.vw"), &format!("{step}.vb"))), 1e-5);
    }
}
