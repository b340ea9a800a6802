
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

# Sets $armed to the name of the units of the switch that is armed here, $disarmed to that of one that was disarmed and
# whose units may still be there; empty: none is.
read_armed() {
    guard_place
    armed= disarmed=
    if [ -f "$guard/armed" ]; then IFS= read -r armed <"$guard/armed"; fi
    if [ -f "$guard/disarmed" ]; then IFS= read -r disarmed <"$guard/disarmed"; fi
}

# arm: in a switch that is guarded, after everything is saved and before anything goes down. The name is on record before
# there is a unit of that name, so that whoever is cut off in between leaves nothing that nobody knows of.
arm() {
    [ -n "$guard_input" ] || return 0
    read_armed
    if [ -n "$disarmed" ] || [ "${armed:-$name}" != "$name" ]; then disarm; fi
    # One of this name that has fired already waits at the lock: it may not go on with the new one.
    if [ "$armed" = "$name" ]; then guard_manage stop "$name.service" >/dev/null 2>&1; fi
    mkdir -p -- "$guard" "$guard_dir" || refuse unwritable "cannot write \`$guard_dir\`"
    if ! put "$guard/script" "$rollctl_script" "$guard/input" "$guard_input" "$guard/armed" "$name
" "$guard_dir/$name.service" "$guard_service" "$guard_dir/$name.timer" "$guard_timer"; then
        disarm
        refuse full "cannot write \`$guard\` and \`$guard_dir/$name.timer\`"
    fi
    if ! said=$(start_guard "$name" 2>&1); then
        disarm
        refuse guard "the dead-man's switch cannot be armed: $said"
    fi
}

# Sets $fired to when a dead-man's switch was the last that changed something here, $fired_name to what it put back.
read_fired() {
    fired= fired_name=
    [ -f "$dir/.rollctl/journal" ] || return 0
    last=$(tail -n 1 "$dir/.rollctl/journal")
    case $last in *"	put back by the dead-man's switch: "*) ;; *) return 0 ;; esac
    fired=${last%%	*}
    last=${last%	put back by*}
    fired_name=${last##*	}
}

# disarm: takes the mark away, then the units; true when systemd, read back, knows of none. To be called under the lock. The
# name stays on record until they are gone, also for a power cut: one that is cut off here is brought to its end by the next.
disarm() {
    guard_place
    if [ -f "$guard/armed" ]; then mv -fT -- "$guard/armed" "$guard/disarmed" && sync "$guard" 2>/dev/null; fi
    gone=yes
    if [ -f "$guard/disarmed" ]; then
        IFS= read -r disarmed <"$guard/disarmed"
        remove_guard "$disarmed" || gone=
        # Before the script goes that a timer which comes back would run.
        sync "$guard_dir" 2>/dev/null
    fi
    # Whoever asks again has to find it.
    [ -n "$gone" ] || return 1
    rm -rf -- "$guard"
    ! exists "$guard/armed"
}

# Whether an instance was started beside another and never confirmed.
is_unconfirmed() {
    for file in "$dir"/.rollctl/instances/*; do
        if read_instance "${file##*/}" && [ "$i_proven" = no ]; then return 0; fi
    done
    return 1
}

# Whoever claims the host has the whole time again; one that fits nothing any more goes.
rearm() {
    read_armed
    [ -n "$armed$disarmed" ] || return 0
    read_current
    if [ -n "$armed" ] && { is_unconfirmed || { read_saved && [ "$saved_to" = "$target" ]; }; }; then
        # At the lock already: it may not go on after this.
        guard_manage stop "$armed.service" >/dev/null 2>&1
        guard_manage restart "$armed.timer" || fail "the dead-man's switch \`$armed.timer\` cannot be set anew"
        return 0
    fi
    disarm
}

# fires OPTION...: in the oneshot itself, whose time is over, under the lock; false: it was disarmed, and is gone now.
fires() {
    options "$@"
    running_guard=$name
    patience=3600
    lock
    read_armed
    [ "$armed" != "$name" ] || return 0
    # Whoever disarmed it may have been cut off before the end.
    if [ "$disarmed" = "$name" ]; then disarm; fi
    if exists "$guard_dir/$name.timer" || exists "$guard_dir/$name.service"; then remove_guard "$name"; fi
    return 1
}

# revert dir= name= service= rollout= hash= epoch= by= from_name= from_digest= to_name= digest= limit= window= unit=...:
# the time is over. A switch that was cut off is finished or put back first; then what was saved is put back by renames:
# a full disk cannot stop it.
revert() {
    fires "$@" || return 0
    read_step
    case $step_hash:$step_state:$way in
    "$hash":*:* | *:begun:* | *:failed:back) ;;
    *)
        # Nothing was begun after it was armed: what runs is to be left alone.
        disarm
        return 0
        ;;
    esac
    (recover)
    read_step
    from=$step_from to=$step_to is_down=
    if read_saved && [ "$saved_new" = "$from_digest" ]; then
        again= step_state= way=back from=$saved_to to=$saved_from
        write_step begun
        put_back
        is_down=yes
    elif [ "$step_state" = failed ]; then
        # Files are back, and the units did not come up.
        is_down=yes
    elif [ "$step_state:$way" = done:forth ]; then
        # A later switch was finished: this one has nothing to put back.
        disarm
        return 0
    fi
    outcome="put back by the dead-man's switch: not confirmed within $window s"
    if [ -n "$is_down" ] && [ "$digest" != - ]; then
        again=
        (enable_units) >&2
        start_each || outcome="$outcome;$not_up did not come up"
    fi
    remember_invocations
    write_step "undone"
    journal_line "$outcome"
    disarm
}

# Every unit is started, whatever becomes of the others; sets $not_up to those that did not come up.
start_each() {
    not_up=
    for unit in $units; do
        control reset-failed "$unit" >/dev/null 2>&1
        control restart "$unit" >&2 || not_up="$not_up \`$unit\`"
    done
    [ -z "$not_up" ]
}
