//! Draws completions: one request for each, with a seed of its own, many at once.
//!
//! A row's draw is the server's function of prompt, seed and weights: it does not depend on what is asked beside it,
//! as far as the server's arithmetic does not.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
    mpsc::{Receiver, RecvTimeoutError},
};

use anyhow::{Context, bail, ensure};
use kelvin_core::{
    policy::{Completions, Indexed},
    rollout::{Completion, Finish, SampleRequest, Sampling},
    vocabulary::{Cut, Vocabulary},
};
use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    answers::{self, Drawn},
    engine::{Call, Engine, LOOK_AROUND, Link, Repeat},
    model::Published,
    wire::{self, Draw, Source},
};

pub(super) const ASAMPLE: &str = "api/v1/asample";

/// Published weights to draw from.
pub(super) struct Drawer {
    pub(super) vocabulary: Arc<dyn Vocabulary>,
    pub(super) published: Published,
    /// Numbers of requests in the sampling session.
    pub(super) next_seq: Arc<AtomicU64>,
}

/// What a completion is made of.
struct Row {
    index: usize,
    prompt: Arc<[u32]>,
    sampling: Arc<Sampling>,
    seed: u64,
    max_tokens: usize,
}

/// Checks that draws are ones whose log-probabilities a server tells: its are those of the whole distribution at
/// temperature 1, whatever it draws from.
///
/// # Errors
/// If they are not; the message names the field.
pub fn check(sampling: &Sampling) -> anyhow::Result<()> {
    let Sampling { temperature, top_k, top_p, min_p, max_new_tokens: _, stop: _ } = sampling;
    let whole = [
        ("temperature", [0.0, 1.0].contains(temperature), "0 or 1"),
        ("top_k", *top_k == 0, "0"),
        ("top_p", *top_p == 1.0, "1"),
        ("min_p", *min_p == 0.0, "0"),
    ];
    for (field, fits, value) in whole {
        ensure!(
            fits,
            "a draw with another {field} than {value} is asked of a server that says only log-probabilities of the whole \
             distribution at temperature 1\nhint: set {field} to {value}"
        );
    }
    Ok(())
}

/// [`kelvin_core::policy::Sampler::serve`].
pub(super) fn serve(
    engine: &Engine,
    drawer: Drawer,
    requests: Receiver<Indexed<SampleRequest>>,
    completions: Completions,
) -> anyhow::Result<()> {
    let (link, drawer) = (&engine.link, Arc::new(drawer));
    let n_most = link.settings.concurrent_max as u32;
    let (room, failed) = (Arc::new(Semaphore::new(n_most as usize)), Arc::new(Mutex::new(None)));
    // What still runs ends when this does.
    let mut tasks = JoinSet::new();
    let stop = link.stop();
    let goes_on = || -> anyhow::Result<bool> {
        stop.check()?;
        match failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(completions.is_heard()),
        }
    };
    let mut last: Option<(String, Arc<[u32]>)> = None;
    'requests: loop {
        let permit = loop {
            if !goes_on()? {
                return Ok(());
            }
            while tasks.try_join_next().is_some() {}
            let waits = Arc::clone(&room).acquire_owned();
            if let Ok(permit) = engine.wait(async { time::timeout(LOOK_AROUND, waits).await }) {
                break permit.expect("nobody closes it");
            }
        };
        let (index, request) = loop {
            match requests.recv_timeout(LOOK_AROUND) {
                Ok(next) => break next,
                Err(RecvTimeoutError::Disconnected) => break 'requests,
                Err(RecvTimeoutError::Timeout) if goes_on()? => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        };
        let row = read(&*drawer.vocabulary, index, request, &mut last)?;
        let (link, drawer) = (Arc::clone(link), Arc::clone(&drawer));
        let (completions, failed) = (completions.clone(), Arc::clone(&failed));
        let draws = async move {
            match draw(&link, &drawer, &row).await {
                // Whether anybody listens is looked at where requests are read.
                Ok(completion) => drop(completions.send(row.index, completion)),
                Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
            drop(permit);
        };
        tasks.spawn_on(draws, engine.runtime.handle());
    }
    while goes_on()? {
        let all = room.acquire_many(n_most);
        if engine.wait(async { time::timeout(LOOK_AROUND, all).await }).is_ok() {
            goes_on()?;
            return Ok(());
        }
    }
    Ok(())
}

fn read(
    vocabulary: &dyn Vocabulary,
    index: usize,
    request: SampleRequest,
    last: &mut Option<(String, Arc<[u32]>)>,
) -> anyhow::Result<Row> {
    let SampleRequest { prompt: text, seed, sampling } = request;
    check(&sampling)?;
    let prompt = match last {
        Some((known, tokens)) if *known == text => Arc::clone(tokens),
        _ => {
            let tokens = vocabulary.encode(&text)?.into();
            Arc::clone(&last.insert((text, tokens)).1)
        }
    };
    ensure!(
        !prompt.is_empty(),
        "request {index} has an empty prompt\nhint: a completion continues at least one token"
    );
    let room = vocabulary.positions().saturating_sub(prompt.len());
    ensure!(
        0 < room,
        "the prompt of request {index} has {} tokens, but the model takes {} with the completion\nhint: shorten the \
         prompt, or use a model with more max_position_embeddings",
        prompt.len(),
        vocabulary.positions()
    );
    let max_tokens = sampling.max_new_tokens.min(room);
    // Some servers hold seeds in 32 bits with a sign.
    Ok(Row { index, prompt, sampling, seed: seed.value() >> 33, max_tokens })
}

async fn draw(link: &Link, drawer: &Drawer, row: &Row) -> anyhow::Result<Completion> {
    if row.max_tokens == 0 {
        return completion(&*drawer.vocabulary, row, None);
    }
    let body = wire::sample(&Draw {
        source: match &drawer.published {
            Published::Session(id) => Source::Session(id, drawer.next_seq.fetch_add(1, Ordering::Relaxed)),
            Published::Path(path) => Source::Path(path),
        },
        prompt: &row.prompt,
        max_tokens: row.max_tokens,
        temperature: row.sampling.temperature,
        seed: row.seed,
        stop: drawer.vocabulary.end_tokens(),
        prompt_logprobs: false,
    });
    let drawn = ask(link, body).await?;
    completion(&*drawer.vocabulary, row, Some(drawn))
}

/// Asks for a completion. One that makes no sense is asked for again: a second draw with one seed is the first.
pub(super) async fn ask(link: &Link, body: crate::http::Body) -> anyhow::Result<Drawn> {
    let call = Call { path: ASAMPLE, body, repeat: Repeat::Safe };
    let mut tried = 0;
    loop {
        let reply = link.call(&call).await.map_err(|it| link.told("drawing", it))?;
        match answers::drawn(&reply) {
            Err(_) if tried < link.settings.retries => {
                link.http.pause(tried).await;
                tried += 1;
            }
            read => return read.with_context(|| format!("drawing at {}", link.http.server())),
        }
    }
}

/// A completion of what came, up to the first end token or stop sequence.
fn completion(vocabulary: &dyn Vocabulary, row: &Row, drawn: Option<Drawn>) -> anyhow::Result<Completion> {
    let empty = Drawn { tokens: Vec::new(), logprobs: Vec::new(), stopped: false, prompt_logprobs: None };
    let Drawn { mut tokens, logprobs: mut plain_logprobs, stopped, .. } = drawn.unwrap_or(empty);
    if let Some(token) = tokens.iter().find(|&&it| vocabulary.size() <= it as usize) {
        bail!(
            "the server drew the token {token}, and the model has {} of them\nhint: policy.model must name the tokenizer of \
             the model that is served",
            vocabulary.size()
        );
    }
    ensure!(
        tokens.len() <= row.max_tokens,
        "the server drew {} tokens where {} were asked for",
        tokens.len(),
        row.max_tokens
    );
    let end = tokens.iter().position(|it| vocabulary.end_tokens().contains(it));
    ensure!(
        end.is_some() || !stopped,
        "the server ended a completion at a stop token and left it out, so that nobody would learn to end\nhint: use a \
         server that gives tokens as they were drawn"
    );
    tokens.truncate(end.map_or(tokens.len(), |it| it + 1));
    let spoken = &tokens[..end.unwrap_or(tokens.len())];
    let (text, finish) = match vocabulary.cut(spoken, &row.sampling.stop)? {
        Some(Cut { n_tokens, text }) => {
            tokens.truncate(n_tokens);
            (text, Finish::Stop)
        }
        None => (vocabulary.decode(spoken)?, if end.is_some() { Finish::Stop } else { Finish::Length }),
    };
    plain_logprobs.truncate(tokens.len());
    // The most likely token is drawn with certainty.
    let logprobs =
        if row.sampling.temperature == 0.0 { vec![0.0; tokens.len()] } else { plain_logprobs.clone() };
    Ok(Completion { prompt_tokens: Arc::clone(&row.prompt), tokens, logprobs, plain_logprobs, text, finish, behind: 0 })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Letters, of which `.` ends a completion.
    struct Letters;

    impl Vocabulary for Letters {
        fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
            Ok(text.bytes().map(u32::from).collect())
        }
        fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
            Ok(ids.iter().map(|&it| char::from(it as u8)).collect())
        }
        fn cut(&self, ids: &[u32], stops: &[String]) -> anyhow::Result<Option<Cut>> {
            let text = self.decode(ids)?;
            let found = stops.iter().filter_map(|stop| Some((text.find(stop)?, stop.len()))).min();
            Ok(found.map(|(at, n)| Cut { n_tokens: at + n, text: text[..at].to_owned() }))
        }
        fn end_tokens(&self) -> &[u32] {
            &[b'.' as u32]
        }
        fn size(&self) -> usize {
            128
        }
        fn positions(&self) -> usize {
            64
        }
        fn save(&self, _: &Path) -> anyhow::Result<()> {
            Ok(())
        }
    }

    fn of(text: &str, stopped: bool, sampling: Sampling) -> anyhow::Result<Completion> {
        let tokens = Letters.encode(text)?;
        let logprobs = (0..tokens.len()).map(|it| -(it as f32)).collect();
        let max_tokens = sampling.max_new_tokens;
        let row = Row { index: 0, prompt: [1].into(), sampling: sampling.into(), seed: 0, max_tokens };
        completion(&Letters, &row, Some(Drawn { tokens, logprobs, stopped, prompt_logprobs: None }))
    }

    #[test]
    fn completions_end_where_native_ones_do() {
        let plain = Sampling::plain(8);
        let seen = |it: Completion| (it.tokens.len(), it.text, it.finish);
        let owned = |n, text: &str, finish| (n, text.to_owned(), finish);
        assert_eq!(seen(of("abc", false, plain.clone()).unwrap()), owned(3, "abc", Finish::Length));
        assert_eq!(seen(of("ab.", true, plain.clone()).unwrap()), owned(3, "ab", Finish::Stop));
        // A server that does not stop where it was told to.
        assert_eq!(seen(of("ab.cd.", false, plain.clone()).unwrap()), owned(3, "ab", Finish::Stop));
        let stop = Sampling { stop: vec!["cd".into(), "x".into()], ..plain.clone() };
        assert_eq!(seen(of("abcdef.", true, stop).unwrap()), owned(4, "ab", Finish::Stop));
        let greedy = of("abc", false, Sampling { temperature: 0.0, ..plain }).unwrap();
        assert_eq!((greedy.logprobs, greedy.plain_logprobs), (vec![0.0; 3], vec![0.0, -1.0, -2.0]));
    }

    #[test]
    fn what_no_server_should_say_is_refused() {
        let told = |text: &str, stopped| of(text, stopped, Sampling::plain(4)).unwrap_err().to_string();
        assert!(told("ab", true).contains("left it out"));
        assert!(told("abcde", false).contains("drew 5 tokens where 4 were asked for"));
        let token = Drawn { tokens: vec![128], logprobs: vec![0.0], stopped: false, prompt_logprobs: None };
        let row =
            Row { index: 0, prompt: [1].into(), sampling: Sampling::plain(4).into(), seed: 0, max_tokens: 4 };
        assert!(completion(&Letters, &row, Some(token)).unwrap_err().to_string().contains("token 128"));
    }

    #[test]
    fn draws_whose_log_probabilities_nobody_tells_are_refused() {
        check(&Sampling::plain(4)).unwrap();
        check(&Sampling::greedy(4)).unwrap();
        let plain = Sampling::plain(4);
        for (sampling, field) in [
            (Sampling { temperature: 0.7, ..plain.clone() }, "temperature"),
            (Sampling { top_k: 4, ..plain.clone() }, "top_k"),
            (Sampling { top_p: 0.9, ..plain.clone() }, "top_p"),
            (Sampling { min_p: 0.1, ..plain }, "min_p"),
        ] {
            assert!(check(&sampling).unwrap_err().to_string().contains(field));
        }
    }
}
