//! The threads that requests run on. The traits of kelvin-core block; a runtime lives inside, and whoever waits looks up now and
//! then whether the run is to end.

use std::{
    future::Future,
    pin::pin,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use kelvin_core::stop::Stop;
use tokio::runtime::{Handle, Runtime};

/// How often work that waits looks whether it is to end.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(50);
/// Requests wait, they do not compute.
const THREADS: usize = 2;

/// A runtime with the wish that it ends.
pub(crate) struct Threads {
    /// There until the end.
    runtime: Option<Runtime>,
    stop: RwLock<Stop>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(crate) fn start() -> anyhow::Result<Threads> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("kelvin-remote")
            .enable_all()
            .build()
            .context("starting the threads of the HTTP client")?;
        Ok(Threads { runtime: Some(runtime), stop: RwLock::default() })
    }

    /// What starts tasks on them.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime().handle()
    }

    /// Waits for what is asked, on the caller's thread.
    pub(crate) fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime().block_on(asked)
    }

    /// The same, given up soon after the run is asked to stop.
    pub(crate) fn wait_heeding<T>(
        &self,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.wait(async {
            let mut asked = pin!(asked);
            loop {
                if let Ok(ended) = tokio::time::timeout(LOOK_AROUND, &mut asked).await {
                    return ended;
                }
                self.stop().check()?;
            }
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the end")
    }

    /// Ends draws, scores and gradients soon after `stop` is asked.
    pub(crate) fn listen(&self, stop: Stop) {
        *self.stop.write().unwrap_or_else(PoisonError::into_inner) = stop;
    }

    /// Whether the run is to end.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Threads {
    /// Without waiting for what they still do: the name of a server may be looked up for a minute.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
