//! What is drawn, how often, and what stays.

use super::*;
use crate::settings::{Eviction, RZeroSettings, Recipe, SolverFill, SolverMix};

const TYPE: TaskType = TaskType::Deduction;

/// A buffer under `settings` whose tasks are their own numbers.
fn buffer(born: impl IntoIterator<Item = Step>, azr: &AzrSettings) -> TaskBuffer {
    let mut buffer = TaskBuffer { limits: Some(Limits::of(&settings(azr))), ..TaskBuffer::default() };
    born.into_iter().for_each(|born| put(&mut buffer, born));
    buffer
}

fn put(buffer: &mut TaskBuffer, born: Step) {
    let pool = buffer.pools.entry(TYPE).or_default();
    let number = pool.n_admitted();
    let task = Task { task_type: TYPE, born, label: None, payload: serde_json::json!(number) };
    let text = serde_json::to_string(&task).unwrap().into();
    let entry = Entry { number, born, identity: u128::from(number), solve_rate: None, text };
    pool.admit(entry, None, buffer.limits.as_ref());
}

fn settings(azr: &AzrSettings) -> RunSettings {
    RunSettings {
        seed: 3,
        steps: 1,
        task_types: vec![TYPE],
        n_judges: 1,
        azr: azr.clone(),
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: Default::default(),
        eval: Default::default(),
        checkpoint: Default::default(),
        diagnostics: Default::default(),
    }
}

fn numbers(tasks: impl IntoIterator<Item = Task>) -> Vec<u64> {
    tasks.into_iter().map(|it| it.payload.as_u64().unwrap()).collect()
}

fn problems(buffer: &TaskBuffer, n: usize, now: Step, azr: &AzrSettings, seed: u64) -> Vec<u64> {
    numbers(buffer.problems(TYPE, n, now, azr, Seed::new(seed)))
}

/// How often each of `n` tasks is drawn in `rounds` draws of `of_round`.
fn counts(n: usize, rounds: u64, of_round: impl Fn(u64) -> Vec<u64>) -> Vec<usize> {
    let mut counts = vec![0; n];
    (0..rounds).flat_map(of_round).for_each(|it| counts[it as usize] += 1);
    counts
}

/// Holds each count against its expectation, by six standard deviations of a draw with that probability.
fn assert_near(counts: &[usize], expected: &[f64]) {
    for (at, (&count, &mean)) in counts.iter().zip(expected).enumerate() {
        assert!((count as f64 - mean).abs() <= 6.0 * mean.sqrt(), "{at}: {count} of {mean}: {counts:?}");
    }
}

#[test]
fn references_are_uniform_or_weighted_by_step() {
    let uniform = AzrSettings::default();
    let of = |buffer: &TaskBuffer, azr: &AzrSettings, n, seed| {
        numbers(buffer.references(&[TYPE], n, azr, Seed::new(seed)))
    };
    let tasks = buffer([0, 0, 1, 3], &uniform);
    assert_near(&counts(4, 4000, |it| of(&tasks, &uniform, 1, it)), &[1000.0; 4]);
    assert_near(&counts(4, 4000, |it| of(&tasks, &uniform, 3, it)), &[3000.0; 4]);
    let by_step = AzrSettings { reference_mix: ReferenceMix::Step, ..uniform };
    let weights = [1.0, 1.0, 2.0, 4.0].map(|weight| weight / 8.0 * 8000.0);
    assert_near(&counts(4, 8000, |it| of(&tasks, &by_step, 1, it)), &weights);
    for azr in [&by_step, &AzrSettings::default()] {
        for seed in 0..50 {
            let mut drawn = of(&tasks, azr, 4, seed);
            drawn.sort_unstable();
            assert_eq!(drawn, [0, 1, 2, 3], "without replacement");
        }
    }
}

#[test]
fn references_come_from_all_named_pools() {
    let azr = AzrSettings::default();
    let mut tasks = buffer([0, 0], &azr);
    let abduction = TaskType::Abduction;
    let pool = std::mem::take(&mut tasks.pools).remove(&TYPE).unwrap();
    tasks.pools.insert(abduction, pool);
    put(&mut tasks, 0);
    for (types, n) in [(vec![TYPE, abduction], 3), (vec![abduction], 2), (vec![TYPE], 1), (vec![], 0)] {
        assert_eq!(tasks.references(&types, 6, &azr, Seed::new(1)).len(), n);
    }
}

/// Two tasks are new, of ten; four problems are drawn.
#[test]
fn problems_follow_their_strategy() {
    let base = AzrSettings::default();
    let born = || (0..8).map(|it| it / 4).chain([4, 4]);
    let drawn = |solver_mix, solver_fill| {
        let azr = AzrSettings { solver_mix, solver_fill, ..base.clone() };
        let tasks = buffer(born(), &azr);
        counts(10, 4000, |it| problems(&tasks, 4, 5, &azr, it))
    };
    let of = |old: f64, new: f64| [vec![old * 4000.0; 8], vec![new * 4000.0; 2]].concat();
    use {SolverFill::*, SolverMix::*};
    assert_near(&drawn(MaxNew, Distinct), &of(2.0 / 8.0, 1.0));
    assert_near(&drawn(MaxNew, Repeats), &of(2.0 / 10.0, 1.0 + 2.0 / 10.0));
    assert_near(&drawn(HalfNew, Distinct), &of(2.0 / 8.0, 1.0));
    assert_near(&drawn(Uniform, Distinct), &of(0.4, 0.4));
    // Weights 0, 1 and 4, with replacement: four draws of 12 parts.
    let by_step = drawn(Step, Distinct);
    assert_eq!(by_step[..4], [0; 4]);
    assert_near(&by_step[4..], &[vec![4.0 / 12.0 * 4000.0; 4], vec![16.0 / 12.0 * 4000.0; 2]].concat());
}

#[test]
fn half_new_takes_half_where_there_are_more() {
    let azr = AzrSettings { solver_mix: SolverMix::HalfNew, ..AzrSettings::default() };
    let tasks = buffer([0, 0, 0, 0, 4, 4, 4, 4, 4, 4], &azr);
    // Two of six new ones, then two of the eight that are left, of which four are new.
    let expected =
        [vec![2.0 / 8.0 * 4000.0; 4], vec![(2.0 / 6.0 + 4.0 / 6.0 * 2.0 / 8.0) * 4000.0; 6]].concat();
    assert_near(&counts(10, 4000, |it| problems(&tasks, 4, 5, &azr, it)), &expected);
}

/// Where the original stops with an error.
#[test]
fn weights_of_nothing_but_seeds_are_equal() {
    let azr = AzrSettings { solver_mix: SolverMix::Step, ..AzrSettings::default() };
    let tasks = buffer([0; 5], &azr);
    assert_near(&counts(5, 2000, |it| problems(&tasks, 5, 1, &azr, it)), &[2000.0; 5]);
    assert!(problems(&TaskBuffer::default(), 5, 1, &azr, 1).is_empty());
}

#[test]
fn only_a_fill_with_repeats_draws_a_task_twice() {
    for solver_fill in [SolverFill::Distinct, SolverFill::Repeats] {
        let azr = AzrSettings { solver_fill, ..AzrSettings::default() };
        let tasks = buffer([0, 0, 3, 3, 3], &azr);
        let has_repeats = (0..50).any(|seed| {
            let mut drawn = problems(&tasks, 5, 4, &azr, seed);
            drawn.sort_unstable();
            drawn.windows(2).any(|it| it[0] == it[1])
        });
        assert_eq!(has_repeats, solver_fill == SolverFill::Repeats);
    }
}

#[test]
fn the_window_says_what_is_new() {
    let base = AzrSettings::default();
    for (solve_lag, new_window, expected) in
        [(1, 1, vec![3]), (1, 2, vec![2, 3]), (0, 1, vec![4]), (0, 2, vec![3, 4]), (1, 9, vec![0, 1, 2, 3])]
    {
        let azr = AzrSettings { new_window, solve_lag: solve_lag.try_into().unwrap(), ..base.clone() };
        let tasks = buffer(0..4 + u32::from(solve_lag == 0), &azr);
        let mut drawn = problems(&tasks, expected.len(), 4, &azr, 1);
        drawn.sort_unstable();
        assert_eq!(drawn, expected, "lag {solve_lag}, window {new_window}");
    }
}

#[test]
fn small_pools_give_what_they_have() {
    let azr = AzrSettings::default();
    let tasks = buffer([0, 1], &azr);
    assert_eq!(problems(&tasks, 5, 1, &azr, 1).len(), 2);
    assert_eq!(tasks.references(&[TYPE], 6, &azr, Seed::new(1)).len(), 2);
    assert!(tasks.references(&[TaskType::Induction], 6, &azr, Seed::new(1)).is_empty());
}

/// Appendix C, 4: after the cap the newest tasks are still solved, but where the original's rule is asked for.
#[test]
fn a_full_buffer_still_solves_the_newest() {
    for eviction in [Eviction::Oldest, Eviction::KeepOldest, Eviction::Reservoir] {
        let azr = AzrSettings { buffer_max: 10, eviction, ..AzrSettings::default() };
        let tasks = buffer([0; 4].into_iter().chain((1..=20).flat_map(|step| [step, step])), &azr);
        let pool = numbers(tasks.tasks(TYPE));
        assert_eq!((pool.len(), tasks.n_admitted(TYPE)), (10, 44), "{eviction:?}");
        assert_eq!(pool[..4], [0, 1, 2, 3], "seeds stay");
        assert!(pool.is_sorted());
        let mut newest = problems(&tasks, 4, 21, &azr, 1)[..2].to_vec();
        newest.sort_unstable();
        match eviction {
            Eviction::Oldest => assert_eq!((newest, pool[4]), (vec![42, 43], 38)),
            Eviction::Reservoir => assert_eq!(newest, [42, 43]),
            Eviction::KeepOldest => assert_eq!((newest, pool[9]), (vec![8, 9], 9)),
        }
    }
}

/// What is neither seed nor new is a uniform sample of the whole run: every task stays as often as every other.
#[test]
fn a_reservoir_is_a_uniform_sample() {
    let azr = AzrSettings { buffer_max: 16, eviction: Eviction::Reservoir, ..AzrSettings::default() };
    let mut kept = vec![0; 60];
    for seed in 0..2000 {
        let mut tasks = buffer([], &azr);
        tasks.limits = Some(Limits::of(&RunSettings { seed, ..settings(&azr) }));
        (1..=15).flat_map(|step| [step; 4]).for_each(|born| put(&mut tasks, born));
        numbers(tasks.tasks(TYPE)).into_iter().for_each(|it| kept[it as usize] += 1);
    }
    assert_eq!(kept[56..], [2000; 4], "the new ones");
    assert_near(&kept[..56], &[12.0 / 56.0 * 2000.0; 56]);
}

/// A resume reads the whole log before it knows its limits.
#[test]
fn limits_that_come_late_leave_the_same_tasks() {
    for eviction in [Eviction::Oldest, Eviction::KeepOldest, Eviction::Reservoir] {
        for new_window in [1, 3] {
            let azr = AzrSettings { buffer_max: 23, eviction, new_window, ..AzrSettings::default() };
            let born = || [0; 7].into_iter().chain((1..=30).flat_map(|step| vec![step; step as usize % 5]));
            let early = buffer(born(), &azr);
            let mut late = TaskBuffer::default();
            born().for_each(|it| put(&mut late, it));
            late.limit(&settings(&azr));
            let mut again = TaskBuffer::default();
            born().take(30).for_each(|it| put(&mut again, it));
            again.limit(&settings(&azr));
            born().skip(30).for_each(|it| put(&mut again, it));
            let expected = numbers(early.tasks(TYPE));
            assert_eq!(expected.len(), 23);
            for other in [&late, &again] {
                assert_eq!(numbers(other.tasks(TYPE)), expected, "{eviction:?}");
                assert_eq!(problems(other, 9, 31, &azr, 1), problems(&early, 9, 31, &azr, 1));
            }
        }
    }
}

/// Rates 0, 1/10, .. 9/10 and one unknown. Five lie inside, with the unknown one six.
#[test]
fn a_band_is_preferred_and_the_rest_fills_up() {
    let azr = AzrSettings { band: [0.25, 0.75], solver_mix: SolverMix::Uniform, ..AzrSettings::default() };
    let mut tasks = buffer([1; 11], &azr);
    let rates: Vec<(u32, f32)> = (0..10).map(|it| (it, it as f32 / 10.0)).collect();
    tasks.set_solve_rates(&BTreeMap::from([(TYPE, rates.clone())]));
    assert_eq!(tasks.solve_rates(), BTreeMap::from([(TYPE, rates)]));
    let counts = counts(11, 4000, |it| problems(&tasks, 1, 9, &azr, it));
    let whole = 6.0 + 5.0 / 16.0;
    let weight = |inside: bool| if inside { 4000.0 / whole } else { 4000.0 / 16.0 / whole };
    let expected: Vec<f64> = (0..11).map(|it| weight((3..=7).contains(&it) || it == 10)).collect();
    assert_near(&counts, &expected);
    let mut all = problems(&tasks, 11, 9, &azr, 1);
    all.sort_unstable();
    assert_eq!(all, (0..11).collect::<Vec<_>>(), "too few inside: the others follow");
}

/// Ten old tasks of rate 1/2; of ten new ones two lie inside the band.
#[test]
fn a_new_task_outside_the_band_comes_no_earlier_than_an_old_one() {
    let azr = AzrSettings { band: [0.25, 0.75], ..AzrSettings::default() };
    let mut tasks = buffer([[1; 10], [8; 10]].concat(), &azr);
    let rate = |it: u32| if it < 12 { 0.5 } else { f32::from(it.is_multiple_of(2)) };
    tasks.set_solve_rates(&BTreeMap::from([(TYPE, (0..20).map(|it| (it, rate(it))).collect())]));
    let n_draws = 1000;
    for (solver_fill, solver_mix) in [
        (SolverFill::Distinct, SolverMix::MaxNew),
        (SolverFill::Distinct, SolverMix::HalfNew),
        (SolverFill::Repeats, SolverMix::MaxNew),
    ] {
        let azr = AzrSettings { solver_fill, solver_mix, ..azr.clone() };
        let (mut n_new_inside, mut n_new_outside) = (0, 0);
        for seed in 0..n_draws {
            let drawn = problems(&tasks, 4, 9, &azr, seed);
            n_new_inside += drawn.iter().filter(|it| (10..12).contains(*it)).count() as u64;
            n_new_outside += drawn.iter().filter(|it| 12 <= **it).count() as u64;
        }
        assert!(2 * n_draws <= n_new_inside, "new ones inside come first: {n_new_inside}");
        // Two of four draws are left, and eight sixteenths stand against ten.
        assert!(n_new_outside < n_draws / 5, "{solver_mix:?} {solver_fill:?}: {n_new_outside}");
    }
}

#[test]
fn a_rate_is_a_moving_mean_that_begins_in_the_band() {
    let azr = AzrSettings { band: [0.2, 0.6], n_estimate: 8, n_solutions: 2, ..AzrSettings::default() };
    let mut tasks = buffer([0, 1], &azr);
    let pool = tasks.pools.get_mut(&TYPE).unwrap();
    pool.observe(1, 1.0, &azr);
    let rate = |pool: &Pool| pool.entry(1).solve_rate.unwrap();
    assert!((rate(pool) - 0.55).abs() < 1e-6, "a quarter of the way from 0.4 to 1");
    pool.observe(1, 0.0, &AzrSettings { n_solutions: 16, ..azr });
    assert_eq!(rate(pool), 0.0, "more solves than an estimate has");
    assert_eq!(pool.entry(0).solve_rate, None);
}
