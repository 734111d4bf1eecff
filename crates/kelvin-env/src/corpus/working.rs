//! The lines before an answer: what a run of the program goes through, and how each type of task can use it.

use kelvin_core::{seed::Draws, task::TaskType};

use crate::python_triplet::Problem;

/// Longest working of an abduction, in bytes: all its tries together.
const MAX_TRIES_LEN: usize = 190;
/// Longest working of an induction, in bytes: a program comes after it.
const MAX_FIRST_PAIR_LEN: usize = 90;

/// Runs of one program: inputs with outputs, and the lines that lead from one to the other. There are none where they
/// are too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'runs> {
    pub(super) pairs: &'runs [(String, String)],
    pub(super) workings: &'runs [Vec<String>],
}

impl Runs<'_> {
    fn of(&self, input: &str) -> &[String] {
        let found = self.pairs.iter().zip(self.workings).find(|((it, _), _)| it == input);
        found.map_or(&[], |(_, lines)| lines)
    }
}

/// The working of a solution; no lines where those of its run are too long.
///
/// A deduction follows the run from its input. An induction does that for the first pair that it is shown, which fixes
/// what the program does before it is written down. An abduction cannot run backwards: it tries inputs, follows
/// each, and answers with the one that comes out at the output.
pub(super) fn lines(
    task_type: TaskType,
    problem: &Problem,
    runs: Runs<'_>,
    draws: &mut Draws,
) -> Vec<String> {
    let (input, output) = problem.pairs()[0];
    match task_type {
        TaskType::Abduction => tries(input, output, runs, draws),
        TaskType::Induction if MAX_FIRST_PAIR_LEN < len(runs.of(input)) => Vec::new(),
        TaskType::Deduction | TaskType::Induction | TaskType::Error | TaskType::Question => {
            runs.of(input).to_vec()
        }
    }
}

/// In bytes, each line as the comment that it becomes.
fn len(lines: &[String]) -> usize {
    lines.iter().map(|it| "# \n".len() + it.len()).sum()
}

/// Up to two inputs that come out elsewhere, then the right one, each with its run.
fn tries(input: &str, output: &str, runs: Runs<'_>, draws: &mut Draws) -> Vec<String> {
    let right = attempt(input, runs);
    if right.len() < 2 {
        return Vec::new();
    }
    let wrong: Vec<&str> = runs.pairs.iter().filter(|it| it.1 != output).map(|it| it.0.as_str()).collect();
    // Half of all first tries are right: inputs that are tried should be good guesses.
    let n_wrong = [0, 0, 0, 1, 1, 2][draws.below(6)];
    let mut attempts: Vec<Vec<String>> = draws
        .distinct(n_wrong, wrong.len())
        .into_iter()
        .map(|at| attempt(wrong[at], runs))
        .filter(|it| 1 < it.len())
        .collect();
    attempts.push(right);
    while MAX_TRIES_LEN < attempts.iter().map(|it| len(it)).sum() {
        attempts.remove(0);
    }
    attempts.concat()
}

/// An input that is tried, and its run; the first line alone where that is too long.
fn attempt(input: &str, runs: Runs<'_>) -> Vec<String> {
    let mut lines = vec![format!("try {input}")];
    lines.extend_from_slice(runs.of(input));
    lines
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    fn doubling() -> (Vec<(String, String)>, Vec<Vec<String>>) {
        let pairs: Vec<(String, String)> = (1..=4).map(|it| (it.to_string(), (2 * it).to_string())).collect();
        let workings = (1..=4).map(|it| vec![format!("{it} * 2 = {}", 2 * it)]).collect();
        (pairs, workings)
    }

    #[test]
    fn an_abduction_ends_its_tries_with_the_right_one() {
        let (pairs, mut workings) = doubling();
        workings[3].clear();
        let runs = Runs { pairs: &pairs, workings: &workings };
        let problem = Problem::triplet("def f(x):\n    return x * 2".into(), "2".into(), "4".into());
        let mut lengths = [0; 7];
        for at in 0..200 {
            let lines = lines(TaskType::Abduction, &problem, runs, &mut Seed::new(1).nth(at).draws());
            assert_eq!(lines[lines.len() - 2..], ["try 2", "2 * 2 = 4"]);
            assert!(!lines.contains(&"try 4".to_owned()), "a run that is not there: {lines:?}");
            assert_eq!(lines.iter().filter(|it| *it == "try 2").count(), 1);
            lengths[lines.len()] += 1;
        }
        assert!(lengths[2] > lengths[4] && lengths[4] > lengths[6] && 0 < lengths[6], "{lengths:?}");
        let unrun = Problem::triplet("def f(x):\n    return x * 2".into(), "4".into(), "8".into());
        assert!(lines(TaskType::Abduction, &unrun, runs, &mut Seed::new(1).draws()).is_empty());
    }

    #[test]
    fn an_induction_follows_the_first_pair_that_it_shows() {
        let (pairs, workings) = doubling();
        let runs = Runs { pairs: &pairs, workings: &workings };
        let problem = Problem::Induction {
            program: "def f(x):\n    return x * 2".into(),
            inputs: vec!["3".into(), "1".into()],
            outputs: vec!["6".into(), "2".into()],
            message: "doubles".into(),
        };
        let lines = lines(TaskType::Induction, &problem, runs, &mut Seed::new(1).draws());
        assert_eq!(lines, ["3 * 2 = 6"]);
    }
}
