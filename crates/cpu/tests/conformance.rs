//! Every operation of the CPU backend against the oracle, on random shapes and any number of threads.

use alexnet_cpu::CpuBackend;
use alexnet_net::conformance::{Case, check};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn operations_agree_with_the_oracle(seed in 0u64..1 << 40, threads in 1usize..4, devices in 1usize..5) {
        let case = Case::random(seed, devices);
        let mut backend = CpuBackend::new(devices, threads).unwrap();
        if let Err(difference) = check(&mut backend, &case, seed) {
            prop_assert!(false, "{}", difference);
        }
    }
}
