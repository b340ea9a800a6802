//! What is typed: names, revisions, budgets, selections. No host answers, and nobody asks one.

use crate::world::{offline, untouched, well_said};

const V1: &str = "build-v1";

#[test]
fn what_is_typed_wrong_touches_nothing() {
    let controller = offline();
    let v1 = controller.path(V1);
    let v1 = v1.to_str().unwrap();
    let long = "a".repeat(65);
    let rows: &[(&str, &[&str], &str)] = &[
        (
            "an unknown service",
            &["release", "wbe", v1],
            "service `wbe` is not in the inventory of `test`",
        ),
        (
            "its services are named",
            &["release", "wbe", v1],
            "it has `web`",
        ),
        (
            "an unknown service of status",
            &["status", "wbe"],
            "`wbe` is not in the inventory",
        ),
        (
            "an unknown service of history",
            &["history", "wbe"],
            "`wbe` is not in the inventory",
        ),
        (
            "an unknown service of rollback",
            &["rollback", "wbe"],
            "`wbe` is not in the inventory",
        ),
        (
            "an unknown service of plan",
            &["plan", "wbe", v1],
            "`wbe` is not in the inventory",
        ),
        (
            "a service name that steers terminals",
            &["status", "w\x1b[31m"],
            "w\\x1b[31m",
        ),
        (
            "a service name with a command",
            &["release", "$(id)", v1],
            "`$(id)` is not in the inventory",
        ),
        (
            "a name with a space",
            &["release", "web", v1, "--name", "a b"],
            "contains ' '",
        ),
        (
            "a name that leaves its folder",
            &["release", "web", v1, "--name", "x/../y"],
            "contains '/'",
        ),
        (
            "a name of digits",
            &["release", "web", v1, "--name", "42"],
            "digits only",
        ),
        (
            "a reserved name",
            &["release", "web", v1, "--name", "r3"],
            "reserved",
        ),
        (
            "an adopted name",
            &["release", "web", v1, "--name", "adopted-x"],
            "reserved",
        ),
        (
            "a name that begins with a dot",
            &["release", "web", v1, "--name", ".x"],
            "must start with a letter or a digit",
        ),
        (
            "a name that is too long",
            &["release", "web", v1, "--name", &long],
            "65 characters; at most 64",
        ),
        (
            "an empty name",
            &["release", "web", v1, "--name", ""],
            "empty",
        ),
        (
            "a name that is not ASCII",
            &["release", "web", v1, "--name", "zürich"],
            "contains 'ü'",
        ),
        (
            "rollback before any release",
            &["rollback", "web"],
            "`web` was never released",
        ),
        (
            "rollback by name before any release",
            &["rollback", "web", "--to", "v9"],
            "`web` was never released",
        ),
        (
            "rollback by number before any release",
            &["rollback", "web", "--to", "3"],
            "`web` was never released",
        ),
        (
            "a revision number 0",
            &["rollback", "web", "--to", "0"],
            "numbered from 1",
        ),
        (
            "a rollout that is none",
            &["describe", "7"],
            "rollout 7 does not exist: nothing was released yet",
        ),
        (
            "a revision that is none",
            &["history", "web", "--revision", "7"],
            "revision 7 of `web` does not exist",
        ),
        (
            "a selection of nobody",
            &["release", "web", v1, "--hosts", "web-09"],
            "`web-09` matches no host of `web`",
        ),
        (
            "what it could have been",
            &["release", "web", v1, "--hosts", "web-09"],
            "did you mean `web-01`?",
        ),
        (
            "a selection by a label that nobody has",
            &["release", "web", v1, "--hosts", "zone=a"],
            "`zone=a` matches no host",
        ),
        (
            "a selection that is no selector",
            &["release", "web", v1, "--hosts", "zone in ("],
            "`)` is missing",
        ),
        (
            "an empty selection",
            &["release", "web", v1, "--hosts", ""],
            "it is empty",
        ),
        (
            "a selection of nobody for plan",
            &["plan", "web", v1, "--hosts", "web-09"],
            "matches no host of `web`",
        ),
        (
            "a selection of nobody for check",
            &["check", "--connect", "--hosts", "web-09"],
            "matches no host of `test`",
        ),
        (
            "both budgets 0",
            &["release", "web", v1, "--max-unavailable", "0"],
            "both 0",
        ),
        (
            "both budgets 0 %",
            &[
                "release",
                "web",
                v1,
                "--max-unavailable",
                "0%",
                "--max-surge",
                "0%",
            ],
            "both 0",
        ),
        (
            "more than all",
            &["release", "web", v1, "--max-unavailable", "101%"],
            "over 100 %",
        ),
        (
            "a negative budget",
            &["release", "web", v1, "--max-unavailable=-1"],
            "a share such as 25%",
        ),
        (
            "a fraction",
            &["release", "web", v1, "--max-unavailable", "1.5"],
            "a share such as 25%",
        ),
        (
            "a surge in words",
            &["release", "web", v1, "--max-surge", "many"],
            "a share such as 25%",
        ),
        (
            "a surge that nothing can carry",
            &[
                "release",
                "web",
                v1,
                "--max-unavailable",
                "0",
                "--max-surge",
                "1",
            ],
            "nothing can carry max_surge = 1",
        ),
        (
            "and what to do about it",
            &[
                "release",
                "web",
                v1,
                "--max-unavailable",
                "0",
                "--max-surge",
                "1",
            ],
            "--max-unavailable 1",
        ),
        (
            "a host that trust does not know",
            &["trust", "db-01"],
            "host `db-01` is not in the inventory",
        ),
        (
            "a flag of another command",
            &["rollback", "web", "--keep"],
            "unexpected argument '--keep'",
        ),
    ];
    for (sentence, words, told) in rows {
        let run = untouched(&controller, words);
        assert_eq!(run.code, 2, "{sentence}");
        assert!(run.stderr.contains(told), "{sentence}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{sentence}");
        well_said(&run);
    }
}

#[test]
fn a_surge_that_nothing_can_carry_is_a_warning_of_plan() {
    let controller = offline();
    let v1 = controller.path(V1);
    let words = [
        "plan",
        "web",
        v1.to_str().unwrap(),
        "--max-surge",
        "1",
        "--max-unavailable",
        "0",
    ];
    untouched(&controller, &words)
        .exits(2)
        .says("warning: `web` cannot be rolled out: max_unavailable is 0");
    let words = [&words[..3], &["--max-surge", "1"]].concat();
    untouched(&controller, &words)
        .exits(3)
        .says("warning: max_surge = 1 has no effect");
}

#[test]
fn looking_at_a_fleet_that_was_never_released_makes_nothing() {
    let controller = offline();
    let v1 = controller.path(V1);
    untouched(&controller, &["status"])
        .exits(0)
        .says("unreachable");
    untouched(&controller, &["status", "web", "-o", "json"])
        .exits(0)
        .says("\"rollout\":null");
    untouched(&controller, &["history", "web"])
        .exits(0)
        .says("nothing was released of `web` yet");
    untouched(&controller, &["check"])
        .exits(0)
        .says("test: 1 host, 1 service: no mistakes");
    untouched(&controller, &["check", "--connect"])
        .exits(3)
        .says("0 of 1 hosts can take part, 1 cannot");
    untouched(&controller, &["plan", "web", v1.to_str().unwrap()])
        .exits(3)
        .says("connection refused");
}
