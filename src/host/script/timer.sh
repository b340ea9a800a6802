
# ---- the timer and the oneshot of a dead-man's switch, on hosts and on balancers: unit files in $guard_dir, of the
# host's systemd where $rights are full, else of the login user's. $running_guard is the one that this runs in.

guard_manage() {
    if [ "$rights" = full ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

guard_is_active() {
    case $(guard_manage show -p ActiveState --value "$1") in
    active | activating | reloading | deactivating) return 0 ;;
    esac
    return 1
}

# start_guard NAME: its files are there. systemd reads a unit that it does not know when it is started; to read all the
# others again takes a busy host long. Enabled after that: what nothing in memory wants is forgotten once it is removed.
start_guard() {
    case $(guard_manage show -p NeedDaemonReload --value "$1.timer" "$1.service") in
    *yes*) guard_manage daemon-reload || return 1 ;;
    esac
    guard_manage restart "$1.timer" 2>/dev/null ||
        { guard_manage daemon-reload && guard_manage restart "$1.timer"; } || return 1
    guard_manage enable --no-reload -- "$1.timer"
}

# remove_guard NAME: without its mark it does nothing any more, even if it is at the lock already.
remove_guard() {
    guard_manage disable --no-reload -- "$1.timer" >/dev/null 2>&1
    guard_manage stop "$1.timer" >/dev/null 2>&1
    # It cannot end itself before it is done.
    [ "$1" = "$running_guard" ] || guard_manage stop "$1.service" >/dev/null 2>&1
    rm -f -- "$guard_dir/$1.timer" "$guard_dir/$1.service"
    forget_failed "$1"
    if is_unloaded "$1.timer" && is_unloaded "$1.service"; then return 0; fi
    guard_manage daemon-reload
    forget_failed "$1"
    return 0
}

forget_failed() {
    guard_manage reset-failed "$1.timer" >/dev/null 2>&1
    [ "$1" = "$running_guard" ] || guard_manage reset-failed "$1.service" >/dev/null 2>&1
}

is_unloaded() {
    seen=$(guard_manage show -p LoadState,ActiveState "$1") || return 1
    case $seen in *LoadState=not-found*) ;; *) return 1 ;; esac
    case $seen in *ActiveState=inactive*) return 0 ;; esac
    return 1
}
