//! Sharing, budgets and preemption change what is computed, never what is drawn.

use std::sync::{Arc, mpsc::channel};

use kelvin_core::{
    policy::completions,
    rollout::{Completion, Finish, Sampling},
    seed::{Draws, Seed},
};

use super::{
    tests::{alone, assert_same, options, packed, request, sampler},
    *,
};
use crate::checkpoint::tests::tiny;

fn blocks(n: usize) -> usize {
    n * Shape::new(&tiny(false).config).block_bytes()
}

/// Prompts that are put together from few parts of any length, so that they begin alike in all ways.
fn prompts(draws: &mut Draws, n: usize) -> Vec<String> {
    let part = |draws: &mut Draws| {
        let letter = ["a", "b", "=", "\n"][draws.below(4)];
        letter.repeat([1, 2, 13, 31, 32, 33, 50][draws.below(7)])
    };
    let mut prompts: Vec<String> = Vec::new();
    for _ in 0..n {
        let known = (!prompts.is_empty()).then(|| prompts[draws.below(prompts.len())].clone());
        let mut prompt = match known {
            None => part(draws),
            // Another's, all of it, or cut anywhere.
            Some(known) if draws.below(3) == 0 => known,
            Some(known) => known[..1 + draws.below(known.len())].to_owned() + &part(draws),
        };
        prompt.truncate(127);
        prompts.push(prompt);
    }
    prompts
}

#[test]
fn no_pattern_of_sharing_changes_a_row() {
    for case in 0..12 {
        let mut draws = Seed::new(40).nth(case).draws();
        let requests: Vec<SampleRequest> = prompts(&mut draws, 14)
            .into_iter()
            .zip(0..)
            .map(|(prompt, index)| {
                let temperature = [0.0, 0.8, 1.0][draws.below(3)];
                let sampling = Sampling { temperature, ..Sampling::plain(draws.below(50)) };
                SampleRequest { prompt, seed: Seed::new(case).nth(index), sampling: Arc::new(sampling) }
            })
            .collect();
        let expected = alone(&requests);
        for variant in 0..6 {
            let n_blocks_max = [0, 1, 5, 6, 9, 17, 1000][draws.below(7)];
            let options = NativeOptions {
                threads: 1 + draws.below(3),
                max_rows: [1, 2, 5, 64][draws.below(4)],
                kv_bytes_max: blocks(n_blocks_max),
                prefill_chunk: [1, 3, 32, 50, 256][draws.below(5)],
                share_prompts: 0 < draws.below(5),
                ..NativeOptions::default()
            };
            let how = format!("case {case}, variant {variant}, {n_blocks_max} blocks, {options:?}");
            let sampler = sampler(options);
            // The second time, prompts are remembered.
            for round in 0..2 {
                let drawn = sampler.sample(requests.clone()).unwrap();
                assert_same(&drawn, &expected, &format!("{how}, round {round}"));
            }
            // A row has 128 positions at most, and one block more while it copies a shared one.
            let stats = sampler.stats();
            assert!(stats.kv_blocks_peak <= n_blocks_max.max(5) as u64, "{how}: {stats:?}");
            assert_eq!(sampler.store.evict_all(), 0, "{how}: a block that nobody holds stays");
        }
    }
}

#[test]
fn rows_that_grow_beyond_the_budget_take_turns() {
    let mut sampler = sampler(NativeOptions { kv_bytes_max: blocks(8), threads: 2, ..options() });
    sampler.end_tokens.clear();
    // Each enters with one block and ends with four: together they need 24.
    let requests: Vec<_> =
        (0..6).map(|index| SampleRequest { seed: Seed::new(index), ..request("x", 120) }).collect();
    let drawn = sampler.sample(requests.clone()).unwrap();
    let stats = sampler.stats();
    assert!(0 < stats.preemptions && 0 < stats.tokens_recomputed, "{stats:?}");
    assert!(stats.kv_blocks_peak <= 8, "{stats:?}");
    assert_eq!(stats.tokens_decoded, 6 * 120);
    for (request, drawn) in requests.into_iter().zip(&drawn) {
        assert_eq!(drawn.tokens.len(), 120);
        assert_eq!(sampler.sample(vec![request]).unwrap()[0], *drawn);
    }
}

#[test]
fn a_common_beginning_is_computed_once() {
    for threads in [1, 2] {
        let sampler = sampler(NativeOptions { threads, ..options() });
        let prompt = |index: usize| "ab".repeat(45) + &format!("{index:08}");
        let requests: Vec<_> = (0..512).map(|index| request(&prompt(index / 8), 2)).collect();
        let n_prompt = sampler.prompt_len(&prompt(0)).unwrap() as u64;
        assert!(64 < n_prompt, "{n_prompt}");
        sampler.sample(requests.clone()).unwrap();
        let first = sampler.stats();
        assert_eq!(first.prompt_tokens, 512 * n_prompt);
        // The beginning; what comes after its last whole block, for each prompt; one token for each sample.
        assert!(first.prompt_tokens_computed <= n_prompt + 64 * 40 + 512, "{first:?}");
        assert!(first.prompt_tokens_computed * 5 < first.prompt_tokens);
        // Another call finds it all: a token whose logits are needed is all that is left.
        sampler.sample(requests).unwrap();
        assert_eq!(sampler.stats().prompt_tokens_computed, first.prompt_tokens_computed + 512);
    }
}

#[test]
fn other_weights_know_no_prompts() {
    let mut sampler = sampler(options());
    let ask = || vec![request(&"ab".repeat(50), 8)];
    let before = sampler.sample(ask()).unwrap();
    let mut other = tiny(false).params;
    other.flat.iter_mut().for_each(|it| *it *= 1.5);
    sampler.publish(Merged::new(&other, &[]));
    assert_eq!(sampler.stats().kv_blocks, 0);
    let after = sampler.sample(ask()).unwrap();
    let checkpoint = tiny(false);
    let fresh = packed(&other, checkpoint.tokenizer, checkpoint.end_tokens, options());
    assert_same(&after, &fresh.sample(ask()).unwrap(), "after publishing");
    assert_ne!(before[0].logprobs, after[0].logprobs);
}

#[test]
fn prompts_idle_longest_are_forgotten_first() {
    let sampler = sampler(NativeOptions { kv_bytes_max: blocks(9), ..options() });
    let computed = |prompt: &str| {
        let before = sampler.stats().prompt_tokens_computed;
        sampler.sample(vec![request(prompt, 1)]).unwrap();
        sampler.stats().prompt_tokens_computed - before
    };
    // 64 tokens are a whole block, a part of one, and the last token.
    let [a, b, c] = ["x", "y", "z"].map(|letter| letter.repeat(64));
    assert_eq!([computed(&a), computed(&b), computed(&c)], [64, 64, 64]);
    assert_eq!([computed(&a), computed(&b), computed(&c)], [1, 1, 1]);
    assert_eq!(computed(&a), 1);
    // Two more prompts need the room of two: those of b and c, which have been idle longer than a.
    assert_eq!([computed(&"u".repeat(64)), computed(&"v".repeat(64))], [64, 64]);
    assert_eq!(computed(&a), 1);
    assert!(sampler.stats().kv_blocks <= 9);
    assert!(1 < computed(&b));
}

#[test]
fn thousands_of_rows_and_none() {
    let sampler = sampler(NativeOptions { threads: 2, kv_bytes_max: blocks(40), ..options() });
    assert_eq!(sampler.sample(Vec::new()).unwrap(), []);
    let n = 3000;
    let requests: Vec<_> = (0..n)
        .map(|index| SampleRequest { seed: Seed::new(index as u64), ..request("x", index % 3) })
        .collect();
    let drawn = sampler.sample(requests).unwrap();
    assert_eq!(drawn.len(), n);
    assert!(drawn.iter().enumerate().all(|(index, it)| it.tokens.len() <= index % 3));
}

#[test]
fn several_calls_share_one_budget() {
    let sampler = sampler(NativeOptions { threads: 2, kv_bytes_max: blocks(9), ..options() });
    let requests: Vec<_> =
        (0..8).map(|index| SampleRequest { seed: Seed::new(index), ..request("abc", 70) }).collect();
    let expected = alone(&requests);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert_same(&sampler.sample(requests.clone()).unwrap(), &expected, "beside others")
            });
        }
    });
    assert!(sampler.stats().kv_blocks_peak <= 9, "{:?}", sampler.stats());
}

#[test]
fn completions_come_before_the_last_row_is_there() {
    let sampler = sampler(NativeOptions { threads: 2, ..options() });
    let (to_sampler, from_caller) = channel();
    let (to_caller, from_sampler) = completions();
    thread::scope(|scope| {
        scope.spawn(|| sampler.serve(from_caller, to_caller).unwrap());
        // The last request is made from the first completion.
        to_sampler.send((0, request("x", 5))).unwrap();
        to_sampler.send((1, request("y", 120))).unwrap();
        let (_, first) = from_sampler.recv().unwrap();
        to_sampler.send((2, request(&format!("x{}", first.tokens.len()), 3))).unwrap();
        drop(to_sampler);
        assert_eq!(from_sampler.iter().count(), 2);
    });
}

#[test]
fn a_stop_sequence_ends_a_row() {
    let mut sampler = sampler(options());
    sampler.end_tokens.clear();
    let draw = |prompt: &str, index: u64, stop: &[&str]| -> Completion {
        let stop = stop.iter().map(|&it| it.to_owned()).collect();
        let sampling = Arc::new(Sampling { stop, ..Sampling::plain(60) });
        let request = SampleRequest { seed: Seed::new(index), sampling, ..request(prompt, 0) };
        sampler.sample(vec![request]).unwrap().remove(0)
    };
    let mut n_cut = 0;
    for index in 0..20 {
        let whole = draw("def f", index, &[]);
        let letters: Vec<char> = whole.text.chars().collect();
        // Two characters that were drawn, of which none is a byte that became U+FFFD.
        let mut pairs = letters.windows(2).filter(|pair| !pair.contains(&char::REPLACEMENT_CHARACTER));
        let Some(pair) = pairs.next_back() else { continue };
        n_cut += 1;
        let stop: String = pair.iter().collect();
        let cut = draw("def f", index, &["never drawn, as it is too long for so few tokens ........", &stop]);
        let (before, _) = whole.text.split_once(&stop).unwrap();
        assert_eq!((cut.text.as_str(), cut.finish), (before, Finish::Stop));
        let n = cut.tokens.len();
        assert_eq!((&cut.tokens[..], &cut.logprobs[..]), (&whole.tokens[..n], &whole.logprobs[..n]));
        // Kept as drawn: without its last token the row has no match.
        assert!(sampler.tokenizer.decode(&cut.tokens).unwrap().contains(&stop));
        assert!(!sampler.tokenizer.decode(&cut.tokens[..n - 1]).unwrap().contains(&stop));
    }
    assert!(10 < n_cut, "{n_cut}");
    assert_eq!(
        draw("x", 0, &["never drawn, as it is too long for so few tokens ........"]).finish,
        Finish::Length
    );
}
