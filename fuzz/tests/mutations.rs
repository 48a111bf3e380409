//! Every target on its seeds and on mutations of them, within its budget: a sample in each run, millions with `--run-ignored`.

use fuzz::mutate::Mutations;
use fuzz::{TARGETS, TIME_MAX, Taken, Target};
use std::time::{Duration, Instant};

/// Time for all targets together in an ordinary run.
const SAMPLE: Duration = Duration::from_secs(8);
/// And in a long one.
const LONG: Duration = Duration::from_secs(480);
/// Seed of an ordinary run: every run tries the same inputs, as far as time goes.
const SEED: u64 = 1;

/// The input that takes longest and the input that takes most, and how many there were.
#[derive(Default)]
struct Count {
    executions: u64,
    most: Taken,
}

fn execute(target: &Target, input: &[u8], count: &mut Count) {
    let mut taken = target.execute(input);
    if taken.time > TIME_MAX {
        // Another program may have had the processor: the quicker of two tries counts.
        taken.time = taken.time.min(target.execute(input).time);
    }
    assert!(taken.time <= TIME_MAX, "{}: {:?} for {} bytes", target.name, taken.time, input.len());
    count.executions += 1;
    count.most.bytes = count.most.bytes.max(taken.bytes);
    count.most.time = count.most.time.max(taken.time);
}

fn run(total: Duration, number: u64) {
    let mut executions = 0;
    for target in TARGETS {
        let mut count = Count::default();
        let seeds = (target.seeds)();
        // The models at hand are made once, which is nothing that an input takes.
        seeds.iter().take(1).for_each(|seed| (target.run)(seed));
        seeds.iter().for_each(|seed| execute(target, seed, &mut count));
        let start = Instant::now();
        for input in Mutations::new(seeds, number) {
            execute(target, &input, &mut count);
            if start.elapsed() > total / TARGETS.len() as u32 {
                break;
            }
        }
        let Taken { bytes, time } = count.most;
        println!(
            "{:>11}: {:>9} executions, at most {bytes:>9} bytes and {time:?}",
            target.name, count.executions
        );
        executions += count.executions;
    }
    println!("{executions} executions of seed {number}");
}

#[test]
fn mutated_inputs_are_refused_within_budget() {
    run(SAMPLE, SEED);
}

/// `SCANPOST_FUZZ_SEED` tries other inputs than last time.
#[test]
#[ignore = "eight minutes"]
fn millions_of_mutated_inputs_are_refused_within_budget() {
    let number = std::env::var("SCANPOST_FUZZ_SEED").ok().and_then(|number| number.parse().ok());
    run(LONG, number.unwrap_or(SEED + 1));
}
