use crate::wide;
use crate::{
    Element, Grid, close, golden, in_both_types, in_every_order, ints, same_bits, unwritten, values,
};

in_both_types!(loss_rank_gradient_and_probability, smoothed_labels, both_in_one);

fn score(logits: &[f32], label: &[u32], classes: usize, threads: usize) -> Vec<f32> {
    let n = label.len();
    let place = std::cell::Cell::new(0u64); // the kernel reads from here where the score lies
    in_every_order("softmax_score", Grid(n, threads, 0), &unwritten(3 * n), |score| {
        place.set(score.as_mut_ptr() as u64);
        [vec![logits.into(), label.into(), (place.as_ptr() as u64).into()], ints([n, classes])].concat()
    })
}

fn gradient<T: Element>(
    logits: &[f32],
    label: &[u32],
    classes: usize,
    threads: usize,
    first: usize,
    count: usize,
) -> Vec<T> {
    let n = label.len();
    in_every_order(
        &T::kernel("softmax_gradient"),
        Grid(n, threads, 0),
        &unwritten::<T>(n * count),
        |gradient| {
            [vec![logits.into(), label.into(), gradient.into()], ints([classes, first, count])].concat()
        },
    )
}

fn loss_rank_gradient_and_probability<T: Element>() {
    for (classes, threads) in [(1000usize, 256usize), (10, 64), (1, 32)] {
        // Rounded, so that equal scores are common; one row far from zero, where exp would overflow.
        let mut logits: Vec<f32> = values(6 * classes, 1).iter().map(|v| (v * 8.0).round() / 4.0).collect();
        logits[..classes].iter_mut().for_each(|v| *v += 300.0);
        let first_of_best =
            |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)));
        // Labels that rank first, and others.
        let label: Vec<u32> = (0..6)
            .map(|n| {
                if n % 2 == 0 {
                    n * 37 % classes
                } else {
                    first_of_best(&logits[n * classes..][..classes]).expect("a class")
                }
            })
            .map(|class| class as u32)
            .collect();
        let score = score(&logits, &label, classes, threads);
        let whole = gradient::<T>(&logits, &label, classes, threads, 0, classes);
        let probability =
            in_every_order("softmax_forward", Grid(6, threads, 0), &unwritten::<f32>(6 * classes), |out| {
                vec![(&logits).into(), out.into(), (classes as i32).into()]
            });
        let (first, count) = (classes / 3, classes - classes / 3);
        let slice = gradient::<T>(&logits, &label, classes, threads, first, count);
        for n in 0..6 {
            let row = wide(&logits[n * classes..][..classes]);
            let target = label[n] as usize;
            let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|v| (v - highest).exp()).sum();
            let p: Vec<f64> = row.iter().map(|v| (v - highest).exp() / sum).collect();
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            let rank = order.iter().position(|&c| c == target).expect("a class");
            let loss = -p[target].ln();
            assert!((f64::from(score[n]) - loss).abs() < 2e-6 * (1.0 + loss), "row {n}");
            assert_eq!(
                [score[6 + n], score[12 + n]],
                [rank < 1, rank < 5].map(f32::from),
                "row {n}, rank {rank}"
            );
            close("probability", &probability[n * classes..][..classes], &p, 1e-6);
            let expected: Vec<f64> = (0..classes).map(|c| p[c] - f64::from(c == target)).collect();
            close("gradient", &whole[n * classes..][..classes], &expected, 1e-6);
            same_bits("slice", &slice[n * count..][..count], &whole[n * classes + first..][..count]);
        }
    }
}

fn smoothed_labels<T: Element>() {
    let (classes, first, count, smoothing) = (37usize, 5usize, 20usize, 0.1f32);
    let (logits, label) = (values(3 * classes, 4), [7u32, 0, 24]);
    let plain = gradient::<T>(&logits, &label, classes, 32, first, count);
    let ours = in_every_order(&T::kernel("smooth_labels"), Grid(3, 32, 0), &plain, |g| {
        [vec![(&logits).into(), g.into()], ints([classes, first, count]), vec![smoothing.into()]].concat()
    });
    for n in 0..3 {
        let powers: Vec<f64> = wide(&logits[n * classes..][..classes]).iter().map(|v| v.exp()).collect();
        let sum: f64 = powers.iter().sum();
        let target = |c| 0.9 * f64::from(c as u32 == label[n]) + 0.1 / classes as f64;
        let expected: Vec<f64> = (first..first + count).map(|c| powers[c] / sum - target(c)).collect();
        close("smooth_labels", &ours[n * count..][..count], &expected, 1e-6);
    }
}

/// The bits of the three kernels one after the other.
fn both_in_one<T: Element>() {
    for (classes, first, count, threads, smoothing) in
        [(37, 5, 20, 32, 0.1f32), (1000, 0, 1000, 256, 0.1), (1000, 500, 500, 256, 0.0), (3, 0, 2, 32, 0.5)]
    {
        let mut logits: Vec<f32> = values(5 * classes, 6).iter().map(|v| (v * 8.0).round() / 4.0).collect();
        logits[3 * classes] = f32::NAN;
        logits[4 * classes + 1] = 90.0; // p is 1 or 0
        let label: Vec<u32> =
            [7, 1, u32::MAX, 0, 1].map(|l: u32| if l < 9 { l % classes as u32 } else { l }).into();
        let alone = score(&logits, &label, classes, threads);
        let plain = gradient::<T>(&logits, &label, classes, threads, first, count);
        let smooth = in_every_order(&T::kernel("smooth_labels"), Grid(5, threads, 0), &plain, |g| {
            [vec![(&logits).into(), g.into()], ints([classes, first, count]), vec![smoothing.into()]].concat()
        });
        let sizes = || [ints([5, classes, first, count]), vec![smoothing.into()]].concat();
        let (mut spare, mut room) = (unwritten::<T>(5 * count), unwritten::<f32>(15));
        let place = std::cell::Cell::new(0u64); // where the score lies
        let unused = spare.as_mut_ptr() as u64;
        let from = || vec![(&logits).into(), (&label).into(), (place.as_ptr() as u64).into()];
        let kernel = T::kernel("softmax_both");
        let ours = in_every_order(&kernel, Grid(5, threads, 0), &unwritten::<f32>(15), |score| {
            place.set(score.as_mut_ptr() as u64);
            [from(), vec![unused.into()], sizes()].concat()
        });
        same_bits("scores", &ours, &alone);
        place.set(room.as_mut_ptr() as u64);
        let ours = in_every_order(&kernel, Grid(5, threads, 0), &unwritten::<T>(5 * count), |g| {
            [from(), vec![g.into()], sizes()].concat()
        });
        drop((spare, room)); // the launches wrote into them until here
        same_bits("gradient", &ours, if smoothing > 0.0 { &smooth } else { &plain });
    }
}

#[test]
fn nan_and_unknown_labels_never_count_as_right() {
    let nan = f32::NAN;
    let logits = [1.0, nan, 3.0, nan, nan, nan, 0.0, 1.0, 2.0];
    let score = score(&logits, &[2, 0, u32::MAX], 3, 32);
    assert!(score[..3].iter().all(|loss| loss.is_nan()), "{score:?}");
    // Of three classes a known label is always among the best five.
    assert_eq!(score[3..], [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    let (logits, label) = (g.floats("softmax_xent.x0"), g.words("softmax_xent.label"));
    let batch = label.len() as f64;
    let mean = wide(&score(&logits, &label, 7, 32)[..label.len()]).iter().sum::<f64>() / batch;
    let expected = f64::from(g.floats("softmax_xent.y")[0]);
    assert!((mean - expected).abs() <= 1e-5 * expected, "{mean}, expected {expected}");
    // Theirs is the gradient of the mean.
    let dx: Vec<f64> = wide(&g.floats("softmax_xent.dx0")).iter().map(|v| v * batch).collect();
    close("softmax_xent", &gradient::<f32>(&logits, &label, 7, 32, 0, 7), &dx, 1e-5);
}
