//! HAProxy processes on this machine, before the service on a fleet's hosts.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rollctl_fleet::Host;

/// A HAProxy that is killed with its handle. It retries nothing: whatever goes wrong reaches the client.
pub(crate) struct Haproxy {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Haproxy {
    pub(crate) fn start(hosts: &[Host]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let socket = folder.path().join("admin.sock");
        let mut text = format!(
            "global\n  stats socket {} level admin\n\
             defaults\n  mode http\n  retries 0\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
             frontend in\n  bind 127.0.0.1:{port}\n  default_backend web\n\
             backend web\n  balance roundrobin\n  option httpchk GET /healthz\n",
            socket.display()
        );
        for host in hosts {
            writeln!(
                text,
                "  server {} {}:8080 check inter 250ms rise 2 fall 2",
                host.name(),
                host.address()
            )
            .unwrap();
        }
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, text).unwrap();
        let process = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            folder,
        }
    }

    /// As the inventory names its runtime API.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.folder.path().join("admin.sock").display())
    }

    pub(crate) fn tell(&self, command: &str) -> String {
        let socket = self.folder.path().join("admin.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The servers that nobody has out of traffic, as HAProxy itself says.
    pub(crate) fn attached(&self) -> Vec<String> {
        let answer = self.tell("show servers state web");
        let servers = answer.lines().filter(|line| line.contains(" web "));
        let fields = servers.map(|line| line.split(' ').collect::<Vec<_>>());
        fields
            .filter(|fields| fields[6] == "0")
            .map(|fields| fields[3].to_owned())
            .collect()
    }

    /// Where its users connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self.address())
    }
}
