//! Balancers on a host of the fleet, from this machine's own programs: the hosts run the same release.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use rollctl_fleet::Host;

const PATIENCE: Duration = Duration::from_secs(20);

/// The program and the libraries that the host has not.
fn install(host: &Host, program: &str) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        if host.sh(&format!("test -e {path}")).is_err() {
            let content = std::fs::read(path).unwrap();
            host.write_file(path, &content, 0o755).unwrap();
        }
    }
    host.sh("ldconfig").unwrap();
}

fn start(host: &Host, name: &str, command: &str) {
    let unit = format!(
        "[Service]\nExecStart={command}\nRuntimeDirectory={name}\n[Install]\nWantedBy=multi-user.target\n"
    );
    host.write_file(
        &format!("/etc/systemd/system/{name}.service"),
        unit.as_bytes(),
        0o644,
    )
    .unwrap();
    host.sh(&format!(
        "systemctl daemon-reload && systemctl enable --now {name}.service"
    ))
    .unwrap();
}

/// A HAProxy before these, whose socket everybody may use.
pub(crate) fn haproxy(host: &Host, servers: &[Host]) {
    install(host, "/usr/sbin/haproxy");
    let mut text = "global\n  stats socket /run/haproxy.sock level admin mode 666\n\
                    defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
                    frontend in\n  bind 127.0.0.1:8000\n  default_backend web\n\
                    backend web\n  option httpchk GET /healthz\n"
        .to_owned();
    for server in servers {
        let (name, address) = (server.name(), server.address());
        writeln!(
            text,
            "  server {name} {address}:8080 check inter 250ms rise 2 fall 2"
        )
        .unwrap();
    }
    host.write_file("/etc/haproxy.cfg", text.as_bytes(), 0o644)
        .unwrap();
    start(host, "haproxy", "/usr/sbin/haproxy -db -f /etc/haproxy.cfg");
    host.wait_until("test -S /run/haproxy.sock", PATIENCE)
        .unwrap();
}

/// A command of the host that prints the states of HAProxy's servers.
pub(crate) const ASK_HAPROXY: &str = "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => \"/run/haproxy.sock\"); \
                                      $s->autoflush(1); print $s \"show servers state web\\n\"; print <$s>'";

/// Asks HAProxy's runtime API.
pub(crate) fn tell_haproxy(host: &Host, command: &str) -> String {
    host.sh(&format!(
        "python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect(\"/run/haproxy.sock\")
s.sendall(b\"{command}\\n\")
print(s.makefile().read())'"
    ))
    .unwrap()
}

/// A server's operational and administrative state.
pub(crate) fn haproxy_state(host: &Host, server: &str) -> (u32, u32) {
    let answer = tell_haproxy(host, "show servers state web");
    let line = answer
        .lines()
        .find(|line| line.contains(&format!(" {server} ")))
        .unwrap();
    let fields: Vec<_> = line.split(' ').collect();
    (fields[5].parse().unwrap(), fields[6].parse().unwrap())
}

/// An nginx before these, on port 8000; the file with its upstream.
pub(crate) fn nginx(host: &Host, servers: &[Host]) -> &'static str {
    const FILE: &str = "/etc/nginx/web-upstream.conf";
    install(host, "/usr/sbin/nginx");
    let mut upstream = "upstream web {\n".to_owned();
    for server in servers {
        writeln!(
            upstream,
            "  server {}:8080 max_fails=0 down; # by hand",
            server.address()
        )
        .unwrap();
    }
    upstream.push_str("}\n");
    let config = "user root;\nworker_processes 2;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\nevents {}\nhttp {\n\
                  access_log off;\n include /etc/nginx/web-upstream.conf;\n server {\n  listen 127.0.0.1:8000;\n\
                  location / { proxy_pass http://web; }\n }\n}\n";
    host.write_file(FILE, upstream.as_bytes(), 0o644).unwrap();
    host.write_file("/etc/nginx/nginx.conf", config.as_bytes(), 0o644)
        .unwrap();
    host.sh("mkdir -p /var/log/nginx /var/lib/nginx").unwrap();
    start(host, "nginx", "/usr/sbin/nginx -g 'daemon off;'");
    host.wait_until("test -s /run/nginx.pid", PATIENCE).unwrap();
    FILE
}
