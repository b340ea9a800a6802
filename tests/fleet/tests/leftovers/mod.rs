//! What of a fleet is left on this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// How long hosts may take for what they do by themselves.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Everything on this machine that has the slot of this address in its name.
pub(crate) fn leftovers(address: Ipv4Addr) -> Vec<String> {
    let slot = address.octets()[2];
    let script = format!(
        "grep -F /rollctl-hosts/slot-{slot}/ /proc/*/mounts 2>/dev/null
         grep -la -e '[-]-machine=rf{slot}-' /proc/[0-9]*/cmdline 2>/dev/null
         find /sys/fs/cgroup -maxdepth 2 -name 'rollctl-fleet-{slot}-*'
         ls -d /sys/class/net/rf-br{slot} /sys/class/net/vb-rf{slot}-* 2>/dev/null
         ls -d /run/rollctl-fleet/slot-{slot} \"${{ROLLCTL_TEST_CACHE:-/var/cache/rollctl-tests}}/rollctl-hosts/slot-{slot}\" 2>/dev/null
         ip route show table all | grep -F 10.213.{slot}."
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}
