
# ---- the timer and the oneshot of a dead-man's switch, on hosts and on balancers: unit files in $guard_dir, of the
# host's systemd where $rights are full, else of the login user's. $running_guard is the one that this runs in.

guard_manage() {
    if [ "$rights" = full ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

# Each call of systemctl costs a host more than all else that a switch does there besides the restart: there are few.

# start_guard NAME: its files are there; true when its timer runs, as systemd says. systemd reads a unit that it does not
# know when it is started; to read all the others again takes a busy host long. What it knew by that name is read again.
start_guard() {
    guard_manage restart "$1.timer" 2>/dev/null && timer_runs "$1" && [ -z "$stale" ] ||
        { guard_manage daemon-reload && guard_manage restart "$1.timer" && timer_runs "$1"; } || return 1
    # As `enable` does. After the start: what nothing in memory wants is forgotten once it is removed.
    mkdir -p -- "$guard_dir/timers.target.wants" &&
        ln -sfn -- "$guard_dir/$1.timer" "$guard_dir/timers.target.wants/$1.timer" &&
        # A power cut takes nothing of it away, on whatever file system the switch itself lies.
        sync "$guard_dir" "$guard_dir/timers.target.wants"
}

# timer_runs NAME: sets $stale where systemd knows another text of its timer or its service than lies there.
timer_runs() {
    seen=$(guard_manage show -p ActiveState,NeedDaemonReload "$1.timer" "$1.service")
    stale=
    case $seen in *NeedDaemonReload=yes*) stale=yes ;; esac
    # That of the timer comes first.
    seen=${seen#*ActiveState=}
    [ "${seen%%[!a-z]*}" = active ]
}

# remove_guard NAME: without its mark it does nothing any more, even if it is at the lock already. True when systemd knows
# of neither its timer nor its service, or as much as one can know that runs in it.
remove_guard() {
    # It cannot end itself before it is done.
    if [ "$1" = "$running_guard" ]; then set -- "$1" "$1.timer"; else set -- "$1" "$1.timer" "$1.service"; fi
    removed=$1
    shift
    guard_manage stop "$@" >/dev/null 2>&1
    rm -f -- "$guard_dir/timers.target.wants/$removed.timer" "$guard_dir/$removed.timer" "$guard_dir/$removed.service"
    if [ "$removed" != "$running_guard" ] && is_unloaded "$removed"; then return 0; fi
    guard_manage daemon-reload
    # One that was started after it was stopped; from here on nobody can start it.
    guard_manage stop "$@" >/dev/null 2>&1
    guard_manage reset-failed "$@" >/dev/null 2>&1
    [ "$removed" = "$running_guard" ] || is_unloaded "$removed"
}

# is_unloaded NAME: the timer and the service of that name.
is_unloaded() {
    seen=$(guard_manage show -p LoadState,ActiveState "$1.timer" "$1.service") || return 1
    for line in $seen; do
        case $line in LoadState=not-found | ActiveState=inactive) ;; *) return 1 ;; esac
    done
    [ -n "$seen" ]
}
