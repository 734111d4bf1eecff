//! Rows through threads: results come in input order as soon as they can, and memory is bounded by a window.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use kelvin_core::{
    policy::{Sampler, completions},
    rollout::{Completion, SampleRequest},
};

use crate::interrupt::Interrupt;

/// Rows in flight for each thread: enough that no thread waits while the oldest row is slow.
const WINDOW_PER_THREAD: usize = 16;

/// How long a wait may ignore a signal.
const POLL: Duration = Duration::from_millis(50);

/// What happens to finished rows.
pub(crate) trait Finished<R> {
    /// Takes the next result, in input order.
    fn take(&mut self, result: R) -> anyhow::Result<()>;
    /// Called before waiting, so that a caller who feeds one row and waits for its result gets it.
    fn idle(&mut self) -> anyhow::Result<()>;
}

/// Runs `work` on `n_threads` threads over `rows` and hands the results to `finished` in input order. The first
/// error in that order ends it, after all results before it were handed over.
///
/// # Errors
/// The first error of `rows`, `work` or `finished`, or a signal.
pub(crate) fn map<T, R, W>(
    rows: impl Iterator<Item = anyhow::Result<T>> + Send + 'static,
    n_threads: usize,
    interrupt: &Interrupt,
    work: W,
    finished: &mut impl Finished<R>,
) -> anyhow::Result<()>
where
    T: Send + 'static,
    R: Send + 'static,
    W: Fn(T) -> anyhow::Result<R> + Sync,
{
    let window = n_threads * WINDOW_PER_THREAD;
    let (to_workers, jobs) = sync_channel::<(T, Sender<anyhow::Result<R>>)>(window);
    let (to_writer, pending) = sync_channel::<Receiver<anyhow::Result<R>>>(window);
    // Not joined: it may sit in a read of standard input when an error ends the command.
    thread::spawn(move || {
        for row in rows {
            let (answer, answered) = channel();
            if to_writer.send(answered).is_err() {
                return;
            }
            match row {
                Ok(row) => {
                    if to_workers.send((row, answer)).is_err() {
                        return;
                    }
                }
                // The writer takes the error at its place in the order; if it is gone, nobody asks.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
    });
    let (jobs, over) = (Mutex::new(jobs), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let Some((row, answer)) = next_job(&jobs, &over) {
                    drop(answer.send(work(row)));
                }
            });
        }
        let result = write(&pending, interrupt, finished);
        over.store(true, Ordering::Relaxed);
        result
    })
}

fn next_job<J>(jobs: &Mutex<Receiver<J>>, over: &AtomicBool) -> Option<J> {
    loop {
        let taken = jobs.lock().expect("no thread panics while it holds the queue").recv_timeout(POLL);
        match taken {
            _ if over.load(Ordering::Relaxed) => return None,
            Ok(job) => return Some(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn write<R>(
    pending: &Receiver<Receiver<anyhow::Result<R>>>,
    interrupt: &Interrupt,
    finished: &mut impl Finished<R>,
) -> anyhow::Result<()> {
    while let Some(answered) = wait(pending, interrupt, || finished.idle())? {
        let answer = wait(&answered, interrupt, || finished.idle())?;
        finished.take(answer.expect("a worker answers or panics, and a panic ends the scope")?)?;
    }
    finished.idle()
}

/// The next item, or `None` when there will be none.
pub(crate) fn wait<T>(
    from: &Receiver<T>,
    interrupt: &Interrupt,
    idle: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Option<T>> {
    // Also where items come faster than they are taken.
    interrupt.check()?;
    match from.try_recv() {
        Ok(item) => return Ok(Some(item)),
        Err(TryRecvError::Disconnected) => return Ok(None),
        Err(TryRecvError::Empty) => idle()?,
    }
    loop {
        interrupt.check()?;
        match from.recv_timeout(POLL) {
            Ok(item) => return Ok(Some(item)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Requests that are drawn or wait to be written, at most.
const DRAWS_MAX: usize = 4096;

/// Completions in the order of their requests, each as soon as those before it are there.
///
/// # Errors
/// If the sampler, or `take`, fails.
pub(crate) fn draw(
    sampler: &dyn Sampler,
    requests: impl Iterator<Item = SampleRequest>,
    interrupt: &Interrupt,
    mut take: impl FnMut(usize, Completion) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut requests = requests.enumerate();
    let (to_sampler, from_caller) = channel();
    for indexed in requests.by_ref().take(DRAWS_MAX) {
        to_sampler.send(indexed).expect("the receiver is held below");
    }
    let mut to_sampler = Some(to_sampler);
    thread::scope(|scope| {
        let (to_caller, from_sampler) = completions();
        let serving = scope.spawn(move || sampler.serve(from_caller, to_caller));
        let (mut early, mut next) = (BTreeMap::new(), 0);
        let mut more = || {
            // It closes its end only when it fails, which is told below.
            let sent = to_sampler.as_ref().zip(requests.next()).is_some_and(|(to, it)| to.send(it).is_ok());
            if !sent {
                to_sampler = None;
            }
        };
        more();
        while let Some((index, completion)) = wait(&from_sampler, interrupt, || Ok(()))? {
            early.insert(index, completion);
            while let Some(completion) = early.remove(&next) {
                take(next, completion)?;
                next += 1;
                more();
            }
        }
        serving.join().expect("the sampler does not panic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<u64>);

    impl Finished<u64> for Kept {
        fn take(&mut self, result: u64) -> anyhow::Result<()> {
            self.0.push(result);
            Ok(())
        }
        fn idle(&mut self) -> anyhow::Result<()> {
            Ok(())
        }
    }

    fn slow_square(row: u64) -> anyhow::Result<u64> {
        // Later rows finish sooner.
        thread::sleep(Duration::from_micros(300 - row.min(300)));
        Ok(row * row)
    }

    #[test]
    fn results_keep_the_order_of_rows() {
        let mut kept = Kept::default();
        map((0..300).map(Ok), 4, &Interrupt::default(), slow_square, &mut kept).unwrap();
        assert_eq!(kept.0, (0..300).map(|row| row * row).collect::<Vec<u64>>());
    }

    #[test]
    fn what_stands_before_an_error_is_handed_over() {
        let rows = (0..100).map(|row| if row == 40 { Err(anyhow::anyhow!("bad line")) } else { Ok(row) });
        let mut kept = Kept::default();
        let error = map(rows, 3, &Interrupt::default(), slow_square, &mut kept).unwrap_err();
        assert_eq!((kept.0.len(), error.to_string().as_str()), (40, "bad line"));
    }

    #[test]
    fn an_endless_source_does_not_fill_memory_or_block_the_end() {
        let rows = (0..).map(Ok);
        let work = |row: u64| if row == 1000 { Err(anyhow::anyhow!("broken")) } else { Ok(row) };
        let mut kept = Kept::default();
        assert!(map(rows, 2, &Interrupt::default(), work, &mut kept).is_err());
        assert_eq!(kept.0.len(), 1000);
    }

    #[test]
    fn an_interrupt_is_heard_while_results_are_ready() {
        let (to, from) = channel();
        to.send(1).unwrap();
        assert!(wait(&from, &Interrupt::raised(), || Ok(())).is_err());
        assert_eq!(wait(&from, &Interrupt::default(), || Ok(())).unwrap(), Some(1));
    }

    #[test]
    fn completions_come_in_order_and_requests_wait_for_room() {
        /// Answers each request with its prompt, and knows how many were ever waiting.
        struct Echo(std::sync::atomic::AtomicUsize);

        impl Sampler for Echo {
            fn serve(
                &self,
                requests: Receiver<kelvin_core::policy::Indexed<SampleRequest>>,
                completions: kelvin_core::policy::Completions,
            ) -> anyhow::Result<()> {
                for (index, request) in requests {
                    self.0.fetch_add(1, Ordering::Relaxed);
                    let completion = Completion {
                        prompt_tokens: [].into(),
                        tokens: Vec::new(),
                        logprobs: Vec::new(),
                        plain_logprobs: Vec::new(),
                        text: request.prompt,
                        finish: kelvin_core::rollout::Finish::Stop,
                        behind: 0,
                    };
                    assert!(completions.send(index, completion).is_ok(), "the caller listens");
                }
                Ok(())
            }
            fn logprobs(&self, _: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
                unreachable!("nothing is scored")
            }
            fn prompt_len(&self, _: &str) -> anyhow::Result<usize> {
                unreachable!("nothing is measured")
            }
        }

        let n = 2 * DRAWS_MAX + 7;
        let sampling = std::sync::Arc::new(kelvin_core::rollout::Sampling::plain(1));
        let requests = (0..n).map(|index| SampleRequest {
            prompt: index.to_string(),
            seed: kelvin_core::seed::Seed::new(0),
            sampling: std::sync::Arc::clone(&sampling),
        });
        let (echo, mut taken) = (Echo(0.into()), 0);
        draw(&echo, requests, &Interrupt::default(), |index, completion| {
            assert_eq!((index, completion.text), (taken, taken.to_string()));
            // One more than the window is sent before the first is taken.
            assert!(echo.0.load(Ordering::Relaxed) <= taken + DRAWS_MAX + 1);
            taken += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(taken, n);
    }
}
