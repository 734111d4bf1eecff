//! Finds a CPython to run programs with.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::level::{Isolation, Level};

/// The oldest minor version of Python 3 that programs run in: the first with `-P`, which keeps the working
/// directory off the module path.
const OLDEST_MINOR: u32 = 11;

const CANDIDATES: [&str; 4] = ["python3.13", "python3.12", "python3.11", "python3"];

/// Prints what [`probe`] reads.
const PROBE: &str = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.executable)";

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// The executable itself, never a shim.
    pub path: PathBuf,
    /// Major, minor and micro version.
    pub version: (u32, u32, u32),
}

/// Why no program can run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing on the search path is a CPython of a version that will do.
    #[error(
        "no CPython 3.{OLDEST_MINOR} or newer found{}\nhint: install one (`apt-get install python3`) or name one \
         with the environment variable KELVIN_PYTHON",
        seen_clause(.seen)
    )]
    NoPython {
        /// What was found instead.
        seen: Vec<String>,
    },
    /// The interpreter that was asked for will not do.
    #[error("cannot use {} as Python: {reason}\nhint: name a CPython 3.{OLDEST_MINOR} or newer", path.display())]
    Unusable {
        /// The one asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The interpreter runs, but no worker comes up on it.
    #[error(
        "the sandbox is broken: no worker starts on {}: {reason}\nhint: `kelvin doctor` tells more; check memory \
         and process limits, and that the temporary folder can be written",
        path.display()
    )]
    Worker {
        /// The interpreter.
        path: PathBuf,
        /// What the last attempt ended with.
        reason: String,
    },
    /// Programs would be confined less than was asked for.
    #[error(
        "programs of a model would run with {} isolation here, which is under {least}{}\nhint: `kelvin doctor` shows \
         what is missing; to run them nevertheless, say so with --isolation {}",
        .isolation.level,
        .isolation.reach(),
        .isolation.level.name()
    )]
    TooWeak {
        /// What there is.
        isolation: Isolation,
        /// What was asked for.
        least: Level,
    },
}

fn seen_clause(seen: &[String]) -> String {
    if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) }
}

/// Resolves the interpreter: `explicit`, else `KELVIN_PYTHON`, else the newest of the known names on the search
/// path. Each candidate is run once, so that version managers' shims resolve to the executable behind them.
///
/// # Errors
/// [`StartError::Unusable`] if the one asked for will not do, [`StartError::NoPython`] if none is found.
pub fn find_python(explicit: Option<&Path>) -> Result<Python, StartError> {
    let asked = explicit
        .map(Path::to_path_buf)
        .or_else(|| std::env::var_os("KELVIN_PYTHON").filter(|path| !path.is_empty()).map(PathBuf::from));
    if let Some(path) = asked {
        return probe(&path).map_err(|reason| StartError::Unusable {
            path,
            reason: reason.unwrap_or_else(|| "there is no such program".into()),
        });
    }
    let mut seen = Vec::new();
    for name in CANDIDATES {
        match probe(Path::new(name)) {
            Ok(python) => return Ok(python),
            Err(Some(reason)) => seen.push(format!("{name}: {reason}")),
            Err(None) => {}
        }
    }
    Err(StartError::NoPython { seen })
}

/// `Err(None)` means that there is no such program.
fn probe(path: &Path) -> Result<Python, Option<String>> {
    #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
    let output = Command::new(path)
        .args(["-I", "-S", "-c", PROBE])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| (error.kind() != io::ErrorKind::NotFound).then(|| error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Some(format!("it ends with {}: {}", output.status, said.lines().next().unwrap_or(""))));
    }
    read_probe(&String::from_utf8_lossy(&output.stdout)).map_err(Some)
}

fn read_probe(text: &str) -> Result<Python, String> {
    let mut fields = text.trim_end().splitn(5, ' ');
    let mut next =
        || fields.next().filter(|field| !field.is_empty()).ok_or("it does not answer as Python does");
    let implementation = next()?;
    if implementation != "cpython" {
        return Err(format!("it is {implementation}, not CPython"));
    }
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        *number = next()?.parse().map_err(|_| "it does not answer as Python does")?;
    }
    let [major, minor, micro] = numbers;
    if (major, minor) < (3, OLDEST_MINOR) {
        return Err(format!("it is version {major}.{minor}.{micro}"));
    }
    Ok(Python { path: PathBuf::from(next()?), version: (major, minor, micro) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read_or_refused() {
        let python = read_probe("cpython 3 11 7 /opt/my python/bin/python3\n").unwrap();
        assert_eq!(python.path, Path::new("/opt/my python/bin/python3"));
        assert_eq!(python.version, (3, 11, 7));
        for (text, reason) in [
            ("", "does not answer"),
            ("cpython 3 10 13 /usr/bin/python3", "version 3.10.13"),
            ("pypy 3 11 0 /usr/bin/pypy3", "not CPython"),
            ("cpython 3 x 0 /usr/bin/python3", "does not answer"),
            ("cpython 3 12 1", "does not answer"),
        ] {
            assert!(read_probe(text).unwrap_err().contains(reason), "{text:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_not_replaced() {
        let error = find_python(Some(Path::new("/nonexistent/python"))).unwrap_err();
        assert!(matches!(&error, StartError::Unusable { .. }));
        assert!(error.to_string().contains("\nhint: "), "{error}");
        let error = find_python(Some(Path::new("/bin/false"))).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
    }
}
