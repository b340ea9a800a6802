//! Any host of the fleet: streams to its sockets, and fixed scripts with data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::lane::lost;
use super::over_ssh::SshShell;
use super::script::{Manner, encode, refused, tail, token};
use super::shell::Shell;
use crate::core::fleet::{Become, Fleet, Host, Scope};
use crate::core::ids::HostName;
use crate::ports::{HostError, HostErrorKind, Machines, ScriptEnd, Stream};
use crate::ssh::Connector;

/// Takes in the arguments, runs what follows with them, and says how it ended, told from noise by the token.
const FRAME_BEGIN: &str = r#"LC_ALL=C
export LC_ALL
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
trap "" HUP PIPE
IFS= read -r token && IFS= read -r count || exit 1
set --
while [ "$#" -lt "$count" ]; do
    IFS= read -r value || exit 1
    case $value in
    *\\*)
        value=$(printf "%bX" "$value")
        value=${value%X}
        ;;
    esac
    set -- "$@" "$value"
done
printf "\n%s begin\n" "$token"
("#;
const FRAME_END: &str = "\n) </dev/null\nprintf \"\\n%s end %s\\n\" \"$token\" \"$?\"\n";

/// Output of one script that is kept.
const KEPT: u64 = 16 << 20;

/// The machines of a fleet over SSH.
pub struct FleetMachines {
    connector: Arc<Connector>,
    machines: BTreeMap<HostName, (SshShell, Become)>,
}

impl FleetMachines {
    /// Nothing is connected yet.
    pub fn new(fleet: &Fleet, connector: &Arc<Connector>) -> Self {
        let machine = |host: &Host| {
            let shell = SshShell::new(connector, host, fleet.hosts.len());
            (host.name.clone(), (shell, host.ssh.r#become))
        };
        Self {
            connector: Arc::clone(connector),
            machines: fleet.hosts.iter().map(machine).collect(),
        }
    }

    /// The way to a host, whose connection is shared.
    pub(crate) fn shell(&self, host: &Host) -> SshShell {
        match self.machines.get(&host.name) {
            Some((shell, _)) => shell.clone(),
            None => SshShell::new(&self.connector, host, self.machines.len()),
        }
    }

    fn machine(&self, host: &HostName) -> Result<&(SshShell, Become), HostError> {
        self.machines
            .get(host)
            .ok_or_else(|| refused("it is not a host of the inventory", None))
    }
}

#[async_trait]
impl Machines for FleetMachines {
    async fn dial_unix(&self, host: &HostName, path: &str) -> Result<Box<dyn Stream>, HostError> {
        self.machine(host)?.0.dial_unix(path).await
    }

    async fn run(
        &self,
        host: &HostName,
        script: &'static str,
        arguments: &[String],
        timeout: Duration,
    ) -> Result<ScriptEnd, HostError> {
        let (shell, acting) = self.machine(host)?;
        run(shell, *acting, script, arguments, timeout).await
    }
}

/// Runs a script by a shell of its own.
pub(crate) async fn run(
    shell: &dyn Shell,
    acting: Become,
    script: &'static str,
    arguments: &[String],
    timeout: Duration,
) -> Result<ScriptEnd, HostError> {
    let manner = Manner {
        scope: Scope::System,
        acting,
    };
    let token = token();
    let input = input(script, &token, arguments)?;
    let mut wire = shell.open(&manner.command()).await?;
    let mut output = Vec::new();
    let exchange = async {
        let (stdin, stdout) = wire.pipes();
        // What cannot be run closes its input: how it ended says more than a failed write.
        let _ = stdin.write_all(&input).await;
        let _ = stdin.shutdown().await;
        stdout.take(KEPT).read_to_end(&mut output).await.map(drop)
    };
    if tokio::time::timeout(timeout, exchange).await.is_err() {
        return Err(lost(format!("no answer within {} s", timeout.as_secs())));
    }
    let ending = wire.ending().await;
    match answer(&output, &token) {
        Some((status, stdout)) => Ok(ScriptEnd {
            status,
            stdout,
            stderr: ending.stderr,
        }),
        None if ending.is_lost => Err(lost(ending.how)),
        None => Err(HostError {
            kind: HostErrorKind::Refused,
            message: format!(
                "the login shell did not run `sh`: {}{}",
                ending.how,
                tail(&ending.stderr)
            ),
            hint: manner.uses_sudo().then(|| {
                "`become = \"sudo\"` needs a `sudo -n sh` that asks for no password".to_owned()
            }),
        }),
    }
}

fn input(script: &str, token: &str, arguments: &[String]) -> Result<Vec<u8>, HostError> {
    let script = format!("{FRAME_BEGIN}\n{script}{FRAME_END}");
    let mut input =
        format!("{}\n{script}{token}\n{}\n", script.len(), arguments.len()).into_bytes();
    for argument in arguments {
        if argument.contains('\0') {
            return Err(refused("an argument holds a NUL byte", None));
        }
        encode(argument.as_bytes(), &mut input);
        input.push(b'\n');
    }
    Ok(input)
}

/// The exit status and what was written between the two marks.
fn answer(output: &[u8], token: &str) -> Option<(i32, Vec<u8>)> {
    let begin = format!("\n{token} begin\n");
    let end = format!("\n{token} end ");
    let start = super::script::find(output, begin.as_bytes(), 0)? + begin.len();
    let stop = super::script::find(output, end.as_bytes(), start)?;
    let rest = output.get(stop + end.len()..)?;
    let status = std::str::from_utf8(rest)
        .ok()?
        .lines()
        .next()?
        .parse()
        .ok()?;
    Some((status, output.get(start..stop)?.to_vec()))
}
