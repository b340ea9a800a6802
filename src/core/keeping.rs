//! Which revisions stay, and which may go (contract, section 4: pruning).

use std::collections::BTreeSet;

use super::ids::Digest;
use super::revision::Revision;

/// Those that stay whatever runs where: `target`, as many of the newest others as `limit` says (`revisions` is newest first),
/// and those that somebody keeps.
pub fn staying<'a>(
    revisions: &'a [Revision],
    target: &'a Digest,
    limit: u32,
) -> impl Iterator<Item = &'a Revision> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut others = 0_usize;
    revisions.iter().filter(move |one| {
        let is_target = one.digest == *target;
        others += usize::from(!is_target);
        is_target || others <= limit || one.kept
    })
}

/// Those of which the controller needs no package any more: they do not stay, and no host has them. What was adopted has no
/// artifact from which it could be released again, so it is never one of them.
pub fn dispensable<'a>(
    revisions: &'a [Revision],
    target: &'a Digest,
    limit: u32,
    on_hosts: &BTreeSet<Digest>,
) -> Vec<&'a Digest> {
    let staying: BTreeSet<&Digest> = staying(revisions, target, limit)
        .map(|one| &one.digest)
        .collect();
    revisions
        .iter()
        .filter(|one| one.adopted.is_none())
        .map(|one| &one.digest)
        .filter(|digest| !staying.contains(digest) && !on_hosts.contains(*digest))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{RevisionName, RevisionNumber};
    use crate::core::revision::Adopted;
    use crate::core::time::Timestamp;

    /// `7`, `7k` kept, `7a` adopted.
    fn revision(text: &str) -> Revision {
        let number = RevisionNumber(text.trim_end_matches(['k', 'a']).parse().unwrap());
        let origin = "/usr/bin/web".to_owned();
        Revision {
            number,
            names: vec![RevisionName::numbered(number)],
            digest: Digest::new(number.to_string()),
            created_at: Timestamp::LONG_AGO,
            created_by: "ann".to_owned(),
            cause: None,
            adopted: text.ends_with('a').then_some(Adopted::File { origin }),
            signers: Vec::new(),
            kept: text.ends_with('k'),
        }
    }

    #[test]
    fn what_stays_and_what_may_go() {
        for (sentence, newest_first, target, on_hosts, stay, may_go) in [
            ("nothing is there", "", "1", "", "", ""),
            ("two others and the target", "3 2 1", "3", "", "3 2 1", ""),
            ("older ones go", "5 4 3 2 1", "5", "", "5 4 3", "2 1"),
            (
                "a target that is not recorded yet",
                "4 3 2 1",
                "5",
                "",
                "4 3",
                "2 1",
            ),
            (
                "gone back to an old one",
                "5 4 3 2 1",
                "1",
                "",
                "5 4 1",
                "3 2",
            ),
            (
                "what somebody keeps stays",
                "5 4 3 2k 1",
                "5",
                "",
                "5 4 3 2",
                "1",
            ),
            (
                "the controller keeps what any host has",
                "5 4 3 2 1",
                "5",
                "1 5",
                "5 4 3",
                "2",
            ),
            (
                "what was adopted cannot be had again",
                "5 4 3 2 1a",
                "5",
                "",
                "5 4 3",
                "2",
            ),
        ] {
            let revisions: Vec<_> = newest_first.split_whitespace().map(revision).collect();
            let on_hosts = on_hosts.split_whitespace().map(Digest::new).collect();
            let target = Digest::new(target);
            let stays = staying(&revisions, &target, 2).map(|one| one.number.to_string());
            assert_eq!(stays.collect::<Vec<_>>().join(" "), stay, "{sentence}");
            let goes = dispensable(&revisions, &target, 2, &on_hosts);
            let goes: Vec<_> = goes.into_iter().map(Digest::as_str).collect();
            assert_eq!(goes.join(" "), may_go, "{sentence}");
        }
    }
}
