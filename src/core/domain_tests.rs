//! Failure domains and `order`: budgets inside a value, how many values at once, who goes first.

use super::budget::Quantity;
use super::decision::WaitReason;
use super::event::*;
use super::fleet::Domain;
use super::scene::{Scene, spec_of};
use super::spec::{DomainBudget, Spec};

/// A letter per host: its zone.
fn with_zones(
    unavailable: u32,
    zones: &str,
    at_once: Option<u32>,
    inside: Option<Quantity>,
) -> Spec {
    let letters: Vec<String> = zones.chars().map(String::from).collect();
    let domain = Domain {
        label: "zone".into(),
        at_once,
        max_unavailable: inside,
    };
    let (budget, places) = DomainBudget::resolve(&domain, letters.iter().map(String::as_str));
    let mut spec = spec_of(u32::try_from(letters.len()).unwrap(), 0, unavailable);
    for (host, place) in spec.hosts.iter_mut().zip(places) {
        host.values = vec![place];
    }
    spec.domains = vec![budget];
    spec
}

#[test]
fn domains_have_budgets_of_their_own() {
    let percent = |share| Some(Quantity::Percent(share));
    for (sentence, zones, hosts, unavailable, at_once, inside, expected) in [
        (
            "without limits",
            "aabb",
            "oooo",
            4,
            None,
            None,
            vec![0, 1, 2, 3],
        ),
        (
            "one zone at once",
            "abab",
            "oooo",
            4,
            Some(1),
            None,
            vec![0, 2],
        ),
        (
            "two zones at once",
            "abcabc",
            "oooooo",
            6,
            Some(2),
            None,
            vec![0, 3, 1, 4],
        ),
        (
            "half of each zone",
            "aaaabbbb",
            "oooooooo",
            8,
            None,
            percent(50),
            vec![0, 1, 4, 5],
        ),
        (
            "rounded down",
            "aaabbb",
            "oooooo",
            6,
            None,
            percent(50),
            vec![0, 3],
        ),
        (
            "but at least one",
            "abab",
            "oooo",
            4,
            None,
            percent(10),
            vec![0, 1],
        ),
        (
            "the service's budget holds too",
            "aabb",
            "oooo",
            1,
            None,
            percent(50),
            vec![0],
        ),
        (
            "one unavailable uses up its zone",
            "aabb",
            "fooo",
            3,
            None,
            percent(50),
            vec![0, 2],
        ),
        (
            "a broken one spends nothing inside",
            "aabb",
            "bbob",
            4,
            None,
            percent(50),
            vec![0, 1, 3],
        ),
        (
            "absent ones wait for their zone",
            "abab",
            "----",
            4,
            Some(1),
            None,
            vec![0, 2],
        ),
        (
            "absent in a zone at work, others wait",
            "aabb",
            "-oo-",
            4,
            Some(1),
            None,
            vec![0, 1],
        ),
    ] {
        let spec = with_zones(unavailable, zones, at_once, inside);
        let found = Scene::staged(spec, hosts).runs(ActionKind::Activate);
        assert_eq!(found, expected, "{sentence}: {hosts} in {zones}");
    }
}

#[test]
fn a_zone_in_which_one_failed_stays_in_work_until_it_is_put_back() {
    let spec = Spec {
        max_failures: 4,
        ..with_zones(2, "abab", Some(1), None)
    };
    let mut scene = Scene::staged(spec, "oooo");
    assert_eq!(scene.runs(ActionKind::Activate), [0, 2]);
    scene.done(0, ActionKind::Activate);
    scene.fail(0);
    scene.begin(0, ActionKind::Revert);
    assert_eq!(scene.runs(ActionKind::Activate), [2], "zone b waits");
    let in_the_way = WaitReason::OtherValues {
        label: "zone".into(),
        in_work: vec!["a".into()],
        at_once: 1,
    };
    assert!(scene.decide().waiting_on.contains(&in_the_way));
}

#[test]
fn order_goes_before_zones_and_zones_before_the_inventory() {
    let mut spec = with_zones(6, "abab", None, None);
    for (host, rank) in spec.hosts.iter_mut().zip([1, 0, 1, 0]) {
        host.rank = rank;
    }
    assert_eq!(
        Scene::staged(spec.clone(), "oooo").runs(ActionKind::Activate),
        [1, 3, 0, 2]
    );
    assert_eq!(
        Scene::staged(spec, "ob-o").runs(ActionKind::Activate),
        [2, 1, 3, 0],
        "absent and broken first"
    );
}
