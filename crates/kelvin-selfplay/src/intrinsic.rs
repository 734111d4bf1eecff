//! What a valid proposal shows beside its solve rate, and what that is worth (azr.md section 4.3). It is seen before
//! the step's proposals enter the buffer, and recorded whether it is paid or not.

use kelvin_core::{
    environment::DynEnvironment,
    measures::Measures,
    rollout::Rewarded,
    task::{Reason, Task},
};

use crate::{
    buffer::TaskBuffer,
    learnability,
    novelty::Near,
    settings::{Combine, IntrinsicSettings, RewardSource, RunSettings, Term},
    stage::{self, Estimated, ProposalAsk, Scene},
    types::{self, Side},
};

/// What a proposal shows; fields are empty where its task type or its domain has none, or where it was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Of the program that was proposed.
    pub program: Option<Measures>,
    /// Mean distance to the references that were shown.
    pub mean_edit_distance: Option<f64>,
    /// Rarity of the answer.
    pub answer_diversity: Option<f64>,
    /// Mean rarity of an induction task's inputs.
    pub input_diversity: Option<f64>,
    /// Mean rarity of an induction task's outputs.
    pub output_diversity: Option<f64>,
    /// The buffer held it already, or the step had posed it before.
    pub is_duplicate: bool,
    /// It is one of the references that were shown.
    pub is_reference: bool,
}

/// What each proposal shows, in their order; nothing for those that are no task, and of copies only that they are copies,
/// whether they were rejected as such or will be as near-duplicates, which `near` says of each.
///
/// # Errors
/// If a task is another environment's.
pub fn see(
    scene: Scene,
    asks: &[ProposalAsk],
    estimated: &[Estimated],
    near: &[Option<Near>],
    buffer: &TaskBuffer,
) -> anyhow::Result<Vec<Option<Seen>>> {
    let Scene { env, settings, step, .. } = scene;
    let every = settings.diagnostics.distance_every;
    let is_sampled = every != 0 && step.is_multiple_of(every);
    let with_distance = settings.intrinsic.mean_edit_distance.is_on() || is_sampled;
    let mut posed = std::collections::HashSet::new();
    let see = |(it, near): (&Estimated, &Option<Near>)| match &it.outcome {
        Ok((task, _)) => {
            let references = &asks[it.rollout.group].references;
            let identity = env.identity(task)?;
            let is_reference = stage::is_among(env, &identity, references)?;
            let identity = (task.task_type, identity);
            let is_duplicate = buffer.holds(&identity) || !posed.insert(identity);
            let is_refused = near.and_then(|it| it.refusal(&settings.azr)).is_some();
            let seen = match is_refused {
                true => Seen::default(),
                false => see_task(env, task, references, buffer, &settings.intrinsic, with_distance)?,
            };
            Ok(Some(Seen { is_duplicate, is_reference, ..seen }))
        }
        Err(rejection) => Ok(match rejection.reason {
            Reason::ReferenceCopy => Some(Seen { is_duplicate: true, is_reference: true, ..Seen::default() }),
            Reason::Duplicate => Some(Seen { is_duplicate: true, ..Seen::default() }),
            _ => None,
        }),
    };
    estimated.iter().zip(near).map(see).collect()
}

/// What a task shows that is no copy.
fn see_task(
    env: &dyn DynEnvironment,
    task: &Task,
    references: &[Task],
    buffer: &TaskBuffer,
    intrinsic: &IntrinsicSettings,
    with_distance: bool,
) -> anyhow::Result<Seen> {
    let mut seen = see_values(env, task, buffer, intrinsic)?;
    if env.references_needed(task.task_type).is_none() {
        seen.program = env.measures(task, intrinsic.extent())?;
        if with_distance {
            seen.mean_edit_distance = mean_distance(env, task, references, intrinsic)?;
        }
    }
    Ok(seen)
}

fn see_values(
    env: &dyn DynEnvironment,
    task: &Task,
    buffer: &TaskBuffer,
    intrinsic: &IntrinsicSettings,
) -> anyhow::Result<Seen> {
    let values = env.values(task)?;
    let rarity = |side: Side| {
        let values = types::on_side(&values, side);
        let sum: f64 = values.iter().map(|it| buffer.types().diversity(side, it, intrinsic.diversity)).sum();
        (!values.is_empty()).then(|| sum / values.len() as f64)
    };
    // A proposal about its one reference is of several values, as induction's.
    Ok(match env.references_needed(task.task_type) {
        Some(_) => Seen {
            input_diversity: rarity(Side::Input),
            output_diversity: rarity(Side::Output),
            ..Seen::default()
        },
        None => Seen { answer_diversity: rarity(types::answer_side(task.task_type)), ..Seen::default() },
    })
}

fn mean_distance(
    env: &dyn DynEnvironment,
    task: &Task,
    references: &[Task],
    intrinsic: &IntrinsicSettings,
) -> anyhow::Result<Option<f64>> {
    let mut sum = 0.0;
    for reference in references {
        match env.distance(task, reference, intrinsic.distance, intrinsic.extent())? {
            Some(distance) => sum += distance,
            None => return Ok(None),
        }
    }
    Ok((!references.is_empty()).then(|| sum / references.len() as f64))
}

/// Adds the terms to the rewards of proposals that are learnable and have the asked-for form. `rewarded` begins with
/// those of `estimated`. A coin's rewards stay what they are.
pub fn pay(
    rewarded: &mut [Rewarded],
    estimated: &[Estimated],
    seen: &[Option<Seen>],
    settings: &RunSettings,
) {
    if settings.azr.reward != RewardSource::Verifier {
        return;
    }
    for ((rewarded, estimated), seen) in rewarded.iter_mut().zip(estimated).zip(seen) {
        let Ok((_, grades)) = &estimated.outcome else { continue };
        let learnability = learnability::learnability(grades, &settings.azr);
        if let (true, true, Some(seen)) = (estimated.formatted, 0.0 < learnability, seen) {
            let terms = terms(seen, &settings.intrinsic);
            let paid = combined(f64::from(rewarded.reward), &terms, settings.intrinsic.combine);
            rewarded.reward = paid as f32;
        }
    }
}

/// The terms that are on, of the proposal's task type. What could not be measured counts as 0.
fn terms(seen: &Seen, intrinsic: &IntrinsicSettings) -> Vec<f64> {
    let is_about_reference = seen.input_diversity.is_some() || seen.output_diversity.is_some();
    let all: &[(Term, Option<f64>)] = if is_about_reference {
        &[
            (intrinsic.input_diversity, seen.input_diversity),
            (intrinsic.output_diversity, seen.output_diversity),
        ]
    } else {
        &[
            (intrinsic.complexity, seen.program.map(|it| it.complexity)),
            (intrinsic.halstead, seen.program.map(|it| it.halstead)),
            (intrinsic.maintainability, seen.program.map(|it| it.maintainability)),
            (intrinsic.mean_edit_distance, seen.mean_edit_distance),
            (intrinsic.answer_diversity, seen.answer_diversity),
        ]
    };
    all.iter().filter(|(term, _)| term.is_on()).map(|(term, value)| term.of(value.unwrap_or(0.0))).collect()
}

/// `reward` where there is nothing to combine it with.
fn combined(reward: f64, terms: &[f64], combine: Combine) -> f64 {
    if terms.is_empty() {
        return reward;
    }
    let (sum, product): (f64, f64) = (terms.iter().sum(), terms.iter().product());
    match combine {
        Combine::Sum => reward + sum,
        Combine::Multiply => reward * product,
        Combine::SumMultiply => reward + product,
        Combine::MultiplySum => reward * sum,
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::{Grade, Miss, Rejection, TaskType};

    use super::*;
    use crate::{
        reward,
        settings::{AzrSettings, DiagnosticsSettings, RZeroSettings, Recipe},
        stage::tests::rollout,
    };

    fn settings(combine: Combine) -> RunSettings {
        let term = |coefficient, max| Term { coefficient, max };
        RunSettings {
            seed: 1,
            steps: 1,
            task_types: vec![TaskType::Deduction],
            n_judges: 1,
            azr: AzrSettings::default(),
            recipe: Recipe::Azr,
            r_zero: RZeroSettings::default(),
            intrinsic: IntrinsicSettings {
                combine,
                complexity: term(0.5, 0.3),
                halstead: term(2.0, 5.0),
                input_diversity: term(1.0, 5.0),
                ..IntrinsicSettings::default()
            },
            objective: Default::default(),
            optimizer: Default::default(),
            sampling: Default::default(),
            eval: Default::default(),
            checkpoint: Default::default(),
            diagnostics: DiagnosticsSettings::default(),
        }
    }

    fn estimated(formatted: bool, n_right: usize) -> Estimated {
        let task =
            Task { task_type: TaskType::Deduction, born: 1, label: None, payload: serde_json::Value::Null };
        let grade = |at| if at < n_right { Grade::correct() } else { Grade::missed(Miss::Wrong) };
        Estimated { rollout: rollout(3), formatted, outcome: Ok((task, (0..4).map(grade).collect())) }
    }

    /// Complexity 1 earns its bound of 0.3, a Halstead score of 0.2 earns 0.4; the learnability is 0.75.
    #[test]
    fn only_learnable_well_formed_proposals_earn_more() {
        for (combine, expected) in [
            (Combine::Sum, 0.75 + 0.7),
            (Combine::Multiply, 0.75 * 0.12),
            (Combine::SumMultiply, 0.75 + 0.12),
            (Combine::MultiplySum, 0.75 * 0.7),
        ] {
            let settings = settings(combine);
            let rejected =
                Estimated { outcome: Err(Rejection::new(Reason::Timeout, "")), ..estimated(true, 1) };
            let all =
                [estimated(true, 1), estimated(false, 1), estimated(true, 4), estimated(true, 0), rejected];
            let program = Measures { complexity: 1.0, halstead: 0.2, ..Measures::default() };
            let seen = Some(Seen { program: Some(program), ..Seen::default() });
            let mut rewarded = reward::all(&all, &[], &settings.azr, kelvin_core::seed::Seed::new(1));
            pay(&mut rewarded, &all, &[seen, seen, seen, seen, None], &settings);
            let rewards: Vec<f32> = rewarded.iter().map(|it| it.reward).collect();
            assert!((f64::from(rewards[0]) - expected).abs() < 1e-6, "{combine:?} {rewards:?}");
            assert_eq!(rewards[1..], [-1.0, -0.5, -0.5, -1.0]);
        }
    }

    #[test]
    fn what_is_hard_to_maintain_pays_if_asked_for() {
        let mut intrinsic = settings(Combine::Sum).intrinsic;
        let program = Measures { maintainability: 0.25, ..Measures::default() };
        let seen = Seen { program: Some(program), ..Seen::default() };
        let before = terms(&seen, &intrinsic).len();
        intrinsic.maintainability = Term { coefficient: 2.0, max: 0.4 };
        let paid = terms(&seen, &intrinsic);
        assert!(paid.len() == before + 1 && paid.contains(&0.4), "{paid:?}");
    }

    #[test]
    fn induction_has_terms_of_its_own() {
        let settings = settings(Combine::Sum);
        let seen = Seen { input_diversity: Some(0.5), output_diversity: Some(1.0), ..Seen::default() };
        assert_eq!(terms(&seen, &settings.intrinsic), [0.5], "the output's term is off");
        assert_eq!(terms(&Seen::default(), &settings.intrinsic), [0.0, 0.0], "nothing was measured");
        assert_eq!(combined(0.75, &[], Combine::Multiply), 0.75, "without terms nothing changes");
    }
}
