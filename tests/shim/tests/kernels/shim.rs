//! The shim itself: right kernels pass, each kind of fault is found.
use crate::{Grid, in_every_order, launch};
use alexnet_shim::{Arg, Order, launches};

fn fault(kernel: &str, order: Order) -> String {
    let mut x = vec![0i32; 64];
    launch(kernel, Grid(1, 64, 0), order, &[Arg::from(&mut x)]).expect_err("the kernel is faulty")
}

#[test]
fn right_kernels_give_the_same_in_every_order() {
    let x: Vec<u32> = (0..64).collect();
    let reversed = in_every_order("shim_reverse", Grid(1, 64, 0), &x, |x| vec![Arg::from(x)]);
    assert_eq!(reversed, (0..64).rev().collect::<Vec<_>>());
    let sums = in_every_order("shim_warp_sum", Grid(1, 64, 0), &x, |x| vec![Arg::from(x)]);
    assert_eq!(sums, [[496; 32], [1520; 32]].concat());
}

#[test]
fn a_missing_barrier_shows_as_a_difference_between_orders() {
    let run = |order| {
        let mut x: Vec<i32> = (0..64).collect();
        launch("shim_no_barrier", Grid(1, 64, 0), order, &[Arg::from(&mut x)]).expect("it runs, wrongly");
        x
    };
    assert_ne!(run(Order::Forward), run(Order::Backward));
}

#[test]
fn missed_and_divergent_barriers_are_reported_with_their_place() {
    for order in alexnet_shim::ORDERS {
        let missed = fault("shim_early_return", order);
        assert!(missed.contains("missed barrier") && missed.contains("faulty.cu:"), "{missed}");
        let divergent = fault("shim_divergent", order);
        assert!(divergent.contains("divergent barrier"), "{divergent}");
        let half = fault("shim_half_shuffle", order);
        assert!(half.contains("lanes of its warp that never come"), "{half}");
    }
}

#[test]
fn unwritten_shared_memory_is_nan() {
    let mut x = vec![0f32; 32];
    launch("shim_unwritten", Grid(1, 32, 128), Order::Forward, &[Arg::from(&mut x)]).expect("it runs");
    assert!(x.iter().all(|v| v.is_nan()));
}

#[test]
fn wrong_launches_are_refused() {
    let mut x = vec![0i32; 4];
    for (kernel, args, what) in [
        ("no_such_kernel", vec![], "no such kernel"),
        ("shim_reverse", vec![], "0 arguments, 1 expected"),
        ("shim_reverse", vec![Arg::from(1i32)], "argument 0 has 4 bytes, 8 expected"),
    ] {
        let error = launch(kernel, Grid(1, 4, 0), Order::Forward, &args).expect_err("a wrong launch");
        assert!(error.contains(what), "{error}");
    }
    let error = launch("shim_reverse", Grid(1, 2048, 0), Order::Forward, &[Arg::from(&mut x)])
        .expect_err("too many threads");
    assert!(error.contains("2048 threads"), "{error}");
}

/// Run by `tests/shim/run` under the sanitizer, which must stop it.
#[test]
#[ignore = "faulty on purpose"]
fn one_element_too_far() {
    let mut x = vec![0f32; 31];
    launch("shim_unwritten", Grid(1, 32, 128), Order::Forward, &[Arg::from(&mut x)]).expect("it runs");
}

/// Likewise: vectors of 16 bytes from an address that is no multiple of 16.
#[test]
#[ignore = "faulty on purpose"]
fn one_element_askew() {
    let mut x = vec![0f32; 65];
    let args = [Arg::from(&mut x[1..]), Arg::from(64i32)];
    launch("relu_forward", Grid(1, 32, 0), Order::Forward, &args).expect("it runs");
}

/// Checked when the process ends, since tests run in any order.
struct AtExit;
impl AtExit {
    extern "C" fn check() {
        let never: Vec<String> =
            launches().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
        if !never.is_empty() {
            eprintln!("kernels never launched: {}", never.join(", "));
            // SAFETY: _exit ends the process at once; nothing after it runs.
            #[allow(unsafe_code)]
            unsafe {
                _exit(70)
            };
        }
    }
}

unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> i32;
    fn _exit(code: i32) -> !;
}

#[test]
fn every_kernel_is_launched() {
    if std::env::var_os("SHIM_REQUIRE_ALL").is_none() {
        eprintln!("skipped: report of kernels never launched (SHIM_REQUIRE_ALL is not set)");
        return;
    }
    // SAFETY: the callback touches only the shim's static counters, which live as long as the process.
    assert_eq!(unsafe { atexit(AtExit::check) }, 0);
}
