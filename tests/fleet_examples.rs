//! The examples do what their pages say: a copy, in which only what the page tells to replace is replaced, and the page's own
//! commands, on real hosts and under load.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

mod support;

#[path = "fleet_traffic/load.rs"]
mod load;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use load::{Habit, Load};
use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use support::{Controller, Run};

/// A reader's copy of an example, on a machine that reaches the fleet with `ssh` and has `rollctl` in its `PATH`.
struct Copy {
    home: Controller,
    addresses: Vec<(&'static str, String)>,
}

impl Copy {
    /// Copies `examples/NAME` and replaces the addresses of its page by those of the fleet's hosts, in that order, and below
    /// `[ssh]` the key.
    fn of(name: &str, fleet: &Fleet, page: &[&'static str]) -> Self {
        assert_eq!(page.len(), fleet.hosts().len());
        let hosts = fleet.hosts().iter().map(|host| host.address().to_string());
        let copy = Self {
            home: Controller::new(),
            addresses: page.iter().copied().zip(hosts).collect(),
        };
        for entry in fs::read_dir(Path::new("examples").join(name)).unwrap() {
            let from = entry.unwrap().path();
            let to = copy.write(from.file_name().unwrap().to_str().unwrap(), |to| {
                let text = copy.replace(&fs::read_to_string(&from).unwrap());
                fs::write(to, text).unwrap();
            });
            fs::set_permissions(to, fs::metadata(&from).unwrap().permissions()).unwrap();
        }
        copy.log_in(fleet);
        copy
    }

    /// Makes the login that a reader has already: for rollctl in `fleet.toml`, for ssh where it finds it by itself.
    fn log_in(&self, fleet: &Fleet) {
        let (key, hosts) = (fleet.identity(), fleet.known_hosts());
        let (key, hosts) = (key.display(), hosts.display());
        let fleet_toml = self.home.path("example/fleet.toml");
        let text = fs::read_to_string(&fleet_toml).unwrap();
        let user = "user = \"root\"\n";
        assert!(text.contains(user));
        let login = format!("{user}identity = \"{key}\"\nknown_hosts = \"{hosts}\"\n");
        fs::write(fleet_toml, text.replace(user, &login)).unwrap();
        let config = self.home.write(
            "ssh_config",
            format!(
                "IdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile {hosts}\nBatchMode yes\n"
            ),
        );
        for program in ["ssh", "scp"] {
            let script = format!(
                "#!/bin/sh\nexec /usr/bin/{program} -F {} \"$@\"\n",
                config.display()
            );
            let path = self.home.write(&format!("bin/{program}"), script);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn write(&self, name: &str, content: impl FnOnce(&Path)) -> PathBuf {
        let path = self.home.path("example").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        content(&path);
        path
    }

    fn replace(&self, text: &str) -> String {
        // The longest first: `192.0.2.1` must not be taken for a part of `192.0.2.11`.
        let mut text = text.to_owned();
        let mut addresses = self.addresses.clone();
        addresses.sort_by_key(|(page, _)| std::cmp::Reverse(page.len()));
        for (page, host) in addresses {
            text = text.replace(page, &host);
        }
        assert!(!text.contains("192.0.2."), "an address is left in {text}");
        text
    }

    /// The page's blocks of commands.
    fn blocks(&self) -> Vec<String> {
        let page = fs::read_to_string(self.home.path("example/README.md")).unwrap();
        let blocks = page.split("```sh\n").skip(1);
        blocks
            .map(|rest| rest.split("```").next().unwrap().to_owned())
            .collect()
    }

    /// Runs a block of commands as a shell would that has been told to stop at the first failure.
    #[track_caller]
    fn run(&self, block: &str) -> Run {
        let rollctl = Path::new(env!("CARGO_BIN_EXE_rollctl")).parent().unwrap();
        let path = format!(
            "{}:{}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.home.path("bin").display(),
            rollctl.display()
        );
        let output = Command::new("sh")
            .args(["-exc", block])
            .current_dir(self.home.path("example"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path(""))
            .env("USER", "ann")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let run = Run::of(&output).exits(0);
        eprintln!("{}", run.text());
        run
    }

    /// Runs the whole page: what comes before the newer release, then the rest under load of all
    /// `addresses`. After each release a user of each has to get what the page says.
    fn follow(&self, addresses: &[SocketAddr], habits: &[Habit]) {
        let blocks = self.blocks();
        let [before @ .., first, newer, back] = &blocks[..] else {
            panic!("the page has only {} blocks of commands", blocks.len());
        };
        for block in before {
            self.run(block);
        }
        self.run(first).says("completed: 3 of 3 on `v1`");
        assert_answers(addresses, "hello from web-0", "v1");
        let load = Load::start(addresses, habits);
        // One that connects and says nothing holds up nobody.
        let _silent = TcpStream::connect(addresses[0]).unwrap();
        self.run(newer)
            .says("completed: 3 of 3 on `v2`")
            .says("web-03");
        assert_answers(addresses, "good day from web-0", "v2");
        self.run(back).says("completed: 3 of 3 on `v1`");
        assert_answers(addresses, "hello from web-0", "v1");
        assert_nothing_failed(load);
    }
}

#[track_caller]
fn assert_nothing_failed(load: Load) {
    let seen = load.stop();
    eprintln!(
        "{} requests, {} of them slow, {} failures",
        seen.asked,
        seen.slow,
        seen.failures.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(seen.asked > 500 && seen.slow > 2, "{seen:?}");
}

/// Asks each as the page does, with curl.
#[track_caller]
fn assert_answers(addresses: &[SocketAddr], greeting: &str, revision: &str) {
    for address in addresses {
        let output = Command::new("curl")
            .args(["-fsS", &format!("http://{address}/")])
            .output()
            .unwrap();
        let said = Run::of(&output).exits(0).stdout;
        assert!(
            said.starts_with(greeting) && said.ends_with(&format!(", {revision}\n")),
            "{said:?}"
        );
    }
}

/// Installs this machine's HAProxy on a host, of the same distribution, as its package does.
fn install_haproxy(host: &Host) {
    let files = r#"{ dpkg -L haproxy | grep -v '^/usr/share/'; ldd /usr/sbin/haproxy | grep -o '/[^ ]*'; } |
        while read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done | tar -chPf - -T -"#;
    let output = Command::new("sh").args(["-c", files]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    host.write_file("/tmp/haproxy.tar", &output.stdout, 0o600)
        .unwrap();
    host.sh(
        "tar -xPf /tmp/haproxy.tar --skip-old-files && ldconfig && useradd --system haproxy && \
         systemd-tmpfiles --create haproxy.conf && systemctl daemon-reload",
    )
    .unwrap();
}

#[test]
fn behind_haproxy_the_page_holds() {
    if rollctl_fleet::skip() {
        return;
    }
    let options = FleetOptions::hosts(4, Base::Full).prefix("web");
    let fleet = Fleet::boot(options).unwrap();
    let balancer = fleet.host(3);
    install_haproxy(balancer);
    let copy = Copy::of(
        "haproxy",
        &fleet,
        &["192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.5"],
    );
    let address = [(balancer.address(), 80).into()];
    copy.follow(
        &address,
        &[Habit::Keeps, Habit::Fresh, Habit::Slow { ms: 2_000 }],
    );
    fleet.shut_down().unwrap();
}

#[test]
fn with_a_socket_that_systemd_holds_the_page_holds() {
    if rollctl_fleet::skip() {
        return;
    }
    let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web")).unwrap();
    let copy = Copy::of(
        "socket-activation",
        &fleet,
        &["192.0.2.11", "192.0.2.12", "192.0.2.13"],
    );
    let hosts = fleet.hosts().iter();
    let addresses: Vec<_> = hosts.map(|host| (host.address(), 8080).into()).collect();
    copy.follow(&addresses, &[Habit::Fresh, Habit::Slow { ms: 2_000 }]);
    fleet.shut_down().unwrap();
}

#[test]
fn side_by_side_the_page_holds() {
    if rollctl_fleet::skip() {
        return;
    }
    let options = FleetOptions::hosts(3, Base::Full).prefix("web");
    let fleet = Fleet::boot(options).unwrap();
    let balancer = fleet.host(2);
    install_haproxy(balancer);
    let copy = Copy::of(
        "side-by-side",
        &fleet,
        &["192.0.2.11", "192.0.2.12", "192.0.2.5"],
    );
    let blocks = copy.blocks();
    let [set_up, trust, first, newer, bad, back] = &blocks[..] else {
        panic!("the page has {} blocks of commands", blocks.len());
    };
    copy.run(set_up);
    copy.run(trust);
    copy.run(first).says("completed: 2 of 2 on `v1`");
    let address = [(balancer.address(), 80).into()];
    assert_answers(&address, "hello from web-0", "v1");
    let load = Load::start(
        &address,
        &[Habit::Keeps, Habit::Fresh, Habit::Slow { ms: 2_000 }],
    );
    std::thread::scope(|scope| {
        let run = scope.spawn(|| copy.run(newer));
        wait_for_units(fleet.host(0), &["web@v1.service", "web@v2.service"]);
        run.join()
            .unwrap()
            .says("side-by-side")
            .says("completed: 2 of 2 on `v2`");
    });
    assert_answers(&address, "good day from web-0", "v2");
    copy.run(bad).says("no such database").says("exit code 10");
    assert_answers(&address, "good day from web-0", "v2");
    copy.run(back).says("completed: 2 of 2 on `v1`");
    assert_answers(&address, "hello from web-0", "v1");
    for host in &fleet.hosts()[..2] {
        wait_for_units(host, &["web@v1.service"]);
    }
    assert_nothing_failed(load);
    fleet.shut_down().unwrap();
}

/// Looks as the page does.
#[track_caller]
fn wait_for_units(host: &Host, expected: &[&str]) {
    let begun = Instant::now();
    loop {
        let shown = host
            .sh("systemctl list-units --plain --no-legend 'web@*'")
            .unwrap();
        let units: Vec<_> = shown
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        if units == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{shown}");
    }
}
