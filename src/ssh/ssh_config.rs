//! What `ssh_config` says about a host: asked from `ssh -G` where ssh is installed, else read by ourselves.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use super::config_file;
use super::survey::{HostLines, files_read};
use super::tokens;

/// One `ssh -G` takes about 8 ms of CPU; more at once than this only makes them wait for each other.
const QUERIES_AT_ONCE: usize = 8;

/// Where the ssh configuration comes from. Answers are remembered, so one is kept for a whole run.
#[derive(Debug)]
pub struct SshConfig {
    source: Source,
    queries: Semaphore,
    answers: Answers<Question>,
    /// What in the configuration tells hosts apart; nothing: more than its `Host` lines may.
    host_lines: OnceCell<Option<HostLines>>,
    shared: Answers<Kind>,
}

type Answers<Of> = Mutex<HashMap<Of, Arc<OnceCell<Answer>>>>;

/// What questions have in common that have the same answer, but for the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// Which of the configuration's `Host` lines match.
    matching: Vec<bool>,
    user: Option<String>,
    port: Option<u16>,
}

#[derive(Debug)]
enum Source {
    /// `ssh -G`, with `-F file` if one is given: Include, Match and tokens are then right by definition.
    Program {
        program: PathBuf,
        file: Option<PathBuf>,
    },
    /// Our own reader, on these files in order.
    Files(Vec<PathBuf>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
}

/// What the configuration says about one host; paths and commands with their tokens not yet expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) host_name: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) identity_files: Vec<String>,
    pub(crate) certificate_files: Vec<String>,
    pub(crate) identities_only: bool,
    pub(crate) identity_agent: Option<String>,
    pub(crate) proxy_jump: Option<String>,
    pub(crate) proxy_command: Option<String>,
    pub(crate) user_known_hosts: Option<Vec<String>>,
    pub(crate) global_known_hosts: Option<Vec<String>>,
    pub(crate) host_key_alias: Option<String>,
}

impl SshConfig {
    /// The user's and the system's configuration, as ssh itself reads them.
    pub fn system() -> Self {
        match find_program("ssh") {
            Some(program) => Self::with(Source::Program {
                program,
                file: None,
            }),
            None => Self::own_reader(
                tokens::home()
                    .map(|home| home.join(".ssh/config"))
                    .into_iter()
                    .chain([PathBuf::from("/etc/ssh/ssh_config")])
                    .collect(),
            ),
        }
    }

    /// One file instead of the usual ones (`ssh -F`).
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match find_program("ssh") {
            Some(program) => Self::with(Source::Program {
                program,
                file: Some(path),
            }),
            None => Self::own_reader(vec![path]),
        }
    }

    /// These files in order, read without the help of ssh: no `Match`. Files that do not exist are passed over.
    pub fn own_reader(files: Vec<PathBuf>) -> Self {
        Self::with(Source::Files(files))
    }

    fn with(source: Source) -> Self {
        Self {
            source,
            queries: Semaphore::new(QUERIES_AT_ONCE),
            answers: Mutex::default(),
            host_lines: OnceCell::new(),
            shared: Mutex::default(),
        }
    }

    /// What is said about a name. Each question is asked once.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, String> {
        let cell = cell(&self.answers, &question);
        cell.get_or_try_init(|| self.look_up(&question))
            .await
            .cloned()
    }

    async fn look_up(&self, question: &Question) -> Result<Answer, String> {
        match &self.source {
            Source::Files(files) => config_file::look_up(files, &question.name),
            Source::Program { program, file } => {
                let ssh = Ssh {
                    program,
                    file: file.as_deref(),
                };
                match self.kind(&ssh, question).await {
                    Some(kind) => self.look_up_shared(&ssh, kind, question).await,
                    None => self.query(&ssh, question).await,
                }
            }
        }
    }

    /// Which questions have the same answer as this one; nothing: it may be the only one.
    async fn kind(&self, ssh: &Ssh<'_>, question: &Question) -> Option<Kind> {
        let host_lines = self.host_lines.get_or_init(|| ssh.host_lines(question));
        Some(Kind {
            matching: host_lines.await.as_ref()?.matching(&question.name)?,
            user: question.user.clone(),
            port: question.port,
        })
    }

    async fn look_up_shared(
        &self,
        ssh: &Ssh<'_>,
        kind: Kind,
        question: &Question,
    ) -> Result<Answer, String> {
        let cell = cell(&self.shared, &kind);
        let shared = cell.get_or_try_init(|| async {
            let mut answer = self.query(ssh, question).await?;
            // The name that is dialled is the one that was asked about: then it is each one's own.
            answer.host_name.take_if(|name| *name == question.name);
            Ok::<_, String>(answer)
        });
        match shared.await? {
            shared if shared.host_name.is_none() => Ok(Answer {
                host_name: Some(question.name.clone()),
                ..shared.clone()
            }),
            _ => self.query(ssh, question).await,
        }
    }

    async fn query(&self, ssh: &Ssh<'_>, question: &Question) -> Result<Answer, String> {
        let _permit = self.queries.acquire().await;
        ssh.query(question).await
    }
}

/// The place of an answer, which is looked up once however many ask.
fn cell<Of: Clone + Eq + Hash>(answers: &Answers<Of>, of: &Of) -> Arc<OnceCell<Answer>> {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(answers.entry(of.clone()).or_default())
}

/// The program, as it is asked.
struct Ssh<'a> {
    program: &'a Path,
    file: Option<&'a Path>,
}

impl Ssh<'_> {
    async fn query(&self, question: &Question) -> Result<Answer, String> {
        let output = self.run(&["-G"], question).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            // The first line is the place and the mistake; the rest repeats it.
            let said = said
                .lines()
                .find(|line| line.contains(':'))
                .unwrap_or("no reason given");
            return Err(said.trim().to_owned());
        }
        Ok(parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads the files that ssh reads. Where it cannot, nothing is shared, and who is asked about says what is wrong.
    async fn host_lines(&self, question: &Question) -> Option<HostLines> {
        let output = self.run(&["-v", "-G"], question).await.ok()?;
        let files = files_read(&String::from_utf8_lossy(&output.stderr));
        files
            .filter(|_| output.status.success())
            .and_then(|files| HostLines::read(&files))
    }

    async fn run(&self, flags: &[&str], question: &Question) -> Result<Output, String> {
        let mut command = Command::new(self.program);
        command.args(flags);
        if let Some(file) = self.file {
            command.arg("-F").arg(file);
        }
        if let Some(user) = &question.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = question.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg("--").arg(&question.name);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await;
        output.map_err(|error| format!("`{} -G` cannot be run: {error}", self.program.display()))
    }
}

/// Reads the output of `ssh -G`: a lower-case keyword, a space, the value up to the end of the line.
fn parse(text: &str) -> Answer {
    let mut answer = Answer::default();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim();
        if !value.is_empty() {
            answer.take(keyword, value);
        }
    }
    answer
}

impl Answer {
    fn take(&mut self, keyword: &str, value: &str) {
        let text = || Some(value.to_owned());
        match keyword {
            "hostname" => self.host_name = text(),
            "user" => self.user = text(),
            "port" => self.port = value.parse().ok(),
            "identityfile" => self.identity_files.push(value.to_owned()),
            "certificatefile" => self.certificate_files.push(value.to_owned()),
            "identitiesonly" => self.identities_only = value == "yes",
            "identityagent" => self.identity_agent = text(),
            "proxyjump" => self.proxy_jump = text(),
            "proxycommand" => self.proxy_command = text(),
            "userknownhostsfile" => self.user_known_hosts = Some(paths(value)),
            "globalknownhostsfile" => self.global_known_hosts = Some(paths(value)),
            "hostkeyalias" => self.host_key_alias = text(),
            _ => {}
        }
    }
}

/// Splits a list of paths as `ssh -G` prints it: without quotes, so a word that starts no path belongs to the one before.
fn paths(value: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let starts_path = word.starts_with(['/', '~', '%', '$']) || word == "none";
        match paths.last_mut() {
            Some(last) if !starts_path => {
                last.push(' ');
                last.push_str(word);
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths
}

fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
#[path = "ssh_config_tests.rs"]
mod tests;
