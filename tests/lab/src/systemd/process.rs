//! Processes of units: starting one, hearing its output and its end, and finding all that belong together.
//!
//! There are no control groups without root. Instead every process carries its unit's `INVOCATION_ID` and its host's mark
//! in its environment.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::mpsc::UnboundedSender;

use super::unit::Exit;

/// The environment variable that marks all processes of a lab host.
pub(crate) const HOST_MARK: &str = "ROLLCTL_LAB_HOST";
/// The end of a process waits so long for its last lines, which a child may hold open.
const LAST_LINES: Duration = Duration::from_millis(50);
/// A longer line is cut, as journald cuts it.
const MAX_LINE: usize = 48 * 1024;

/// What a unit's processes do, and what comes due.
#[derive(Debug)]
pub(crate) enum Event {
    Output {
        unit: String,
        invocation: String,
        pid: i32,
        identifier: String,
        line: String,
    },
    /// The program was executed, or could not be: the step that failed, and why.
    Executed {
        unit: String,
        pid: i32,
        failure: Option<(String, String)>,
    },
    Exited {
        unit: String,
        pid: i32,
        exit: Exit,
    },
    /// A timer that was armed in the state with this token.
    Due {
        unit: String,
        token: u64,
    },
    /// Time to look whether the unit's last process is gone.
    Look {
        unit: String,
        token: u64,
    },
}

/// What to start.
pub(crate) struct Launch<'a> {
    pub(crate) unit: &'a str,
    pub(crate) invocation: &'a str,
    pub(crate) identifier: String,
    pub(crate) path: &'a str,
    pub(crate) argv: &'a [String],
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) working_directory: &'a str,
    pub(crate) directory_may_miss: bool,
}

impl Launch<'_> {
    /// Starts it through the lab's own program, which opens a session, binds its life to ours, and executes it.
    pub(crate) fn start(self, program: &Path, events: &UnboundedSender<Event>) -> io::Result<i32> {
        let (reader, writer) = io::pipe()?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let may_miss = if self.directory_may_miss {
            "may-miss"
        } else {
            "must-be"
        };
        let mut child = Command::new(program)
            .args(["__lab", "exec", self.working_directory, may_miss, self.path])
            .args(self.argv)
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap_or(0);
        let unit = self.unit.to_owned();
        let ours = tokio::net::UnixStream::from_std(ours)?;
        tokio::spawn(report_execution(unit.clone(), pid, ours, events.clone()));
        let output = pipe::Receiver::from_owned_fd(reader.into())?;
        let (invocation, identifier) = (self.invocation.to_owned(), self.identifier);
        let mut reading = tokio::spawn(read_lines(
            unit.clone(),
            invocation,
            pid,
            identifier,
            output,
            events.clone(),
        ));
        let events = events.clone();
        tokio::spawn(async move {
            let exit = child.wait().await.map_or(Exit::Killed(9), exit_of);
            let _ = tokio::time::timeout(LAST_LINES, &mut reading).await;
            let _ = events.send(Event::Exited { unit, pid, exit });
        });
        Ok(pid)
    }
}

/// An empty message means that execve(2) closed the socket: it worked.
async fn report_execution(
    unit: String,
    pid: i32,
    mut socket: tokio::net::UnixStream,
    events: UnboundedSender<Event>,
) {
    let mut message = String::new();
    let _ = socket.read_to_string(&mut message).await;
    let failure = message
        .split_once(' ')
        .map(|(step, reason)| (step.to_owned(), reason.to_owned()));
    let _ = events.send(Event::Executed { unit, pid, failure });
}

async fn read_lines(
    unit: String,
    invocation: String,
    pid: i32,
    identifier: String,
    output: pipe::Receiver,
    events: UnboundedSender<Event>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        line.truncate(MAX_LINE);
        let text = String::from_utf8_lossy(&line)
            .trim_end_matches('\n')
            .to_owned();
        line.clear();
        if text.is_empty() {
            continue;
        }
        let (unit, invocation, identifier) = (unit.clone(), invocation.clone(), identifier.clone());
        let _ = events.send(Event::Output {
            unit,
            invocation,
            pid,
            identifier,
            line: text,
        });
    }
}

pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Exited(code),
        (None, Some(signal)) if status.core_dumped() => Exit::Dumped(signal),
        (None, signal) => Exit::Killed(signal.unwrap_or(9)),
    }
}

/// The processes of one invocation, ordered by pid; `roots` are those of its processes that we have not reaped.
pub(crate) fn members(invocation: &str, roots: &[i32]) -> Vec<i32> {
    if invocation.is_empty() {
        return Vec::new();
    }
    find(&format!("INVOCATION_ID={invocation}"), roots)
}

/// Everything that runs on a lab host.
pub(crate) fn members_of_host(mark: &str) -> Vec<i32> {
    find(&format!("{HOST_MARK}={mark}"), &[])
}

/// The program's name, as `ps` shows it.
pub(crate) fn name_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

/// All processes with this in their environment, the roots, and the descendants of both; no zombies.
fn find(assignment: &str, roots: &[i32]) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = BTreeSet::new();
    let mut parents = Vec::new();
    for pid in fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
    {
        let Some((state, parent)) = stat(pid) else {
            continue;
        };
        if state == 'Z' || pid == own {
            continue;
        }
        parents.push((pid, parent));
        if roots.contains(&pid) || has_in_environment(pid, assignment) {
            found.insert(pid);
        }
    }
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// State and parent from `/proc/<pid>/stat`, whose second field may hold anything.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((state, parent))
}

fn has_in_environment(pid: i32, assignment: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|entry| entry == assignment.as_bytes())
}
