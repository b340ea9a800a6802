//! The host's first process. It lives as long as the lab holds its standard input open, and takes everything with it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::net::{UnixListener, UnixStream};

use super::server::SshServer;
use crate::control::{BUILD, HostConfig, Order, Reply};
use crate::systemd::{HostFacts, Manager, SharedManager, members_of_host};
use crate::tools;

/// Killed processes are gone after this, or are beyond killing.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Runs a host until its control line closes.
pub(crate) fn run() -> i32 {
    // One thread: a child's parent-death signal follows the thread that started it, and this one lives as long as we do.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(live());
        // A blocked read of standard input must not hold us.
        runtime.shutdown_background();
        result
    });
    i32::from(result.is_err())
}

async fn live() -> io::Result<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let first = orders.next_line().await?.unwrap_or_default();
    let config: HostConfig = serde_json::from_str(&first)?;
    let result = serve(&config, &mut orders).await;
    if let Err(error) = &result {
        reply(Reply {
            error: Some(error.to_string()),
            ..Reply::default()
        })
        .await?;
    }
    kill_all(&config.mark).await;
    let _ = fs::remove_file(&config.socket);
    if matches!(result, Ok(End::Abandoned)) {
        clean_up(&config);
    }
    result.map(drop)
}

/// Why a host goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Halted,
    /// The lab is gone.
    Abandoned,
}

async fn serve(config: &HostConfig, orders: &mut Lines<BufReader<Stdin>>) -> io::Result<End> {
    let facts = facts(config);
    for folder in [&facts.home, &facts.runtime_dir] {
        fs::create_dir_all(folder)?;
    }
    // Of an earlier boot.
    let _ = fs::remove_file(&config.socket);
    let _ = fs::remove_dir_all(facts.runtime_dir.join("systemd"));
    let listener = UnixListener::bind(&config.socket)?;
    let environment = facts.environment();
    let manager = Manager::boot(facts);
    tokio::spawn(answer_shims(listener, manager));
    let server = Arc::new(SshServer::new(config, environment)?);
    let mut ssh_port = server.open(config.ssh_port).await?;
    reply(Reply {
        build: BUILD.to_owned(),
        ssh_port,
        ..Reply::default()
    })
    .await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let line = tokio::select! {
            line = orders.next_line() => line?,
            _ = terminate.recv() => None,
        };
        let Some(line) = line else {
            return Ok(End::Abandoned);
        };
        let order: Order = serde_json::from_str(&line)?;
        let mut error = None;
        match order {
            Order::CloseSsh => server.close(),
            Order::CutSsh => server.cut(),
            Order::OpenSsh => match server.open(ssh_port).await {
                Ok(port) => ssh_port = port,
                Err(reason) => error = Some(reason.to_string()),
            },
            Order::Count => {}
            Order::Halt => return Ok(End::Halted),
        }
        reply(Reply {
            build: BUILD.to_owned(),
            ssh_port,
            logins: server.logins(),
            error,
        })
        .await?;
    }
}

fn facts(config: &HostConfig) -> HostFacts {
    HostFacts {
        name: config.name.clone(),
        address: config.address.clone(),
        user: config.user.clone(),
        home: config.folder.join("home"),
        runtime_dir: config.folder.join("run"),
        journal: config.folder.join("journal.jsonl"),
        path: format!(
            "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            config.folder.join("bin").display()
        ),
        program: config.program.clone(),
        mark: config.mark.clone(),
    }
}

async fn reply(reply: Reply) -> io::Result<()> {
    let mut line = serde_json::to_string(&reply)?;
    line.push('\n');
    let mut out = tokio::io::stdout();
    out.write_all(line.as_bytes()).await?;
    out.flush().await
}

/// A process may start another while we look: so until nobody is left.
async fn kill_all(mark: &str) {
    let start = Instant::now();
    loop {
        let left = members_of_host(mark);
        if left.is_empty() || start.elapsed() > LAST_WAIT {
            return;
        }
        crate::systemd::kill_hard(&left);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Nobody else removes the folders of a lab that died: the last host does.
fn clean_up(config: &HostConfig) {
    if let Some(sockets) = config.socket.parent() {
        // Goes only if it is empty.
        let _ = fs::remove_dir(sockets);
    }
    if !config.is_temporary {
        return;
    }
    let _ = fs::remove_dir_all(&config.folder);
    let others = config
        .folder
        .parent()
        .and_then(|hosts| fs::read_dir(hosts).ok());
    if others.is_none_or(|mut others| others.next().is_none()) {
        let _ = fs::remove_dir_all(&config.lab_folder);
    }
}

async fn answer_shims(listener: UnixListener, manager: SharedManager) {
    while let Ok((stream, _)) = listener.accept().await {
        let manager = Arc::clone(&manager);
        tokio::spawn(async move {
            // A shim that was killed wants no answer.
            let _ = answer_shim(stream, &manager).await;
        });
    }
}

/// A line with the command's name and arguments as JSON; the answer as JSON until the end.
async fn answer_shim(mut stream: UnixStream, manager: &SharedManager) -> io::Result<()> {
    let mut request = String::new();
    let (read, mut write) = stream.split();
    BufReader::new(read)
        .take(1 << 20)
        .read_line(&mut request)
        .await?;
    let words: Vec<String> = serde_json::from_str(&request)?;
    let Some((tool, arguments)) = words.split_first() else {
        return Ok(());
    };
    let answer = tools::run(manager, tool, arguments).await;
    write.write_all(&serde_json::to_vec(&answer)?).await?;
    write.shutdown().await
}
