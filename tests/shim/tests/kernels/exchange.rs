use crate::{Element, elements, grid, in_both_types, in_every_order, ints, same_bits, unwritten};
use alexnet_shim::Arg;

in_both_types!(slices_go_to_their_place_and_back, sums_go_in_the_order_of_the_devices);

/// Slices of three unequal devices put together, and cut out again.
fn slices_go_to_their_place_and_back<T: Element>() {
    let (batch, lengths) = (4usize, [3usize, 7, 2]);
    let all: usize = lengths.iter().sum();
    let whole = elements::<T>(batch * all, 1);
    let mut gathered = unwritten::<T>(batch * all);
    let mut first = 0;
    for length in lengths {
        let own: Vec<T> = whole.chunks(all).flat_map(|row| row[first..first + length].to_vec()).collect();
        let copy = |from: &[T], to: &[T], shape: [usize; 6]| {
            in_every_order(&T::kernel("slice_copy"), grid(batch * length), to, |to| {
                [vec![from.into(), to.into()], ints(shape)].concat()
            })
        };
        let cut = copy(&whole, &unwritten::<T>(batch * length), [batch, length, all, first, length, 0]);
        same_bits("cut", &cut, &own);
        gathered = copy(&own, &gathered, [batch, length, length, 0, all, first]);
        first += length;
    }
    same_bits("gathered", &gathered, &whole);
}

fn sums_go_in_the_order_of_the_devices<T: Element>() {
    for devices in 1..=8usize {
        let parts: Vec<Vec<T>> = (0..devices).map(|d| elements(130, d as u64)).collect();
        let mut sources = [0usize; 8];
        for (source, part) in sources.iter_mut().zip(&parts) {
            *source = part.as_ptr() as usize;
        }
        let ours = in_every_order(&T::kernel("slices_sum"), grid(130), &unwritten::<T>(130), |to| {
            vec![Arg::plain(&sources), (devices as i32).into(), to.into(), 130.into()]
        });
        // Added in float32, rounded once.
        let sum = |i: usize| parts[1..].iter().fold(parts[0][i].widened(), |sum, p| sum + p[i].widened());
        same_bits("slices_sum", &ours, &(0..130).map(|i| T::rounded(sum(i))).collect::<Vec<T>>());
    }
}
