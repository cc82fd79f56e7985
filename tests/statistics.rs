//! `imagenet-pca`: stored sums and a scan agree to the last digit, and both with sums made here.

use alexnet_shard::{Access, ShardSet, Split};

use crate::program::{run, shards};

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

#[test]
fn the_table_names_krizhevskys_values() {
    let said = run("imagenet-pca", args![shards()]).ends(0);
    for text in ["Krizhevsky", "121.780", "angle, degrees", "0.1 · √eigenvalue"] {
        assert!(said.out.contains(text), "{said:?}");
    }
}
