//! Searches for a sequence of inputs that makes the machine break a promise.
//!
//! A failure prints the fewest steps that still show it. The sequences are the same in each run; set
//! `PROPTEST_RNG_SEED` to walk others, and `PROPTEST_CASES` for more of them.

mod driver;
mod joined;
mod sends;
mod step;

use moorline_core::Side;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed};

use self::driver::{Driver, Law};
use self::step::{Setup, Step, setups, steps};

/// The longest sequence: long enough to open, fill a window, lose the link and come back.
const STEPS: usize = 60;

/// So many sequences, unless the environment wants more.
fn sequences(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

fn run(side: Side, law: Law, setup: &Setup, steps: &[Step]) {
    let mut driver = Driver::new(side, law, setup);
    steps.iter().for_each(|step| driver.take(step));
    driver.end();
}

/// Everything that came out, with the frames' bytes.
fn trace(side: Side, setup: &Setup, steps: &[Step]) -> Vec<String> {
    let mut driver = Driver::new(side, Law::Any, setup);
    driver.trace = Some(Vec::new());
    steps.iter().for_each(|step| driver.take(step));
    driver.trace.unwrap()
}

proptest! {
    #![proptest_config(sequences(8000))]

    #[test]
    fn no_peer_makes_a_client_break_its_promises(setup in setups(), steps in vec(steps(), 0..STEPS)) {
        run(Side::Client, Law::Kept, &setup, &steps);
    }

    #[test]
    fn no_peer_makes_a_server_break_its_promises(setup in setups(), steps in vec(steps(), 0..STEPS)) {
        run(Side::Server, Law::Kept, &setup, &steps);
    }

    #[test]
    fn no_driver_makes_a_client_panic(setup in setups(), steps in vec(steps(), 0..STEPS)) {
        run(Side::Client, Law::Any, &setup, &steps);
    }

    #[test]
    fn no_driver_makes_a_server_panic(setup in setups(), steps in vec(steps(), 0..STEPS)) {
        run(Side::Server, Law::Any, &setup, &steps);
    }
}

proptest! {
    #![proptest_config(sequences(1000))]

    #[test]
    fn the_same_inputs_give_the_same_bytes(setup in setups(), steps in vec(steps(), 0..STEPS)) {
        for side in [Side::Client, Side::Server] {
            prop_assert_eq!(trace(side, &setup, &steps), trace(side, &setup, &steps));
        }
    }
}
