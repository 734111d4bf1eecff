//! Which earlier tasks lend their programs to a composite proposal (azr.md section 10).

use std::collections::HashSet;

use kelvin_core::{
    seed::Seed,
    task::{Task, TaskType},
};

use crate::{buffer::TaskBuffer, stage::Scene};

/// The helpers of one proposal: none for most, else a random number of tasks that can help, with different programs, from
/// the buffers that its references come from; fewer where there are fewer.
///
/// # Errors
/// If a task is another environment's.
pub(crate) fn draw(
    scene: Scene,
    buffer: &TaskBuffer,
    task_type: TaskType,
    seed: Seed,
) -> anyhow::Result<Vec<Task>> {
    let azr = &scene.settings.azr;
    if azr.composite.chance_at(scene.step) <= seed.fork("chance").unit() {
        return Ok(Vec::new());
    }
    let (n_min, n_max) = azr.composite.n_helpers_at(scene.step);
    let n = n_min + seed.fork("count").below(n_max - n_min + 1);
    let mut families = HashSet::new();
    let mut helpers = Vec::with_capacity(n);
    for task in buffer.shuffled(&scene.env.reference_types(task_type), seed.fork("which")) {
        if helpers.len() == n {
            break;
        }
        if scene.env.can_help(task_type, &task)? && families.insert(scene.env.family(&task)?) {
            helpers.push(task);
        }
    }
    Ok(helpers)
}

#[cfg(test)]
mod tests {
    use kelvin_core::{
        environment::{Environment, Given},
        fake::FakePolicy,
        policy::Policy,
        rollout::Role,
        task::{Grade, Rejection},
    };

    use super::*;
    use crate::{
        settings::{
            AzrSettings, CheckpointSettings, CompositeSettings, EvalSettings, RZeroSettings, Recipe,
            RunSettings, SamplingSettings,
        },
        stage::{ProposalAsk, proposal_asks},
        state::RunState,
    };

    /// Tasks are numbers, programs their tens; even numbers can help.
    struct Numbers;

    impl Environment for Numbers {
        type Payload = u64;

        fn task_types(&self) -> &'static [TaskType] {
            &[TaskType::Deduction]
        }
        fn seed_tasks(&self) -> Vec<(TaskType, u64)> {
            (0..100).map(|it| (TaskType::Deduction, it)).collect()
        }
        fn can_help(&self, _: TaskType, task: &Task<u64>) -> bool {
            task.payload.is_multiple_of(2)
        }
        fn propose_prompt(&self, _: TaskType, given: Given<'_, u64>) -> String {
            "x".repeat(given.references.len() + 10 * given.helpers.len())
        }
        fn validate(
            &self,
            _: TaskType,
            _: Given<'_, u64>,
            _: &str,
        ) -> anyhow::Result<Result<u64, Rejection>> {
            Ok(Ok(1))
        }
        fn proposal_is_formatted(&self, _: TaskType, _: &str) -> bool {
            true
        }
        fn solve_prompt(&self, _: &Task<u64>) -> String {
            String::new()
        }
        fn grade(&self, _: &Task<u64>, _: &str) -> anyhow::Result<Grade> {
            Ok(Grade::correct())
        }
        fn identity(&self, task: &Task<u64>) -> String {
            task.payload.to_string()
        }
        fn family(&self, task: &Task<u64>) -> String {
            (task.payload / 10).to_string()
        }
    }

    fn asks(composite: CompositeSettings, propose_prompt_tokens_max: usize, step: u32) -> Vec<ProposalAsk> {
        let settings = RunSettings {
            seed: 1,
            steps: 1,
            task_types: vec![TaskType::Deduction],
            n_judges: 1,
            azr: AzrSettings { n_references: 2, composite, ..AzrSettings::default() },
            recipe: Recipe::Azr,
            r_zero: RZeroSettings::default(),
            intrinsic: Default::default(),
            objective: Default::default(),
            optimizer: Default::default(),
            sampling: SamplingSettings { propose_prompt_tokens_max, ..SamplingSettings::default() },
            eval: EvalSettings::default(),
            checkpoint: CheckpointSettings::default(),
            diagnostics: Default::default(),
        };
        let trainer = Box::new(FakePolicy::new(|_, _| String::new()));
        let mut state = RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }]);
        let env = Numbers;
        state.buffer.append(&env, kelvin_core::environment::DynEnvironment::seed_tasks(&env)).unwrap();
        let scene =
            Scene { env: &env, player: state.policies.player(Role::Proposer), step, settings: &settings };
        proposal_asks(scene, &state.buffer, &[TaskType::Deduction], 600, Seed::new(3)).unwrap()
    }

    fn half() -> CompositeSettings {
        CompositeSettings { chance: 0.5, start_step: 5, ..CompositeSettings::default() }
    }

    #[test]
    fn half_of_the_proposals_get_one_to_three_helpers_that_can_help() {
        let asks = asks(half(), 1000, 5);
        let mut counts = [0; 4];
        for ask in &asks {
            counts[ask.helpers.len()] += 1;
            let numbers: Vec<u64> = ask.helpers.iter().map(|it| it.payload.as_u64().unwrap()).collect();
            assert!(numbers.iter().all(|it| it.is_multiple_of(2)), "{numbers:?}");
            let families: HashSet<u64> = numbers.iter().map(|it| it / 10).collect();
            assert_eq!(families.len(), numbers.len(), "{numbers:?} share a program");
            assert_eq!(ask.prompt.len(), 2 + 10 * numbers.len());
        }
        // 300 and 100 each, within five standard deviations.
        assert!((239..=361).contains(&counts[0]), "{counts:?}");
        assert!(counts[1..].iter().all(|it| (54..=146).contains(it)), "{counts:?}");
    }

    #[test]
    fn there_are_none_before_their_time_and_none_by_default() {
        assert!(asks(half(), 1000, 4).iter().all(|it| it.helpers.is_empty()));
        assert!(asks(CompositeSettings::default(), 1000, 5).iter().all(|it| it.helpers.is_empty()));
    }

    /// References do not depend on whether there are helpers.
    #[test]
    fn a_prompt_without_room_loses_references_then_helpers() {
        let roomy = asks(CompositeSettings::default(), 1000, 5);
        let tight = asks(half(), 11, 5);
        assert!(tight.iter().any(|it| it.helpers.len() == 1 && it.references.len() == 1));
        for (tight, roomy) in tight.iter().zip(&roomy) {
            assert!(tight.prompt.len() <= 11);
            assert!(tight.references.iter().eq(&roomy.references[..tight.references.len()]));
        }
    }
}
