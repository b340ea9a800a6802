//! Whatever a person wrote arrives byte for byte, and nothing of it is run.

use super::bench::host;
use super::bench::{Bench, SHELLS, service};
use crate::core::fleet::{Become, Scope};
use crate::host::machine::Queue;
use crate::host::script::{Manner, Request, SCRIPT};
use crate::ports::{HostErrorKind, Hosts};

const NAMES: [&[u8]; 18] = [
    b"",
    b" ",
    b" leading and trailing ",
    b"-n",
    b"--help",
    b"a'b\"c`id`$(touch pwned)$HOME",
    b"; touch pwned; #",
    b"line one\nline two\n\n",
    b"\n",
    b"tab\tand\rreturn",
    b"* ? [a-z] ~",
    b"back\\slash \\n \\0101 \\c end",
    b"%s %b %d%%",
    b"\xff\xfe not text \x80",
    "größe → ∞".as_bytes(),
    b"&& | > < ! {a,b}",
    b"\x01\x7f\x1b[31m",
    b"1 ping 3",
];

/// Reads the answer of `ping`: the number of arguments, then each with its length, the newline after it counted.
fn seen(mut output: &[u8]) -> Vec<Vec<u8>> {
    let count = number(&mut output);
    let mut all = Vec::new();
    for _ in 0..count {
        let length = number(&mut output);
        let (value, rest) = output.split_at(length);
        all.push(value[..length - 1].to_vec());
        output = rest;
    }
    all
}

fn number(output: &mut &[u8]) -> usize {
    let at = output.iter().position(|byte| *byte == b'\n').unwrap();
    let (line, rest) = output.split_at(at);
    *output = &rest[1..];
    std::str::from_utf8(line).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let machine = bench.machine();
        let request = NAMES
            .iter()
            .fold(Request::new("ping"), |request, name| request.arg(name));
        let output = machine.read(Queue::Work, request).await.unwrap();
        assert_eq!(seen(&output), NAMES.map(<[u8]>::to_vec), "{shell}");
        assert!(!bench.path("pwned").exists(), "{shell} ran a name");
        // The channel is still in step.
        let output = machine
            .read(Queue::Work, Request::new("ping").arg("x"))
            .await
            .unwrap();
        assert_eq!(seen(&output), [b"x".to_vec()], "{shell}");
    }
}

#[tokio::test]
async fn a_nul_byte_is_refused_before_it_travels() {
    let bench = Bench::new("dash");
    let error = bench
        .machine()
        .read(Queue::Work, Request::new("ping").arg(b"a\0b"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Refused);
}

#[tokio::test]
async fn noise_of_the_login_shell_is_no_answer() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        bench.write(
            ".profile-noise",
            "\nrollctl-0 ready\n\nrollctl-0 begin 1\nX\nrollctl-0 end 1 0\n",
        );
        let output = bench
            .machine()
            .read(Queue::Work, Request::new("ping").arg("x"))
            .await
            .unwrap();
        assert_eq!(seen(&output), [b"x".to_vec()], "{shell}");
    }
}

#[tokio::test]
async fn health_commands_are_run_as_they_are_written() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let hosts = bench.hosts(service());
        for (command, status, output) in [
            ("echo 'a  b'; exit 3", 3, "a  b"),
            (
                "test -e \"$HOME/fake\" && printf %s \"it's \\there\"",
                0,
                "it's \\there",
            ),
            ("cat", 0, ""),
            ("sleep 5", 124, ""),
        ] {
            let seen = hosts
                .run_check(&host(), command, std::time::Duration::from_millis(700))
                .await
                .unwrap();
            assert_eq!(
                (seen.0, seen.1.trim_end()),
                (status, output),
                "{shell}: {command}"
            );
        }
    }
}

#[test]
fn the_login_shell_is_given_a_short_fixed_command() {
    let manner = Manner {
        scope: Scope::System,
        acting: Become::Sudo,
    };
    let command = manner.command();
    assert!(command.starts_with("sudo -n sh -c '"), "{command}");
    assert_eq!(command.matches('\'').count(), 2, "{command}");
    assert!(
        !command.contains(['\\', '!']),
        "fish and csh would read it: {command}"
    );
}

#[test]
fn every_argument_that_is_not_given_is_emptied() {
    let (_, options) = SCRIPT.split_once("\noptions() {\n").unwrap();
    let (emptied, taken) = options.split_once("    for argument; do\n").unwrap();
    let (taken, _) = taken.split_once("\n}\n").unwrap();
    let emptied: Vec<_> = emptied.split_whitespace().collect();
    let names = taken
        .lines()
        .filter_map(|line| line.trim_start().split_once("=*) "));
    let names: Vec<_> = names.map(|(name, _)| name).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let variable = match name {
            "unit" => "units=".to_owned(),
            "expect" => "expected=".to_owned(),
            name => format!("{name}="),
        };
        assert!(
            emptied.contains(&variable.as_str()),
            "`{name}` may come from the login"
        );
    }
}
