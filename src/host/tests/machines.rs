//! Fixed scripts with data on any host.

use std::time::Duration;

use super::super::machines::run;
use super::bench::{Bench, SHELLS};
use crate::core::fleet::Become;
use crate::ports::{HostErrorKind, ScriptEnd};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let echo = "printf '%s\\n' \"$#\"\nfor a; do printf '<%s>' \"$a\"; done\necho oops >&2\nexit 7";
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let machine = bench.machine();
        let hostile = [
            "",
            "a b",
            "$(touch /tmp/x) `id` \"'\\",
            "two\nlines\n",
            "\n",
            "größe\u{1}",
            "-n",
            "\\0101",
        ]
        .map(str::to_owned);
        let end = run(
            machine.shell.as_ref(),
            Become::LoginUser,
            echo,
            &hostile,
            PATIENCE,
        )
        .await
        .unwrap();
        let expected = hostile.iter().map(|text| format!("<{text}>"));
        let expected = format!("{}\n{}", hostile.len(), expected.collect::<String>());
        assert_eq!(String::from_utf8_lossy(&end.stdout), expected, "{shell}");
        assert_eq!(end.status, 7, "{shell}");
        assert!(end.stderr.contains("oops"), "{shell}: {}", end.stderr);

        let end = run(
            machine.shell.as_ref(),
            Become::LoginUser,
            "cat",
            &[],
            PATIENCE,
        )
        .await;
        let nothing = ScriptEnd {
            status: 0,
            stdout: Vec::new(),
            stderr: String::new(),
        };
        assert_eq!(end.unwrap(), nothing, "{shell}: there is nothing to read");
    }
}

#[tokio::test]
async fn what_cannot_run_or_takes_too_long() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let machine = bench.machine();
        let shell_of = machine.shell.as_ref();
        let nul = ["a\0b".to_owned()];
        let error = run(shell_of, Become::LoginUser, "true", &nul, PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Refused, "{shell}");

        let brief = Duration::from_millis(300);
        let error = run(shell_of, Become::LoginUser, "sleep 5", &[], brief)
            .await
            .unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Lost, "{shell}");

        bench.program(
            "bin/sudo",
            "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n",
        );
        let error = run(shell_of, Become::Sudo, "true", &[], PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Refused, "{shell}: {error}");
        assert!(
            error.message.contains("a password is required"),
            "{shell}: {error}"
        );
    }
}
