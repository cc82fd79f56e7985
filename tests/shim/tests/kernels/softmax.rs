use crate::{Bits, Grid, close, golden, in_every_order, launch, values, wide};
use alexnet_shim::{Arg, ORDERS};

/// What one launch gives.
#[derive(Debug, PartialEq)]
struct Out {
    gradient: Vec<f32>,
    probability: Vec<f32>,
    loss: Vec<f32>,
    rank: Vec<u32>,
}

fn run(logits: &[f32], label: &[u32], classes: usize, threads: usize) -> Out {
    let n = label.len();
    let mut outs: Vec<Out> = Vec::new();
    for order in ORDERS {
        let mut out = Out {
            gradient: vec![f32::NAN; n * classes],
            probability: vec![f32::NAN; n * classes],
            loss: vec![f32::NAN; n],
            rank: vec![77; n],
        };
        let args: Vec<Arg> = vec![
            logits.into(),
            label.into(),
            (&mut out.gradient).into(),
            (&mut out.probability).into(),
            (&mut out.loss).into(),
            (&mut out.rank).into(),
            (classes as i32).into(),
        ];
        launch("softmax_loss", Grid(n, threads, 0), order, &args).expect("a right launch");
        outs.push(out);
    }
    for other in &outs[1..] {
        for (a, b) in [
            (&outs[0].gradient, &other.gradient),
            (&outs[0].probability, &other.probability),
            (&outs[0].loss, &other.loss),
        ] {
            assert!(a.iter().zip(b).all(|(a, b)| a.bits() == b.bits()), "orders differ");
        }
        assert_eq!(outs[0].rank, other.rank);
    }
    outs.swap_remove(0)
}

#[test]
fn loss_gradient_and_rank() {
    for (classes, threads) in [(1000usize, 256usize), (10, 64), (1, 32)] {
        // Rounded, so that equal scores are common; one row far from zero, where exp would overflow.
        let mut logits: Vec<f32> = values(6 * classes, 1).iter().map(|v| (v * 8.0).round() / 4.0).collect();
        logits[..classes].iter_mut().for_each(|v| *v += 300.0);
        let label: Vec<u32> = (0..6).map(|n| (n * 37 % classes) as u32).collect();
        let out = run(&logits, &label, classes, threads);
        for n in 0..6 {
            let row = wide(&logits[n * classes..][..classes]);
            let target = label[n] as usize;
            let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|v| (v - highest).exp()).sum();
            let p: Vec<f64> = row.iter().map(|v| (v - highest).exp() / sum).collect();
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            assert_eq!(
                out.rank[n] as usize,
                order.iter().position(|&c| c == target).expect("a class"),
                "row {n}"
            );
            assert!(
                (f64::from(out.loss[n]) + p[target].ln()).abs() < 2e-6 * (1.0 - p[target].ln()),
                "row {n}"
            );
            close("probability", &out.probability[n * classes..][..classes], &p, 1e-6);
            let gradient: Vec<f64> = (0..classes).map(|c| p[c] - f64::from(c == target)).collect();
            close("gradient", &out.gradient[n * classes..][..classes], &gradient, 1e-6);
        }
    }
}

#[test]
fn nan_and_unknown_labels_never_count_as_right() {
    let nan = f32::NAN;
    let logits = [1.0, nan, 3.0, nan, nan, nan, 0.0, 1.0, 2.0];
    let out = run(&logits, &[2, 0, u32::MAX], 3, 32);
    assert_eq!(out.rank, [1, 2, 2]);
    assert!(out.loss.iter().all(|loss| loss.is_nan()), "{:?}", out.loss);
}

#[test]
fn scores_add_up() {
    let loss: Vec<f32> = values(300, 3).iter().map(|v| v.abs() * 7.0).collect();
    let rank: Vec<u32> = (0..300).map(|i| i * 7 % 11).collect();
    // The struct Score as four words of 64 bits: the loss in float64, then three counts.
    let before = [2.5f64.to_bits(), 1, 2, 3];
    let ours = in_every_order("score_add", Grid(1, 128, 0), &before, |score| {
        vec![(&loss).into(), (&rank).into(), score.into(), 300.into()]
    });
    let sum = 2.5 + wide(&loss).iter().sum::<f64>();
    assert!((f64::from_bits(ours[0]) - sum).abs() < 1e-11 * sum);
    let below = |k| rank.iter().filter(|&&r| r < k).count() as u64;
    assert_eq!(ours[1..], [1 + below(1), 2 + below(5), 303]);
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    let label = g.words("softmax_xent.label");
    let out = run(&g.floats("softmax_xent.x0"), &label, 7, 32);
    let batch = label.len() as f64;
    let mean = wide(&out.loss).iter().sum::<f64>() / batch;
    let expected = f64::from(g.floats("softmax_xent.y")[0]);
    assert!((mean - expected).abs() <= 1e-5 * expected, "{mean}, expected {expected}");
    // Theirs is the gradient of the mean, times the upstream gradient of 1.
    let dx: Vec<f64> = wide(&g.floats("softmax_xent.dx0")).iter().map(|v| v * batch).collect();
    close("softmax_xent", &out.gradient, &dx, 1e-5);
}
