//! What can be known before anything goes down; each mistake is refused with what to do about it.

use std::collections::BTreeMap;

use super::facts::{Current, Facts};
use super::machine::{Machine, Queue, dir};
use super::script::{Request, refused};
use super::side;
use super::systemd::{Exec, Unit, UnitText, parse_unit_text};
use super::upload::step;
use crate::core::fleet::{Scope, Service};
use crate::core::ids::UnitName;
use crate::core::revision::Architecture;
use crate::ports::{Controller, HostError, PackageContents};

/// The oldest systemd that shows all that is read here.
const SYSTEMD: u32 = 239;

/// Programs that run others; a version may follow the name.
const INTERPRETERS: [&str; 11] = [
    "python", "perl", "ruby", "node", "php", "java", "env", "sh", "bash", "dash", "busybox",
];

/// Room that is left free beside the revision, in bytes.
const SPARE_SPACE: u64 = 16 << 20;

/// Room that is left free beside the revision's files, in inodes.
const SPARE_INODES: u64 = 64;

/// What of the host and its rights forbids any work on the service.
pub(crate) fn check_host(service: &Service, facts: &Facts) -> Result<(), HostError> {
    if facts.systemd < SYSTEMD {
        return Err(refused(
            format!("systemd {} is too old", facts.systemd),
            Some(format!("systemd {SYSTEMD} or newer is needed")),
        ));
    }
    if facts.lingers == Some(false) {
        let what = match service.scope {
            Scope::User => "the services",
            Scope::System => "the timers (the dead-man's switch)",
        };
        return Err(refused(
            format!("{what} of `{}` end with its last login", facts.login),
            Some(format!(
                "`loginctl enable-linger {}` on the host",
                facts.login
            )),
        ));
    }
    if facts.current == Current::Other {
        return Err(refused(
            format!("`{}/current` is not a symbolic link", facts.dir),
            Some("move it away, or choose another `install_dir`".into()),
        ));
    }
    check_rights(service, facts)
}

/// The restricted set-up (contract, section 4): the login user owns install_dir and may restart, not more.
fn check_rights(service: &Service, facts: &Facts) -> Result<(), HostError> {
    if facts.uid == 0 || service.scope == Scope::User {
        return Ok(());
    }
    let keys = [
        ("unit_file", !service.unit_files.is_empty()),
        ("link", service.link.is_some()),
        ("environment", !service.environment.is_empty()),
    ];
    for (key, is_used) in keys {
        if is_used {
            return Err(refused(
                format!("`{key}` needs root, and `{}` is not root", facts.login),
                Some(format!("set `become = \"sudo\"`, or leave `{key}` out")),
            ));
        }
    }
    Ok(())
}

/// Whether a program of that machine runs on the host.
pub(crate) fn check_architecture(
    elf: Option<&Architecture>,
    facts: &Facts,
) -> Result<(), HostError> {
    let Some(Architecture(elf)) = elf else {
        return Ok(());
    };
    let host = facts.architecture.0.as_str();
    let runs = elf == host
        || matches!(
            (elf.as_str(), host),
            (
                "i386" | "i486" | "i586" | "i686" | "x86",
                "x86_64" | "i386" | "i486" | "i586" | "i686"
            ) | (
                "arm" | "armv6l" | "armv7l",
                "arm" | "armv6l" | "armv7l" | "armv8l" | "aarch64"
            )
        );
    if runs {
        return Ok(());
    }
    Err(refused(
        format!("the artifact is for {elf}, the host is {host}"),
        Some(format!(
            "give an artifact for it: `artifact = {{ {host} = \"...\" }}`"
        )),
    ))
}

/// The units, as they will be with the revision: there, long-lived, and starting what `current` leads to.
pub(crate) fn check_units(
    service: &Service,
    facts: &Facts,
    texts: &BTreeMap<UnitName, String>,
    is_adopted: bool,
) -> Result<(), HostError> {
    if service.template().is_some() {
        return side::check_template(service, facts, texts, &home(service, facts));
    }
    for unit in &facts.units {
        let name = &unit.state.started.unit;
        if unit.state.load == "masked" {
            return Err(refused(
                format!("unit `{name}` is masked"),
                Some(format!("`systemctl unmask {name}` on the host")),
            ));
        }
        let text = texts
            .get(name)
            .map(|text| parse_unit_text(text, &home(service, facts)));
        let has_file = unit.state.load != "not-found" && !unit.fragment.is_empty();
        if text.is_none() && !has_file {
            return Err(refused(
                format!("unit `{name}` is not installed"),
                Some("install it on the host, or give `unit_file`".into()),
            ));
        }
        let text = text.unwrap_or_else(|| UnitText {
            kind: Some(unit.kind.clone()),
            user: Some(unit.user.clone()),
            exec_start: unit.exec_start.clone(),
        });
        if text.kind.as_deref() == Some("oneshot") {
            return Err(refused(
                format!("unit `{name}` is `Type=oneshot`: it does not stay up"),
                Some("rollctl rolls services that keep running".into()),
            ));
        }
        if !is_adopted {
            check_reach(service, facts, name, &text.exec_start)?;
        }
    }
    Ok(())
}

/// Whether systemd holds the socket that the inventory names; a host without the unit cannot have it yet.
pub(crate) fn check_socket(service: &Service, facts: &Facts) -> Result<(), HostError> {
    let Some(socket) = &service.socket else {
        return Ok(());
    };
    let is_there = |unit: &Unit| unit.state.load != "not-found";
    let is_held = facts.units.iter().any(|unit| unit.sockets.contains(socket));
    if is_held || !facts.units.iter().any(is_there) {
        return Ok(());
    }
    Err(refused(
        format!("no unit of the service is activated by `{socket}` here"),
        Some(format!(
            "`systemctl enable --now {socket}` on the host; without it, what comes during a restart is refused"
        )),
    ))
}

fn check_reach(
    service: &Service,
    facts: &Facts,
    unit: &UnitName,
    exec: &[Exec],
) -> Result<(), HostError> {
    let mut paths = vec![format!("{}/current", facts.dir)];
    paths.extend(service.link.clone());
    if exec.iter().any(|exec| exec.reaches(&paths)) {
        return Ok(());
    }
    let started = exec.first().map_or("nothing", |exec| exec.path.as_str());
    let own = format!(
        "let ExecStart name `{}/current/{}`",
        facts.dir, service.binary
    );
    Err(refused(
        format!(
            "unit `{unit}` starts `{started}`, which `{}/current` would not change",
            facts.dir
        ),
        Some(match exec.first().and_then(replaceable) {
            Some(path) => format!("set `link = \"{path}\"`, or {own}"),
            None => own,
        }),
    ))
}

/// What `link` may replace: the program, but of an interpreter, which others need too, the script.
fn replaceable(exec: &Exec) -> Option<&str> {
    let program = exec.path.rsplit('/').next()?;
    let version = |letter: char| letter.is_ascii_digit() || letter == '.';
    if !INTERPRETERS.contains(&program.trim_end_matches(version)) {
        return Some(&exec.path);
    }
    let script = |word: &&String| word.starts_with('/');
    exec.argv.iter().skip(1).find(script).map(String::as_str)
}

fn home(service: &Service, facts: &Facts) -> String {
    match service.scope {
        Scope::User => facts.home.clone(),
        Scope::System => "/root".to_owned(),
    }
}

/// Space, mount options, sudo and who may read, tried on the host.
pub(crate) async fn check_place(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    contents: &PackageContents,
    need: Option<u64>,
    controller: Option<&Controller>,
) -> Result<(), HostError> {
    let mut request = match controller {
        Some(controller) => step("preflight", service, controller),
        None => Request::new("preflight").option("dir", dir(service)),
    };
    if let Some(user) = user(service, facts, contents) {
        check_modes(service, facts, contents, &user)?;
        request = request.option("user", user);
    }
    for unit in &service.units {
        request = request.option("unit", unit);
    }
    let answer = machine.read(Queue::Work, request).await?;
    let answer = String::from_utf8_lossy(&answer);
    let dir = &facts.dir;
    for line in answer.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("writable", "no") => {
                return Err(refused(
                    format!("cannot write in `{dir}`"),
                    Some(format!(
                        "`{}` must own it; is the disk full or read-only?",
                        facts.login
                    )),
                ));
            }
            ("exec", "no") => {
                return Err(refused(
                    format!("nothing can be executed in `{dir}`: it is mounted `noexec`"),
                    Some("choose another `install_dir`, or remount it".into()),
                ));
            }
            ("traverse", "no") => {
                return Err(refused(
                    format!("the unit's user cannot enter `{dir}`"),
                    Some(format!("`chmod a+x` on `{dir}` and the folders above it")),
                ));
            }
            ("sudo", command) => {
                return Err(refused(
                    format!("sudo does not allow `{}` to run `{command}`", facts.login),
                    Some(format!(
                        "add `{} ALL=(root) NOPASSWD: /usr/bin/{command}` to /etc/sudoers.d/rollctl",
                        facts.login
                    )),
                ));
            }
            ("space", columns) => check_space(dir, columns, contents, need)?,
            _ => {}
        }
    }
    Ok(())
}

/// A revision's files belong to who installs them: the unit's user needs the rights of others.
fn check_modes(
    service: &Service,
    facts: &Facts,
    contents: &PackageContents,
    user: &str,
) -> Result<(), HostError> {
    let owner = if facts.uid == 0 {
        "root"
    } else {
        facts.login.as_str()
    };
    let is_closed = contents
        .files
        .iter()
        .any(|file| file.path == service.binary && file.mode & 0o005 != 0o005);
    if user == owner || contents.adopted.is_some() || !is_closed {
        return Ok(());
    }
    Err(refused(
        format!(
            "the unit's user `{user}` could not execute `{}`",
            service.binary
        ),
        Some("`chmod a+rx` the artifact".into()),
    ))
}

/// The user of the first unit, as it will be.
fn user(service: &Service, facts: &Facts, contents: &PackageContents) -> Option<String> {
    if service.scope == Scope::User {
        return None;
    }
    if service.template().is_some() {
        let text = contents.units.values().next()?;
        return parse_unit_text(text, "/root")
            .user
            .filter(|user| !user.is_empty());
    }
    let unit = facts.units.first()?;
    let user = match contents.units.get(&unit.state.started.unit) {
        Some(text) => parse_unit_text(text, "/root").user?,
        None if unit.has_dynamic_user => return None,
        None => unit.user.clone(),
    };
    Some(user).filter(|user| !user.is_empty())
}

/// `AVAILABLE_KB INODES FREE_INODES`; file systems without a table of inodes say 0 or `-`.
fn check_space(
    dir: &str,
    columns: &str,
    contents: &PackageContents,
    need: Option<u64>,
) -> Result<(), HostError> {
    let Some(need) = need else {
        return Ok(());
    };
    let numbers: Vec<u64> = columns
        .split_whitespace()
        .map(|column| column.parse().unwrap_or(0))
        .collect();
    let [available, inodes, free_inodes] = numbers.as_slice() else {
        return Ok(());
    };
    // A tenth more for the file system's own blocks.
    let wanted = need + need / 10 + SPARE_SPACE;
    if available.saturating_mul(1024) < wanted {
        return Err(refused(
            format!(
                "not enough space in `{dir}`: {} MB are free, {} MB are needed",
                available / 1024,
                wanted.div_ceil(1 << 20)
            ),
            Some(
                "free space there; `revision_history_limit` says how many revisions are kept"
                    .into(),
            ),
        ));
    }
    let files = contents.files.len() as u64 + SPARE_INODES;
    if *inodes > 0 && *free_inodes < files {
        return Err(refused(
            format!("not enough inodes in `{dir}`: {free_inodes} are free, {files} are needed"),
            Some("remove files on that file system".into()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interpreter_is_to_be_replaced() {
        for (argv, expected) in [
            (
                &["/usr/local/bin/web", "/etc/web.toml"][..],
                Some("/usr/local/bin/web"),
            ),
            (&["/usr/local/bin/shop"], Some("/usr/local/bin/shop")),
            (
                &["/usr/bin/python3.11", "-u", "/srv/api.py"],
                Some("/srv/api.py"),
            ),
            (&["/usr/bin/java", "-jar", "app.jar"], None),
        ] {
            let exec = Exec {
                path: argv[0].to_owned(),
                argv: argv.iter().map(|&word| word.to_owned()).collect(),
            };
            assert_eq!(replaceable(&exec), expected, "{argv:?}");
        }
    }

    #[test]
    fn space_is_counted_with_a_margin() {
        let contents = PackageContents::default();
        for (columns, need, is_enough, why) in [
            (
                "20480 1000 900",
                Some(1 << 20),
                true,
                "20 MB for 1 MB and 16 MB to spare",
            ),
            (
                "17408 1000 900",
                Some(1 << 20),
                false,
                "17 MB are not 1.1 + 16",
            ),
            ("20480 1000 63", Some(1 << 20), false, "no inodes"),
            ("20480 0 0", Some(1 << 20), true, "btrfs counts no inodes"),
            ("20480 - -", Some(1 << 20), true, "nor do others"),
            ("0 1000 0", None, true, "nothing travels"),
        ] {
            assert_eq!(
                check_space("/opt/web", columns, &contents, need).is_ok(),
                is_enough,
                "{why}"
            );
        }
    }
}
