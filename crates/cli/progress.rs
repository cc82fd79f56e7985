//! Progress of long work: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a plain line is written when standard error is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a job is, on standard error.
pub struct Progress {
    bar: Option<(ProgressBar, Once)>,
    plain: Option<Mutex<Plain>>,
}

struct Plain {
    label: String,
    unit: &'static str,
    total: u64,
    /// When the first report came, and how much was done then: by an earlier process, or in preparing.
    first: Option<(Instant, u64)>,
    last: Instant,
}

impl Plain {
    /// The line to be written now, if it is time for one.
    fn report(&mut self, now: Instant, done: u64, remark: &str) -> Option<String> {
        let (start, before) = *self.first.get_or_insert((now, done));
        if now - self.last < PLAIN_EVERY || now == start {
            return None;
        }
        self.last = now;
        let rate = done.saturating_sub(before) as f64 / (now - start).as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate;
        let left =
            if rate > 0.0 { format!("{} left", clock(left)) } else { "time left not known yet".to_owned() };
        let comma = if remark.is_empty() { "" } else { ", " };
        Some(format!(
            "{}: {done}/{} {}, {rate:.0}/s, {left}{comma}{remark}",
            self.label, self.total, self.unit
        ))
    }
}

impl Progress {
    /// A job of `total` things called `unit`; shows nothing if `quiet`.
    pub fn new(label: &str, unit: &'static str, total: u64, quiet: bool) -> Self {
        if quiet {
            return Progress { bar: None, plain: None };
        }
        if !std::io::stderr().is_terminal() {
            let plain = Plain { label: label.to_owned(), unit, total, first: None, last: Instant::now() };
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
        Progress { bar: Some((bar, Once::new())), plain: None }
    }

    /// Says that `done` things are done, with a remark (loss, sizes) if there is one. What was done at the first report counts for
    /// neither the rate nor the time left.
    pub fn at(&self, done: u64, remark: &str) {
        if let Some((bar, first)) = &self.bar {
            bar.set_position(done);
            first.call_once(|| bar.reset_eta());
            bar.set_message(remark.to_owned());
        }
        let Some(plain) = &self.plain else { return };
        let Ok(mut plain) = plain.lock() else { return };
        if let Some(line) = plain.report(Instant::now(), done, remark) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Prints a line without disturbing the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some((bar, _)) => bar.println(text),
            None if self.plain.is_some() => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some((bar, _)) = &self.bar {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_process_did_is_not_in_the_rate() {
        let start = Instant::now() - Duration::from_secs(10);
        let mut plain =
            Plain { label: "training".into(), unit: "updates", total: 900_000, first: None, last: start };
        assert_eq!(plain.report(start, 500_001, ""), None, "there is no rate yet");
        let line = plain.report(start + Duration::from_secs(10), 500_041, "").expect("it is time for a line");
        assert_eq!(line, "training: 500041/900000 updates, 4/s, 27 h 46 min left");
    }
}
