//! Base systems: made once by debootstrap, kept outside the checkout, shared read-only by all hosts.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{FleetError, io, last_lines, must, output, run};

/// What every host has.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "openssh-server",
    "iproute2",
    "sudo",
    "procps",
];
/// What only [`Base::Full`] has beside.
const MORE_PACKAGES: &[&str] = &["zstd", "curl", "python3-minimal"];
/// What only [`Base::Peers`] has beside these.
const PEERS_PACKAGES: &[&str] = &["python3", "rsync"];
/// Runs inside a new base.
const CUSTOMISE: &str = include_str!("scripts/base.sh");

/// What is installed on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// With zstd, curl and python3.
    Full,
    /// Only what the contract asks of a host: POSIX sh, coreutils, util-linux, tar, systemd (and sudo).
    Minimal,
    /// As [`Base::Full`], and what the tools need that rollctl is compared with: all of python3, rsync.
    Peers,
}

impl Base {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Minimal => "minimal",
            Self::Peers => "peers",
        }
    }

    fn packages(self) -> String {
        let more: &[&[&str]] = match self {
            Self::Minimal => &[PACKAGES],
            Self::Full => &[PACKAGES, MORE_PACKAGES],
            Self::Peers => &[PACKAGES, MORE_PACKAGES, PEERS_PACKAGES],
        };
        more.concat().join(",")
    }

    /// The folder of this base; builds it if it is not there, while others wait.
    pub(crate) fn ensure(self) -> Result<PathBuf, FleetError> {
        let cache = cache();
        fs::create_dir_all(&cache).map_err(io(&cache))?;
        let suite = suite()?;
        let folder = cache.join(format!("base-{}-{}", self.name(), self.stamp(&suite)));
        // One lock for both: debootstraps that share a folder of packages disturb each other.
        let lock_path = cache.join("bases.lock");
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        lock.lock().map_err(io(&lock_path))?;
        if !folder.exists() {
            self.build(&suite, &cache, &folder)?;
        }
        Ok(folder)
    }

    /// Changes whenever the recipe does.
    fn stamp(self, suite: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (self.packages(), CUSTOMISE, suite).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Built aside and renamed when complete, so that half a base is never used.
    fn build(self, suite: &str, cache: &Path, folder: &Path) -> Result<(), FleetError> {
        let partial = cache.join(format!("base-{}.partial", self.name()));
        let packages = cache.join("packages");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        fs::create_dir_all(&packages).map_err(io(&packages))?;
        let mut debootstrap = Command::new("debootstrap");
        debootstrap
            .arg("--variant=minbase")
            .arg(format!("--include={}", self.packages()))
            .arg(format!("--cache-dir={}", packages.display()))
            .args([
                suite.as_ref(),
                partial.as_os_str(),
                archive(suite)?.as_ref(),
            ]);
        let answer = output(&mut debootstrap, b"")?;
        if !answer.status.success() {
            return Err(FleetError::Command {
                command: format!("debootstrap {suite}"),
                status: answer.status.to_string(),
                stderr: last_lines(&String::from_utf8_lossy(
                    &[answer.stdout, answer.stderr].concat(),
                )),
            });
        }
        must(
            Command::new("chroot")
                .arg(&partial)
                .args(["/bin/sh", "-c", CUSTOMISE]),
        )?;
        fs::rename(&partial, folder).map_err(io(folder))
    }
}

/// Where bases and the hosts' own files are kept.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("ROLLCTL_TEST_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/rollctl-tests"), PathBuf::from)
}

/// The release of this machine; the hosts run the same.
fn suite() -> Result<String, FleetError> {
    let release = fs::read_to_string("/etc/os-release").map_err(io("/etc/os-release"))?;
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or_default();
    Ok(suite.to_owned())
}

/// Where this machine's own packages come from. apt is asked, so that no archive is named here.
fn archive(suite: &str) -> Result<String, FleetError> {
    let format = "$(IDENTIFIER) $(COMPONENT) $(REPO_URI) $(RELEASE) $(CODENAME)";
    let targets = run("apt-get", &["indextargets", "--format", format])?;
    let archive = archive_of(&targets, suite).ok_or_else(|| FleetError::NoArchive {
        suite: suite.to_owned(),
    })?;
    Ok(archive.to_owned())
}

/// The address of the main archive of `suite` among apt's index targets; sources may name it by code name or as `stable`.
fn archive_of<'a>(targets: &'a str, suite: &str) -> Option<&'a str> {
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (identifier, component, uri) = (words.next()?, words.next()?, words.next()?);
        let usable = ["http://", "https://", "file:"]
            .iter()
            .any(|scheme| uri.starts_with(scheme));
        (identifier == "Packages"
            && component == "main"
            && usable
            && words.any(|word| word == suite))
        .then_some(uri)
    })
}

#[cfg(test)]
mod tests {
    use super::archive_of;

    #[test]
    fn the_main_archive_of_the_suite_is_found() {
        let rows = [
            (
                "named by code name",
                "Packages main http://a/debian/ bookworm bookworm",
                Some("http://a/debian/"),
            ),
            (
                "named as stable",
                "Packages main http://a/debian/ stable bookworm",
                Some("http://a/debian/"),
            ),
            (
                "updates only",
                "Packages main http://a/debian/ bookworm-updates bookworm-updates",
                None,
            ),
            (
                "another component",
                "Packages contrib http://a/debian/ bookworm bookworm",
                None,
            ),
            (
                "not an index of packages",
                "DEP-11 main http://a/debian/ bookworm bookworm",
                None,
            ),
            (
                "a scheme debootstrap lacks",
                "Packages main cdrom:[x]/ bookworm bookworm",
                None,
            ),
        ];
        for (row, targets, expected) in rows {
            assert_eq!(archive_of(targets, "bookworm"), expected, "{row}");
        }
    }
}
