//! A real sshd on a free port of 127.0.0.1, with a configuration, keys and folder of its own.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollctl::ssh::{Connector, Session, SshConfig, SshError, Target, Tuning};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// Whether the tests can run; says why not. In CI a missing sshd is a failure.
pub(crate) fn is_available() -> bool {
    let missing = [SSHD, "/usr/bin/ssh-keygen"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    let Some(missing) = missing else {
        return true;
    };
    assert!(
        std::env::var("CI").is_err_and(|_| true),
        "`{missing}` is missing: in CI these tests must run"
    );
    println!("skipped: `{missing}` is missing");
    false
}

/// A running sshd. Everything it started is killed when it is dropped.
pub(crate) struct Sshd {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    child: Child,
}

impl Sshd {
    /// One ed25519 host key, one accepted user key (`user`), and `known_hosts` with the host key.
    pub(crate) fn start() -> Self {
        Self::with("", &["ed25519"])
    }

    /// The same with further configuration lines and these kinds of host key.
    pub(crate) fn with(extra: &str, host_keys: &[&str]) -> Self {
        Self::prepared(extra, host_keys, |_| ())
    }

    /// The same with something done in the folder once the keys are made, before sshd reads them.
    pub(crate) fn prepared(extra: &str, host_keys: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for kind in host_keys {
            keygen(&path.join(format!("host_{kind}")), kind);
        }
        keygen(&path.join("user"), "ed25519");
        std::fs::copy(path.join("user.pub"), path.join("authorized_keys")).unwrap();
        prepare(path);
        prepare_run_folder();
        // A port found free may be taken by another test before sshd binds it, so a few are tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            if let Some(child) = launch(path, port, extra, host_keys) {
                let server = Self {
                    port,
                    folder,
                    child,
                };
                server.write_known_hosts(host_keys);
                return server;
            }
        }
        panic!(
            "sshd does not start: {}",
            std::fs::read_to_string(path.join("log")).unwrap_or_default()
        );
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    fn write_known_hosts(&self, kinds: &[&str]) {
        let lines: String = kinds
            .iter()
            .map(|kind| {
                format!(
                    "[127.0.0.1]:{} {}",
                    self.port,
                    self.public(&format!("host_{kind}.pub"))
                )
            })
            .collect();
        std::fs::write(self.path("known_hosts"), lines).unwrap();
    }

    /// A public key file's content, with its line end.
    pub(crate) fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A target with the accepted key and the right `known_hosts`.
    pub(crate) fn target(&self) -> Target {
        Target {
            port: Some(self.port),
            user: Some(whoami()),
            identity: Some(self.path("user")),
            known_hosts: Some(self.path("known_hosts")),
            ..Target::new("web-01", "127.0.0.1")
        }
    }

    pub(crate) async fn connect(&self) -> Session {
        connector().connect(&self.target()).await.unwrap()
    }

    pub(crate) async fn refuse(&self, target: &Target) -> SshError {
        connector()
            .connect(target)
            .await
            .expect_err("login must not succeed")
    }

    /// The processes of open connections (everything below the listener).
    pub(crate) fn connections(&self) -> Vec<Pid> {
        descendants(self.child.id())
    }

    pub(crate) fn signal_connections(&self, signal: Signal) {
        for pid in self.connections() {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let below = self.connections();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn launch(path: &Path, port: u16, extra: &str, host_keys: &[&str]) -> Option<Child> {
    let keys: String = host_keys
        .iter()
        .map(|kind| format!("HostKey {}\n", path.join(format!("host_{kind}")).display()))
        .collect();
    // The home is the test's own: the start-up files of whoever runs the tests are slow, write to standard error, and may
    // hold locks that a killed shell leaves behind.
    let folder = path.display();
    // Nor is anything armed with the systemd of that machine.
    let no_systemd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ssh/no_systemd");
    let config = format!(
        "{extra}\nPort {port}\nListenAddress 127.0.0.1\nPidFile none\n{keys}\
         AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n\
         SetEnv HOME={folder} \"PATH={no_systemd}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\"\n{}",
        penalties()
    );
    std::fs::write(path.join("sshd_config"), config).unwrap();
    let log = std::fs::File::create(path.join("log")).unwrap();
    let mut child = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(path.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        let log = std::fs::read_to_string(path.join("log")).unwrap();
        if log.contains("Server listening") && TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Newer servers lock an address out after a few refused logins, which is what some tests provoke.
fn penalties() -> &'static str {
    let version = Command::new(SSHD).arg("-V").output().unwrap();
    let text = String::from_utf8_lossy(&version.stderr).into_owned();
    let number = text.split("OpenSSH_").nth(1).unwrap_or_default();
    let digits: String = number
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    match digits.parse::<f64>() {
        Ok(number) if number >= 9.8 => "PerSourcePenalties no\n",
        _ => "",
    }
}

/// sshd run by root insists on its folder.
fn prepare_run_folder() {
    if whoami() == "root" {
        let _ = std::fs::create_dir("/run/sshd");
    }
}

pub(crate) fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn keygen(path: &Path, kind: &str) {
    run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            kind,
            "-N",
            "",
            "-C",
            "test key",
            "-f",
            path.to_str().unwrap(),
        ],
    );
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Short times, no configuration of the person who runs the tests.
pub(crate) fn tuning() -> Tuning {
    Tuning {
        keepalive: Duration::from_millis(500),
        keepalive_missed: 2,
        idle_timeout: Duration::from_secs(2),
        ..Tuning::default()
    }
}

pub(crate) fn connector() -> Connector {
    Connector::new(empty_config(), tuning())
}

/// Neither the agent nor the keys of the person who runs the tests.
pub(crate) fn empty_config() -> SshConfig {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty_ssh_config");
    let text = "Host *\n  IdentityAgent none\n  IdentityFile /nonexistent/key\n";
    // Tests run at once: nobody may see half a file.
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.persist(&path).unwrap();
    SshConfig::file(path)
}

/// A configuration with this text, kept in the server's folder.
pub(crate) fn config(server: &Sshd, text: &str) -> SshConfig {
    let (_, path) = tempfile::Builder::new()
        .prefix("ssh_config")
        .tempfile_in(server.folder.path())
        .unwrap()
        .keep()
        .unwrap();
    std::fs::write(&path, text).unwrap();
    SshConfig::file(path)
}

fn descendants(root: u32) -> Vec<Pid> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The name in brackets may hold anything; the parent is the second field after it.
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut found = vec![root];
    let mut index = 0;
    while index < found.len() {
        let children: Vec<u32> = parents
            .iter()
            .filter(|(_, parent)| *parent == found[index])
            .map(|(pid, _)| *pid)
            .collect();
        found.extend(children);
        index += 1;
    }
    found
        .into_iter()
        .skip(1)
        .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        .collect()
}
