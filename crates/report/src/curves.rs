//! Loss and error of a run over its epochs, as an SVG that needs nothing else to be looked at.
//!
//! Two panels share the axis of epochs: loss above, top-1 and top-5 error below. Training is a thin line, validation a
//! thick one with a dot for each evaluation. Numbers are rounded to tenths of a pixel, so equal logs give equal bytes.

use std::fmt::Write;

use alexnet_train::Record;

use crate::error::Error;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 48.0;
const GAP: f64 = 44.0;

/// A line of a panel: (epoch, value).
struct Line {
    name: &'static str,
    colour: &'static str,
    dots: bool,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    lines: Vec<Line>,
    /// Values are multiplied by it for the axis.
    factor: f64,
}

/// The curves of a log.
///
/// # Errors
/// [`Error::Nothing`] if it holds no record.
pub fn curves(title: &str, records: &[Record]) -> Result<String, Error> {
    if records.is_empty() {
        return Err(Error::Nothing("the log holds no record yet: there is nothing to draw".to_owned()));
    }
    let panels = panels(records);
    let end = panels.iter().flat_map(|p| &p.lines).flat_map(|l| &l.points).fold(0.0, |m: f64, p| m.max(p.0));
    let height = TOP + 2.0 * PANEL + GAP + 40.0;
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    for (i, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, TOP + i as f64 * (PANEL + GAP), end);
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">epoch</text>\n</svg>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        height - 6.0
    );
    Ok(svg)
}

fn panels(records: &[Record]) -> [Panel; 2] {
    let mut lines = [("training", "#7a9cc6", false), ("validation", "#b03a2e", true)]
        .map(|(name, colour, dots)| Line { name, colour, dots, points: vec![] });
    let mut errors = [
        ("training, top-1", "#7a9cc6", false),
        ("validation, top-1", "#b03a2e", true),
        ("validation, top-5", "#d68910", true),
    ]
    .map(|(name, colour, dots)| Line { name, colour, dots, points: vec![] });
    for record in records {
        match record {
            Record::Train { epoch, loss, top1_error, .. } => {
                lines[0].points.push((*epoch, *loss));
                errors[0].points.push((*epoch, *top1_error));
            }
            Record::Validation { epoch, loss, top1_error, top5_error, .. } => {
                lines[1].points.push((*epoch, *loss));
                errors[1].points.push((*epoch, *top1_error));
                errors[2].points.push((*epoch, *top5_error));
            }
        }
    }
    [
        Panel { title: "loss, nats", lines: lines.into(), factor: 1.0 },
        Panel { title: "error, %", lines: errors.into(), factor: 100.0 },
    ]
}

fn draw(svg: &mut String, panel: &Panel, top: f64, end: f64) {
    let finite = panel.lines.iter().flat_map(|l| &l.points).map(|p| p.1 * panel.factor);
    let highest = finite.filter(|v| v.is_finite()).fold(0.0, f64::max);
    let (step, count) = ticks(highest);
    let (across, epochs) = ticks(end);
    let x = |epoch: f64| LEFT + epoch / (across * epochs as f64) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL * (1.0 - value / (step * count as f64));
    for i in 0..=count {
        let value = i as f64 * step;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#dddddd\"/><text x=\"{2}\" y=\"{3:.1}\" \
             text-anchor=\"end\">{4}</text>",
            y(value),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(value) + 4.0,
            number(value, step)
        );
    }
    for i in 0..=epochs {
        let epoch = i as f64 * across;
        let _ = writeln!(
            svg,
            "<path d=\"M{0:.1} {top}V{1}\" stroke=\"#eeeeee\"/><text x=\"{0:.1}\" y=\"{2}\" \
             text-anchor=\"middle\">{3}</text>",
            x(epoch),
            top + PANEL,
            top + PANEL + 15.0,
            number(epoch, across)
        );
    }
    // In their order: validation lies on the noise of training.
    for line in panel.lines.iter().filter(|l| !l.points.is_empty()) {
        let points: Vec<_> = line.points.iter().filter(|p| p.1.is_finite()).collect();
        let path: Vec<String> =
            points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1 * panel.factor))).collect();
        let width = if line.dots { 2.0 } else { 1.0 };
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"/>",
            path.join(" "),
            line.colour
        );
        for p in points.iter().filter(|_| line.dots) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{}\"/>",
                x(p.0),
                y(p.1 * panel.factor),
                line.colour
            );
        }
    }
    let mut legend = WIDTH - RIGHT - 8.0;
    for line in panel.lines.iter().rev().filter(|l| !l.points.is_empty()) {
        let _ = writeln!(
            svg,
            "<text x=\"{legend:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{}\">{}</text>",
            top - 6.0,
            line.colour,
            line.name
        );
        legend -= 7.0 * line.name.len() as f64 + 14.0;
    }
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>", top - 6.0, panel.title);
}

/// A distance of 1, 2 or 5 times a power of ten, and how many of them reach `highest`: at most eight.
fn ticks(highest: f64) -> (f64, usize) {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let power = 10f64.powi((highest / 8.0).log10().floor() as i32);
    let fits = |step: &f64| highest / step <= 8.0;
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(fits).unwrap_or(10.0 * power);
    (step, (highest / step).ceil().max(1.0) as usize)
}

fn number(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
