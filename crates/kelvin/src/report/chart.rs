//! Line charts as inline SVG.

use std::fmt::Write;

/// One line of a chart: points in data units, in order of x.
pub(crate) struct Line {
    /// What the legend says.
    pub(crate) name: String,
    /// The points.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 150.0;
/// Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// A chart of `lines` with its title; empty text if there is no point.
pub(crate) fn chart(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|it| it.points.iter().copied());
    if points().next().is_none() {
        return String::new();
    }
    let range = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low < high { (low, high) } else { (low - 0.5, low + 0.5) }
    };
    let (x_low, x_high) = range(points().map(|it| it.0).collect());
    let (y_low, y_high) = range(points().map(|it| it.1).collect());
    let x = |it: f64| LEFT + (it - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
    let y = |it: f64| HEIGHT - BOTTOM - (it - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP);
    let mut svg =
        format!("<figure><figcaption>{}</figcaption><svg viewBox='0 0 {WIDTH} {HEIGHT}'>", escape(title));
    for tick in 0..=4 {
        let value = y_low + (y_high - y_low) * f64::from(tick) / 4.0;
        let at = y(value);
        let _ = write!(
            svg,
            "<line x1='{LEFT}' x2='{:.1}' y1='{at:.1}' y2='{at:.1}' stroke='#ddd'/>\
             <text x='{:.1}' y='{:.1}' text-anchor='end'>{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            short(value)
        );
    }
    for value in [x_low, (x_low + x_high) / 2.0, x_high] {
        let at = x(value);
        let _ = write!(
            svg,
            "<text x='{at:.1}' y='{:.1}' text-anchor='middle'>{}</text>",
            HEIGHT - 10.0,
            short(value)
        );
    }
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> =
            line.points.iter().map(|it| format!("{:.1},{:.1}", x(it.0), y(it.1))).collect();
        let _ = write!(
            svg,
            "<polyline fill='none' stroke='{colour}' stroke-width='1.8' points='{}'/>\
             <text x='{:.1}' y='{:.1}' fill='{colour}'>{}</text>",
            path.join(" "),
            WIDTH - RIGHT + 8.0,
            TOP + 10.0 + 16.0 * index as f64,
            escape(&line.name)
        );
    }
    svg.push_str("</svg></figure>\n");
    svg
}

/// Text that is safe in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

fn short(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 || value == value.round() => format!("{value:.0}"),
        it if it >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_empty_lines_are_drawn_or_left_out() {
        assert_eq!(chart("nothing", &[]), "");
        let flat = chart("flat <1>", &[Line { name: "a".into(), points: vec![(0.0, 1.0), (1.0, 1.0)] }]);
        assert!(flat.contains("flat &lt;1&gt;") && !flat.contains("NaN") && !flat.contains("inf"), "{flat}");
    }
}
