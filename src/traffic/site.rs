//! What placeholders stand for on one host.

use std::collections::BTreeMap;

use crate::core::fleet::{Fleet, Host, Service};
use crate::core::ids::{HostName, ServiceName};
use crate::ports::{Member, TrafficError};

/// A service and the hosts that may carry it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) service: ServiceName,
    /// The hosts that may carry it: the ordinary ones, then the spare ones.
    pub(crate) members: Vec<HostName>,
    port: Option<u16>,
    hosts: BTreeMap<HostName, Host>,
}

impl Site {
    pub(crate) fn new(service: &Service, fleet: &Fleet) -> Self {
        Self {
            service: service.name.clone(),
            members: service.carriers().cloned().collect(),
            port: service.first_port(),
            hosts: fleet
                .hosts
                .iter()
                .map(|host| (host.name.clone(), host.clone()))
                .collect(),
        }
    }

    /// The host of an instance.
    pub(crate) fn host(&self, member: &Member) -> Result<&Host, TrafficError> {
        self.hosts.get(&member.host).ok_or_else(|| {
            TrafficError::lasting(
                format!("host `{}` is not in the inventory", member.host),
                "an instance is taken out of traffic by its host's name and address",
            )
        })
    }

    /// The port of an instance.
    pub(crate) fn port(&self, member: &Member) -> Option<u16> {
        member.port.or(self.port)
    }

    /// The text with every placeholder replaced; an IPv6 address gets brackets. Other braces stay.
    pub(crate) fn fill(&self, text: &str, member: &Member) -> Result<String, TrafficError> {
        let host = self.host(member)?;
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from_brace) = rest.split_at(at);
            filled.push_str(before);
            let word = from_brace
                .find('}')
                .and_then(|end| from_brace.get(1..end))
                .unwrap_or_default();
            match self.value(word, host, member)? {
                Some(value) => {
                    filled.push_str(&value);
                    rest = from_brace.get(word.len() + 2..).unwrap_or_default();
                }
                None => {
                    filled.push('{');
                    rest = from_brace.get(1..).unwrap_or_default();
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(
        &self,
        word: &str,
        host: &Host,
        member: &Member,
    ) -> Result<Option<String>, TrafficError> {
        Ok(Some(match (word, word.strip_prefix("label.")) {
            ("host", _) => host.name.to_string(),
            ("address", _) if host.address.contains(':') => format!("[{}]", host.address),
            ("address", _) => host.address.clone(),
            ("port", _) => self
                .port(member)
                .ok_or_else(|| {
                    TrafficError::lasting(
                        format!("service `{}` has no `port` for `{{port}}`", self.service),
                        "add `port = 8080` to the service",
                    )
                })?
                .to_string(),
            (_, Some(label)) => host.labels.get(label).cloned().ok_or_else(|| {
                TrafficError::lasting(
                    format!("host `{}` has no label `{label}`", host.name),
                    format!("`[services.{}.traffic]` names it", self.service),
                )
            })?,
            _ => return Ok(None),
        }))
    }
}
