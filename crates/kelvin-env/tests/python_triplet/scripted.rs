//! An executor that runs nothing: its script says what each call comes to.

use std::sync::{Arc, Mutex};

use anyhow::bail;
use kelvin_core::executor::{Executor, Job, Outcome};

type Script = dyn Fn(&Job, &str) -> Outcome + Send + Sync;

/// See the module.
pub struct Scripted {
    script: Option<Box<Script>>,
    jobs: Mutex<Vec<Job>>,
}

impl Scripted {
    /// Every input of every job comes to what `script` says.
    pub fn new(script: impl Fn(&Job, &str) -> Outcome + Send + Sync + 'static) -> Arc<Scripted> {
        Arc::new(Scripted { script: Some(Box::new(script)), jobs: Mutex::default() })
    }

    /// Every call comes to `outcome`.
    pub fn always(outcome: Outcome) -> Arc<Scripted> {
        Scripted::new(move |_, _| outcome.clone())
    }

    /// A sandbox that does not work.
    pub fn broken() -> Arc<Scripted> {
        Arc::new(Scripted { script: None, jobs: Mutex::default() })
    }

    /// What was run so far.
    pub fn jobs(&self) -> Vec<Job> {
        self.jobs.lock().unwrap().clone()
    }
}

impl Executor for Scripted {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        let Some(script) = &self.script else { bail!("no interpreter") };
        self.jobs.lock().unwrap().push(job.clone());
        Ok(job.inputs.iter().map(|input| script(job, input)).collect())
    }

    fn parallelism(&self) -> usize {
        1
    }
}

/// The result whose `repr` this is.
pub fn value(repr: &str) -> Outcome {
    Outcome::Value { repr: repr.into() }
}

/// The program raised.
pub fn raised(exception: &str) -> Outcome {
    Outcome::Raised { exception: exception.into(), message: "x".into() }
}
