//! Why a service's health check cannot be asked of a host at all.

use crate::core::ids::{HostName, ServiceName};

/// Why no prober can be made: a mistake in the inventory (exit code 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProberError {
    /// `{something}` that is not a placeholder.
    #[error("health check of `{service}` contains the unknown placeholder `{placeholder}`")]
    UnknownPlaceholder {
        /// Which service.
        service: ServiceName,
        /// With its braces.
        placeholder: String,
    },
    /// `{port}`, but the service has none.
    #[error("health check of `{service}` contains `{{port}}`, but the service has no `port`")]
    NoPort {
        /// Which service.
        service: ServiceName,
    },
    /// `{label.NAME}`, but the host has no such label.
    #[error(
        "health check of `{service}` contains `{{label.{label}}}`, which host `{host}` does not have"
    )]
    NoLabel {
        /// Which service.
        service: ServiceName,
        /// Which host.
        host: HostName,
        /// The label.
        label: String,
    },
    /// A value in a command that a shell would take for more than text.
    #[error(
        "health command of `{service}` contains `{placeholder}`, whose value on host `{host}` has characters that a shell acts upon"
    )]
    ShellCharacters {
        /// Which service.
        service: ServiceName,
        /// Which host.
        host: HostName,
        /// With its braces.
        placeholder: String,
    },
    /// What is to be asked is no URL, or no host and port.
    #[error("health check of `{service}` on host `{host}` is not {wanted}: `{text}`")]
    Target {
        /// Which service.
        service: ServiceName,
        /// Which host.
        host: HostName,
        /// `a URL` or `a host and port`.
        wanted: &'static str,
        /// What it became, without credentials.
        text: String,
    },
    /// HTTPS through SSH.
    #[error("health check of `{service}` asks https through SSH, which is not supported")]
    HttpsThroughSsh {
        /// Which service.
        service: ServiceName,
    },
    /// The HTTP client could not be set up, as without any root certificate on the controller.
    #[error("health check of `{service}` cannot be asked: {problem}")]
    Client {
        /// Which service.
        service: ServiceName,
        /// The library's words.
        problem: String,
    },
}

impl ProberError {
    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownPlaceholder { .. } => {
                "there are {host}, {address}, {port}, {revision} and {label.NAME}"
            }
            Self::NoPort { .. } => "set `port` in the service, or write the number",
            Self::NoLabel { host, label, .. } => {
                return Some(format!("give `{host}` the label `{label}`"));
            }
            Self::ShellCharacters { .. } => {
                "only letters, digits and `._:/@%+=,-` may come into a command"
            }
            Self::Target { .. } => {
                "write it as `http = \"http://{address}:{port}/healthz\"` or `tcp = \"{address}:{port}\"`"
            }
            Self::HttpsThroughSsh { .. } => {
                "use `http://`, `through = \"direct\"`, or `command = \"curl -fsS https://...\"`"
            }
            Self::Client { .. } => "install the root certificates (`ca-certificates`)",
        };
        Some(text.to_owned())
    }
}
