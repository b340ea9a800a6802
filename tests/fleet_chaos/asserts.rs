//! What must hold after each round, asked past rollctl: of the hosts' kernels, file systems and systemd, and of the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rollctl::core::ids::ServiceName;
use rollctl::core::time::Timestamp;
use rollctl::ledger::{Chain, Chained, Here, open_existing};
use rollctl::ports::{Clock, Ledger};
use rollctl_fleet::{Host, Record};
use serde_json::Value;

use crate::world::{BUDGET, HOSTS, Version, World};

const LOOK: &str = r#"
pid=$(systemctl show -p MainPID --value web.service)
echo "exe $(sha256sum </proc/$pid/exe | cut -d' ' -f1)"
echo "current $(readlink /opt/web/current)"
echo "unit $(sha256sum </etc/systemd/system/web.service | cut -d' ' -f1)"
echo "reload $(systemctl show -p NeedDaemonReload --value web.service)"
echo "answers $(curl -s -m 2 http://127.0.0.1:8080/healthz)"
echo "enabled $(systemctl is-enabled web.service)"
for f in /opt/web/.rollctl/next /opt/web/.rollctl/previous* /opt/web/.rollctl/guard*; do if [ -e "$f" ]; then echo "left $f"; fi; done
find /opt/web /etc/systemd/system \( -name '.incoming-*' -o -name '.removed-*' -o -name '*.rollctl-*' -o -name 'rollctl-revert-*' -o -name '.exec-test-*' \) | sed 's/^/left /'
systemctl list-units --all --plain --no-legend 'rollctl-revert-*' | sed 's/^/left unit /'
systemctl list-timers --all --no-legend | grep rollctl | sed 's/^/left timer /'
grep -q '^state begun' /opt/web/.rollctl/step && echo "left a step that was begun"
true"#;

/// Everything that must hold, once all is quiet; what does not, in words.
pub(crate) fn all(world: &World, record: &Record, away: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = world.now();
    for host in world.fleet.hosts() {
        wrong.extend(one(host, wanted));
    }
    wrong.extend(available(record, away));
    wrong.extend(status(world, wanted));
    wrong.extend(ledger(world));
    wrong
}

/// A host may need a moment: systemd unloads a unit that is gone when nobody asks for it any more.
fn one(host: &Host, wanted: &Version) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let seen = host.exec(LOOK).unwrap().stdout;
        let wrong = differences(host, wanted, &seen);
        if wrong.is_empty() || begun.elapsed() > Duration::from_secs(3) {
            return wrong;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn differences(host: &Host, wanted: &Version, seen: &str) -> Vec<String> {
    let expected = [
        format!("exe {}", wanted.hash),
        format!("current revisions/{}", wanted.name),
        format!("unit {}", wanted.unit_hash),
        "reload no".to_owned(),
        format!("answers ok {}", wanted.name),
        "enabled enabled".to_owned(),
    ];
    let missing = expected
        .iter()
        .filter(|line| !seen.lines().any(|is| is == line.as_str()))
        .map(|line| format!("{}: not `{line}`:\n{seen}", host.name()));
    let left = seen
        .lines()
        .filter(|line| line.starts_with("left "))
        .map(|line| format!("{}: {line}", host.name()));
    missing.take(1).chain(left).collect()
}

/// What the fault did not take was never below the budget.
fn available(record: &Record, away: &[String]) -> Option<String> {
    let away: Vec<_> = away.iter().map(String::as_str).collect();
    let others = record.without(&away);
    let lowest = HOSTS - away.len() - BUDGET.min(HOSTS - away.len());
    (others.lowest() < lowest).then(|| {
        format!(
            "only {} of {} were available, without {away:?}:\n{others}",
            others.lowest(),
            HOSTS - away.len()
        )
    })
}

fn status(world: &World, wanted: &Version) -> Vec<String> {
    let run = world.run(world.rollctl(&["status", "web", "--verify"]));
    let empty = Value::Null;
    let shown = run.events.last().unwrap_or(&empty);
    let mut wrong = Vec::new();
    if run.code != Some(0) {
        wrong.push(format!("status ends with {:?}: {}", run.code, run.stderr));
    }
    if shown["available"] != HOSTS || shown["current"] != HOSTS || !shown["rollout"].is_null() {
        wrong.push(format!("status shows {shown}"));
    }
    for instance in shown["instances"].as_array().into_iter().flatten() {
        let is_fine = instance["revision"] == wanted.name
            && instance["verified"] == "running_file"
            && instance["drift"].as_array().is_some_and(Vec::is_empty);
        if !is_fine {
            wrong.push(format!("status shows {instance}"));
        }
    }
    wrong
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
    }
}

/// The chain is whole, nobody holds the lease.
fn ledger(world: &World) -> Vec<String> {
    let url = format!(
        "sqlite:{}",
        world.controller.path("inventory/ledger.db").display()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let here = Here::of_this_machine(Arc::new(Now));
        let ledger = open_existing(&url, here).await.unwrap().unwrap();
        let service = ServiceName::new("web");
        let mut wrong = Vec::new();
        match ledger.verify_chain(&service).await.unwrap() {
            Chain::Whole { .. } => {}
            broken => wrong.push(format!("the chain is {broken:?}")),
        }
        if let Some(holder) = ledger.holder(&service).await.unwrap() {
            wrong.push(format!("the lease is held by {holder:?}"));
        }
        wrong
    })
}
