//! An nginx on this machine, before the service on a fleet's hosts, and an sshd of its own by which rollctl reaches it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollctl_fleet::Host;

use super::server::Sshd;

const NGINX: &str = "/usr/sbin/nginx";

/// An nginx that is ended with its handle. It tries nothing twice: whatever goes wrong reaches the client.
pub(crate) struct Nginx {
    process: Child,
    port: u16,
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
        let sshd = Sshd::start();
        let folder = sshd.folder.path();
        let place = folder.display().to_string();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut upstream = "upstream web {\n".to_owned();
        for host in hosts {
            writeln!(upstream, "  server {}:8080 down;", host.address()).unwrap();
        }
        upstream.push_str("}\n");
        std::fs::write(folder.join("web-upstream.conf"), upstream).unwrap();
        let config = format!(
            "user root;\ndaemon off;\nworker_processes 2;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\nevents {{}}\n\
             http {{\n access_log off;\n client_body_temp_path {place}/body;\n proxy_temp_path {place}/proxy;\n\
             include {place}/web-upstream.conf;\n server {{\n  listen 127.0.0.1:{port};\n  location / {{\n\
             proxy_pass http://web;\n   proxy_next_upstream off;\n  }}\n }}\n}}\n"
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
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
            sshd,
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

    /// What it runs on, and the home of who logs in.
    fn folder(&self) -> &Path {
        self.sshd.folder.path()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The balancers as hosts `lb-1`, `lb-2`, ... of the inventory, and the service's `traffic`.
    pub(crate) fn inventory(balancers: &[Self]) -> String {
        let (mut text, mut endpoints) = (String::new(), Vec::new());
        for (at, balancer) in balancers.iter().enumerate() {
            let name = format!("lb-{}", at + 1);
            writeln!(
                text,
                "\n[hosts.{name}]\naddress = \"127.0.0.1:{}\"\nuser = \"{}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"",
                balancer.sshd.port,
                super::server::whoami(),
                balancer.sshd.path("user").display(),
                balancer.sshd.path("known_hosts").display(),
            )
            .unwrap();
            let folder = balancer.folder().display();
            endpoints.push(format!("\"ssh://{name}{folder}/web-upstream.conf\""));
        }
        // One program for all: where it runs, its home says which nginx is meant.
        format!(
            "{text}[services.web.traffic]\ndriver = \"nginx\"\nendpoints = [{}]\ndrain_timeout = \"30s\"\n\
             nginx = [\"sh\", \"-c\", 'exec {NGINX} -e \"$HOME/error.log\" -c \"$HOME/nginx.conf\" \"$0\" \"$@\"']\n",
            endpoints.join(", ")
        )
    }

    /// Servers that the file has down.
    pub(crate) fn down(&self) -> usize {
        let text = std::fs::read_to_string(self.folder().join("web-upstream.conf")).unwrap();
        text.lines().filter(|line| line.contains(" down;")).count()
    }
}
