//! Writing without making the rollout wait: a terminal that was stopped with Ctrl-S, or a pipe that nobody reads,
//! must not stop what happens on the hosts.

use std::io::{ErrorKind, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Text that a thread of its own writes, in order over both streams. Dropping it waits until all is written.
pub(crate) struct Sink {
    texts: Option<Sender<(To, String)>>,
    writer: Option<JoinHandle<()>>,
}

/// Where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The result.
    Stdout,
    /// Everything else.
    Stderr,
}

impl Sink {
    /// Onto these streams. What cannot be written any more (the reader went away) is dropped.
    pub(crate) fn new(
        mut stdout: Box<dyn Write + Send>,
        mut stderr: Box<dyn Write + Send>,
    ) -> Self {
        let (texts, waiting) = channel::<(To, String)>();
        let writer = std::thread::spawn(move || {
            let mut told = false;
            for (to, text) in waiting {
                let stream = match to {
                    To::Stdout => &mut stdout,
                    To::Stderr => &mut stderr,
                };
                let written = stream
                    .write_all(text.as_bytes())
                    .and_then(|()| stream.flush());
                if let (Err(error), To::Stdout, false) = (written, to, told)
                    && error.kind() != ErrorKind::BrokenPipe
                {
                    told = true;
                    // The rollout goes on: what happens on the hosts does not wait for who looks.
                    let _nobody_left = writeln!(stderr, "warning: stdout: {error}: output is lost");
                }
            }
        });
        Self {
            texts: Some(texts),
            writer: Some(writer),
        }
    }

    /// Adds a line.
    pub(crate) fn line(&self, to: To, mut line: String) {
        line.push('\n');
        self.text(to, line);
    }

    /// Adds text as it is.
    pub(crate) fn text(&self, to: To, text: String) {
        if let Some(texts) = &self.texts {
            // The thread ends only after this; there is nobody else to tell.
            let _ended = texts.send((to, text));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.texts.take());
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
use std::io;

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
        let written = Shared::default();
        let sink = Sink::new(Box::new(Gone), Box::new(written.clone()));
        for _ in 0..1000 {
            sink.line(To::Stdout, "x".to_owned());
        }
        sink.line(To::Stderr, "still heard".to_owned());
        drop(sink);
        assert_eq!(written.text(), "still heard\n");
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_result_that_a_full_disk_swallows_is_told_once() {
        let written = Shared::default();
        let sink = Sink::new(Box::new(Full), Box::new(written.clone()));
        sink.line(To::Stdout, "x".to_owned());
        sink.line(To::Stdout, "y".to_owned());
        drop(sink);
        assert_eq!(
            written.text(),
            "warning: stdout: no storage space: output is lost\n"
        );
    }

    #[test]
    fn lines_keep_their_order_and_are_all_written() {
        let written = Shared::default();
        let sink = Sink::new(Box::new(written.clone()), Box::new(written.clone()));
        for number in 0..100 {
            let to = if number % 3 == 0 {
                To::Stdout
            } else {
                To::Stderr
            };
            sink.line(to, number.to_string());
        }
        drop(sink);
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(written.text(), expected);
    }
}
