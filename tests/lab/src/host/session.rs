//! One session channel: a command with its three streams, as sshd runs it without a terminal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::systemd::{Exit, exit_of, send_signal};

const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";
/// Of extended data that is standard error.
const STDERR: Option<u32> = Some(1);

/// Where a login lands.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) shell: String,
    pub(super) home: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
}

impl Place {
    /// `$SHELL -c COMMAND`, or a login shell.
    fn command(&self, line: Option<&str>, variables: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["__lab", "login"])
            .args(line)
            .env_clear()
            .envs(&self.environment)
            .env("SHELL", &self.shell)
            .envs(variables)
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Serves the channel until its command is over or the client is gone. A command whose client is gone runs on.
pub(super) async fn run(channel: Channel<Msg>, handle: Handle, place: &Place) {
    let id = channel.id();
    let (mut read, write) = channel.split();
    let mut variables = BTreeMap::new();
    let child = loop {
        let Some(message) = read.wait().await else {
            return;
        };
        let started = match message {
            ChannelMsg::SetEnv {
                variable_name,
                variable_value,
                ..
            } => {
                // What Debian's sshd accepts.
                let known = variable_name == "LANG" || variable_name.starts_with("LC_");
                if known {
                    variables.insert(variable_name, variable_value);
                }
                let _ = if known {
                    handle.channel_success(id).await
                } else {
                    handle.channel_failure(id).await
                };
                continue;
            }
            ChannelMsg::Exec { command, .. } => {
                let line = String::from_utf8_lossy(&command).into_owned();
                place.command(Some(&line), &variables).spawn()
            }
            ChannelMsg::RequestShell { .. } => place.command(None, &variables).spawn(),
            ChannelMsg::RequestSubsystem { name, .. } if name == "sftp" => {
                place.command(Some(SFTP_SERVER), &variables).spawn()
            }
            ChannelMsg::RequestPty { .. }
            | ChannelMsg::RequestSubsystem { .. }
            | ChannelMsg::AgentForward { .. } => {
                let _ = handle.channel_failure(id).await;
                continue;
            }
            ChannelMsg::Close => return,
            _ => continue,
        };
        match started {
            Ok(child) => break child,
            Err(_) => {
                let _ = handle.channel_failure(id).await;
            }
        }
    };
    let _ = handle.channel_success(id).await;
    attend(read, write, handle, child).await;
}

/// Three streams and an end.
async fn attend(
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    handle: Handle,
    mut child: Child,
) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .unwrap_or(0);
    if let Some(stdin) = child.stdin.take() {
        let input = tokio::spawn(listen(read, stdin, pid));
        // Ends with the channel.
        drop(input);
    }
    let out = child
        .stdout
        .take()
        .map(|stdout| tokio::spawn(pump(stdout, write.make_writer())));
    let err = child
        .stderr
        .take()
        .map(|stderr| tokio::spawn(pump(stderr, write.make_writer_ext(STDERR))));
    if let Ok(status) = child.wait().await {
        tell_end(&write, &handle, status).await;
    }
    for stream in [out, err].into_iter().flatten() {
        let _ = stream.await;
    }
    let _ = write.eof().await;
    let _ = write.close().await;
}

async fn tell_end(write: &ChannelWriteHalf<Msg>, handle: &Handle, status: ExitStatus) {
    match exit_of(status) {
        Exit::Exited(code) => {
            let _ = write.exit_status(u32::try_from(code).unwrap_or(1)).await;
        }
        end @ (Exit::Killed(signal) | Exit::Dumped(signal)) => {
            let dumped = matches!(end, Exit::Dumped(_));
            let _ = handle
                .exit_signal_request(
                    write.id(),
                    ssh_signal(signal),
                    dumped,
                    String::new(),
                    String::new(),
                )
                .await;
        }
    }
}

/// Client to command. A command that reads slowly must not hold up the connection's other channels, so what it has not
/// read yet waits in memory.
async fn listen(mut read: ChannelReadHalf, stdin: ChildStdin, pid: i32) {
    let (sender, queue) = unbounded_channel();
    tokio::spawn(feed(stdin, queue));
    let mut sender = Some(sender);
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if let Some(sender) = &sender {
                    // A command that closed its input does not want it.
                    let _ = sender.send(data);
                }
            }
            ChannelMsg::Eof => sender = None,
            ChannelMsg::Signal { signal } => {
                send_signal(-pid, unix_signal(&signal));
            }
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

async fn feed<B: AsRef<[u8]>>(mut stdin: ChildStdin, mut queue: UnboundedReceiver<B>) {
    while let Some(data) = queue.recv().await {
        if stdin.write_all(data.as_ref()).await.is_err() {
            return;
        }
    }
}

/// Command to client; when the client is gone the pipe closes, and the command finds out as it writes.
async fn pump(mut from: impl AsyncRead + Unpin, to: impl AsyncWrite) {
    tokio::pin!(to);
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.flush().await;
}

/// What a client can send, by number.
fn ssh_signal(number: i32) -> Sig {
    match number {
        1 => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        6 => Sig::ABRT,
        8 => Sig::FPE,
        9 => Sig::KILL,
        10 => Sig::USR1,
        11 => Sig::SEGV,
        13 => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        other => Sig::Custom(other.to_string()),
    }
}

fn unix_signal(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM | Sig::Custom(_) => 15,
    }
}
