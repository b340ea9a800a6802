# Becomes the systemd-nspawn of one host: launch.sh CGROUP LOWER DIR MACHINE BRIDGE
set -eu
cgroup=$1 lower=$2 dir=$3 machine=$4 bridge=$5

# A cgroup of its own in every hierarchy, before nspawn starts: hosts that share one act on each other's processes.
# What an earlier run of this host left there goes first: cgroup v2 takes no process where there are groups below.
while read -r _ root type _; do
    case $type in cgroup | cgroup2) ;; *) continue ;; esac
    if [ -d "$root/$cgroup" ]; then
        find "$root/$cgroup" -depth -type d -exec rmdir {} +
    fi
    mkdir "$root/$cgroup"
    # A new cpuset has no processors, and takes no process until it has.
    if [ $type = cgroup ] && [ -e "$root/cpuset.cpus" ]; then
        cat "$root/cpuset.cpus" >"$root/$cgroup/cpuset.cpus"
        cat "$root/cpuset.mems" >"$root/$cgroup/cpuset.mems"
    fi
    echo $$ >"$root/$cgroup/cgroup.procs"
done </proc/mounts

# In a mount namespace of nspawn's own: the mount is gone when nspawn is.
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --boot --directory="$dir/root" --machine="$machine" --network-bridge="$bridge" --register=no --keep-unit \
    --console=pipe --resolv-conf=off --timezone=off --link-journal=no
