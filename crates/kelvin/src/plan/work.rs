//! The arithmetic of a step. Seconds are a machine's, and are measured there.

use kelvin_model::{Footprint, ModelConfig};

use super::{Model, line, step::Step};
use crate::config::Config;

/// Floating-point operations of one token that sees `context` others: two for each weight of a matrix, and the
/// two products of attention.
pub(crate) fn forward_flops(config: &ModelConfig, context: f64) -> f64 {
    let (hidden, query) = (config.hidden_size, config.query_width());
    let layer = hidden * config.qkv_width() + query * hidden + 3 * hidden * config.intermediate_size;
    let weights = config.num_hidden_layers * layer + hidden * config.vocab_size;
    2.0 * weights as f64 + 4.0 * (config.num_hidden_layers * query) as f64 * context
}

/// Operations of a step at its most: of drawing, and of the update. What is computed again does not count.
fn operations(step: &Step, model: &ModelConfig, footprint: &Footprint) -> (f64, f64) {
    let rows = (step.proposals + step.solutions + step.estimates) as f64;
    let drawn = (step.new_tokens + step.prompt_tokens) as f64;
    // A token sees half of its row on average.
    let drawing = drawn * forward_flops(model, drawn / rows / 2.0);
    let trained = step.trained_tokens as f64;
    let context = if step.trained == 0 { 0.0 } else { trained / step.trained as f64 / 2.0 };
    // The backward pass is two products for each of the forward pass, one of them for what learns.
    let n_passes = if footprint.n_learnt == footprint.n_weights { 3.0 } else { 2.0 };
    (drawing, n_passes * trained * forward_flops(model, context))
}

pub(super) fn describe(config: &Config, step: &Step, model: &Model, footprint: &Footprint) -> String {
    let (drawing, learning) = operations(step, &model.config, footprint);
    let tera = |it: f64| format!("{:.1} TFLOP", it * 1e-12);
    let mut text = "--- time\n".to_owned();
    text += &line(
        "drawing a step",
        tera(drawing),
        "at most, all prompts and responses being as long as they may be",
    );
    text += &line("learning from it", tera(learning), "at most");
    text += &line("steps", config.steps.to_string(), "");
    text += "seconds follow from neither: responses are mostly far shorter, and machines differ. Where the weights are,\n\
             `kelvin bench step` measures a step of a configuration\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, PolicySettings},
        plan::find,
    };

    #[test]
    fn operations_are_two_for_each_weight_of_a_matrix_and_attention() {
        let model = find(&PolicySettings::default()).0.unwrap().config;
        // The embedded model: qkv 192 x (192 + 128), output 192 x 192, gated 3 x 192 x 512, head 192 x 512.
        let weights = 4 * (192 * 320 + 192 * 192 + 3 * 192 * 512) + 192 * 512;
        assert_eq!(forward_flops(&model, 0.0), 2.0 * f64::from(weights));
        assert_eq!(forward_flops(&model, 10.0) - forward_flops(&model, 0.0), 4.0 * 4.0 * 192.0 * 10.0);
    }

    #[test]
    fn an_update_costs_three_times_a_pass_over_what_it_sees() {
        let mut config = Config::default();
        config.azr.train_estimates = false;
        let model = find(&config.policy).0.unwrap().config;
        let footprint = super::super::memory::footprint(&config, &model).unwrap();
        let step = Step::of(&config);
        let (_, learning) = operations(&step, &model, &footprint);
        let tokens = 192.0 * (5600.0 + 8096.0) + 192.0 * (6144.0 + 8096.0);
        let expected = 3.0 * tokens * forward_flops(&model, tokens / 384.0 / 2.0);
        assert!((learning / expected - 1.0).abs() < 1e-12, "{learning} {expected}");
    }
}
