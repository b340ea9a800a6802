//! An nginx on this machine, before the service on a fleet's hosts, and an sshd of its own by which rollctl reaches it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollctl_fleet::Host;

use super::server::Sshd;

const NGINX: &str = "/usr/sbin/nginx";

/// An nginx that is ended with its handle. It tries nothing twice: whatever goes wrong reaches the client.
pub(crate) struct Nginx {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
    sshd: Sshd,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}

impl Nginx {
    pub(crate) fn start(hosts: &[Host]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display().to_string();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut upstream = "upstream web {\n".to_owned();
        for host in hosts {
            writeln!(upstream, "  server {}:8080 down;", host.address()).unwrap();
        }
        upstream.push_str("}\n");
        std::fs::write(folder.path().join("web-upstream.conf"), upstream).unwrap();
        let config = format!(
            "user root;\ndaemon off;\nworker_processes 2;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\nevents {{}}\n\
             http {{\n access_log off;\n client_body_temp_path {place}/body;\n proxy_temp_path {place}/proxy;\n\
             include {place}/web-upstream.conf;\n server {{\n  listen 127.0.0.1:{port};\n  location / {{\n\
             proxy_pass http://web;\n   proxy_next_upstream off;\n  }}\n }}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = Command::new(NGINX)
            .args([
                "-e",
                &format!("{place}/error.log"),
                "-c",
                &format!("{place}/nginx.conf"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self {
            process,
            port,
            folder,
            sshd: Sshd::start(),
        };
        let begun = Instant::now();
        while TcpStream::connect(nginx.address()).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "nginx does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The balancer as a host of the inventory, and the service's `traffic`.
    pub(crate) fn inventory(&self) -> String {
        let place = self.folder.path().display();
        format!(
            "\n[hosts.lb-01]\naddress = \"127.0.0.1:{}\"\nuser = \"{}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"\n\
             [services.web.traffic]\ndriver = \"nginx\"\nendpoints = [\"ssh://lb-01{place}/web-upstream.conf\"]\n\
             nginx = [\"{NGINX}\", \"-e\", \"{place}/error.log\", \"-c\", \"{place}/nginx.conf\"]\ndrain_timeout = \"30s\"\n",
            self.sshd.port,
            super::server::whoami(),
            self.sshd.path("user").display(),
            self.sshd.path("known_hosts").display(),
        )
    }

    /// Servers that the file has down.
    pub(crate) fn down(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("web-upstream.conf")).unwrap();
        text.lines().filter(|line| line.contains(" down;")).count()
    }
}
