//! The terminal taken over and given back: raw mode, the other screen, no cursor. It is given back once, by whoever
//! comes first: the end of the dashboard, or a panic before its message is printed.

use std::{
    io::{self, Stderr, stderr},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// What is drawn on.
pub(super) type Screen = Terminal<CrosstermBackend<Stderr>>;

static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Takes the terminal over.
///
/// # Errors
/// If it refuses; it is as it was then.
pub(super) fn enter() -> io::Result<Screen> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            leave();
            before(what);
        }));
    });
    enable_raw_mode()?;
    ACTIVE.store(true, Ordering::SeqCst);
    let entered = || {
        execute!(stderr(), EnterAlternateScreen, cursor::Hide)?;
        let mut screen = Terminal::new(CrosstermBackend::new(stderr()))?;
        // Not every terminal has another screen to enter.
        screen.clear()?;
        Ok(screen)
    };
    entered().inspect_err(|_: &io::Error| leave())
}

/// Gives the terminal back, if it was taken.
pub(super) fn leave() {
    if ACTIVE.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing.
        drop(execute!(stderr(), cursor::Show, LeaveAlternateScreen));
        drop(disable_raw_mode());
    }
}

/// Whether the terminal is taken over.
pub(super) fn is_active() -> bool {
    ACTIVE.load(Ordering::SeqCst)
}
