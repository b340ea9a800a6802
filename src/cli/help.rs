//! The longer texts of `--help`: an introduction, examples, exit codes.

pub(crate) const ABOUT: &str = "\
Rolls a new version of a systemd service over a fleet of hosts, over plain SSH, with nothing installed \
on the hosts: never more than `max_unavailable` instances down, each new one proven healthy before the \
next one starts, every revision kept so that you can go back to it by name.";

pub(crate) const ROOT_SHORT: &str = "\
Start with `rollctl check --connect`. More: `rollctl --help`, `rollctl COMMAND --help`, `rollctl man`.";

pub(crate) const ROOT: &str = "\
Examples:
  rollctl check --connect                      is the inventory right, do the hosts answer?
  rollctl plan web ./web                       what would happen, in which order?
  rollctl release web ./web --name v1.4.2      roll it out
  rollctl status web --watch                   what runs where, what does it wait for?
  rollctl rollback web --to v1.4.1             go back
  rollctl resume web                           go on after a pause, or after rollctl died

Exit codes (the first that applies, in this order):
    2  usage or inventory, nothing touched
    4  another controller works on the service
  130  interrupted
   11  failed and mixed: somebody must look
   10  failed and rolled back: the fleet is as it was
    5  paused, held or refused: waits for somebody
    3  done, but some hosts were skipped (listed)
    1  unexpected error
    0  done, or nothing to do

Results go to stdout, progress and errors to stderr; with `--output json` everything is JSON on stdout, \
one object a line, each with \"version\": 1. NO_COLOR switches colours off. ROLLCTL_LOG filters the log \
(`ROLLCTL_LOG=rollctl=debug,russh=info`) and wins over -v.";

pub(crate) const RELEASE: &str = "\
The artifact is shipped and verified on every host before anything goes down. Then host by host, within \
the budgets: switch, restart, prove health for `min_ready`. A host that fails gets back what it ran \
before; over `max_failures` of them, every host does (`on_failure`). Releasing what already runs \
everywhere does nothing. If rollctl dies, hosts that it had switched and not confirmed go back by themselves.

Where the inventory has `[trust]`, the artifact needs a signature beside it, as `ssh-keygen -Y sign -n rollctl \
-f KEY ./web` writes it: without a good one nothing is shipped (5). Outside the service's `window` nothing is \
begun (5): `--wait` waits for it.

For a timer, `--unattended` never asks, prints nothing while there is nothing to do, and leaves the service alone \
(5; nothing is touched) while it is held or a person's rollout is not over, for a build whose last rollout failed, \
and for one after which a person rolled out something else, until there is another build or a person releases it.

Ctrl-C once: finish what is in flight, then pause. Twice: stop now; hosts are left consistent.

Examples:
  rollctl release web ./web --name v1.4.2 --cause \"fixes the login\"
  rollctl release web                          ships `artifact` of the service, named r<number>
  rollctl release web https://get.example.net/web-1.4.2.tar.zst   read here, fetched by the hosts
  rollctl release web ./web --hosts 'zone=a'   only these; does not become the service's revision
  rollctl release web ./web --exclude web-07   all but this one
  rollctl release web ./web --max-unavailable 25%
  rollctl release web --same                   what the service runs, on hosts that lack it
  rollctl release web --unattended             as a timer does it

Exit codes: 0 done or nothing to do, 2 nothing touched, 3 some hosts skipped, 4 another controller is at \
work, 5 paused, 10 rolled back, 11 somebody must look, 130 interrupted. All of them: `rollctl --help`.";

pub(crate) const RESTART: &str = "\
Like a release of the service's present revision in which every instance is started anew, within the \
budgets. Hosts that run another revision are brought to it.

Examples:
  rollctl restart web
  rollctl restart web --hosts 'zone=a' --cause \"new certificates\"

Exit codes: as `rollctl release`.";

pub(crate) const PAUSE: &str = "\
Asks the rollctl that drives the rollout, wherever it runs: the request travels through the ledger. What is \
in flight is finished first; `rollctl status web --watch` shows it. `rollctl resume web` goes on.

Exit codes: 0 it pauses, or is paused already; 2 there is nothing to pause; 5 it was refused.";

pub(crate) const RESUME: &str = "\
Looks at every host again: what they say counts, not what was planned. Then it goes on, here. After a pause, \
what had failed is tried again; after the death of a rollctl, it is not. Outside the service's `window`, only \
what is in flight is finished, and the way back is gone on with.

Examples:
  rollctl resume web
  rollctl resume web --take-over               the other rollctl hangs, or its machine is gone

Exit codes: as `rollctl release`; 2 there is nothing to go on with.";

pub(crate) const APPROVE: &str = "\
For steps with `approve = true`. It may be said before the step's bake is over.

Exit codes: 0 approved; 2 no rollout is at work; 5 it waits for nobody to approve.";

pub(crate) const ABORT: &str = "\
What is in flight is finished or put back, nothing more is started, and the rollout ends (exit 11 where it \
runs): hosts stay on what they run then. `rollctl rollback web` returns to the revision before. A rollout that \
is paused, or whose rollctl died, is looked at and ended here.

Exit codes: 0 it ends; 2 there is nothing to abort; 11 it was ended here, and hosts run different revisions.";

pub(crate) const HOLD: &str = "\
While a service is held, runs with `--unattended` leave it alone (5) and say who holds it, since when and why. A \
person is told, and not held up: `release`, `rollback` and `restart` work. A rollout that is at work goes on; \
`rollctl pause` pauses it. `rollctl status` shows the hold, `rollctl history` the earlier ones too.

Examples:
  rollctl hold web --cause \"the database moves tonight\"
  rollctl unhold web

Exit codes: 0 done, also where there was nothing to do; 2 usage or inventory.";

pub(crate) const TIMER: &str = "\
Prints what runs `rollctl release SERVICE --unattended` at its times: unit files for systemd, and a cron line where \
cron can say when. They name this rollctl and the inventory by their whole paths. Nothing is installed. systemd's own \
words about when are checked by `systemd-analyze`, where that is there.

A timer has no SSH agent: the inventory's `identity`, or the user's ~/.ssh, has to do. Secrets (PGPASSWORD, what the \
inventory takes from the environment) go into /etc/rollctl/FLEET.env, with `--scope user` ~/.config/rollctl/FLEET.env.

Examples:
  rollctl timer web --on-calendar hourly
  rollctl timer web --on-calendar '*:0/15' --user deploy --only service
  rollctl timer web --on-calendar 'Mon..Fri 02:30' --scope user
  rollctl timer web --on-calendar daily --only cron | crontab -

Exit codes: 0 printed; 2 usage or inventory.";

pub(crate) const ROLLBACK: &str = "\
The artifacts of earlier revisions are kept: you need nothing but the name. What hosts ran before \
rollctl came is a revision too (`adopted-...`).

Examples:
  rollctl rollback web                         to the one before
  rollctl rollback web --to v1.4.1             by name
  rollctl rollback web --to 7                  by number, as `rollctl history web` lists it

Exit codes: 0 done or nothing to do, 2 nothing touched, 3 some hosts skipped, 4 another controller is at \
work, 5 paused, 10 failed and taken back, 11 somebody must look, 130 interrupted. All of them: \
`rollctl --help`.";

pub(crate) const PLAN: &str = "\
Looks at the hosts and changes nothing, neither there nor in the ledger.

Examples:
  rollctl plan web ./web
  rollctl plan web ./web --max-unavailable 3
  rollctl plan web ./web --output json | jq '.instances[] | .host'

Exit codes: 0 planned (hosts that cannot take part are listed), 2 it would be refused, 5 its signature does not count.";

pub(crate) const STATUS: &str = "\
  DESIRED      hosts of the service that are in service
  CURRENT      instances that run
  UP-TO-DATE   of these, on the revision that was released last
  AVAILABLE    of these, ready for `min_ready` without a break

With --verify, what each host runs is compared with what was released: the SHA-256 of the running file \
(`running file`), else the files on disk and that the units were restarted since (`files + restart`); \
every file of the revision, its unit files, drop-ins and links. DRIFT: somebody changed the host.

Examples:
  rollctl status                               every service
  rollctl status web --watch
  rollctl status web --verify
  rollctl status web --output json | jq .available

Exit codes: 0 shown; with --verify 11 when a host has drifted, 3 when some could not be verified.";

pub(crate) const HISTORY: &str = "\
Examples:
  rollctl history web
  rollctl history web --revision 7             everything that is known of it
  rollctl history web --host web-07            what ran there, and when
  rollctl history web --host web-07 --at '3 days ago'
  rollctl history web --output json | jq '.revisions[0].names'";

pub(crate) const DESCRIBE: &str = "\
Examples:
  rollctl describe 12
  rollctl describe 12 --output json            one event a line";

pub(crate) const CHECK: &str = "\
Without --connect nothing leaves this machine. With it, hosts are looked at and nothing on them is changed: \
can they take part, does this fleet's ledger manage them, do they run what was released?

Examples:
  rollctl check
  rollctl check --connect
  rollctl check --connect --hosts 'zone=a'

Exit codes: 0 all is well, 2 the inventory has mistakes, 11 a host has drifted from what was released, \
3 some hosts cannot take part.";

pub(crate) const TRUST: &str = "\
A host whose key is not known is refused: somebody could be in between. `trust` shows the fingerprint of \
each key, so that you can compare it with the host's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` \
on its console), asks, and adds it to known_hosts. A key that has changed is never replaced: remove the \
old one with `ssh-keygen -R` first.

Examples:
  rollctl trust web-01 web-02
  rollctl trust web-01 --yes                   without asking, where the network is trusted";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  rollctl completions bash > ~/.local/share/bash-completion/completions/rollctl
  rollctl completions zsh > ~/.zfunc/_rollctl
  rollctl completions fish > ~/.config/fish/completions/rollctl.fish";

pub(crate) const MAN: &str = "\
Examples:
  rollctl man | man -l -
  rollctl man > ~/.local/share/man/man1/rollctl.1";

pub(crate) const LEDGER: &str = "\
Examples:
  rollctl ledger verify                        is it as it was written?
  rollctl ledger verify --connect              and do the hosts' journals agree?
  rollctl ledger export >ledger.jsonl          all of it, one row a line
  rollctl ledger rebuild                       it is lost: read it back from the hosts";

pub(crate) const LEDGER_VERIFY: &str = "\
Computes the hash of every event anew and compares it, and what else is listed of events and rollouts. With \
--connect every line of the hosts' journals has to be in the ledger, and every confirmation of the ledger in a \
journal. It changes nothing. Hosts of services that the inventory does not have any more are not asked.

Exit codes: 0 all agree, 3 some hosts could not be compared, 11 something was changed, is missing or differs: the \
event and the host are named.";

pub(crate) const LEDGER_EXPORT: &str = "\
One object a line: {\"version\":1,\"table\":...,\"row\":{...}}, the rows as the database has them, times in \
milliseconds since 1970. The same ledger gives the same bytes, from SQLite as from PostgreSQL.";

pub(crate) const LEDGER_REBUILD: &str = "\
For a ledger that is lost. Services that the ledger has are left as they are. Numbers, names, digests, and who ran \
what since when come back; what does not is listed in docs/ledger.md. The hosts still belong to the ledger that is \
lost: the next release, rollback or restart needs --take-over, once. Nothing is changed on the hosts.

Exit codes: 0 done, 3 some hosts could not be read.";
