//! What R-Zero pays, as pure functions (r-zero.md sections 4 and 6).

use kelvin_core::{metrics::Metrics, task::Grade};

use crate::{
    reward::solve_rate,
    settings::{KnownQuestions, RZeroSettings, Uncertainty},
    stage::Estimated,
};

/// What the share `p` of equal answers is worth.
pub(super) fn uncertainty(p: f32, rules: &RZeroSettings) -> f32 {
    let at = rules.uncertainty_at;
    match rules.uncertainty {
        Uncertainty::Tent => 1.0 - (p - at).abs() / at.max(1.0 - at),
        Uncertainty::HalfTent => p.min(1.0 - p),
        Uncertainty::Variance => 4.0 * p * (1.0 - p),
    }
}

/// What a challenger earns for a question of which the share `repeats` of its step repeats another with it, and which
/// earlier iterations know or not.
pub(super) fn challenger(estimated: &Estimated, repeats: f32, known: bool, rules: &RZeroSettings) -> f32 {
    match &estimated.outcome {
        Ok(_) if known && rules.known_questions == KnownQuestions::Refuse => 0.0,
        Ok((_, grades)) if estimated.formatted => {
            let earned = uncertainty(solve_rate(grades), rules) - rules.repetition_weight * repeats;
            earned.max(rules.reward_min)
        }
        Ok(_) | Err(_) if rules.repetition_of_all => {
            rules.malformed_reward - rules.repetition_weight * repeats
        }
        Ok(_) | Err(_) => rules.malformed_reward,
    }
}

/// What a solver earns for an answer.
pub(super) fn solver(grade: &Grade, rules: &RZeroSettings) -> f32 {
    let form = if grade.formatted { 1.0 } else { 0.0 };
    (1.0 - rules.format_weight) * grade.score + rules.format_weight * form
}

/// What a challenger step paid for.
pub(super) fn metrics(
    estimated: &[Estimated],
    repeats: &[f32],
    known: &[bool],
    rules: &RZeroSettings,
) -> Metrics {
    let questions: Vec<(f32, f32, bool)> = estimated
        .iter()
        .zip(repeats)
        .zip(known)
        .filter_map(|((it, &repeats), &known)| {
            let (_, grades) = it.outcome.as_ref().ok()?;
            Some((uncertainty(solve_rate(grades), rules), repeats, known))
        })
        .collect();
    if questions.is_empty() {
        return Metrics::new();
    }
    let mean = |of: &dyn Fn(&(f32, f32, bool)) -> f32| {
        questions.iter().map(|it| f64::from(of(it))).sum::<f64>() / questions.len() as f64
    };
    Metrics::from([
        ("challenger/uncertainty".to_owned(), mean(&|it| it.0)),
        ("challenger/repetition".to_owned(), mean(&|it| it.1)),
        ("challenger/known".to_owned(), mean(&|it| f32::from(u8::from(it.2)))),
    ])
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::{Miss, Reason, Rejection, Task, TaskType};

    use super::*;
    use crate::stage::tests::rollout;

    fn question(n_equal: usize) -> Estimated {
        let task =
            Task { task_type: TaskType::Question, born: 1, label: None, payload: serde_json::Value::Null };
        let grade = |at| if at < n_equal { Grade::correct() } else { Grade::missed(Miss::Wrong) };
        Estimated { rollout: rollout(3), formatted: true, outcome: Ok((task, (0..10).map(grade).collect())) }
    }

    fn code() -> RZeroSettings {
        RZeroSettings { uncertainty: Uncertainty::HalfTent, reward_min: -10.0, ..RZeroSettings::default() }
    }

    /// Test 1 of r-zero.md section 14: shares from 0.1 to 1.
    #[test]
    fn the_reward_table_of_challengers() {
        let kelvin = RZeroSettings::default();
        for (at, tent) in [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2, 0.0].into_iter().enumerate() {
            let question = question(at + 1);
            assert!((challenger(&question, 0.0, false, &kelvin) - tent).abs() < 1e-6);
            assert!((challenger(&question, 0.0, false, &code()) - tent / 2.0).abs() < 1e-6);
            let less = (tent - 0.25).max(0.0);
            assert!((challenger(&question, 0.25, false, &kelvin) - less).abs() < 1e-6);
            assert!((challenger(&question, 0.25, false, &code()) - (tent / 2.0 - 0.25)).abs() < 1e-6);
        }
    }

    #[test]
    fn other_curves_peak_where_they_say() {
        let at = RZeroSettings { uncertainty_at: 0.8, ..RZeroSettings::default() };
        assert_eq!((uncertainty(0.8, &at), uncertainty(0.0, &at)), (1.0, 0.0));
        let variance = RZeroSettings { uncertainty: Uncertainty::Variance, ..RZeroSettings::default() };
        assert_eq!((uncertainty(0.5, &variance), uncertainty(1.0, &variance)), (1.0, 0.0));
    }

    #[test]
    fn what_is_no_question_earns_what_the_settings_say() {
        let outcome = Err(Rejection::new(Reason::NoAnswer, ""));
        let none = Estimated { outcome, ..question(5) };
        let unformatted = Estimated { formatted: false, ..question(5) };
        for (malformed, paid) in [(-1.0, -1.0), (0.0, 0.0)] {
            let rules = RZeroSettings { malformed_reward: malformed, ..RZeroSettings::default() };
            assert_eq!(challenger(&none, 0.0, false, &rules), paid);
            assert_eq!(challenger(&unformatted, 0.0, false, &rules), paid);
        }
    }

    /// The released code: -1 - 1/B.
    #[test]
    fn what_is_no_question_repeats_itself_where_it_counts() {
        let none = Estimated { outcome: Err(Rejection::new(Reason::NoAnswer, "")), ..question(5) };
        let rules = RZeroSettings { repetition_of_all: true, ..code() };
        assert_eq!(challenger(&none, 1.0 / 2048.0, false, &rules), -1.0 - 1.0 / 2048.0);
    }

    #[test]
    fn known_questions_earn_nothing_where_they_are_refused() {
        for (known_questions, paid) in
            [(KnownQuestions::Admit, 1.0), (KnownQuestions::Filter, 1.0), (KnownQuestions::Refuse, 0.0)]
        {
            let rules = RZeroSettings { known_questions, ..RZeroSettings::default() };
            assert_eq!(challenger(&question(5), 0.0, true, &rules), paid);
            assert_eq!(challenger(&question(5), 0.0, false, &rules), 1.0);
        }
    }

    #[test]
    fn a_tenth_for_form_in_the_released_code() {
        let rules = RZeroSettings { format_weight: 0.1, ..RZeroSettings::default() };
        let paid =
            [Grade::correct(), Grade::missed(Miss::Wrong), Grade::malformed()].map(|it| solver(&it, &rules));
        assert_eq!(paid, [1.0, 0.1, 0.0]);
        assert_eq!(solver(&Grade::missed(Miss::Wrong), &RZeroSettings::default()), 0.0);
    }
}
