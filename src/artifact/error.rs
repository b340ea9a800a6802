//! Why an artifact cannot be released. All but a signature that does not count (5) are mistakes of the person at the
//! keyboard: exit code 2.

use std::io;
use std::path::PathBuf;

use super::trust_error::TrustError;
use crate::core::ids::ServiceName;
use crate::core::revision::Architecture;
use crate::core::source::SecretUrl;

/// Why a revision cannot be made of what was given.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactReadError {
    /// Neither the command line nor the inventory names an artifact.
    #[error("service `{service}` has no artifact")]
    NoArtifact {
        /// Which service.
        service: ServiceName,
    },
    /// Nothing is at that path.
    #[error("{what} `{path}` does not exist")]
    Missing {
        /// `artifact`, `unit file` or `file`.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// It is named by a URL, and the controller could not read it there.
    #[error("artifact `{url}` cannot be fetched: {problem}")]
    Fetch {
        /// Where.
        url: SecretUrl,
        /// The server's or the network's words, without secrets.
        problem: String,
    },
    /// It has no content.
    #[error("{what} `{path}` is empty")]
    Empty {
        /// `artifact`, `unit file` or `file`.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("{what} `{path}` cannot be read")]
    Unreadable {
        /// `artifact`, `unit file` or `file`.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a socket or something else that does not belong there.
    #[error("{what} `{path}` is {found}")]
    WrongKind {
        /// `artifact`, `unit file` or `file`.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What it is: `a folder`, `not text in UTF-8` ...
        found: &'static str,
    },
    /// The archive is damaged, or not what its name says.
    #[error("artifact `{path}` is not a readable {format} archive")]
    DamagedArchive {
        /// The archive.
        path: PathBuf,
        /// `tar`, `tar.gz` or `tar.zst`.
        format: &'static str,
        /// The words of who unpacked it.
        #[source]
        source: io::Error,
    },
    /// Something inside the folder or archive cannot be part of a revision.
    #[error("artifact `{path}`: `{entry}` {problem}")]
    Entry {
        /// The folder or archive.
        path: PathBuf,
        /// What is inside, with control characters escaped.
        entry: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// The folder or archive lacks the program.
    #[error("artifact `{path}` does not contain the binary `{binary}`")]
    NoBinary {
        /// The folder or archive.
        path: PathBuf,
        /// The name looked for.
        binary: String,
        /// Where a file of that name is instead.
        elsewhere: Option<String>,
    },
    /// The program cannot be executed.
    #[error("artifact `{path}` is not executable: {found}")]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The program is for another processor than the inventory says.
    #[error("artifact `{path}` is built for {machine}, but stands under `{key}`")]
    WrongMachine {
        /// The file.
        path: PathBuf,
        /// What it is built for.
        machine: Architecture,
        /// The key in the inventory.
        key: Architecture,
    },
    /// A secret is not in the controller's environment.
    #[error(
        "environment variable `{variable}` of service `{service}` is to come from `{env}`, which is {problem}"
    )]
    Secret {
        /// Which service.
        service: ServiceName,
        /// The variable on the host.
        variable: String,
        /// The variable on the controller.
        env: String,
        /// `not set` or `not text in UTF-8`.
        problem: &'static str,
    },
    /// A variable cannot be written for systemd.
    #[error("environment variable `{variable}` of service `{service}` {problem}")]
    Variable {
        /// Which service.
        service: ServiceName,
        /// The variable's name, with control characters escaped.
        variable: String,
        /// What is wrong with it, never its value.
        problem: &'static str,
    },
    /// It is not a build of somebody who is trusted.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// It is not what the digest file beside it says.
    #[error("artifact `{}` is not released: {problem}", artifact.display())]
    Digest {
        /// The artifact.
        artifact: PathBuf,
        /// Why.
        problem: String,
    },
    /// The controller's own disk failed.
    #[error("temporary folder for unpacking `{path}` cannot be used")]
    Scratch {
        /// The archive.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// Why something in a folder or archive cannot be part of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// `/etc/passwd`.
    #[error("is an absolute path")]
    Absolute,
    /// `../x`.
    #[error("leads out of the revision by `..`")]
    ParentFolder,
    /// A name that would not survive the way to the host.
    #[error("has a name with control characters or that is not UTF-8")]
    Name,
    /// A name longer than file systems take.
    #[error("has a name that is too long")]
    TooLong,
    /// rollctl's own folder.
    #[error("is reserved: rollctl keeps its own files in `.rollctl`")]
    Reserved,
    /// Device, socket, pipe.
    #[error("is neither a file, a folder nor a symbolic link")]
    Special,
    /// The same path a second time.
    #[error("is there twice")]
    Twice,
    /// A file where another entry needs a folder.
    #[error("is a file or link, and also a folder with something in it")]
    FileAndFolder,
    /// A symbolic link to `/...` or beyond the top.
    #[error("is a symbolic link that leads out of the revision")]
    LinkOutside,
    /// Links in a circle.
    #[error("is a symbolic link that leads in a circle")]
    LinkLoop,
    /// A hard link to something that was not seen before.
    #[error("is a hard link to a file that is not in the archive before it")]
    HardLink,
    /// A form of sparse file that is not understood.
    #[error("is a sparse file in a form that is not supported")]
    Sparse,
    /// Too much of everything.
    #[error("makes the revision larger than 8 GiB or 1,000,000 files")]
    TooLarge,
    /// It may not be read.
    #[error("cannot be read")]
    Unreadable,
}

impl ArtifactReadError {
    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoArtifact { service } => format!(
                "give it, as in `rollctl release {service} PATH`, or set `artifact` in the inventory"
            ),
            Self::Missing { .. } => {
                "was it built? a relative path on the command line starts at the working folder, one in the inventory at its file"
                    .to_owned()
            }
            Self::Fetch { url, .. } => match url.scheme() {
                "http" | "https" => "this machine reads it first, to know what it releases; does `curl` reach it from here, and is the link still valid?".to_owned(),
                scheme => super::cloud::hint(scheme),
            },
            Self::Empty { .. } => "build it again; nothing was released".to_owned(),
            Self::Unreadable { path, .. } => {
                format!("`ls -l {}` shows who may read it", path.display())
            }
            Self::WrongKind { what, .. } if *what == "artifact" => {
                "an artifact is a file, a folder, or a .tar, .tar.gz or .tar.zst archive".to_owned()
            }
            Self::WrongKind { what, .. } => format!("a {what} is a plain text or data file"),
            Self::DamagedArchive { format, .. } => {
                format!("pack it again; the ending of its name says that it is {format}")
            }
            Self::Entry { problem, .. } => return problem.hint().map(str::to_owned),
            Self::NoBinary {
                binary, elsewhere, ..
            } => match elsewhere {
                Some(place) => format!(
                    "`{place}` is there: pack without the leading folder, or set `binary = \"{place}\"`"
                ),
                None => format!("set `binary` in the inventory if it is not called `{binary}`"),
            },
            Self::NotExecutable { .. } => "a service's single file must be a 64-bit ELF program or a script that \
                 starts with `#!`; if something else runs it (`java -jar`, an interpreter), ship a folder that holds it"
                .to_owned(),
            Self::WrongMachine { machine, .. } => format!(
                "put it under `{machine}` in `artifact = {{ {machine} = \"...\" }}`, or build it for the other one"
            ),
            Self::Secret { env, .. } => format!("`export {env}=...` before rollctl is called"),
            Self::Variable { .. } => {
                "names have letters, digits and `_`; `ROLLCTL_...`, and `PORT` where `port` is set, come from rollctl"
                    .to_owned()
            }
            Self::Untrusted(error) => error.hint(),
            Self::Digest { artifact, .. } => {
                let name = artifact.file_name().unwrap_or_default().to_string_lossy();
                format!("`sha256sum {name} > {name}.sha256` beside it says what it is to be; `digest = \"none\"` asks for none")
            }
            Self::Scratch { .. } => "set TMPDIR to a folder with enough space".to_owned(),
        };
        Some(text)
    }
}

impl EntryProblem {
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::LinkOutside | Self::LinkLoop => {
                Some("pack what it points to, or make it a relative link that stays inside")
            }
            Self::Twice => Some("pack into a new archive instead of appending to an old one"),
            Self::Sparse => Some("pack it again without `--sparse`"),
            Self::Absolute | Self::ParentFolder => Some("pack with `tar -C FOLDER -cf x.tar .`"),
            Self::Reserved | Self::Special | Self::Name | Self::TooLong => {
                Some("leave it out or rename it")
            }
            Self::HardLink => Some("pack it again with `tar --hard-dereference`"),
            Self::Unreadable => Some("`ls -l` shows who may read it"),
            Self::FileAndFolder | Self::TooLarge => None,
        }
    }
}
