//! A lab host answers as systemd does. Each script in `cases/` was run on a Debian 12 host with systemd 252 as a user with
//! lingering; what it printed there is in the `.expected` beside it.
#![expect(clippy::expect_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use rollctl_lab::LabHost;
use support::{Login, lab, wait_until};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let paths = fs::read_dir(folder)
        .expect("cases")
        .flatten()
        .map(|entry| entry.path());
    let mut scripts: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "sh"))
        .collect();
    scripts.sort();
    scripts
}

#[test]
fn every_recorded_answer_is_given() {
    let scripts = cases();
    let lab = lab(scripts.len());
    let prelude = fs::read_to_string(scripts[0].with_file_name("prelude")).expect("the prelude");
    let run = |script: &Path, host: &LabHost| {
        let text = prelude.clone() + &fs::read_to_string(script).expect("a script");
        fs::write(host.home().join("case.sh"), text).expect("a file");
        let home = host.home().display().to_string();
        let given = Login::new(&lab, host)
            .run("sh case.sh </dev/null")
            .out
            .replace(&home, "~");
        let expected =
            fs::read_to_string(script.with_extension("expected")).expect("what systemd said");
        difference(script, &expected, &given)
    };
    let wrong: String = thread::scope(|scope| {
        let run = &run;
        let pairs = scripts.iter().zip(lab.hosts());
        let threads: Vec<_> = pairs
            .map(|(script, host)| scope.spawn(move || run(script, host)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a case that ends"))
            .collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// The first lines that differ, with what led there.
fn difference(script: &Path, expected: &str, given: &str) -> String {
    if expected == given {
        return String::new();
    }
    let (expected, given): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), given.lines().collect());
    let common = expected
        .iter()
        .zip(&given)
        .take_while(|(one, other)| one == other)
        .count();
    let around = |lines: &[&str]| {
        lines
            .iter()
            .skip(common.saturating_sub(3))
            .take(8)
            .copied()
            .collect::<Vec<_>>()
            .join("\n  ")
    };
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "{name}, line {}:\nsystemd:\n  {}\nlab:\n  {}\n\n",
        common + 1,
        around(&expected),
        around(&given)
    )
}

#[test]
fn what_is_enabled_starts_with_the_host() {
    let lab = lab(1);
    let host = &lab.hosts()[0];
    let login = Login::new(&lab, host);
    login.ask(
        "mkdir -p ~/.config/systemd/user; cd ~/.config/systemd/user
        printf '[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=default.target\\n' > on.service
        printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > off.service
        systemctl --user daemon-reload; systemctl --user enable on; systemctl --user start on off",
    );
    host.stop();
    host.start().expect("a boot");
    let login = Login::new(&lab, host);
    assert_eq!(login.ask("systemctl --user is-active on"), "active");
    assert_eq!(
        login.run("systemctl --user is-active off").out,
        "inactive\n"
    );
    assert!(
        login
            .ask("journalctl --user -u off -o cat")
            .contains("Started off.service."),
        "the journal outlives a reboot"
    );
}

#[test]
fn hosts_know_nothing_of_each_other() {
    let lab = lab(2);
    let [one, other] = [0, 1].map(|index| Login::new(&lab, &lab.hosts()[index]));
    one.ask("systemd-run --user --quiet --unit=only /bin/sleep 1000");
    assert_eq!(one.ask("systemctl --user is-active only"), "active");
    assert_eq!(
        other.run("systemctl --user is-active only").out,
        "inactive\n"
    );
    let pid: i32 = one
        .ask("systemctl --user show --value -p MainPID only")
        .parse()
        .expect("a pid");
    lab.hosts()[1].stop();
    assert!(support::is_alive(pid));
    lab.hosts()[0].stop();
    wait_until("the service is gone with its host", || {
        !support::is_alive(pid)
    });
}

#[test]
fn nobody_becomes_root() {
    let lab = lab(1);
    let answer = Login::new(&lab, &lab.hosts()[0]).run("sudo -n true");
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (Some(1), "sudo: a password is required\n")
    );
}
