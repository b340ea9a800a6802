//! Where output goes: results to stdout, everything else to stderr.
//!
//! Whoever reads may go away (`rollctl history web | head -1`): that is no error, the rest is not shown.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use serde_json::Value;

use crate::report::{Output, Style};

/// The two streams, and what is known about them.
pub struct Screen {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    stdin: Box<dyn BufRead + Send>,
    reader_gone: bool,
    /// What was noted and is not told before there is something to do.
    held_back: Option<String>,
    /// What is to be printed.
    pub output: Output,
    /// Whether a person can be asked: stdin and stderr are terminals.
    pub can_ask: bool,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal, one that can move its cursor.
    pub stderr_is_terminal: bool,
    /// Whether colours may be used on stderr.
    pub colour: bool,
}

impl Screen {
    /// The process's own streams.
    pub fn of_process(output: Output) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let stderr_is_terminal = io::stderr().is_terminal() && !dumb;
        Self {
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            stdin: Box::new(BufReader::new(io::stdin())),
            reader_gone: false,
            held_back: None,
            output,
            can_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal() && !dumb,
            stderr_is_terminal,
            colour: stderr_is_terminal && !no_colour,
        }
    }

    /// Other streams, for tests; nobody can be asked and nothing is coloured.
    pub fn of_streams(
        output: Output,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            stdout,
            stderr,
            stdin: Box::new(io::empty()),
            reader_gone: false,
            held_back: None,
            output,
            can_ask: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            colour: false,
        }
    }

    /// The same with a person who answers so.
    #[must_use]
    pub fn answering(mut self, answers: &'static str) -> Self {
        self.stdin = Box::new(answers.as_bytes());
        self.can_ask = true;
        self
    }

    /// For [`crate::report::reporter`]. A log on stderr would tear a live display: then plain lines are printed.
    pub fn style(&self, verbose: u8) -> Style {
        Style {
            output: self.output,
            live: self.stderr_is_terminal && verbose == 0,
            colour: self.colour,
        }
    }

    /// Keeps notes back until [`Screen::speak`]: whoever is mailed what a timer's run prints wants no mail while there is
    /// nothing to do.
    pub fn hold_back(&mut self) {
        self.held_back = Some(String::new());
        self.can_ask = false;
    }

    /// Whether notes are kept back: nobody is to hear that there was nothing to do.
    pub fn is_held_back(&self) -> bool {
        self.held_back.is_some()
    }

    /// Tells what was kept back, and keeps nothing back any more.
    pub fn speak(&mut self) {
        if let Some(text) = self.held_back.take() {
            self.note(&text);
        }
    }

    /// Asks a person, who has to say yes.
    ///
    /// # Errors
    /// When stdin cannot be read.
    pub fn confirm(&mut self, question: &str) -> io::Result<bool> {
        self.note(&format!("{question} [y/N] "));
        let mut answer = String::new();
        self.stdin.read_line(&mut answer)?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Whether nobody reads stdout any more: there is no point in printing on.
    pub fn reader_is_gone(&self) -> bool {
        self.reader_gone
    }

    /// Prints a result.
    ///
    /// # Errors
    /// When stdout cannot be written, for example to a full disk.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let read = put(&mut self.stdout, text)?;
        self.reader_gone |= !read;
        Ok(())
    }

    /// Prints a JSON object on a line of its own.
    ///
    /// # Errors
    /// When stdout cannot be written, for example to a full disk.
    pub fn print_json(&mut self, value: &Value) -> io::Result<()> {
        self.print(&format!("{value}\n"))
    }

    /// Tells a person something that is not the result. What cannot be told is lost.
    pub fn note(&mut self, text: &str) {
        if let Some(held_back) = &mut self.held_back {
            held_back.push_str(text);
            return;
        }
        let _told = put(&mut self.stderr, text);
    }
}

/// Whether somebody reads it.
fn put(stream: &mut dyn Write, text: &str) -> io::Result<bool> {
    match stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in [
            ("y\n", true),
            ("Yes\n", true),
            ("\n", false),
            ("n\n", false),
            ("yep\n", false),
            ("", false),
        ] {
            let mut screen =
                Screen::of_streams(Output::Human, Box::new(io::sink()), Box::new(io::sink()))
                    .answering(answer);
            assert_eq!(screen.confirm("really?").unwrap(), yes, "{answer:?}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
        for (kind, fine) in [
            (io::ErrorKind::BrokenPipe, true),
            (io::ErrorKind::StorageFull, false),
        ] {
            let mut screen =
                Screen::of_streams(Output::Human, Box::new(Failing(kind)), Box::new(io::sink()));
            assert_eq!(screen.print("x").is_ok(), fine, "{kind:?}");
            assert_eq!(screen.reader_is_gone(), fine, "{kind:?}");
        }
    }
}
