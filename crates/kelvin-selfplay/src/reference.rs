//! What a reference policy says of rollouts, for objectives that pull towards it.

use kelvin_core::{policy::Sampler, rollout::Sample};

/// Fills in each sample's log-probabilities under `reference`.
///
/// # Errors
/// If the backend fails.
pub fn score(batch: &mut [Sample], reference: &dyn Sampler, temperature: f32) -> anyhow::Result<()> {
    let scored = logprobs(batch, reference, temperature)?;
    batch.iter_mut().zip(scored).for_each(|(sample, it)| sample.reference_logprobs = it);
    Ok(())
}

/// Fills in each sample's log-probabilities before an update, for those that take several.
///
/// # Errors
/// If the backend fails.
pub fn remember(batch: &mut [Sample], learner: &dyn Sampler, temperature: f32) -> anyhow::Result<()> {
    let scored = logprobs(batch, learner, temperature)?;
    batch.iter_mut().zip(scored).for_each(|(sample, it)| sample.old_logprobs = it);
    Ok(())
}

/// Of the response tokens of each sample.
fn logprobs(batch: &[Sample], sampler: &dyn Sampler, temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
    let sequences: Vec<Vec<u32>> =
        batch.iter().map(|it| it.prompt.iter().chain(&it.response).copied().collect()).collect();
    let scored = sampler.logprobs(&sequences, temperature)?;
    assert_eq!(scored.len(), batch.len(), "a score for each sequence");
    let of_response = |(sample, mut logprobs): (&Sample, Vec<f32>)| {
        // Every token after the first has one; the response's are the last.
        let first = logprobs.len().checked_sub(sample.response.len());
        logprobs.split_off(first.expect("a response follows a token"))
    };
    Ok(batch.iter().zip(scored).map(of_response).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use kelvin_core::{
        policy::{Completions, Indexed},
        rollout::SampleRequest,
    };

    use super::*;

    /// Says of each token its id times the temperature.
    struct Echo;

    impl Sampler for Echo {
        fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
            unreachable!("a reference draws nothing")
        }
        fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
            let score = |it: &Vec<u32>| it[1..].iter().map(|&token| token as f32 * temperature).collect();
            Ok(sequences.iter().map(score).collect())
        }
        fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
            Ok(prompt.len())
        }
    }

    #[test]
    fn each_response_token_has_its_own() {
        let sample = |prompt: &[u32], response: &[u32]| Sample {
            prompt: prompt.into(),
            response: response.to_vec(),
            ..Sample::default()
        };
        let mut batch = [sample(&[1, 2], &[3, 4, 5]), sample(&[6], &[7])];
        score(&mut batch, &Echo, 0.5).unwrap();
        assert_eq!(batch[0].reference_logprobs, [1.5, 2.0, 2.5]);
        assert_eq!(batch[1].reference_logprobs, [3.5]);
        remember(&mut batch, &Echo, 1.0).unwrap();
        assert_eq!((&batch[0].old_logprobs[..], batch[1].reference_logprobs[0]), (&[3.0, 4.0, 5.0][..], 3.5));
    }
}
