//! Rows do not depend on their company, and draws follow the distribution.

use std::{
    collections::BTreeSet,
    sync::mpsc::{channel, sync_channel},
};

use kelvin_core::{
    policy::completions,
    rollout::{Completion, Finish, Sampling},
    seed::Seed,
};

use super::*;
use crate::{checkpoint::tests::tiny, params::Params, transformer::forward_logprobs};

pub(super) fn options() -> NativeOptions {
    NativeOptions { threads: 1, ..NativeOptions::default() }
}

pub(super) fn packed(
    params: &Params,
    tokenizer: Tokenizer,
    end_tokens: Vec<u32>,
    options: NativeOptions,
) -> NativeSampler {
    let config = &params.layout.config;
    NativeSampler::new(config, params, Storage::F32, tokenizer, end_tokens, options).unwrap()
}

pub(super) fn sampler(options: NativeOptions) -> NativeSampler {
    let checkpoint = tiny(false);
    packed(&checkpoint.params, checkpoint.tokenizer, checkpoint.end_tokens, options)
}

/// Rows of several prompts, most of them more than once, with several settings.
fn requests() -> Vec<SampleRequest> {
    let settings = [
        Sampling::plain(40),
        Sampling { temperature: 0.7, top_k: 50, top_p: 0.9, min_p: 0.01, ..Sampling::plain(25) },
        Sampling::greedy(12),
        Sampling::plain(1),
        Sampling::plain(0),
    ]
    .map(Arc::new);
    (0..24)
        .map(|index| SampleRequest {
            prompt: "def f(a):\n".repeat(1 + index / 4 % 3) + &"x".repeat(index / 4),
            seed: Seed::new(77).nth(index as u64),
            sampling: settings[index % settings.len()].clone(),
        })
        .collect()
}

/// Completions of `requests` sent in `order`, by index.
fn draw_in(sampler: &NativeSampler, requests: &[SampleRequest], order: &[usize]) -> Vec<Completion> {
    let in_order = order.iter().map(|&index| requests[index].clone()).collect();
    let drawn = sampler.sample(in_order).unwrap();
    let mut by_index: Vec<_> = order.iter().copied().zip(drawn).collect();
    by_index.sort_by_key(|(index, _)| *index);
    by_index.into_iter().map(|(_, completion)| completion).collect()
}

/// Each row alone: what every other way of serving must give.
pub(super) fn alone(requests: &[SampleRequest]) -> Vec<Completion> {
    let sampler = sampler(NativeOptions { share_prompts: false, ..options() });
    requests.iter().map(|request| sampler.sample(vec![request.clone()]).unwrap().remove(0)).collect()
}

pub(super) fn assert_same(drawn: &[Completion], expected: &[Completion], how: &str) {
    for (index, (drawn, expected)) in drawn.iter().zip(expected).enumerate() {
        assert_eq!(drawn, expected, "row {index}, {how}");
        let bits = |it: &Completion| -> Vec<u32> {
            it.logprobs.iter().chain(&it.plain_logprobs).map(|it| it.to_bits()).collect()
        };
        assert_eq!(bits(drawn), bits(expected), "row {index}, {how}");
    }
    assert_eq!(drawn.len(), expected.len());
}

#[test]
fn a_row_is_the_same_in_any_company() {
    let requests = requests();
    let expected = alone(&requests);
    let finishes: Vec<Finish> = expected.iter().map(|it| it.finish).collect();
    assert!(finishes.contains(&Finish::Stop) && finishes.contains(&Finish::Length), "{finishes:?}");
    let forward: Vec<usize> = (0..requests.len()).collect();
    let shuffled = Seed::new(5).draws().distinct(requests.len(), requests.len());
    let base = options();
    let variants = [
        ("two threads", NativeOptions { threads: 2, ..base.clone() }),
        ("three threads", NativeOptions { threads: 3, ..base.clone() }),
        ("no sharing", NativeOptions { share_prompts: false, threads: 2, ..base.clone() }),
        ("three rows at a time", NativeOptions { max_rows: 3, ..base.clone() }),
        ("one prompt token at a time", NativeOptions { prefill_chunk: 1, ..base.clone() }),
        ("seven prompt tokens at a time", NativeOptions { prefill_chunk: 7, threads: 2, ..base.clone() }),
        ("memory for one row", NativeOptions { kv_bytes_max: 1, ..base.clone() }),
        ("memory for a few rows", NativeOptions { kv_bytes_max: 120_000, ..base.clone() }),
        ("one thread", base),
    ];
    for (how, options) in variants {
        let sampler = sampler(options);
        assert_same(&draw_in(&sampler, &requests, &forward), &expected, how);
        assert_same(&draw_in(&sampler, &requests, &shuffled), &expected, &format!("{how}, shuffled"));
        let some = &shuffled[..9];
        let few: Vec<Completion> = some
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|index| expected[index].clone())
            .collect();
        assert_same(&draw_in(&sampler, &requests, some), &few, &format!("{how}, few"));
    }
}

#[test]
fn requests_may_come_while_others_decode() {
    let requests = requests();
    let expected = alone(&requests);
    let sampler = sampler(NativeOptions { threads: 2, ..options() });
    let (to_sampler, from_caller) = channel();
    let (to_caller, from_sampler) = completions();
    let mut drawn: Vec<Option<Completion>> = vec![None; requests.len()];
    thread::scope(|scope| {
        let served = scope.spawn(|| sampler.serve(from_caller, to_caller));
        let mut left = requests.iter().cloned().enumerate();
        let mut open = 0;
        // Five at first, then one for each completion.
        for request in left.by_ref().take(5) {
            to_sampler.send(request).unwrap();
            open += 1;
        }
        while 0 < open {
            let (index, completion) = from_sampler.recv().unwrap();
            assert!(drawn[index].replace(completion).is_none());
            open -= 1;
            if let Some(request) = left.next() {
                to_sampler.send(request).unwrap();
                open += 1;
            }
        }
        drop(to_sampler);
        served.join().unwrap().unwrap();
    });
    let drawn: Vec<Completion> = drawn.into_iter().map(Option::unwrap).collect();
    assert_same(&drawn, &expected, "as they come");
}

#[test]
fn sampler_and_trainer_agree() {
    for tied in [true, false] {
        let checkpoint = tiny(tied);
        let params = checkpoint.params;
        let sampler = packed(&params, checkpoint.tokenizer, vec![0], options());
        for temperature in [1.0, 0.6] {
            let sampling = Arc::new(Sampling { temperature, ..Sampling::plain(60) });
            let requests: Vec<_> = requests()
                .into_iter()
                .map(|request| SampleRequest { sampling: sampling.clone(), ..request })
                .collect();
            let drawn = sampler.sample(requests).unwrap();
            let sequences: Vec<Vec<u32>> =
                drawn.iter().map(|it| [&it.prompt_tokens[..], &it.tokens].concat()).collect();
            let scored = sampler.logprobs(&sequences, temperature).unwrap();
            let plain = sampler.logprobs(&sequences, 1.0).unwrap();
            let trained = forward_logprobs(&params, &sequences, temperature).unwrap();
            for (((drawn, scored), plain), trained) in drawn.iter().zip(scored).zip(plain).zip(trained) {
                let first = drawn.prompt_tokens.len() - 1;
                assert_eq!(drawn.logprobs, scored[first..], "scoring is decoding, bit for bit");
                assert_eq!(drawn.plain_logprobs, plain[first..], "the plain one is that of temperature 1");
                assert_eq!(scored, trained, "the trainer scores as rows are drawn, bit for bit");
            }
        }
    }
}

#[test]
fn an_end_token_is_drawn_but_not_shown() {
    let checkpoint = tiny(true);
    // One token in eight ends a row.
    let end_tokens: Vec<u32> = (0..272).step_by(8).collect();
    let sampler = packed(&checkpoint.params, checkpoint.tokenizer.clone(), end_tokens.clone(), options());
    let mut n_stops = 0;
    for completion in sampler.sample(requests()).unwrap() {
        let ends = completion.tokens.iter().position(|token| end_tokens.contains(token));
        assert_eq!(completion.tokens.len(), completion.logprobs.len());
        let shown = match completion.finish {
            Finish::Stop => {
                n_stops += 1;
                assert_eq!(ends, Some(completion.tokens.len() - 1));
                &completion.tokens[..completion.tokens.len() - 1]
            }
            Finish::Length => {
                assert_eq!(ends, None);
                &completion.tokens[..]
            }
        };
        assert_eq!(completion.text, checkpoint.tokenizer.decode(shown).unwrap());
    }
    assert!(3 < n_stops, "{n_stops}");
}

pub(super) fn request(prompt: &str, max_new_tokens: usize) -> SampleRequest {
    let sampling = Arc::new(Sampling::plain(max_new_tokens));
    SampleRequest { prompt: prompt.to_owned(), seed: Seed::new(1), sampling }
}

#[test]
fn lengths_are_the_requests_and_the_models() {
    let mut sampler = sampler(options());
    sampler.end_tokens.clear();
    let lengths = |prompt: &str, max_new_tokens: usize| {
        let completion = sampler.sample(vec![request(prompt, max_new_tokens)]).unwrap().remove(0);
        assert_eq!(completion.finish, Finish::Length);
        (completion.prompt_tokens.len(), completion.tokens.len())
    };
    assert_eq!(lengths("x", 30), (1, 30));
    assert_eq!(lengths("x", 0), (1, 0));
    assert_eq!(lengths(&"x".repeat(127), 30), (127, 1), "the model has 128 positions");
    assert_eq!(lengths("x", usize::MAX), (1, 127));
    for (prompt, named) in
        [("x".repeat(128), "has 128 tokens, but the model takes 128"), (String::new(), "empty prompt")]
    {
        let error = sampler.sample(vec![request("x", 3), request(&prompt, 3)]).unwrap_err().to_string();
        assert!(
            error.contains("request 1") && error.contains(named) && error.contains("\nhint: "),
            "{error}"
        );
    }
    assert_eq!(sampler.prompt_len("xyz").unwrap(), 3);
}

/// Serves one request while the caller keeps the channel open, as a caller that waits for an answer does.
fn serve_open(sampler: &NativeSampler) -> anyhow::Result<()> {
    let (to_sampler, from_caller) = channel();
    let (to_caller, from_sampler) = completions();
    to_sampler.send((0, request("x", 20))).unwrap();
    let result = sampler.serve(from_caller, to_caller);
    assert!(from_sampler.recv().is_err(), "nothing came and the channel is closed");
    drop(to_sampler);
    result
}

#[test]
fn a_failing_worker_is_an_error_not_a_hang() {
    let mut diverged = tiny(true);
    diverged.params.flat.fill(f32::NAN);
    let broken = packed(&diverged.params, diverged.tokenizer, vec![], options());
    let error = serve_open(&broken).unwrap_err().to_string();
    assert!(error.contains("not finite\nhint: "), "{error}");

    let mut panicking = sampler(NativeOptions { threads: 2, ..options() });
    panicking.weights.final_norm.truncate(3);
    let error = serve_open(&panicking).unwrap_err().to_string();
    assert!(error.contains("panicked") && error.contains("\nhint: "), "{error}");
    assert_eq!(panicking.stats().kv_blocks, 0, "what the panicking worker held is free");
}

#[test]
fn rows_are_dropped_when_nobody_listens() {
    let mut sampler = sampler(options());
    sampler.end_tokens.clear();
    let (to_sampler, from_caller) = channel();
    let (to_caller, from_sampler) = completions();
    for index in 0..200 {
        to_sampler.send((index, request("x", 20))).unwrap();
    }
    drop(from_sampler);
    // The sender stays open: serving ends because of the listener, before anything is computed.
    sampler.serve(from_caller, to_caller).unwrap();
    assert_eq!((sampler.stats().steps, sampler.stats().kv_blocks), (0, 0));
    assert!(to_sampler.send((0, request("x", 1))).is_err());
}

#[test]
fn an_idle_sampler_waits_for_a_late_request() {
    let sampler = sampler(NativeOptions { threads: 3, ..options() });
    let (to_sampler, from_caller) = channel();
    let (to_caller, from_sampler) = completions();
    let (started, has_started) = sync_channel(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            started.send(()).unwrap();
            sampler.serve(from_caller, to_caller).unwrap();
        });
        has_started.recv().unwrap();
        for index in 0..3 {
            thread::sleep(Duration::from_millis(20));
            to_sampler.send((index, request("x", 2))).unwrap();
            assert_eq!(from_sampler.recv().unwrap().0, index);
        }
        drop(to_sampler);
    });
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let sampler = sampler(options());
    assert_eq!(sampler.logprobs(&[vec![], vec![3]], 1.0).unwrap(), [vec![], vec![]] as [Vec<f32>; 2]);
    for (sequence, temperature, named) in [
        (vec![1, 272], 1.0, "token 272"),
        (vec![1; 129], 1.0, "129 tokens"),
        (vec![1, 2], 0.0, "temperature is 0"),
    ] {
        let error = sampler.logprobs(&[sequence], temperature).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("\nhint: "), "{error}");
    }
}
