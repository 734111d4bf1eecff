//! What an iteration of R-Zero draws and trains on (r-zero.md section 7): numbers at their most, all questions being valid
//! and all responses as long as they may be.

use super::{grouped, line};
use crate::config::Config;

pub(super) fn describe(config: &Config) -> String {
    let (rules, sampling) = (&config.r_zero, &config.sampling);
    let [propose, solve, vote] =
        [&sampling.propose, &sampling.solve, &sampling.estimate].map(|it| it.max_new_tokens as u64);
    let [questions, votes, pool, label_votes, batch, rollouts] = [
        rules.questions,
        rules.votes,
        rules.pool * rules.pool_rounds_max,
        rules.label_votes,
        rules.solver_batch,
        rules.solver_rollouts,
    ]
    .map(|it| it as u64);
    let [challenging, solving] = [rules.challenger_steps, rules.solver_steps].map(u64::from);
    let drawn = challenging * questions * (propose + votes * vote)
        + pool * (propose + label_votes * vote)
        + solving * batch * rollouts * solve;
    let of = |n: u64, what: &str, each: u64| format!("{} {what}, {each} answers each", grouped(n));
    let mut text = "--- an iteration, at most\n".to_owned();
    text += &line("challenger steps", grouped(challenging), &of(questions, "questions a step", votes));
    text += &line(
        "curriculum steps",
        grouped(u64::from(rules.curriculum_steps)),
        &of(pool, "questions in all", label_votes),
    );
    text += &line("solver steps", grouped(solving), &of(batch, "questions a step", rollouts));
    text += &line("drawn", grouped(drawn), "tokens, all responses at their limit");
    let iterations = f64::from(config.steps) / f64::from(rules.iteration_steps());
    text + &line("iterations", format!("{iterations:.1}"), "")
}

#[cfg(test)]
mod tests {
    use kelvin_selfplay::settings::Recipe;

    use super::*;
    use crate::config::Preset;

    #[test]
    fn an_iteration_at_defaults_is_that_of_the_original() {
        let config = Preset::Paper.config(Recipe::RZero);
        // 5 x 2,048 x 11 responses, 8,000 x 11, and 15 x 512 x 5.
        let drawn = (112_640 + 88_000 + 38_400) * 4096;
        let text = describe(&config);
        assert!(text.contains(&grouped(drawn)), "{text}");
        assert!(text.contains("iterations                        3.0"), "{text}");
    }
}
