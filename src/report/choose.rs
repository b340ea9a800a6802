//! Which display fits.

use std::io::{stderr, stdout};
use std::sync::Arc;

use super::json::JsonReporter;
use super::live::{Canvas, LiveReporter};
use super::output::Output;
use super::plain::PlainReporter;
use crate::ports::{Clock, Reporter};

/// What is known about who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// For whom.
    pub output: Output,
    /// Whether stderr is a terminal that can move its cursor and nothing else (a log) writes to it.
    pub live: bool,
    /// Whether colours may be used on stderr.
    pub colour: bool,
}

/// A reporter onto the process's own streams. Drop it before anything else is printed: only then is all written.
pub fn reporter(style: Style, clock: Arc<dyn Clock>) -> Box<dyn Reporter> {
    match (style.output, style.live) {
        (Output::Json, _) => Box::new(JsonReporter::new(Box::new(stdout()))),
        (Output::Human, true) => {
            Box::new(LiveReporter::new(Canvas::of_process(style.colour), clock))
        }
        (Output::Human, false) => Box::new(PlainReporter::new(
            Box::new(stdout()),
            Box::new(stderr()),
            style.colour,
        )),
    }
}
