//! What the lab and the processes of its hosts say to each other: lines of JSON over standard input and output. The end
//! of that input is the end of the host, however the lab ended.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Fingerprint of the sources: a lab talks only to hosts of its own build.
pub(crate) const BUILD: &str = env!("ROLLCTL_LAB_BUILD");

/// The first line to a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostConfig {
    pub(crate) name: String,
    pub(crate) address: String,
    /// 0: any, told in `Ready`.
    pub(crate) ssh_port: u16,
    pub(crate) user: String,
    pub(crate) shell: String,
    /// Holds `home`, `run`, `bin` and the journal.
    pub(crate) folder: PathBuf,
    pub(crate) socket: PathBuf,
    /// The lab's own executable, for the processes that the host starts.
    pub(crate) program: PathBuf,
    /// In OpenSSH's formats.
    pub(crate) host_key: PathBuf,
    pub(crate) client_key: String,
    pub(crate) mark: String,
    pub(crate) max_sessions: usize,
    /// The lab's own.
    pub(crate) lab_folder: PathBuf,
    /// Removed with all that is in it when the lab is gone without having cleaned up.
    pub(crate) is_temporary: bool,
}

/// Later lines to a host, each answered by a [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Cuts all connections, refuses new ones.
    CloseSsh,
    OpenSsh,
    /// Cuts all connections, nothing more.
    CutSsh,
    Count,
    /// Power off: everything is killed. Without a reply; the end of the control line without it means that the lab died.
    Halt,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) build: String,
    pub(crate) ssh_port: u16,
    /// Logins since the host's process started.
    pub(crate) logins: u64,
    pub(crate) error: Option<String>,
}
