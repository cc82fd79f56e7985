use crate::{grid, in_every_order, same_bits, values};
use alexnet_shim::Arg;

/// Slices of three unequal devices put together, and cut out again.
#[test]
fn slices_go_to_their_place_and_back() {
    let (batch, lengths) = (4usize, [3usize, 7, 2]);
    let all: usize = lengths.iter().sum();
    let whole = values(batch * all, 1);
    let mut gathered = vec![f32::NAN; batch * all];
    let mut first = 0;
    for length in lengths {
        let own: Vec<f32> = whole.chunks(all).flat_map(|row| row[first..first + length].to_vec()).collect();
        let copy = |from: &[f32], to: &[f32], shape: [usize; 6]| {
            in_every_order("slice_copy", grid(batch * length), to, |to| {
                let mut args: Vec<Arg> = vec![from.into(), to.into()];
                args.extend(shape.map(|v| (v as i32).into()));
                args
            })
        };
        let cut = copy(&whole, &vec![f32::NAN; batch * length], [batch, length, all, first, length, 0]);
        same_bits("cut", &cut, &own);
        gathered = copy(&own, &gathered, [batch, length, length, 0, all, first]);
        first += length;
    }
    same_bits("gathered", &gathered, &whole);
}

#[test]
fn sums_go_in_the_order_of_the_devices() {
    for devices in 1..=8usize {
        let parts: Vec<Vec<f32>> = (0..devices).map(|d| values(130, d as u64)).collect();
        let mut sources = [0usize; 8];
        for (source, part) in sources.iter_mut().zip(&parts) {
            *source = part.as_ptr() as usize;
        }
        let ours = in_every_order("slices_sum", grid(130), &[f32::NAN; 130], |to| {
            vec![Arg::plain(&sources), (devices as i32).into(), to.into(), 130.into()]
        });
        let expected: Vec<f32> =
            (0..130).map(|i| parts[1..].iter().fold(parts[0][i], |sum, p| sum + p[i])).collect();
        same_bits("slices_sum", &ours, &expected);
    }
}
