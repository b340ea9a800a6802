//! A `rollctl` at work, whose events are read as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A run that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) struct Running {
    child: Child,
    begun: Instant,
    events: Arc<Mutex<Vec<Value>>>,
    reading: JoinHandle<()>,
    complaining: JoinHandle<String>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) events: Vec<Value>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let sink = Arc::clone(&events);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    sink.lock().unwrap().push(event);
                }
            }
        });
        let complaining = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            begun: Instant::now(),
            events,
            reading,
            complaining,
        }
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until a condition holds; false if the run ends before, or the limit is over.
    pub(crate) fn wait_for(&mut self, limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if is_so() {
                return true;
            }
            if self.is_over() || begun.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until an action of that kind begins (`action_started`) or ends (`action_ended`) on a host that is asked for;
    /// answers which.
    pub(crate) fn wait_for_action(
        &mut self,
        kind: &str,
        action: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let events = Arc::clone(&self.events);
        let mut found = None;
        self.wait_for(PATIENCE, || {
            found = events
                .lock()
                .unwrap()
                .iter()
                .filter(|event| event["kind"] == kind && event["action"] == action)
                .filter_map(|event| event["instance"].as_str())
                .find(|host| is_it(host))
                .map(ToOwned::to_owned);
            found.is_some()
        });
        found
    }

    /// Lets it run for a while, or until it ends.
    pub(crate) fn run_on(&mut self, time: Duration) {
        self.wait_for(time, || false);
    }

    /// `kill -9`; false if it had ended before.
    pub(crate) fn kill(&mut self) -> bool {
        let lives = !self.is_over();
        let _ = self.child.kill();
        lives
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        while !self.is_over() {
            if self.begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let stderr = self.complaining.join().unwrap();
                panic!(
                    "rollctl hangs: {stderr}\n{:#?}",
                    self.events.lock().unwrap()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        self.reading.join().unwrap();
        let stderr = self.complaining.join().unwrap();
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        Ended {
            code,
            events,
            stderr,
            took: self.begun.elapsed(),
        }
    }
}

impl Ended {
    /// In which action each host was at the end: `(host, action)`.
    pub(crate) fn last_of(&self, host: &str) -> Option<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.events
            .iter()
            .rev()
            .find(|event| event["instance"] == host && event.get("action").is_some())
            .map(|event| (text(&event["kind"]), text(&event["action"])))
    }
}
