
# ---- the dead-man's switch: unless a switch is confirmed in time, the host puts it back by itself. A timer and a
# oneshot, as unit files, run this very script with one request. `armed` is its mark: whoever takes it away under the lock
# has disarmed it, even if the timer fires in that moment. What it needs lies in `.rollctl/guard` before anything goes down.

# Whose systemd runs it: restricted rights have only the login user's.
guard_place() {
    guard=$dir/.rollctl/guard
    if [ "$rights" = full ]; then
        guard_dir=/etc/systemd/system
        return 0
    fi
    guard_dir=$HOME/.config/systemd/user
    [ -n "$XDG_RUNTIME_DIR" ] || XDG_RUNTIME_DIR=/run/user/$uid
    export XDG_RUNTIME_DIR
}

guard_manage() {
    if [ "$rights" = full ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

# Sets $armed to the name of the units of the switch that is armed here; empty: none is.
read_armed() {
    guard_place
    armed=
    if [ -f "$guard/armed" ]; then IFS= read -r armed <"$guard/armed"; fi
}

# arm: in a switch that is guarded, after everything is saved and before anything goes down.
arm() {
    [ -n "$guard_input" ] || return 0
    read_armed
    before_armed=$armed
    rm -rf -- "$guard.new"
    mkdir -- "$guard.new" && printf %s "$rollctl_script" >"$guard.new/script" &&
        printf %s "$guard_input" >"$guard.new/input" && printf "%s\n" "$name" >"$guard.new/armed" &&
        sync "$guard.new/script" "$guard.new/input" "$guard.new/armed" || refuse full "cannot write \`$guard\`"
    mkdir -p -- "$guard_dir" || refuse unwritable "cannot write \`$guard_dir\`"
    put "$guard_dir/$name.service" "$guard_service" && put "$guard_dir/$name.timer" "$guard_timer" ||
        refuse full "cannot write \`$guard_dir/$name.timer\`"
    rm -rf -- "$guard" && mv -T -- "$guard.new" "$guard" || refuse full "cannot write \`$guard\`"
    said=$({ guard_manage daemon-reload && guard_manage enable -- "$name.timer" &&
        guard_manage restart "$name.timer"; } 2>&1)
    if [ "$?" != 0 ] || ! guard_is_active "$name.timer"; then
        disarm
        refuse guard "the dead-man's switch cannot be armed: $said"
    fi
    if [ -n "$before_armed" ] && [ "$before_armed" != "$name" ]; then remove_guard "$before_armed"; fi
}

guard_is_active() {
    case $(guard_manage show -p ActiveState --value "$1") in
    active | activating | reloading | deactivating) return 0 ;;
    esac
    return 1
}

# disarm: takes the mark away, then the units. To be called under the lock.
disarm() {
    read_armed
    rm -f -- "$guard/armed" && sync "$guard" 2>/dev/null
    [ -z "$armed" ] || remove_guard "$armed"
    rm -rf -- "$guard" "$guard.new"
}

# remove_guard NAME: without its mark it does nothing any more, even if it is at the lock already.
remove_guard() {
    if exists "$guard_dir/$1.timer" || exists "$guard_dir/$1.service"; then
        guard_manage disable -- "$1.timer" >/dev/null 2>&1
        guard_manage stop "$1.timer" >/dev/null 2>&1
        # It cannot end itself before it is done.
        [ "$1" = "$running_guard" ] || guard_manage stop "$1.service" >/dev/null 2>&1
        rm -f -- "$guard_dir/$1.timer" "$guard_dir/$1.service"
        guard_manage daemon-reload
        guard_manage reset-failed "$1.timer" >/dev/null 2>&1
        [ "$1" = "$running_guard" ] || guard_manage reset-failed "$1.service" >/dev/null 2>&1
    fi
    return 0
}

# is_disarmed NAME: read back; only this counts.
is_disarmed() {
    ! exists "$guard/armed" && ! guard_is_active "$1.timer" && ! guard_is_active "$1.service"
}

# Whoever claims the host has the whole time again; one that fits nothing any more goes.
rearm() {
    read_armed
    [ -n "$armed" ] || return 0
    read_current
    if read_saved && [ "$saved_to" = "$target" ]; then
        # At the lock already: it may not go on after this.
        guard_manage stop "$armed.service" >/dev/null 2>&1
        guard_manage restart "$armed.timer" || fail "the dead-man's switch \`$armed.timer\` cannot be set anew"
        return 0
    fi
    disarm
}

# revert dir= name= service= rollout= hash= epoch= by= from_name= from_digest= to_name= digest= limit= window= unit=...:
# the time is over. A switch that was cut off is finished or put back first; then what was saved is put back by renames:
# a full disk cannot stop it.
revert() {
    options "$@"
    running_guard=$name
    patience=3600
    lock
    read_armed
    if [ "$armed" != "$name" ]; then
        remove_guard "$name"
        return 0
    fi
    (recover)
    if read_saved && [ "$saved_new" = "$from_digest" ]; then
        read_step
        again= way=back from=$saved_to to=$saved_from
        write_step begun
        put_back
        if [ "$digest" != - ]; then start_all; fi
        remember_invocations
        write_step "done"
    fi
    journal_line "put back by the dead-man's switch: not confirmed within $window s"
    disarm
}
