//! Errors become text and an exit code in one place: what happened, then each hint on a line of its own.

use std::{error::Error, fmt};

use crate::{interrupt::Signal, terminal};

/// The work failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Wrong usage or configuration: exit code 2 instead of 1.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    /// An error with the message, which may carry a `hint: ` line.
    pub(crate) fn error(message: impl Into<String>) -> anyhow::Error {
        Usage(message.into()).into()
    }
}

/// The work stopped because a signal asked for it.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) Signal);

/// Whoever read standard output is gone. Not a failure: `kelvin ... | head` ends with exit code 0.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by {}", self.0)
    }
}

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl Error for Usage {}
impl Error for Stopped {}
impl Error for ClosedPipe {}

/// Says something on standard error that is no error.
pub(crate) fn note(text: &str) {
    terminal::say(&format!("note: {text}"));
}

/// The exit code of a failed command.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ClosedPipe>() {
        0
    } else if let Some(Stopped(signal)) = error.downcast_ref() {
        signal.exit_code()
    } else if error.is::<Usage>() {
        EXIT_USAGE
    } else {
        EXIT_FAILED
    }
}

/// `error: outer: inner`, then the hints of all causes. A closed pipe says nothing.
pub(crate) fn render(error: &anyhow::Error) -> String {
    if error.is::<ClosedPipe>() {
        return String::new();
    }
    let (mut message, mut hints) = (String::new(), Vec::<String>::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (spoken, hint) = match text.split_once("\nhint: ") {
            Some((spoken, hint)) => (spoken, Some(hint)),
            None => (text.as_str(), None),
        };
        // Some libraries repeat their source in their own message.
        if message.is_empty() {
            message.push_str(spoken);
        } else if !message.contains(spoken) {
            message.push_str(": ");
            message.push_str(spoken);
        }
        hints.extend(hint.map(str::to_owned).filter(|hint| !hints.contains(hint)));
    }
    let kind = if error.is::<Stopped>() { "" } else { "error: " };
    let mut text = format!("{kind}{}\n", message.trim_end());
    for hint in hints {
        text.push_str(&format!("hint: {}\n", hint.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn hints_follow_the_whole_chain() {
        let inner = anyhow::anyhow!("no such folder\nhint: make it");
        let error = Err::<(), _>(inner).context("cannot load the model\nhint: try `embedded`").unwrap_err();
        assert_eq!(
            render(&error),
            "error: cannot load the model: no such folder\nhint: try `embedded`\nhint: make it\n"
        );
        assert_eq!(exit_code(&error), EXIT_FAILED);
    }

    #[test]
    fn the_kind_of_error_survives_context() {
        let usage = Err::<(), _>(Usage::error("bad key")).context("in x.toml").unwrap_err();
        assert_eq!(exit_code(&usage), EXIT_USAGE);
        let stopped = anyhow::Error::new(Stopped(Signal::Terminate)).context("while writing");
        assert_eq!(exit_code(&stopped), 143);
        let closed = anyhow::Error::new(ClosedPipe);
        assert_eq!((exit_code(&closed), render(&closed).as_str()), (0, ""));
    }
}
