//! Progress of long work: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a plain line is written when standard error is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a job is, on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: Option<Mutex<Plain>>,
}

struct Plain {
    label: String,
    unit: &'static str,
    total: u64,
    start: Instant,
    last: Instant,
}

impl Progress {
    /// A job of `total` things called `unit`; shows nothing if `quiet`.
    pub fn new(label: &str, unit: &'static str, total: u64, quiet: bool) -> Self {
        if quiet {
            return Progress { bar: None, plain: None };
        }
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            let plain = Plain { label: label.to_owned(), unit, total, start: now, last: now };
            return Progress { bar: None, plain: Some(Mutex::new(plain)) };
        }
        let template = format!(
            "{{prefix}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{rate}}/s  {{eta}} left  {{msg}}"
        );
        // The template is a constant of ours; a style that indicatif could not read falls back to its default.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total)
            .with_style(style.with_key("rate", rate).progress_chars("━╸─"))
            .with_prefix(label.to_owned());
        Progress { bar: Some(bar), plain: None }
    }

    /// Says that `done` things are done, with a remark (loss, sizes) if there is one.
    pub fn at(&self, done: u64, remark: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(remark.to_owned());
        }
        let Some(plain) = &self.plain else { return };
        let Ok(mut plain) = plain.lock() else { return };
        if plain.last.elapsed() < PLAIN_EVERY {
            return;
        }
        plain.last = Instant::now();
        let seconds = plain.start.elapsed().as_secs_f64();
        let rate = done as f64 / seconds;
        let left = if rate > 0.0 { (plain.total.saturating_sub(done)) as f64 / rate } else { 0.0 };
        let _ = writeln!(
            std::io::stderr(),
            "{}: {done}/{} {}, {rate:.0}/s, {} left{}{remark}",
            plain.label,
            plain.total,
            plain.unit,
            clock(left),
            if remark.is_empty() { "" } else { ", " },
        );
    }

    /// Prints a line without disturbing the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.plain.is_some() => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // A bar that cannot be written is not worth an error.
    let _ = write!(out, "{:.0}", state.per_sec());
}

/// Seconds as people say them: `12 s`, `3 min 4 s`, `2 h 5 min`.
pub fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Bytes as people say them, in powers of ten: `1.3 GB`.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b >= 1e12 => format!("{:.2} TB", b / 1e12),
        b if b >= 1e9 => format!("{:.2} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.1} kB", b / 1e3),
        b => format!("{b} B"),
    }
}
