//! Revisions: numbers, names and what is read back.

use super::contract;
use crate::core::ids::{RevisionName, RevisionNumber};
use crate::core::revision::{Adopted, Signer};
use crate::core::time::Timestamp;
use crate::ledger::testing::*;
use crate::ports::{LedgerError, NewRevision};

contract!(
    revisions_are_numbered_per_service,
    the_same_content_is_the_same_revision,
    a_name_never_moves,
    an_adopted_revision_is_read_back_as_it_was,
    who_signed_it_last_is_remembered
);

async fn revisions_are_numbered_per_service(world: World) {
    let ledger = world.open().await;
    for (of, letter, named, number, names) in [
        ("web", 'a', None, 1, "r1"),
        ("web", 'b', Some("v2"), 2, "v2"),
        ("api", 'a', None, 1, "r1"),
        ("web", 'c', None, 3, "r3"),
        ("api", 'b', None, 2, "r2"),
    ] {
        let recorded = ledger.record_revision(&revision(of, letter, named)).await;
        let recorded = recorded.unwrap();
        assert_eq!(recorded.number, RevisionNumber(number), "{of} {letter}");
        assert_eq!(recorded.names, [name(names)], "{of} {letter}");
    }
    let web = ledger.revisions(&service("web")).await.unwrap();
    let numbers: Vec<u32> = web.iter().map(|revision| revision.number.0).collect();
    assert_eq!(numbers, [3, 2, 1], "newest first");
    assert_eq!(ledger.revisions(&service("db")).await.unwrap(), []);
}

async fn the_same_content_is_the_same_revision(world: World) {
    let ledger = world.open().await;
    let first = NewRevision {
        cause: Some("first".to_owned()),
        ..revision("web", 'a', Some("v1"))
    };
    let first = ledger.record_revision(&first).await.unwrap();
    for (named, names) in [
        (Some("v1"), &["v1"][..]),
        (None, &["v1"]),
        (Some("stable"), &["v1", "stable"]),
        (Some("b"), &["v1", "stable", "b"]),
        (Some("v1"), &["v1", "stable", "b"]),
    ] {
        let again = NewRevision {
            at: Timestamp::from_millis(START + 1),
            by: "bert@server".to_owned(),
            cause: Some("again".to_owned()),
            ..revision("web", 'a', named)
        };
        let again = ledger.record_revision(&again).await.unwrap();
        assert_eq!(
            again.names,
            names.iter().map(|n| name(n)).collect::<Vec<_>>()
        );
        let mut without_new_names = again.clone();
        without_new_names.names.truncate(1);
        assert_eq!(without_new_names, first, "who and why stay the first's");
        assert_eq!(ledger.revisions(&service("web")).await.unwrap(), [again]);
    }
}

async fn a_name_never_moves(world: World) {
    let ledger = world.open().await;
    for new in [
        revision("web", 'a', Some("v1")),
        revision("web", 'b', Some("v2")),
        revision("web", 'b', Some("stable")),
    ] {
        ledger.record_revision(&new).await.unwrap();
    }
    let before = ledger.revisions(&service("web")).await.unwrap();
    for (letter, named, owner) in [('c', "v1", 1), ('a', "stable", 2), ('b', "v1", 1)] {
        let error = ledger
            .record_revision(&revision("web", letter, Some(named)))
            .await
            .unwrap_err();
        let LedgerError::NameTaken {
            name: taken,
            number,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((taken, *number), (&name(named), owner));
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("rollctl history web"))
        );
    }
    assert_eq!(ledger.revisions(&service("web")).await.unwrap(), before);
    // The refused one has used up no number, and another service may use the name.
    let next = ledger
        .record_revision(&revision("web", 'c', None))
        .await
        .unwrap();
    assert_eq!(next.number, RevisionNumber(3));
    let other = ledger
        .record_revision(&revision("api", 'c', Some("v1")))
        .await;
    assert_eq!(other.unwrap().number, RevisionNumber(1));
}

async fn an_adopted_revision_is_read_back_as_it_was(world: World) {
    let ledger = world.open().await;
    for (letter, adopted) in [
        (
            'a',
            Adopted::File {
                origin: "/usr/local/bin/web".to_owned(),
            },
        ),
        (
            'b',
            Adopted::Folder {
                target: "releases/2026 \"x\"".to_owned(),
            },
        ),
    ] {
        let new = NewRevision {
            name: Some(RevisionName::adopted(&digest(letter))),
            cause: Some("was there".to_owned()),
            adopted: Some(adopted.clone()),
            ..revision("web", letter, None)
        };
        let recorded = ledger.record_revision(&new).await.unwrap();
        assert_eq!(recorded.adopted, Some(adopted));
        assert_eq!(recorded.names, [RevisionName::adopted(&digest(letter))]);
        let listed = ledger.revisions(&service("web")).await.unwrap();
        assert_eq!(listed.first(), Some(&recorded));
    }
}

async fn who_signed_it_last_is_remembered(world: World) {
    let ledger = world.open().await;
    let signer = |principal: &str| Signer {
        principal: principal.to_owned(),
        fingerprint: "SHA256:abc".to_owned(),
        key: "ssh-ed25519 AAAA".to_owned(),
    };
    let (ann, bert) = (signer("ann@example.net"), signer("bert@example.net"));
    let both = vec![ann.clone(), bert.clone()];
    for (named, signers, expected) in [
        (None, vec![], vec![]),
        (None, vec![ann.clone()], vec![ann.clone()]),
        // Nobody was asked for a signature.
        (Some("v1"), vec![], vec![ann]),
        (Some("v2"), vec![bert.clone()], vec![bert]),
        (Some("v2"), both.clone(), both),
    ] {
        let new = NewRevision {
            signers,
            ..revision("web", 'a', named)
        };
        let recorded = ledger.record_revision(&new).await.unwrap();
        assert_eq!(recorded.signers, expected);
        let read = ledger.revisions(&service("web")).await.unwrap();
        assert_eq!(read, [recorded]);
    }
}
