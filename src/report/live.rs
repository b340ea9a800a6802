//! The live display on a terminal: a total line, a line for each host in work, and what came of the others above.
//!
//! A thread of its own draws ten times a second what the board says, so that neither a stopped terminal nor
//! five hundred hosts can hold up a rollout.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::{Board, Frame};
use super::sink::To;
use super::table::width_of_stderr;
use crate::core::decision::Decision;
use crate::core::event::RecordedEvent;
use crate::core::rollout::RolloutState;
use crate::ports::{Clock, Progress, Reporter};

/// Between two pictures.
const REDRAW: Duration = Duration::from_millis(100);

/// A terminal that does not tell its width.
const USUAL_WIDTH: usize = 80;

/// Draws until it is dropped; what is left of it then are the lines above and the last words.
pub struct LiveReporter {
    board: Arc<Mutex<Board>>,
    clock: Arc<dyn Clock>,
    stop: Option<Sender<()>>,
    painter: Option<JoinHandle<()>>,
}

/// Where the display is drawn.
pub struct Canvas {
    /// Where the lines that change go; not a terminal: they are not drawn.
    pub target: ProgressDrawTarget,
    /// How wide it is, asked before each picture.
    pub width: fn() -> Option<usize>,
    /// For the last words of a rollout that completed.
    pub stdout: Box<dyn Write + Send>,
    /// For the last words of one that did not.
    pub stderr: Box<dyn Write + Send>,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Canvas {
    /// The terminal on stderr.
    pub fn of_process(colour: bool) -> Self {
        Self {
            target: ProgressDrawTarget::stderr(),
            width: width_of_stderr,
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            colour,
        }
    }
}

impl LiveReporter {
    /// Begins to draw.
    pub fn new(canvas: Canvas, clock: Arc<dyn Clock>) -> Self {
        let board = Arc::new(Mutex::new(Board::default()));
        let (stop, stopped) = channel();
        let painter = {
            let (board, clock) = (Arc::clone(&board), Arc::clone(&clock));
            std::thread::spawn(move || {
                let mut painter = Painter::new(canvas);
                loop {
                    let last = stopped.recv_timeout(REDRAW) != Err(RecvTimeoutError::Timeout);
                    painter.paint(&board, clock.as_ref());
                    if last {
                        break;
                    }
                }
                painter.end(&board);
            })
        };
        Self {
            board,
            clock,
            stop: Some(stop),
            painter: Some(painter),
        }
    }
}

impl Reporter for LiveReporter {
    fn events(&self, recorded: &[RecordedEvent], state: &RolloutState) {
        lock(&self.board).events(recorded, state, self.clock.now());
    }

    fn waiting(&self, state: &RolloutState, decision: &Decision) {
        lock(&self.board).waiting(state, decision, self.clock.now());
    }

    fn progress(&self, progress: &Progress) {
        lock(&self.board).progress(progress, self.clock.now());
    }
}

impl Drop for LiveReporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(painter) = self.painter.take() {
            let _ended = painter.join();
        }
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Painter {
    bar: ProgressBar,
    shown: Vec<String>,
    canvas_width: fn() -> Option<usize>,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    colour: bool,
}

impl Painter {
    fn new(canvas: Canvas) -> Self {
        let bar = ProgressBar::with_draw_target(None, canvas.target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            shown: Vec::new(),
            canvas_width: canvas.width,
            stdout: canvas.stdout,
            stderr: canvas.stderr,
            colour: canvas.colour,
        }
    }

    fn paint(&mut self, board: &Mutex<Board>, clock: &dyn Clock) {
        // The last column stays free: some terminals break the line when it is written.
        let width = (self.canvas_width)().unwrap_or(USUAL_WIDTH).max(20) - 1;
        let Frame { above, lines } = lock(board).frame(width, clock.now());
        for line in above {
            self.bar.println(line);
        }
        if lines != self.shown {
            self.bar.set_message(lines.join("\n"));
            self.shown = lines;
        }
    }

    fn end(&mut self, board: &Mutex<Board>) {
        self.bar.finish_and_clear();
        let ending = lock(board).take_ending();
        if let Some(ending) = ending {
            let text = ending.text(self.colour);
            let stream = match ending.stream() {
                To::Stdout => &mut self.stdout,
                To::Stderr => &mut self.stderr,
            };
            let _reader_gone = stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush());
        }
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
