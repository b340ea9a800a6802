//! Whether an artifact is for the machines that are to run it, told before anything is recorded.

use super::error::CliError;
use crate::artifact::Machines;
use crate::core::event::Sight;
use crate::core::ids::HostName;
use crate::core::plan::Known;
use crate::core::spec::Spec;
use crate::driver::Sights;

/// Refuses an artifact that no selected host could execute. Where some can, those that cannot are left alone, each with
/// its reason.
///
/// # Errors
/// Exit code 2, naming the hosts.
pub(crate) fn refuse_misfits(
    spec: &Spec,
    sights: &Sights,
    machines: &Machines,
) -> Result<(), CliError> {
    let seen: Vec<_> = spec
        .hosts
        .iter()
        .filter(|host| host.selected)
        .filter_map(|host| {
            let facts = sights.get(&host.name)?.as_ref().ok()?;
            Some((&host.name, machines.misfit(&facts.architecture)))
        })
        .collect();
    let misfits: Vec<_> = seen
        .iter()
        .filter_map(|(host, misfit)| Some((*host, misfit.as_ref()?)))
        .collect();
    let Some((first, why)) = misfits.first().filter(|_| misfits.len() == seen.len()) else {
        return Ok(());
    };
    let others = match misfits.len() - 1 {
        0 => String::new(),
        1 => " (and 1 other host)".to_owned(),
        many => format!(" (and {many} other hosts)"),
    };
    Err(CliError::usage(format!(
        "the artifact fits no host of `{}`: {first}: {why}{others}",
        spec.service
    ))
    .hint("build it for the hosts; for several kinds of hosts: `artifact = { x86_64 = \"...\", aarch64 = \"...\" }`"))
}

/// For a plan: hosts that cannot execute the artifact are left alone.
pub(crate) fn leave_out_misfits(known: &mut [Known], sights: &Sights, machines: &Machines) {
    let misfit = |host: &HostName| {
        let facts = sights.get(host)?.as_ref().ok()?;
        machines.misfit(&facts.architecture)
    };
    for one in known {
        if let Some(reason) = misfit(&one.host) {
            one.sight = Sight::Refused { reason };
        }
    }
}
