//! Which hosts can execute a revision.

use std::collections::BTreeMap;

use crate::core::revision::Architecture;

use super::revision::RevisionContent;

/// The machines that a revision's programs are built for, by the architecture they are given for; a script, or what an
/// interpreter runs, is for any.
#[derive(Debug, Clone)]
pub struct Machines(BTreeMap<Option<Architecture>, Option<Architecture>>);

impl RevisionContent {
    /// The machines that it is for.
    pub fn machines(&self) -> Machines {
        let of = |(key, variant): (&Option<Architecture>, &super::Variant)| {
            (key.clone(), variant.elf.clone())
        };
        Machines(self.variants.iter().map(of).collect())
    }
}

impl Machines {
    /// Why a host of that architecture cannot run it; nothing when it can.
    pub fn misfit(&self, host: &Architecture) -> Option<String> {
        let for_any = self.0.get(&None);
        match for_any.or_else(|| self.0.get(&Some(host.clone()))) {
            Some(None) => None,
            Some(Some(built_for)) if built_for == host => None,
            Some(Some(built_for)) => Some(format!(
                "the artifact is for {built_for}, the host is {host}"
            )),
            None => {
                let given: Vec<_> = self.0.keys().flatten().map(|key| key.0.as_str()).collect();
                Some(format!(
                    "there is no artifact for {host}, only for {}",
                    given.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_run_what() {
        let machine = |name: &str| Architecture(name.to_owned());
        let x86 = || Some(machine("x86_64"));
        let arm = || Some(machine("aarch64"));
        for (sentence, machines, host, misfit) in [
            (
                "a script runs everywhere",
                vec![(None, None)],
                "riscv64",
                None,
            ),
            ("its own machine", vec![(None, x86())], "x86_64", None),
            (
                "another machine",
                vec![(None, arm())],
                "x86_64",
                Some("the artifact is for aarch64, the host is x86_64"),
            ),
            (
                "one of two",
                vec![(x86(), x86()), (arm(), arm())],
                "aarch64",
                None,
            ),
            (
                "none of two",
                vec![(x86(), x86()), (arm(), arm())],
                "s390x",
                Some("there is no artifact for s390x, only for aarch64, x86_64"),
            ),
        ] {
            let machines = Machines(machines.into_iter().collect());
            assert_eq!(
                machines.misfit(&machine(host)).as_deref(),
                misfit,
                "{sentence}"
            );
        }
    }
}
