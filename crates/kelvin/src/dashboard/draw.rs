//! The picture: a function of the state and the size. Colours stand for task types, as in the report.

use std::env;

use kelvin_core::task::TaskType;
use kelvin_selfplay::settings::Recipe;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span, Text},
    widgets::{
        Axis, Bar, BarChart, BarGroup, Block, BorderType, Chart, Clear, Dataset, GraphType, Padding,
        Paragraph, Wrap,
    },
};

use super::{
    highlight,
    state::{RECENT_STEPS, State},
};
use crate::progress::duration;

/// The smallest terminal that has room for everything.
const SMALLEST: (u16, u16) = (80, 24);

/// From here on the head has room for everything.
const WIDE: u16 = 100;

/// Colours, or none for those who set `NO_COLOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    has_colours: bool,
}

impl Palette {
    /// With colours.
    #[cfg(test)]
    pub(super) const COLOURS: Palette = Palette { has_colours: true };
    /// Without.
    #[cfg(test)]
    pub(super) const NONE: Palette = Palette { has_colours: false };

    /// What the user wants (<https://no-color.org>).
    pub(super) fn of_terminal() -> Palette {
        Palette { has_colours: env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) }
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn of_type(self, it: TaskType) -> Style {
        self.colour(match it {
            TaskType::Deduction => Color::LightBlue,
            TaskType::Abduction => Color::LightRed,
            TaskType::Induction => Color::LightGreen,
            TaskType::Error => Color::LightMagenta,
            TaskType::Question => Color::LightYellow,
        })
    }

    /// Keywords.
    pub(super) fn word(self) -> Style {
        self.colour(Color::Magenta).add_modifier(Modifier::BOLD)
    }
    /// Literals of text.
    pub(super) fn text(self) -> Style {
        self.colour(Color::Green)
    }
    /// Numbers.
    pub(super) fn number(self) -> Style {
        self.colour(Color::Yellow)
    }
    /// Remarks, and whatever is not the point.
    pub(super) fn remark(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws the state.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, palette: Palette) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "step {}/{}\nThe dashboard needs {} x {}, this is {} x {}. The run goes on; --plain prints lines.",
            state.step, state.steps, SMALLEST.0, SMALLEST.1, area.width, area.height
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [top, curves, middle, texts, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(5),
        Constraint::Length(8),
        Constraint::Fill(4),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(head(state, palette, area.width), top);
    let [left, right] = halves(curves);
    solve_rates(frame, left, state, palette);
    rewards(frame, right, state, palette);
    let thirds = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)]);
    let [first, second, third] = thirds.areas(middle);
    validity(frame, first, state, palette);
    learnability(frame, second, state, palette);
    split(frame, third, state, palette);
    let [left, right] = halves(texts);
    accepted(frame, left, state, palette);
    solved(frame, right, state, palette);
    frame.render_widget(foot(state, palette), keys);
    if state.shows_help {
        help(frame, area);
    }
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}

fn head(state: &State, palette: Palette, width: u16) -> Line<'static> {
    let recipe = match state.recipe {
        Recipe::Azr => "Absolute Zero",
        Recipe::RZero => "R-Zero",
    };
    let mut spans =
        vec![Span::styled(" kelvin ", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD))];
    // The narrowest has room for one of the name and the evaluation.
    let (recipe, share) = if width < WIDE { (String::new(), 16) } else { (format!(" {recipe} "), 8) };
    spans.push(Span::raw(format!("{recipe} step {}/{} ", state.step, state.steps)));
    let n_cells = usize::from(width / share);
    let n_done = (n_cells * state.step as usize / state.steps.max(1) as usize).min(n_cells);
    spans.push(Span::styled("━".repeat(n_done), palette.colour(Color::LightBlue)));
    spans.push(Span::styled("─".repeat(n_cells - n_done), palette.remark()));
    if let Some(step_s) = state.step_s {
        spans.push(Span::raw(format!(" {step_s:.1} s/step, {} left", duration(state.left_s))));
    }
    if let Some((first, last)) = state.held_out {
        spans.push(Span::raw(format!("  held-out {} → {}", percent(first), percent(last))));
    }
    Line::from(spans)
}

fn foot(state: &State, palette: Palette) -> Line<'static> {
    let mut spans = Vec::new();
    for (key, does) in [
        ("p", if state.pauses { "go on" } else { "pause" }),
        ("c", "checkpoint"),
        ("h", "help"),
        ("q", "stop"),
    ] {
        spans.push(Span::styled(format!(" {key} "), Style::new().add_modifier(Modifier::REVERSED)));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    let status = match (state.pauses, state.waits_for_checkpoint) {
        (true, _) => "paused after the running step".to_owned(),
        (false, true) => "a checkpoint follows the running step".to_owned(),
        (false, false) => highlight::tame(&state.said),
    };
    spans.push(Span::styled(status, palette.remark()));
    Line::from(spans)
}

fn block(title: Line<'static>) -> Block<'static> {
    let mut spans = vec![Span::raw(" ")];
    spans.extend(title.spans);
    spans.push(Span::raw(" "));
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().add_modifier(Modifier::DIM))
        .title(Line::from(spans))
}

fn named(title: &'static str) -> Line<'static> {
    Line::from(Span::styled(title, Style::new().add_modifier(Modifier::BOLD)))
}

/// A curve with its name, look and points.
struct Curve {
    name: String,
    style: Style,
    points: Vec<(f64, f64)>,
}

fn curves(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    curves: &[Curve],
    y: [f64; 2],
    palette: Palette,
    label: fn(f64) -> String,
) {
    let mut heading = named(title);
    for it in curves {
        let last = it.points.last().map_or("-".to_owned(), |it| label(it.1));
        heading.push_span(Span::styled(format!("  {} {last}", it.name), it.style));
    }
    // Without colours the curves have different dots.
    let markers = [Marker::Braille, Marker::Dot, Marker::Block];
    let data = curves.iter().enumerate().map(|(index, it)| {
        let marker = if palette.has_colours { Marker::Braille } else { markers[index % markers.len()] };
        Dataset::default().marker(marker).graph_type(GraphType::Line).style(it.style).data(&it.points)
    });
    let ends = curves.iter().flat_map(|it| &it.points).map(|it| it.0);
    let last = ends.fold(1.0, f64::max);
    let x = Axis::default()
        .bounds([0.0, last])
        .labels(["0".to_owned(), format!("{last:.0}")])
        .style(palette.remark());
    let up = Axis::default().bounds(y).labels(y.map(label)).style(palette.remark());
    frame.render_widget(
        Chart::new(data.collect()).block(block(heading)).x_axis(x).y_axis(up).legend_position(None),
        area,
    );
}

fn solve_rates(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let of = |it: &TaskType| Curve {
        name: it.as_str()[..3].to_owned(),
        style: palette.of_type(*it),
        points: state.curve(&format!("solver/{it}/accuracy")).to_vec(),
    };
    let found: Vec<Curve> = state.task_types.iter().map(of).collect();
    let shares = || found.iter().flat_map(|it| &it.points).map(|it| it.1);
    let tenth = |it: f64, to: fn(f64) -> f64| to(10.0 * it) / 10.0;
    let high = tenth(shares().fold(0.1, f64::max), f64::ceil);
    let low = tenth(shares().fold(high - 0.1, f64::min), f64::floor);
    curves(frame, area, "solved", &found, [low, high], palette, percent);
}

fn rewards(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let found: Vec<Curve> = [("proposer", Color::LightCyan), ("solver", Color::LightYellow)]
        .map(|(role, colour)| Curve {
            name: role.to_owned(),
            style: palette.colour(colour),
            points: state.rewards(role),
        })
        .into();
    let values = || found.iter().flat_map(|it| &it.points).map(|it| it.1);
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.1, f64::max));
    curves(frame, area, "reward", &found, [low, high], palette, signed);
}

fn validity(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let mut heading = named("valid");
    for it in &state.task_types {
        let share = state.recent_mean(&format!("proposer/{it}/valid")).map_or("-".to_owned(), percent);
        heading.push_span(Span::styled(format!(" {share}"), palette.of_type(*it)));
    }
    let mut reasons = state.recent_sums("reject/", 2);
    reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = reasons.first().map_or(1.0, |it| it.1);
    let inner = block(heading.clone()).inner(area);
    let room = usize::from(inner.width).saturating_sub(21);
    let line = |(reason, n): &(String, f64)| {
        let bar = "▆".repeat((room as f64 * n / most).ceil() as usize);
        Line::from(vec![
            Span::raw(format!("{reason:<16.16} {n:>3.0} ")),
            Span::styled(bar, palette.colour(Color::LightRed)),
        ])
    };
    let mut lines: Vec<Line<'_>> = reasons.iter().map(line).collect();
    if lines.is_empty() {
        lines.push(Line::styled("no rejections yet", palette.remark()));
    }
    frame.render_widget(Paragraph::new(lines).block(block(heading)), area);
}

fn learnability(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let counts = state.solved_times();
    let most = counts.last().map_or(0, |it| it.0);
    let heading = named("tasks by times solved");
    if counts.is_empty() {
        let text = Line::styled("nothing estimated yet", palette.remark());
        frame.render_widget(Paragraph::new(text).block(block(heading)), area);
        return;
    }
    let outer = block(heading)
        .title_bottom(Line::styled(format!(" of {most}, {RECENT_STEPS} steps "), palette.remark()));
    let width = (outer.inner(area).width + 1) / counts.len() as u16;
    let bar = |&(times, n): &(usize, f64)| {
        // What is sometimes solved teaches; the ends do not.
        let style =
            if times == 0 || times == most { palette.remark() } else { palette.colour(Color::LightGreen) };
        Bar::default()
            .value(n as u64)
            .text_value(String::new())
            .label(Line::from(times.to_string()))
            .style(style)
    };
    let bars: Vec<Bar<'_>> = counts.iter().map(bar).collect();
    let chart = BarChart::default()
        .block(outer)
        .bar_width(width.saturating_sub(1).max(1))
        .bar_gap(u16::from(1 < width))
        .data(BarGroup::default().bars(&bars));
    frame.render_widget(chart, area);
}

fn split(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let of = |names: &[&str]| -> f64 {
        names.iter().filter_map(|it| state.recent_mean(&format!("timing/{it}_s"))).sum()
    };
    let phases = [
        ("propose", of(&["propose"])),
        ("estimate", of(&["estimate"])),
        ("solve", of(&["solve"])),
        ("check", of(&["validate", "grade", "measure"])),
        ("update", of(&["update"])),
    ];
    let whole = of(&["step"]);
    let outer = block(named("a step's seconds"));
    let room = f64::from(outer.inner(area).width.saturating_sub(15));
    let mut lines: Vec<Line<'_>> = phases
        .iter()
        .map(|&(name, seconds)| {
            let share = if 0.0 < whole { seconds / whole } else { 0.0 };
            let bar = "▆".repeat((room * share).round() as usize);
            Line::from(vec![
                Span::raw(format!("{name:<8} {seconds:>5.1} ")),
                Span::styled(bar, palette.colour(Color::LightBlue)),
            ])
        })
        .collect();
    let mut pace = state.tokens_per_second().map_or(String::new(), |it| format!("{it:.0} tok/s, len"));
    for it in &state.task_types {
        if let Some(length) = state.recent_mean(&format!("solver/{it}/response_tokens")) {
            pace.push_str(&format!(" {length:.0}"));
        }
    }
    lines.push(Line::styled(pace, palette.remark()));
    frame.render_widget(Paragraph::new(lines).block(outer), area);
}

fn accepted(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let mut heading = named("newest task");
    let mut text = Text::styled("none yet", palette.remark());
    if let Some((task_type, said)) = &state.excerpt.accepted {
        heading.push_span(Span::styled(format!(" {task_type}"), palette.of_type(*task_type)));
        text = Text::from(highlight::python(said, palette));
    }
    frame.render_widget(Paragraph::new(text).block(block(heading)), area);
}

fn solved(frame: &mut Frame<'_>, area: Rect, state: &State, palette: Palette) {
    let mut heading = named("solved");
    let mut lines = vec![Line::styled("none yet", palette.remark())];
    if let Some((task_type, prompt, response)) = &state.excerpt.solved {
        heading.push_span(Span::styled(format!(" {task_type}"), palette.of_type(*task_type)));
        let response = highlight::python(response.trim_end(), palette);
        let room = usize::from(area.height.saturating_sub(2)).saturating_sub(response.len());
        lines = highlight::plain(prompt.trim_end(), palette.remark());
        lines.drain(..lines.len().saturating_sub(room));
        lines.extend(response);
    }
    frame.render_widget(Paragraph::new(lines).block(block(heading)), area);
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let text = "p      pause after the running step, and go on\n\
                c      write a checkpoint after the running step\n\
                q      stop as Ctrl-C does: a checkpoint of the steps that\n\
                \u{20}      are over, from which `kelvin resume` goes on\n\
                h, ?   this help; Esc closes it\n\n\
                Curves are by step. Validity, reasons, the histogram and\n\
                seconds are of the last 8 steps. `kelvin report` draws all.";
    let (width, height) = (62, 12);
    let at = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(text).block(block(named("keys")).padding(Padding::uniform(1))), at);
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// With two digits; what rounds to nothing has no sign.
fn signed(reward: f64) -> String {
    format!("{:.2}", (100.0 * reward).round() / 100.0 + 0.0)
}
