//! What a step draws, trains on and runs (azr.md section 5.3): numbers at their most, all proposals being valid and
//! all responses as long as they may be.

use kelvin_core::task::TaskType;
use kelvin_env::python_triplet::InductionPairs;
use kelvin_selfplay::settings::SolveLag;

use super::{grouped, line};
use crate::config::{Config, EnvironmentName};

/// The budget of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Proposers' rollouts.
    pub(super) proposals: u64,
    /// Solvers' rollouts.
    pub(super) solutions: u64,
    /// Monte-Carlo solves, at most.
    pub(super) estimates: u64,
    /// Rollouts that the update sees, at most.
    pub(super) trained: u64,
    /// Tokens drawn, at most, and those of the prompts before them.
    pub(super) new_tokens: u64,
    pub(super) prompt_tokens: u64,
    /// Tokens of the rollouts that the update sees, prompts included, at most.
    pub(super) trained_tokens: u64,
    /// Programs with one input each.
    pub(super) executions: Vec<Executions>,
    /// Tasks of each type that enter the buffer, at most.
    pub(super) growth: u64,
    /// The first step after which the buffer can be full; 0 if the seeds fill it.
    pub(super) full_at: u64,
}

/// Programs with one input each, for one task type. Answers to deduction and error tasks count too, but are compared:
/// kelvin runs nothing for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Executions {
    pub(super) task_type: TaskType,
    /// Behind proposals.
    pub(super) validate: u64,
    /// Behind Monte-Carlo solves.
    pub(super) estimate: u64,
    /// Behind solutions.
    pub(super) solve: u64,
}

impl Executions {
    fn of(config: &Config, task_type: TaskType) -> Executions {
        let (azr, batch) = (&config.azr, config.azr.batch_size as u64);
        let (given, graded) = inputs(config, task_type);
        let [given, graded] = [given, graded].map(|it| it as u64);
        Executions {
            task_type,
            validate: batch * given,
            estimate: batch * azr.n_estimate as u64 * graded,
            solve: batch * azr.n_solutions as u64 * graded,
        }
    }
}

/// Inputs that a task is posed with, and those that an answer to it is graded on.
pub(super) fn inputs(config: &Config, task_type: TaskType) -> (usize, usize) {
    let n_inputs = config.python.prompt_set.n_induction_inputs();
    match task_type {
        TaskType::Induction => match config.python.induction_pairs {
            InductionPairs::Hidden => (n_inputs, n_inputs - n_inputs / 2),
            InductionPairs::All => (n_inputs, n_inputs),
        },
        TaskType::Deduction | TaskType::Abduction | TaskType::Error | TaskType::Question => (1, 1),
    }
}

impl Step {
    pub(super) fn of(config: &Config) -> Step {
        let (azr, sampling) = (&config.azr, &config.sampling);
        let batch = azr.batch_size as u64;
        let types = config.task_types();
        let proposals = batch * types.len() as u64;
        let (solutions, estimates) = (proposals * azr.n_solutions as u64, proposals * azr.n_estimate as u64);
        let [propose_new, solve_new, estimate_new] =
            [&sampling.propose, &sampling.solve, &sampling.estimate].map(|it| it.max_new_tokens as u64);
        let (propose_prompt, solve_prompt) =
            (sampling.propose_prompt_tokens_max as u64, sampling.solve_prompt_tokens_max as u64);
        let trained_proposals = if azr.train_propose { proposals } else { 0 };
        let trained_estimates = if azr.train_estimates { estimates } else { 0 };
        let executions = match config.environment {
            EnvironmentName::PythonTriplet => types.iter().map(|&it| Executions::of(config, it)).collect(),
            EnvironmentName::PrimeInversion | EnvironmentName::MathQuestion => Vec::new(),
        };
        let seeds = batch * azr.seed_factor as u64;
        Step {
            proposals,
            solutions,
            estimates,
            trained: trained_proposals + solutions + trained_estimates,
            new_tokens: proposals * propose_new + solutions * solve_new + estimates * estimate_new,
            prompt_tokens: proposals * propose_prompt + (solutions + estimates) * solve_prompt,
            trained_tokens: trained_proposals * (propose_prompt + propose_new)
                + solutions * (solve_prompt + solve_new)
                + trained_estimates * (solve_prompt + estimate_new),
            executions,
            growth: batch,
            full_at: (azr.buffer_max as u64).saturating_sub(seeds).div_ceil(batch),
        }
    }

    pub(super) fn describe(&self, config: &Config) -> String {
        let azr = &config.azr;
        let lag = match azr.solve_lag {
            SolveLag::Zero => "of this step's tasks",
            SolveLag::One => "of the last step's tasks",
        };
        let estimates_train = if azr.train_estimates { "trained on" } else { "not trained on" };
        let mut text = "--- a step, at most\n".to_owned();
        text += &line("proposals", grouped(self.proposals), "rollouts");
        text += &line("solutions", grouped(self.solutions), &format!("rollouts, {lag}"));
        text += &line("estimates", grouped(self.estimates), &format!("rollouts, {estimates_train}"));
        text += &line("trained on", grouped(self.trained), "rollouts");
        text += &line("drawn", grouped(self.new_tokens), "tokens, if all responses reach their limit");
        text += &line("prompts", grouped(self.prompt_tokens), "tokens, if all prompts reach theirs");
        for &Executions { task_type, validate, estimate, solve } in &self.executions {
            let more = match task_type {
                TaskType::Deduction | TaskType::Error => "the last two are compared, nothing runs",
                TaskType::Abduction | TaskType::Induction | TaskType::Question => "",
            };
            let numbers = [validate, estimate, solve].map(grouped).join(" + ");
            text += &line(&format!("programs, {task_type}"), numbers, more);
        }
        if !self.executions.is_empty() {
            text += "  each a program on one input, to validate proposals + estimates + solutions; validation calls twice \
                     under\n  each of two hash seeds\n";
        }
        text += &line("buffer", format!("+{}", grouped(self.growth)), "tasks of each type");
        text += &line("buffer full", grouped(self.full_at), "is the first step that can fill it");
        text
    }
}

#[cfg(test)]
mod tests {
    use kelvin_selfplay::settings::Recipe;

    use super::*;
    use crate::config::Preset;

    /// The table of azr.md's appendix B: B = 64, n = 8, N = 10. It has the code's hidden pairs; the paper has all.
    #[test]
    fn a_step_at_defaults_is_that_of_the_original() {
        for preset in [Preset::Kelvin, Preset::Paper, Preset::Code] {
            let step = Step::of(&preset.config(Recipe::Azr));
            assert_eq!((step.proposals, step.solutions, step.estimates), (192, 192, 1536));
            let trained = if preset == Preset::Kelvin { 1920 } else { 384 };
            assert_eq!((step.trained, step.new_tokens), (trained, 1920 * 8096));
            let of =
                |task_type, validate, estimate, solve| Executions { task_type, validate, estimate, solve };
            assert_eq!(
                step.executions,
                [
                    of(TaskType::Deduction, 64, 512, 64),
                    of(TaskType::Abduction, 64, 512, 64),
                    match preset {
                        Preset::Paper => of(TaskType::Induction, 640, 5120, 640),
                        Preset::Kelvin | Preset::Code => of(TaskType::Induction, 640, 2560, 320),
                    },
                ]
            );
            let all: u64 = step.executions.iter().map(|it| it.validate + it.estimate + it.solve).sum();
            assert_eq!(all, if preset == Preset::Paper { 7680 } else { 4800 });
            assert_eq!((step.growth, step.full_at), (64, 252));
        }
    }

    #[test]
    fn prime_inversion_runs_no_program() {
        let mut config = Preset::Kelvin.config(Recipe::Azr);
        config.environment = EnvironmentName::PrimeInversion;
        let step = Step::of(&config);
        assert_eq!((step.proposals, step.executions.len()), (192, 0));
        assert!(!step.describe(&config).contains("program"));
    }

    #[test]
    fn what_is_switched_off_is_not_counted() {
        let mut config = Preset::Kelvin.config(Recipe::Azr);
        config.azr.train_estimates = false;
        config.azr.train_propose = false;
        config.azr.n_solutions = 4;
        config.python.task_types = vec![TaskType::Deduction, TaskType::Deduction];
        config.azr.buffer_max = 10;
        let step = Step::of(&config);
        assert_eq!((step.proposals, step.solutions, step.estimates), (64, 256, 512));
        assert_eq!((step.trained, step.executions.len(), step.full_at), (256, 1, 0));
        assert_eq!(step.trained_tokens, 256 * (6144 + 8096));
        config.azr.train_estimates = true;
        assert_eq!(Step::of(&config).trained, 256 + 512);
    }
}
