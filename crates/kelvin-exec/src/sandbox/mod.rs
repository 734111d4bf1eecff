//! The layers between a program and the machine, one file each.
//!
//! On the worker before it becomes Python: an environment of three variables, a session of its own, `no_new_privs`,
//! limits on files and core dumps, no descriptor of the host, namespaces. On the worker once it has read its modules:
//! Landlock. On every child before its program is compiled (`driver/child.py`): limits on memory, processes and CPU
//! time, another user where the worker is root, the system call filter.
//!
//! Which of them this machine has is found by trying, and what they hold together is proven by attempts to get out
//! (`probe.rs`), which give the [`Level`](crate::Level).

mod descriptors;
mod environment;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod namespaces;
mod privileges;
mod rlimits;
#[cfg(target_os = "linux")]
mod seccomp;
mod session;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use kelvin_core::executor::HashSeed;

#[cfg(target_os = "linux")]
use namespaces::Namespaces;

/// There are none elsewhere.
#[cfg(not(target_os = "linux"))]
#[derive(Clone)]
struct Namespaces;

/// The layers that not every machine has. All workers of a pool have the same.
#[derive(Clone)]
pub(crate) struct Layers {
    namespaces: Option<Namespaces>,
    ruleset: Option<Arc<OwnedFd>>,
    filter: Option<Arc<Vec<u8>>>,
}

/// A layer that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// No network, no process of the host.
    Namespaces,
    /// No file, no process of the host.
    Landlock,
    /// No system call but those that computing needs.
    Seccomp,
}

impl Layer {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Namespaces => "namespaces",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
        }
    }
}

impl Layers {
    /// What may be had here without those left out, the most first: whether a worker starts with it, trying tells.
    pub(crate) fn candidates(left_out: &[Layer]) -> Vec<Layers> {
        let all = Layers::known();
        let without = |more: &[Layer]| {
            let has = |layer| !left_out.contains(&layer) && !more.contains(&layer);
            Layers {
                namespaces: all.namespaces.clone().filter(|_| has(Layer::Namespaces)),
                ruleset: all.ruleset.clone().filter(|_| has(Layer::Landlock)),
                filter: all.filter.clone().filter(|_| has(Layer::Seccomp)),
            }
        };
        let (namespaces, landlock) = (Layer::Namespaces, Layer::Landlock);
        [&[][..], &[namespaces], &[landlock], &[namespaces, landlock]].map(without).to_vec()
    }

    #[cfg(target_os = "linux")]
    fn known() -> Layers {
        Layers {
            namespaces: Some(Namespaces::of_this_user()),
            ruleset: landlock::empty_ruleset().map(Arc::new),
            filter: seccomp::program().map(Arc::new),
        }
    }

    /// None of these layers exists here.
    #[cfg(not(target_os = "linux"))]
    fn known() -> Layers {
        Layers { namespaces: None, ruleset: None, filter: None }
    }

    /// Without the system call filter, which children refuse to run without where it is one of the layers.
    pub(crate) fn unfiltered(self) -> Layers {
        Layers { filter: None, ..self }
    }

    /// Whether the worker's first fork begins a process namespace.
    pub(crate) fn own_processes(&self) -> bool {
        self.namespaces.is_some()
    }

    /// The Landlock ruleset that the worker inherits; -1 for none.
    pub(crate) fn ruleset(&self) -> RawFd {
        self.ruleset.as_ref().map_or(-1, |it| it.as_raw_fd())
    }

    /// The system call filter; empty for none.
    pub(crate) fn filter(&self) -> &[u8] {
        self.filter.as_ref().map_or(&[], |it| it.as_slice())
    }

    /// A filter that tells the host of calls that a child cannot be set back after; empty where there is no
    /// [`Layers::filter`], or none that could.
    #[cfg(target_os = "linux")]
    pub(crate) fn telling_filter(&self) -> Vec<u8> {
        self.filter.as_ref().and_then(|_| seccomp::telling_program()).unwrap_or_default()
    }

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<Layer> {
        let has = [
            (Layer::Namespaces, self.namespaces.is_some()),
            (Layer::Landlock, self.ruleset.is_some()),
            (Layer::Seccomp, self.filter.is_some()),
        ];
        has.into_iter().filter_map(|(layer, has)| has.then_some(layer)).collect()
    }

    /// Puts every layer that comes before exec on a worker that is about to start.
    /// It inherits no descriptor but the standard ones, the ruleset's and `jobs`, -1 for none.
    pub(crate) fn apply(&self, command: &mut Command, hash_seed: HashSeed, jobs: RawFd) {
        environment::apply(command, hash_seed);
        let namespaces = self.namespaces.clone();
        let kept = [self.ruleset(), jobs];
        // SAFETY: the closure runs between fork and exec in a process of one thread. It and what it calls make system
        // calls only: no allocation, no lock, and no memory that another thread of the host could have left half
        // written.
        unsafe {
            command.pre_exec(move || {
                session::apply()?;
                privileges::apply()?;
                #[cfg(target_os = "linux")]
                namespaces.as_ref().map_or(Ok(()), Namespaces::enter)?;
                #[cfg(not(target_os = "linux"))]
                let _ = &namespaces;
                rlimits::apply()?;
                descriptors::apply(kept)
            });
        }
    }
}

/// The result of a system call that returns -1 on failure.
fn checked(returned: libc::c_int) -> std::io::Result<()> {
    if returned == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
