//! Pictures of recorded steps.

use kelvin_core::{metrics::Metrics, task::TaskType};
use kelvin_selfplay::settings::RunSettings;
use ratatui::{Terminal, backend::TestBackend};

use super::{
    draw::{Palette, draw},
    *,
};
use crate::config::{Raw, resolve};

/// Rows of a quick start's first steps, as it wrote them, without what nothing here reads.
const RECORDED: &str = include_str!("../../fixtures/dashboard.jsonl");

fn settings() -> RunSettings {
    let raw = Raw::parse(crate::command::train::QUICKSTART, "the quick start").unwrap();
    resolve(&[&raw]).unwrap().config.run_settings(1)
}

fn recorded() -> Vec<Metrics> {
    RECORDED.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

fn running() -> State {
    let mut rows = recorded();
    let metrics = rows.pop().unwrap();
    let mut state = State::new(&settings(), rows);
    let excerpt = Excerpt {
        accepted: Some((
            TaskType::Induction,
            "def f(x):\n    # shifts \x1b[31m\n    return [it + 1 for it in x]\nmessage: adds one".into(),
        )),
        solved: Some((
            TaskType::Deduction,
            "### deduction\ndef f(x):\n    return x[::-1]\ninput: 'abc'\n### output\n".into(),
            "'cba'".into(),
        )),
    };
    state.update(Update::Row { step: 24, metrics, excerpt, step_s: 8.44, left_s: 472.0 });
    state
}

fn picture(state: &State, width: u16, height: u16, palette: Palette) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, palette)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_run_at_80x24() {
    insta::assert_snapshot!(picture(&running(), 80, 24, Palette::COLOURS));
}

#[test]
fn a_run_at_120x40() {
    insta::assert_snapshot!(picture(&running(), 120, 40, Palette::COLOURS));
}

#[test]
fn keys_explain_themselves() {
    let mut state = running();
    assert!(press(KeyCode::Char('h').into(), &mut state, &Controls::default()));
    insta::assert_snapshot!(picture(&state, 80, 24, Palette::NONE));
}

#[test]
fn any_size_and_any_state_is_drawn() {
    let empty = State::new(&settings(), Vec::new());
    for (width, height) in [(1, 1), (20, 5), (79, 24), (80, 24), (81, 25), (240, 70)] {
        for palette in [Palette::COLOURS, Palette::NONE] {
            picture(&empty, width, height, palette);
            picture(&running(), width, height, palette);
        }
    }
    assert!(picture(&empty, 60, 20, Palette::NONE).contains("needs 80 x 24"));
    assert!(
        !picture(&running(), 80, 24, Palette::NONE).contains('\x1b'),
        "text of a model cannot steer a terminal"
    );
}

#[test]
fn without_colours_no_cell_has_one() {
    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal.draw(|frame| draw(frame, &running(), Palette::NONE)).unwrap();
    let reset = ratatui::style::Color::Reset;
    assert!(terminal.backend().buffer().content().iter().all(|it| it.fg == reset && it.bg == reset));
}

#[test]
fn keys_ask_for_a_pause_and_a_checkpoint() {
    let (mut state, controls) = (running(), Controls::default());
    press(KeyCode::Char('p').into(), &mut state, &controls);
    press(KeyCode::Char('c').into(), &mut state, &controls);
    let wishes = *controls.wishes.lock().unwrap();
    assert!(wishes.pauses && wishes.checkpoint && state.waits_for_checkpoint);
    press(KeyCode::Char('p').into(), &mut state, &controls);
    assert!(!controls.wishes.lock().unwrap().pauses && !state.pauses);
    assert!(!press(KeyCode::Char('x').into(), &mut state, &controls), "other keys do nothing");
}
