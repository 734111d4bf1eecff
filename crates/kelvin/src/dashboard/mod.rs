//! What `kelvin train` shows on a terminal: curves, the state of the step, a task and a solution, and keys. A thread
//! of its own draws what the run's events tell it, when something changed; the run never waits for it, but where its
//! user pauses it between two steps. When it ends, for whatever reason, the run goes on with lines.

mod draw;
mod highlight;
mod screen;
mod state;

use std::{
    env,
    io::{self, IsTerminal, stderr, stdin},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::{consts::SIGINT, low_level::raise};

use crate::interrupt::Interrupt;
use draw::Palette;
pub(crate) use state::{Excerpt, State, Update};

/// How long keys are waited for before looking whether something changed: what a key may take to be seen.
const TICK: Duration = Duration::from_millis(100);

/// A dashboard on the terminal. Dropping it leaves the terminal as it was.
pub(crate) struct Dashboard {
    updates: Option<Sender<Update>>,
    thread: Option<JoinHandle<()>>,
    controls: Arc<Controls>,
    interrupt: Interrupt,
}

/// What keys asked for.
#[derive(Default)]
struct Controls {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Wishes {
    pauses: bool,
    checkpoint: bool,
    closed: bool,
}

impl Controls {
    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// Whether standard error is a terminal on which lines can be overwritten and pictures drawn.
pub(crate) fn is_terminal() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|it| it.is_empty() || it == "dumb");
    !is_dumb && stderr().is_terminal()
}

impl Dashboard {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// If there is nothing to read keys from, or the terminal refuses.
    pub(crate) fn start(state: State, interrupt: &Interrupt) -> io::Result<Dashboard> {
        if !stdin().is_terminal() {
            return Err(io::Error::other("standard input is no terminal"));
        }
        let screen = screen::enter()?;
        let (updates, received) = mpsc::channel();
        let controls = Arc::new(Controls::default());
        let watch = {
            let (controls, interrupt) = (Arc::clone(&controls), interrupt.clone());
            move || {
                watch(screen, state, &received, &controls, &interrupt);
                screen::leave();
                controls.change(|it| it.closed = true);
            }
        };
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(watch)
            .inspect_err(|_| screen::leave())?;
        Ok(Dashboard { updates: Some(updates), thread: Some(thread), controls, interrupt: interrupt.clone() })
    }

    /// Shows what happened; whether somebody still looks.
    pub(crate) fn show(&self, update: Update) -> bool {
        self.updates.as_ref().is_some_and(|it| it.send(update).is_ok())
    }

    /// Waits as long as the run is paused, and says whether a checkpoint was asked for.
    pub(crate) fn between(&self) -> bool {
        let mut wishes = self.controls.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        while wishes.pauses && !wishes.closed && self.interrupt.requested().is_none() {
            let waited = self.controls.changed.wait_timeout(wishes, TICK);
            wishes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut wishes.checkpoint)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.updates = None;
        // A dashboard that panicked has said so; the terminal is given back either way.
        self.thread.take().map(JoinHandle::join);
        screen::leave();
    }
}

/// Draws until the run ends, a signal comes, or the terminal fails.
fn watch(
    mut screen: screen::Screen,
    mut state: State,
    updates: &Receiver<Update>,
    controls: &Controls,
    interrupt: &Interrupt,
) {
    let palette = Palette::of_terminal();
    let mut is_new = true;
    while interrupt.requested().is_none() && screen::is_active() {
        loop {
            match updates.try_recv() {
                Ok(update) => {
                    state.update(update);
                    is_new = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if is_new && screen.draw(|frame| draw::draw(frame, &state, palette)).is_err() {
            return;
        }
        is_new = match event::poll(TICK) {
            Ok(false) => false,
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => press(key, &mut state, controls),
                Ok(Event::Resize(..)) => true,
                Ok(_) => false,
                Err(_) => return,
            },
            Err(_) => return,
        };
    }
}

/// Does what a key asks for; whether the picture changes.
fn press(key: KeyEvent, state: &mut State, controls: &Controls) -> bool {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => stop(),
        KeyCode::Char('q') => stop(),
        KeyCode::Char('p') => {
            state.pauses = !state.pauses;
            controls.change(|it| it.pauses = state.pauses);
        }
        KeyCode::Char('c') => {
            state.waits_for_checkpoint = true;
            controls.change(|it| it.checkpoint = true);
        }
        KeyCode::Char('h' | '?') => state.shows_help = !state.shows_help,
        KeyCode::Esc => state.shows_help = false,
        _ => return false,
    }
    true
}

/// The same as Ctrl-C on a terminal that is not taken over.
fn stop() {
    // Refused only for a signal that does not exist.
    drop(raise(SIGINT));
}

#[cfg(test)]
mod tests;
