//! One host of a lab, seen from the lab.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::control::{BUILD, HostConfig, Order, Reply};
use crate::lab::LabError;
use crate::systemd::{kill_hard, members_of_host};

/// A host that was told to halt has this long.
const HALT_TIME: Duration = Duration::from_secs(5);

/// A host of a [`Lab`](crate::Lab).
#[derive(Debug)]
pub struct LabHost {
    number: usize,
    public_key: String,
    state: Mutex<State>,
    // What does not change, so that it can be read without the lock.
    name: String,
    address: String,
    folder: PathBuf,
}

#[derive(Debug)]
struct State {
    config: HostConfig,
    process: Option<Process>,
    /// Of earlier boots.
    logins_before: u64,
}

#[derive(Debug)]
struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl LabHost {
    pub(crate) fn launch(
        config: HostConfig,
        public_key: String,
        number: usize,
    ) -> Result<Self, LabError> {
        let (name, address, folder) = (
            config.name.clone(),
            config.address.clone(),
            config.folder.clone(),
        );
        let process = Process::launch(&config).map_err(|error| failed(&name, error.to_string()))?;
        let state = Mutex::new(State {
            config,
            process: Some(process),
            logins_before: 0,
        });
        Ok(Self {
            number,
            public_key,
            state,
            name,
            address,
            folder,
        })
    }

    pub(crate) fn wait_until_ready(&self) -> Result<(), LabError> {
        let mut state = self.lock();
        let Some(process) = &mut state.process else {
            return Err(self.is_down());
        };
        let reply = process
            .reply()
            .map_err(|error| failed(&self.name, error.to_string()))?;
        if let Some(reason) = reply.error {
            return Err(failed(&self.name, reason));
        }
        if reply.build != BUILD {
            return Err(failed(
                &self.name,
                "its program was built from other sources than the lab".to_owned(),
            ));
        }
        state.config.ssh_port = reply.ssh_port;
        Ok(())
    }

    /// As the inventory calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// An address of its own in 127.0.0.0/8 (on Linux): its services may listen on the same port as other hosts'.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where its SSH server listens; the same after [`Self::start`].
    #[must_use]
    pub fn ssh_port(&self) -> u16 {
        self.lock().config.ssh_port
    }

    /// The user's home folder there.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Holds the shims.
    #[must_use]
    pub fn shims(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Holds home, shims, journal and runtime folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The host key, as in `known_hosts`.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Power off: connections break, every process is killed. Returns when nothing of it runs. No effect on a host that
    /// is down.
    pub fn stop(&self) {
        let mut state = self.lock();
        let Some(mut process) = state.process.take() else {
            return;
        };
        state.logins_before += process.order(Order::Count).map_or(0, |reply| reply.logins);
        process.halt();
        let start = Instant::now();
        while matches!(process.child.try_wait(), Ok(None)) {
            if start.elapsed() > HALT_TIME {
                // It is ours, and its own children have a parent-death signal.
                let _ = process.child.kill();
            }
            thread::sleep(Duration::from_millis(2));
        }
        // Only if it was killed itself is there anybody left.
        while start.elapsed() < 2 * HALT_TIME {
            let left = members_of_host(&state.config.mark);
            if left.is_empty() {
                break;
            }
            kill_hard(&left);
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn begin_halt(&self) {
        if let Some(process) = &mut self.lock().process {
            process.halt();
        }
    }

    /// Power on, on the same address and port; what is enabled starts. No effect on a host that is up.
    ///
    /// # Errors
    /// If its process does not come up.
    pub fn start(&self) -> Result<(), LabError> {
        {
            let mut state = self.lock();
            if state.process.is_some() {
                return Ok(());
            }
            let process = Process::launch(&state.config)
                .map_err(|error| failed(&self.name, error.to_string()))?;
            state.process = Some(process);
        }
        self.wait_until_ready()
    }

    /// Cuts all connections and refuses new ones, while services go on: a partition from SSH.
    ///
    /// # Errors
    /// If the host is down.
    pub fn close_ssh(&self) -> Result<(), LabError> {
        self.order(Order::CloseSsh).map(drop)
    }

    /// The end of [`Self::close_ssh`].
    ///
    /// # Errors
    /// If the host is down, or its port was taken meanwhile.
    pub fn open_ssh(&self) -> Result<(), LabError> {
        self.order(Order::OpenSsh).map(drop)
    }

    /// Breaks all present connections; new ones are welcome.
    ///
    /// # Errors
    /// If the host is down.
    pub fn cut_connections(&self) -> Result<(), LabError> {
        self.order(Order::CutSsh).map(drop)
    }

    /// How many logins there were since the lab booted.
    ///
    /// # Errors
    /// If the host's process does not answer; a host that is down does.
    pub fn login_count(&self) -> Result<u64, LabError> {
        if self.lock().process.is_none() {
            return Ok(self.lock().logins_before);
        }
        let now = self.order(Order::Count)?.logins;
        Ok(self.lock().logins_before + now)
    }

    /// The pids of all processes of the host: logins and services, without its own first process.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let mark = self.lock().config.mark.clone();
        members_of_host(&mark)
    }

    fn order(&self, order: Order) -> Result<Reply, LabError> {
        let mut state = self.lock();
        let Some(process) = &mut state.process else {
            return Err(self.is_down());
        };
        let reply = process
            .order(order)
            .map_err(|error| failed(&self.name, error.to_string()))?;
        match reply.error {
            Some(reason) => Err(failed(&self.name, reason)),
            None => Ok(reply),
        }
    }

    fn is_down(&self) -> LabError {
        failed(&self.name, "it is down".to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LabHost {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    fn launch(config: &HostConfig) -> io::Result<Self> {
        let mut command = Command::new(&config.program);
        // A group of its own: Ctrl-C on the terminal is for the lab, which then ends its hosts.
        command
            .args(["__lab", "host"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let replies = child
            .stdout
            .take()
            .map(BufReader::new)
            .ok_or(io::ErrorKind::BrokenPipe)?;
        let mut process = Self {
            child,
            orders,
            replies,
        };
        process.send(&serde_json::to_string(config)?)?;
        Ok(process)
    }

    fn order(&mut self, order: Order) -> io::Result<Reply> {
        self.send(&serde_json::to_string(&order)?)?;
        self.reply()
    }

    /// Asks for the end without waiting for it.
    fn halt(&mut self) {
        if let Ok(order) = serde_json::to_string(&Order::Halt) {
            // It may be gone already.
            let _ = self.send(&order);
        }
        self.orders = None;
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(orders, "{line}")?;
        orders.flush()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.replies.read_line(&mut line)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "its process ended",
            ));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn failed(host: &str, reason: String) -> LabError {
    LabError::Host {
        host: host.to_owned(),
        reason,
    }
}
