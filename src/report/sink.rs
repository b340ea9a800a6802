//! Writing without making the rollout wait: a terminal that was stopped with Ctrl-S, or a pipe that nobody reads,
//! must not stop what happens on the hosts.

use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Lines that a thread of its own writes, in order. Dropping it waits until all are written.
pub(crate) struct Sink {
    lines: Option<Sender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Sink {
    /// Onto this stream. When it cannot be written any more (the reader went away), the rest is dropped.
    pub(crate) fn new(mut stream: Box<dyn Write + Send>) -> Self {
        let (lines, waiting) = channel::<String>();
        let writer = std::thread::spawn(move || {
            for text in waiting {
                if write_all(&mut stream, &text).is_err() {
                    return;
                }
            }
        });
        Self {
            lines: Some(lines),
            writer: Some(writer),
        }
    }

    /// Adds a line.
    pub(crate) fn line(&self, mut line: String) {
        line.push('\n');
        self.text(line);
    }

    /// Adds text as it is.
    pub(crate) fn text(&self, text: String) {
        if let Some(lines) = &self.lines {
            // Nobody reads any more: that is no reason to stop a rollout.
            let _reader_gone = lines.send(text);
        }
    }
}

fn write_all(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            let _ended = writer.join();
        }
    }
}

/// A stream that a test reads afterwards.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_went_away() {
        let sink = Sink::new(Box::new(Gone));
        for _ in 0..1000 {
            sink.line("x".to_owned());
        }
        drop(sink);
    }

    #[test]
    fn lines_keep_their_order_and_are_all_written() {
        let written = Shared::default();
        let sink = Sink::new(Box::new(written.clone()));
        for number in 0..100 {
            sink.line(number.to_string());
        }
        drop(sink);
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(written.text(), expected);
    }
}
