//! Rate and bound against threads, as SVG.

use std::fmt::Write;

use super::rate::Rate;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 70.0;

/// The chart; `rates` by rising number of threads.
pub fn svg(rates: &[&Rate]) -> String {
    let most = rates.iter().map(|r| r.bound_images_per_second.max(r.images_per_second)).fold(1.0, f64::max);
    let threads = rates.iter().map(|r| r.threads).max().unwrap_or(1) as f64;
    let x = |n: usize| MARGIN + (WIDTH - 2.0 * MARGIN) * n as f64 / threads;
    let y = |rate: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * rate / most;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<path d=\"M{MARGIN} {MARGIN} \
         V{base} H{end}\" fill=\"none\" stroke=\"black\"/>\n",
        base = HEIGHT - MARGIN,
        end = WIDTH - MARGIN,
    );
    let mut line = |name: &str, colour: &str, value: &dyn Fn(&Rate) -> f64| {
        let mut points = String::new();
        for rate in rates {
            // Writing to a string cannot fail.
            let _ = write!(points, "{:.1},{:.1} ", x(rate.threads), y(value(rate)));
        }
        let last = rates.last().map_or(0.0, |rate| y(value(rate)));
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{last:.1}\" fill=\"{colour}\">{name}</text>",
            points.trim_end(),
            WIDTH - MARGIN + 6.0,
        );
    };
    line("bound", "grey", &|rate| rate.bound_images_per_second);
    line("loader", "crimson", &|rate| rate.images_per_second);
    for rate in rates {
        let (at, base) = (x(rate.threads), HEIGHT - MARGIN + 18.0);
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{}</text>", rate.threads);
        let (left, top) = (MARGIN - 6.0, y(rate.images_per_second));
        let value = rate.images_per_second;
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"{top:.1}\" text-anchor=\"end\">{value:.0}</text>");
    }
    let middle = WIDTH / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">threads</text>\n\
         <text x=\"{MARGIN}\" y=\"{}\">images a second</text>\n</svg>",
        HEIGHT - MARGIN + 40.0,
        MARGIN - 20.0,
    );
    svg
}
