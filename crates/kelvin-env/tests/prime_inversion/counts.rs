//! Numbers over the whole family, counted: uniqueness, the evaluation, the floors.

use kelvin_core::{
    environment::{Environment, Floors},
    seed::Seed,
    task::TaskType,
};
use kelvin_env::prime_inversion::{Blank, InductionRule, Inversion, PromptSet, evaluation, floors, is_right};

use crate::{SETS, TYPES, any_prime, blank, env, grade, task};

const RULES: [InductionRule; 2] = [InductionRule::Unique, InductionRule::AnyPrime];

fn range() -> Vec<Inversion> {
    evaluation(19, 43, Blank::Y, InductionRule::Unique)
}

/// Of all equations up to 617 but the 113 of 1 * 1, the prime over x and y is the only one.
#[test]
fn the_prime_over_x_and_y_is_unique() {
    let all = evaluation(2, 617, Blank::P, InductionRule::Unique);
    assert_eq!(all.len(), 31_508);
    let primes: Vec<u32> = (2..=617).filter(|&n| (2..n).all(|it| n % it != 0)).collect();
    assert_eq!(primes.len(), 113);
    for Inversion { x, y, p } in all {
        let fitting: Vec<u32> =
            primes.iter().copied().filter(|&it| x.max(y) < it && (x * y - 1) % it == 0).collect();
        assert_eq!(fitting, [p]);
        let by_rule = primes.iter().filter(|&&it| InductionRule::Unique.fits(x, y, it)).count();
        assert_eq!(by_rule, 1);
    }
}

#[test]
fn the_evaluation_is_all_of_the_range() {
    let seed = Seed::new(1);
    for (env, n_inductions) in [(env(PromptSet::Full), 209), (any_prime(), 216)] {
        for (task_type, n) in TYPES.into_iter().zip([216, 216, n_inductions]) {
            let all = env.held_out(task_type, 10_000, seed).unwrap();
            assert_eq!(all.len(), n, "{task_type}");
            assert_eq!(all, env.held_out(task_type, 10_000, Seed::new(2)).unwrap());
            assert_eq!(all[..5], env.held_out(task_type, 5, seed).unwrap());
            let may_teach = |it: &Inversion| env.may_teach(&task(task_type, it.x, it.p));
            assert!(all.iter().all(|it| may_teach(it) != it.is_withheld()));
            let n_withheld = all.iter().filter(|it| it.is_withheld()).count();
            assert!((30..=60).contains(&n_withheld), "{n_withheld}");
        }
    }
}

#[test]
fn gold_answers_are_right_and_others_are_not() {
    for set in SETS {
        let env = env(set);
        for task_type in TYPES {
            for inversion in env.held_out(task_type, 10_000, Seed::new(1)).unwrap() {
                let task = task(task_type, inversion.x, inversion.p);
                let answer = inversion.value(blank(task_type));
                assert!(grade(&env, &task, &set.solution_text(answer)).correct, "{inversion:?}");
                assert!(!grade(&env, &task, &set.solution_text(answer + 1)).correct, "{inversion:?}");
            }
        }
    }
}

/// Counts of the exhaustive evaluation: 7 primes, 216 pairs, of whose products less one 63 are even.
#[test]
fn floors_of_the_range() {
    let of = |blank, rule| floors(&evaluation(19, 43, blank, rule), blank, rule);
    for rule in RULES {
        for blank in [Blank::X, Blank::Y] {
            let Floors { uniform, constant } = of(blank, rule);
            assert!((uniform - 7.0 / 216.0).abs() < 1e-12 && constant == 7.0 / 216.0, "{uniform} {constant}");
        }
    }
    let any = of(Blank::P, InductionRule::AnyPrime);
    assert_eq!(any.constant, 63.0 / 216.0);
    assert!((any.uniform - 0.181_216_931_216_931_2).abs() < 1e-12, "{}", any.uniform);
    // Of 43 there are 42 pairs, of which 1 * 1 is no question.
    let unique = of(Blank::P, InductionRule::Unique);
    assert_eq!(unique.constant, 41.0 / 209.0);
    assert!((unique.uniform - 0.231_316_928_685_349_8).abs() < 1e-12, "{}", unique.uniform);
    assert_eq!(env(PromptSet::Full).floors(TaskType::Induction), Some(unique));
    assert_eq!(any_prime().floors(TaskType::Induction), Some(any));
}

/// The floors that are published for the original weigh each prime alike, as its generator draws them: a uniform guess
/// gets 3.5 %; the constants 2, 3, 5 and 7 get 29.6, 25.7, 18.2 and 14.3 % of the inductions.
#[test]
fn floors_as_the_original_draws() {
    let of_prime = |p: u32, right: &dyn Fn(&Inversion) -> f64| {
        let all: Vec<Inversion> = range().into_iter().filter(|it| it.p == p).collect();
        all.iter().map(right).sum::<f64>() / all.len() as f64
    };
    let mean = |right: &dyn Fn(&Inversion) -> f64| {
        [19, 23, 29, 31, 37, 41, 43].map(|p| of_prime(p, right)).iter().sum::<f64>() / 7.0
    };
    let uniform = mean(&|it| 1.0 / f64::from(it.p - 1));
    assert!((uniform - 0.035).abs() < 5e-4, "{uniform}");
    for (constant, published) in [(2, 0.296), (3, 0.257), (5, 0.182), (7, 0.143)] {
        let right = |it: &Inversion, rule| f64::from(u8::from(is_right(it, Blank::P, rule, constant)));
        let share = mean(&|it| right(it, InductionRule::AnyPrime));
        assert!((share - published).abs() < 5e-4, "{constant}: {share}");
        let unique = mean(&|it| if it.x * it.y == 1 { 0.0 } else { right(it, InductionRule::Unique) });
        assert_eq!(unique, 0.0, "{constant}");
    }
}
