//! What draws over HTTP have in common: requests become rows of tokens, many are asked for at once, and what comes back becomes
//! completions that end where native ones do.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
};

use anyhow::{bail, ensure};
use kelvin_core::{
    policy::{Completions, Indexed},
    rollout::{Completion, Finish, SampleRequest, Sampling},
    vocabulary::{Cut, Vocabulary},
};
use tokio::{sync::Semaphore, task::JoinSet, time};

use crate::{
    threads::{LOOK_AROUND, Threads},
    tinker::Lost,
};

/// What a completion is made of.
pub(crate) struct Row {
    pub(crate) index: usize,
    pub(crate) prompt: Arc<[u32]>,
    pub(crate) sampling: Arc<Sampling>,
    /// Under 2^31, since some servers hold it in 32 bits with a sign.
    pub(crate) seed: u64,
    /// Of the completion, with the model's own limit; 0 asks for nothing.
    pub(crate) max_tokens: usize,
}

/// A completion as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) tokens: Vec<u32>,
    pub(crate) logprobs: Vec<f32>,
    /// Whether a stop token ended it.
    pub(crate) stopped: bool,
    /// As they came, where they were asked for: some servers say nothing of the first token, some that there is nothing.
    pub(crate) prompt_logprobs: Option<Vec<f32>>,
}

impl Drawn {
    /// Checks what holds of every completion.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let Drawn { tokens, logprobs, .. } = self;
        ensure!(!tokens.is_empty(), "a completion without tokens");
        ensure!(
            tokens.len() == logprobs.len(),
            "a completion of {} tokens with {} log-probabilities",
            tokens.len(),
            logprobs.len()
        );
        ensure!(logprobs.iter().all(|it| it.is_finite()), "a log-probability that is not finite");
        Ok(())
    }
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

/// [`kelvin_core::policy::Sampler::serve`], over `draw`, which is asked for at most `concurrent_max` rows at once.
pub(crate) fn serve<F>(
    (threads, vocabulary): (&Threads, &dyn Vocabulary),
    concurrent_max: usize,
    requests: &Receiver<Indexed<SampleRequest>>,
    completions: &Completions,
    draw: impl Fn(Row) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Completion>> + Send + 'static,
{
    let n_most = concurrent_max as u32;
    let (room, failed) = (Arc::new(Semaphore::new(concurrent_max)), Failed::default());
    // What still runs ends when this does.
    let mut tasks = JoinSet::new();
    let stop = threads.stop();
    let goes_on = || -> anyhow::Result<bool> {
        stop.check()?;
        match failed.take() {
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
            if let Ok(permit) = threads.wait(async { time::timeout(LOOK_AROUND, waits).await }) {
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
        let row = read(vocabulary, index, request, &mut last)?;
        let drawn = draw(row);
        let (completions, failed) = (completions.clone(), failed.clone());
        let draws = async move {
            match drawn.await {
                // Whether anybody listens is looked at where requests are read.
                Ok(completion) => drop(completions.send(index, completion)),
                Err(error) => failed.add(error),
            }
            drop(permit);
        };
        tasks.spawn_on(draws, threads.handle());
    }
    while goes_on()? {
        let all = room.acquire_many(n_most);
        if threads.wait(async { time::timeout(LOOK_AROUND, all).await }).is_ok() {
            goes_on()?;
            return Ok(());
        }
    }
    Ok(())
}

/// The error that ends draws, of those that come together: the first, but that a server has forgotten the run tells more than what
/// fails for it beside.
#[derive(Clone, Default)]
struct Failed(Arc<Mutex<Option<anyhow::Error>>>);

impl Failed {
    fn known(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, error: anyhow::Error) {
        let mut known = self.known();
        if known.is_none() || Lost::is_forgotten(&error) {
            *known = Some(error);
        }
    }

    fn take(&self) -> Option<anyhow::Error> {
        self.known().take()
    }
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
    Ok(Row { index, prompt, sampling, seed: seed.value() >> 33, max_tokens })
}

/// A completion of what came, up to the first end token or stop sequence; an empty one of nothing.
///
/// # Errors
/// If what came is nothing that was asked for.
pub(crate) fn completion(
    vocabulary: &dyn Vocabulary,
    row: &Row,
    drawn: Option<Drawn>,
) -> anyhow::Result<Completion> {
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
    Ok(Completion {
        prompt_tokens: Arc::clone(&row.prompt),
        tokens,
        logprobs,
        plain_logprobs,
        text,
        finish,
        behind: 0,
    })
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
    fn that_a_server_has_forgotten_the_run_is_what_is_told() {
        let error = |lost: fn(String) -> Lost| anyhow::Error::from(lost("it".into())).context("drawing");
        let told = |errors: Vec<anyhow::Error>| {
            let failed = Failed::default();
            errors.into_iter().for_each(|it| failed.add(it));
            failed.take().unwrap().downcast_ref().cloned()
        };
        let (away, forgotten) = (Lost::Away("it".into()), Lost::Forgotten("it".into()));
        for errors in
            [[error(Lost::Forgotten), error(Lost::Away)], [error(Lost::Away), error(Lost::Forgotten)]]
        {
            assert_eq!(told(errors.into()), Some(forgotten.clone()));
        }
        assert_eq!(told(vec![error(Lost::Away), anyhow::anyhow!("other")]), Some(away));
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
