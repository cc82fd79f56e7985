//! `imagenet-pca`: stored sums and a scan agree to the last digit, and both with sums made here.

use alexnet_shard::{Access, ShardSet, Split};

use crate::program::{run, scratch, shards};

#[test]
fn stored_sums_and_a_scan_give_the_same_digits() {
    let stored = run("imagenet-pca", args![shards(), "--json"]).ends(0).out;
    let scanned = run("imagenet-pca", args![shards(), "--json", "--scan", "--quiet"]).ends(0).out;
    assert_eq!(stored, scanned);
}

#[test]
fn the_statistics_are_those_of_the_pixels() {
    let set = ShardSet::open(shards(), Access::Map).unwrap();
    let train = set.split(Split::Train).unwrap();
    let (mut count, mut sum, mut product) = (0u64, [0f64; 3], [[0f64; 3]; 3]);
    let mut scratch = vec![];
    for i in 0..train.len() {
        for pixel in train.record(i, &mut scratch).unwrap().chunks(3) {
            count += 1;
            for a in 0..3 {
                sum[a] += f64::from(pixel[a]);
                for b in 0..3 {
                    product[a][b] += f64::from(pixel[a]) * f64::from(pixel[b]);
                }
            }
        }
    }
    let said = run("imagenet-pca", args![shards(), "--json"]).ends(0).json();
    assert_eq!(said["count"], count);
    assert_eq!(said["unit"], "0..255");
    let n = count as f64;
    for a in 0..3 {
        let mean = said["mean"][a].as_f64().unwrap();
        assert!((mean - sum[a] / n).abs() < 1e-9);
        for b in 0..3 {
            let covariance = product[a][b] / n - sum[a] / n * sum[b] / n;
            assert!((said["covariance"][a][b].as_f64().unwrap() - covariance).abs() < 1e-6);
        }
        // Each axis is an eigenvector: Σ·v = λ·v.
        let axis: Vec<f64> = (0..3).map(|c| said["eigenvectors"][a][c].as_f64().unwrap()).collect();
        let value = said["eigenvalues"][a].as_f64().unwrap();
        for row in 0..3 {
            let image: f64 = (0..3).map(|c| said["covariance"][row][c].as_f64().unwrap() * axis[c]).sum();
            assert!((image - value * axis[row]).abs() < 1e-6 * (1.0 + value));
        }
    }
}

/// Cloud and axes on the left, eleven lights on the right: a picture of more than one colour in both halves, the same again.
#[test]
fn the_picture_is_drawn() {
    let out = scratch().join("axes.png");
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let _ = std::fs::remove_file(&out);
        run("imagenet-pca", args![shards(), "--picture", &out, "--photo", "3"]).ends(0);
        drawn.push(std::fs::read(&out).unwrap());
    }
    assert!(drawn[0] == drawn[1]);
    let picture = image::open(&out).unwrap().into_rgb8();
    let half = picture.width() / 2;
    for left in [0, half] {
        let colours: std::collections::HashSet<[u8; 3]> = picture
            .enumerate_pixels()
            .filter(|(x, ..)| (left..left + half).contains(x))
            .map(|(.., p)| p.0)
            .collect();
        assert!(colours.len() > 100, "{} colours", colours.len());
    }
    run("imagenet-pca", args![shards(), "--picture", &out, "--photo", "100000"]).refuses("100000");
}

/// The table beside what its numbers were made of: shares, both published sets, what lighting adds by each convention.
#[test]
fn the_table_holds_what_the_statistics_say() {
    let json = run("imagenet-pca", args![shards(), "--json"]).ends(0).json();
    let said = run("imagenet-pca", args![shards()]).ends(0);
    let row = |label: &str, nth: usize| {
        let lines = said.out.lines().filter_map(|line| line.strip_prefix(label));
        let line = lines.clone().nth(nth).unwrap_or_else(|| panic!("no {label}: {said:?}"));
        let numbers: Vec<f64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        <[f64; 3]>::try_from(numbers).expect("three numbers")
    };
    let close = |label: &str, nth: usize, expected: [f64; 3], within: f64| {
        let told = row(label, nth);
        assert!((0..3).all(|i| (told[i] - expected[i]).abs() <= within), "{label}: {told:?}, {expected:?}");
    };
    let values: [f64; 3] = std::array::from_fn(|i| json["eigenvalues"][i].as_f64().unwrap());
    let total: f64 = values.iter().sum();
    close("share of variance, %", 0, values.map(|value| 100.0 * value / total), 0.0051);
    let published = [("Krizhevsky's", [121.78, 37.09, 19.72]), ("fb.resnet.torch's", [118.92, 34.96, 17.11])];
    for (nth, (name, deviations)) in published.into_iter().enumerate() {
        close(&format!("{name} √eigenvalue"), 0, deviations, 0.006);
        let ratio: [f64; 3] = std::array::from_fn(|i| values[i].sqrt() / deviations[i]);
        close("  ours / theirs", nth, ratio, 6e-4);
        assert!(row("  angle, degrees", nth).iter().all(|angle| (0.0..=90.0).contains(angle)));
    }
    // What lighting adds to a channel: each axis' shift, times its part in the channel.
    let shift = |amplitude: fn(f64) -> f64| -> [f64; 3] {
        std::array::from_fn(|channel| {
            let parts = (0..3).map(|axis| {
                let part = json["eigenvectors"][axis][channel].as_f64().unwrap();
                (amplitude(values[axis]) * part).powi(2)
            });
            parts.sum::<f64>().sqrt()
        })
    };
    let deviation = shift(|value| 0.1 * value.sqrt());
    close("0.1 · √eigenvalue", 0, deviation, 6e-4);
    close("  ÷ 1.1, as pixels in 2012", 0, deviation.map(|shift| shift / 1.1), 6e-4);
    // Eigenvalues of pixels from 0 to 1, taken for deviations: 255 · λ / 255².
    close("0.1 · eigenvalue, [0,1]", 0, shift(|value| 0.1 * value / 255.0), 6e-4);
}
