use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::core::event::Outcome;
use crate::core::hooks::Rest;
use crate::core::ids::RolloutId;
use crate::core::program::RunsOn;
use crate::core::spec::RolloutKind;
use crate::ports::{HostError, ScriptEnd, Stream};

/// Runs scripts on this machine, as hosts do.
struct Shell;

#[async_trait]
impl Machines for Shell {
    async fn dial_unix(&self, _: &HostName, _: &str) -> Result<Box<dyn Stream>, HostError> {
        panic!("nobody dials")
    }

    async fn run(
        &self,
        _: &HostName,
        script: &'static str,
        arguments: &[String],
        _: Duration,
    ) -> Result<ScriptEnd, HostError> {
        let output = tokio::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .args(arguments)
            .output()
            .await
            .unwrap();
        Ok(ScriptEnd {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::new(),
        })
    }
}

/// Runs it as `after_instance` would be, in a folder of its own.
async fn run_on(on: RunsOn, script: &str, timeout: Duration) -> HookEnd {
    let folder = tempfile::tempdir().unwrap();
    let program = Program {
        on,
        run: ["sh", "-c", script].map(str::to_owned).into(),
        timeout,
    };
    let hooks = Hooks {
        runner: Runner {
            folder: folder.path().to_owned(),
            machines: Arc::new(Shell),
        },
        hooks: BTreeMap::from([(HookKind::AfterInstance, program)]),
        service: ServiceName::new("web"),
        addresses: BTreeMap::from([(HostName::new("web-01"), "192.0.2.11".to_owned())]),
        port: Some(8080),
        mask: Box::new(|text| text.replace("hunter2", "***")),
    };
    let call = HookCall {
        hook: HookKind::AfterInstance,
        rollout: RolloutId(7),
        kind: RolloutKind::Release,
        from: None,
        to: "v2".to_owned(),
        rest: Some(Rest::Ended(Outcome::Completed)),
        host: Some(HostName::new("web-01")),
        port: None,
    };
    hooks.run(&call).await
}

async fn both(script: &str, timeout: Duration) -> [HookEnd; 2] {
    [
        run_on(RunsOn::Controller, script, timeout).await,
        run_on(RunsOn::Host, script, timeout).await,
    ]
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_hook_is_told_everything_and_both_streams_are_kept_in_order() {
    let script = "echo $ROLLCTL_HOOK $ROLLCTL_SERVICE $ROLLCTL_ROLLOUT $ROLLCTL_KIND; \
        echo \"from=$ROLLCTL_FROM to=$ROLLCTL_TO\" >&2; \
        echo $ROLLCTL_OUTCOME $ROLLCTL_HOST $ROLLCTL_ADDRESS $ROLLCTL_PORT; exit 3";
    for end in both(script, LONG).await {
        assert_eq!(end.result, HookResult::Exited { status: 3 });
        assert_eq!(
            end.output,
            "after_instance web 7 release\nfrom= to=v2\ncompleted web-01 192.0.2.11 8080"
        );
        assert!(!end.is_well());
    }
}

#[tokio::test]
async fn what_it_writes_is_masked_harmless_and_not_too_long() {
    for end in both("printf 'pw=hunter2 \\033[31mred\\r\\nlast'", LONG).await {
        assert_eq!(end.output, "pw=*** \u{fffd}[31mred\nlast");
        assert!(end.is_well());
    }
    let many = "i=0; while [ $i -lt 20000 ]; do echo hunter2-hunter2; i=$((i+1)); done; echo end";
    for end in both(many, LONG).await {
        assert!(end.output.len() <= KEPT, "{}", end.output.len());
        assert!(end.output.ends_with("***-***\nend"));
        assert!(!end.output.contains("hunter") && !end.output.contains("nter2"));
    }
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    for on in [RunsOn::Controller, RunsOn::Host] {
        let pid = folder.path().join("pid");
        let script = format!("sleep 987 & echo $! >{}; echo waiting; wait", pid.display());
        let end = run_on(on, &script, Duration::from_millis(600)).await;
        assert_eq!(end.result, HookResult::TimedOut, "{on:?}");
        assert_eq!(end.output, "waiting", "{on:?}");
        let child = std::fs::read_to_string(pid).unwrap();
        let state = format!("/proc/{}/stat", child.trim());
        let lives = || std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z "));
        let gone = async {
            while lives() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(LONG, gone).await;
        assert!(gone.is_ok(), "{on:?}: {child} lives");
    }
}

#[tokio::test]
async fn a_process_that_it_leaves_behind_is_not_waited_for() {
    let script = "sleep 30 & echo done";
    let end = run_on(RunsOn::Controller, script, LONG).await;
    assert_eq!(end.result, HookResult::Exited { status: 0 });
    assert_eq!(end.output, "done");
    assert!(end.took < Duration::from_secs(10), "{:?}", end.took);
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so() {
    let hooks = Hooks {
        runner: Runner {
            folder: "/".into(),
            machines: Arc::new(Shell),
        },
        hooks: BTreeMap::from([(
            HookKind::BeforeRollout,
            Program {
                on: RunsOn::Controller,
                run: vec!["/nowhere/check-freeze".to_owned()],
                timeout: LONG,
            },
        )]),
        service: ServiceName::new("web"),
        addresses: BTreeMap::new(),
        port: None,
        mask: Box::new(str::to_owned),
    };
    let mut call = HookCall {
        hook: HookKind::BeforeRollout,
        rollout: RolloutId(7),
        kind: RolloutKind::Release,
        from: None,
        to: "v2".to_owned(),
        rest: None,
        host: None,
        port: None,
    };
    let words = hooks.run(&call).await.in_words();
    assert!(
        words.starts_with("could not be run: `/nowhere/check-freeze` cannot be run: No such file"),
        "{words}"
    );
    call.hook = HookKind::OnFailure;
    let end = hooks.run(&call).await;
    assert_eq!(end.result, HookResult::Removed);
    assert!(end.is_well(), "whoever took it out wants to go on without");
}
