use super::*;
use crate::report::testing::Shared;

fn scan(host: &str, offered: Offered) -> Scan {
    Scan {
        host: HostName::new(host),
        address: "192.0.2.11:22".to_owned(),
        offered,
    }
}

fn key() -> Key {
    Key {
        algorithm: "ssh-ed25519".to_owned(),
        fingerprint: "SHA256:u3Kq0c2Zr7mW3J1v0d4e".to_owned(),
    }
}

fn scans() -> Vec<Scan> {
    vec![
        scan("web-01", Offered::New { keys: vec![key()] }),
        scan("web-02", Offered::Known { keys: vec![key()] }),
        scan(
            "web-03",
            Offered::Changed {
                key: key(),
                known_at: "/home/ann/.ssh/known_hosts:12".to_owned(),
            },
        ),
        scan(
            "web-04",
            Offered::Failed {
                reason: "connection refused".to_owned(),
            },
        ),
    ]
}

struct Done {
    ended: Result<ExitCode, CliError>,
    added: Vec<String>,
    stdout: String,
    stderr: String,
}

fn run(scans: &[Scan], output: Output, yes: bool, answer: Option<&'static str>) -> Done {
    let (stdout, stderr) = (Shared::default(), Shared::default());
    let mut screen = Screen::of_streams(output, Box::new(stdout.clone()), Box::new(stderr.clone()));
    if let Some(answer) = answer {
        screen = screen.answering(answer);
    }
    let args = TrustArgs { hosts: vec![], yes };
    let mut added = Vec::new();
    let ended = trust(&args, scans, &mut screen, &mut |scan| {
        added.push(scan.host.to_string());
        Ok("/home/ann/.ssh/known_hosts".to_owned())
    });
    Done {
        ended,
        added,
        stdout: stdout.text(),
        stderr: stderr.text(),
    }
}

#[test]
fn only_new_keys_are_added_and_only_after_a_yes() {
    for (sentence, yes, answer, added, code) in [
        (
            "yes adds, others are left out",
            false,
            Some("y\n"),
            1,
            ExitCode::Skipped,
        ),
        ("--yes asks nothing", true, None, 1, ExitCode::Skipped),
        ("no adds nothing", false, Some("n\n"), 0, ExitCode::Paused),
        (
            "an empty answer is no",
            false,
            Some("\n"),
            0,
            ExitCode::Paused,
        ),
    ] {
        let done = run(&scans(), Output::Human, yes, answer);
        assert_eq!(done.ended, Ok(code), "{sentence}");
        assert_eq!(done.added.len(), added, "{sentence}");
        assert_eq!(done.stderr.contains("[y/N]"), !yes, "{sentence}");
    }
}

#[test]
fn nothing_new_asks_nothing() {
    let done = run(&scans()[1..2], Output::Human, false, None);
    assert_eq!(done.ended, Ok(ExitCode::Done));
    assert_eq!(done.stderr, "");
}

#[test]
fn without_a_terminal_the_way_is_told() {
    let done = run(&scans(), Output::Human, false, None);
    let error = done.ended.unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert!(done.added.is_empty());
    insta::assert_snapshot!(error.text(false), @r"
    error: nobody can be asked whether these keys are right: this is no terminal

    hint: compare the fingerprints, then `rollctl trust web-01 --yes`
    ");
}

#[test]
fn fingerprints_are_shown_before_the_question() {
    let done = run(&scans(), Output::Human, false, Some("y\n"));
    insta::assert_snapshot!(format!("{}---\n{}", done.stdout, done.stderr));
}

#[test]
fn programs_get_one_object() {
    let done = run(&scans(), Output::Json, true, None);
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["version"], 1);
    let states: Vec<_> = json["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["added", "known", "changed", "failed"]);
    assert_eq!(
        json["hosts"][0]["keys"][0]["fingerprint"],
        key().fingerprint
    );
}
