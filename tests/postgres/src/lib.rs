//! PostgreSQL for tests: a server of its own in a temporary folder, on a free port of this machine, which can be frozen, killed
//! and started again. It is gone when it is dropped, and also when the test process dies.

mod process;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The role that owns the databases.
pub const ROLE: &str = "rollctl";

/// A server that does not come up within this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whoever connects needs this password.
    pub password: Option<String>,
    /// Its certificate and its key, as PEM: then it takes TLS connections alone.
    pub tls: Option<(String, String)>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    options: Options,
    child: Option<Child>,
}

/// Whether tests cannot have a server here, which is said; with `CI=true` that is a failure.
///
/// # Panics
/// With `CI=true`, when PostgreSQL is not installed.
#[expect(clippy::print_stderr, reason = "whoever runs tests has to see it")]
pub fn skip() -> bool {
    if programs().is_some() {
        return false;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "PostgreSQL must be there in CI: `initdb` is not installed"
    );
    eprintln!("skipped: PostgreSQL is not installed (`initdb` is nowhere)");
    true
}

/// The folder with `initdb` and `postgres`: Debian keeps them out of `PATH`, one folder per version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path);
    folders
        .into_iter()
        .rev()
        .chain(in_path)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn problem(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}

impl Server {
    /// One that lets everybody in who reaches this machine's loopback.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> io::Result<Self> {
        Self::with(Options::default())
    }

    /// One with a password, or with TLS.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn with(options: Options) -> io::Result<Self> {
        let programs = programs().ok_or_else(|| problem("PostgreSQL is not installed"))?;
        let folder = TempDir::with_prefix("rollctl-postgres-")?;
        process::give(folder.path())?;
        let mut server = Self {
            folder,
            programs,
            port: 0,
            options,
            child: None,
        };
        server.prepare()?;
        server.start_again()?;
        server.sql(
            "postgres",
            &format!("CREATE ROLE {ROLE} LOGIN{}", server.with_password()),
        )?;
        Ok(server)
    }

    fn with_password(&self) -> String {
        match &self.options.password {
            Some(password) => format!(" PASSWORD '{password}'"),
            None => String::new(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that the server can read.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn prepare(&self) -> io::Result<()> {
        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(self.data()).args([
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "--no-locale",
            "-E",
            "UTF8",
            "--no-instructions",
        ]);
        succeeds(initdb.output()?)?;
        let (host, auth) = match (&self.options.tls, &self.options.password) {
            (Some(_), Some(_)) => ("hostssl", "scram-sha-256"),
            (Some(_), None) => ("hostssl", "trust"),
            (None, Some(_)) => ("host", "scram-sha-256"),
            (None, None) => ("host", "trust"),
        };
        // The tests themselves come by the socket.
        let rules = format!(
            "local all all trust\n{host} all all 127.0.0.1/32 {auth}\n{host} all all ::1/128 {auth}\n"
        );
        fs::write(self.data().join("pg_hba.conf"), rules)?;
        if let Some((certificate, key)) = &self.options.tls {
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                let path = self.data().join(name);
                fs::write(&path, text)?;
                process::give(&path)?;
                process::keep_private(&path)?;
            }
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        process::unprivileged(&self.programs.join(name), self.folder.path())
    }

    /// `postgres://rollctl@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a database that [`ROLE`] owns.
    ///
    /// # Errors
    /// When there is one already.
    pub fn create_database(&self, name: &str) -> io::Result<()> {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0"),
        )?;
        Ok(())
    }

    /// Runs SQL as the superuser; what it answers, a row on each line, its columns separated by `|`.
    ///
    /// # Errors
    /// With the server's words.
    pub fn sql(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.env_clear()
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-U", "postgres", "-d", database, "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-c", sql]);
        succeeds(psql.stdin(Stdio::null()).output()?)
    }

    /// Stops all its processes where they are (`SIGSTOP`): connections stay, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> io::Result<()> {
        process::signal_all(self.pid()?, process::Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> io::Result<()> {
        process::signal_all(self.pid()?, process::Signal::CONT)
    }

    /// `kill -9` of all its processes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> io::Result<()> {
        process::signal_all(self.pid()?, process::Signal::KILL)?;
        self.wait()
    }

    /// Stops it in order: it ends all connections.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&mut self) -> io::Result<()> {
        process::signal_one(self.pid()?, process::Signal::INT)?;
        self.wait()
    }

    /// Starts it again on its old port, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> io::Result<()> {
        if self.port == 0 {
            self.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let ssl = if self.options.tls.is_some() {
            "on"
        } else {
            "off"
        };
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data());
        for setting in [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1,::1".to_owned(),
            format!("unix_socket_directories={}", self.folder.path().display()),
            // The machine does not fail in a test, only the server.
            "fsync=off".to_owned(),
            "max_connections=60".to_owned(),
            "shared_buffers=16MB".to_owned(),
            format!("ssl={ssl}"),
        ] {
            postgres.args(["-c", &setting]);
        }
        self.child = Some(
            postgres
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()?,
        );
        let begun = Instant::now();
        loop {
            let Err(error) = self.sql("postgres", "SELECT 1") else {
                return Ok(());
            };
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?;
            if ended.flatten().is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log"))?;
                return Err(problem(format!("it does not come up: {error}\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid(&self) -> io::Result<u32> {
        let child = self.child.as_ref();
        child
            .map(Child::id)
            .ok_or_else(|| problem("it does not run"))
    }

    fn wait(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Ok(pid) = self.pid() else { return };
        // In this way it takes its shared memory away.
        let _ = self.thaw();
        let _ = process::signal_one(pid, process::Signal::QUIT);
        let begun = Instant::now();
        while let Some(Ok(None)) = self.child.as_mut().map(Child::try_wait) {
            if begun.elapsed() > Duration::from_secs(5) {
                let _ = self.kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn succeeds(output: Output) -> io::Result<String> {
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()),
        false => Err(problem(String::from_utf8_lossy(&output.stderr))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_up_and_is_gone_at_the_end() {
        if skip() {
            return;
        }
        let mut server = Server::start().unwrap();
        server.create_database("one").unwrap();
        assert_eq!(server.sql("one", "SELECT 1, 'x'").unwrap(), "1|x");
        server.kill().unwrap();
        assert!(server.sql("one", "SELECT 1").is_err());
        server.start_again().unwrap();
        assert_eq!(server.sql("one", "SELECT 2").unwrap(), "2");
        let (folder, pid) = (server.folder().to_owned(), server.pid().unwrap());
        drop(server);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
