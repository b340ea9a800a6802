# Takes away all that a slot of the fleet has made: clean.sh SLOT STATE_DIR. Run at the end of a fleet, by the janitor of a test process
# that died, and before a slot is used again. Everything is found by the slot's own names; what is already gone is no error.
slot=$1 state=$2
cgroup=rollctl-fleet-$slot
bridge=rf-br$slot

cgroups() {
    while read -r _ root type _; do
        case $type in cgroup | cgroup2) ;; *) continue ;; esac
        for group in "$root/$cgroup"-*; do
            [ -d "$group" ] && echo "$group"
        done
    done </proc/mounts
}

processes() {
    for group in $(cgroups); do
        find "$group" -name cgroup.procs -exec cat {} +
    done 2>/dev/null | sort -un
}

tries=0
while pids=$(processes) && [ -n "$pids" ] && [ $tries -lt 200 ]; do
    kill -KILL $pids 2>/dev/null
    tries=$((tries + 1))
    sleep 0.05
done
for group in $(cgroups); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
done

# Unsent data of a dead connection keeps a host's network, and with it the cable, for minutes.
for cable in /sys/class/net/vb-rf"$slot"-*; do
    [ -e "$cable" ] && ip link delete "${cable##*/}" 2>/dev/null
done
if [ -e "/sys/class/net/$bridge" ]; then
    ip link delete "$bridge"
fi
ip route delete blackhole "10.213.$slot.0/24" metric 4000 2>/dev/null

if [ -f "$state/disk" ]; then
    disk=$(cat "$state/disk")
    case $disk in */rollctl-hosts/slot-"$slot") rm -rf "$disk" ;; esac
fi
rm -rf "$state"
[ -z "$(cgroups)" ] && [ ! -e "/sys/class/net/$bridge" ] && [ ! -e "$state" ]
