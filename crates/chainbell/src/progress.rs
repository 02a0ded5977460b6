//! How long work shows itself: a bar on a terminal, a plain line now and then elsewhere.

use std::{
    fmt,
    io::{IsTerminal as _, stderr},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bars of this process: what else is written to the terminal has to go around them.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Progress over a known number of blocks.
pub struct Progress {
    bar: ProgressBar,
    // What it is of, where plain lines go to the log.
    logged: Option<String>,
    plain: Option<Mutex<Instant>>,
    began: Instant,
    blocks: u64,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "shows people how fast something goes, decides nothing")]
fn now() -> Instant {
    Instant::now()
}

impl Progress {
    /// Progress over `blocks` blocks, on standard error.
    pub fn new(blocks: u64) -> Self {
        Self::over(blocks, None)
    }

    /// Progress of something that goes on beside other things: where there is no terminal, its lines are the log's.
    pub fn logged(what: &str, blocks: u64) -> Self {
        Self::over(blocks, Some(what.to_owned()))
    }

    fn over(blocks: u64, logged: Option<String>) -> Self {
        let template = "{prefix} {bar:40} {pos}/{len} blocks  {msg}  {per_sec}  {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bars().add(ProgressBar::new(blocks).with_style(style));
        bar.set_prefix(logged.clone().unwrap_or_default());
        let began = now();
        let plain = (!stderr().is_terminal()).then(|| Mutex::new(began));
        Self { bar, logged, plain, began, blocks }
    }

    /// `done` blocks are done.
    pub fn at(&self, done: u64, message: &str) {
        self.bar.set_message(message.to_owned());
        self.bar.set_position(done);
        let Some(last) = &self.plain else { return };
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.elapsed() < LINE_EVERY && done < self.blocks {
            return;
        }
        *last = now();
        let line = line(done, self.blocks, self.began.elapsed(), message);
        match &self.logged {
            Some(what) => tracing::info!("{what}: {line}"),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn line(done: u64, blocks: u64, took: Duration, message: &str) -> String {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = blocks.saturating_sub(done) as f64 / rate.max(0.001);
    let message = if message.is_empty() { String::new() } else { format!(", {message}") };
    format!("{done}/{blocks} blocks{message}, {rate:.0} blocks/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_tells_the_rate_and_the_time_left() {
        assert_eq!(
            line(500, 2_000, Duration::from_secs(5), "7 events"),
            "500/2000 blocks, 7 events, 100 blocks/s, 15 s left"
        );
    }
}
