
# ---- side by side: each revision runs as a unit of its own, `web@v1.4.2.service`, from a file of its own. Nothing is
# replaced, so that nothing has to be saved: what is not wanted any more is stopped and removed. `current` and the one
# enabled unit are those of the revision that was confirmed last. `.rollctl/instances/NAME` holds what is known of each:
#   port, whether it was confirmed, the step that started it, and what ran before it.

# Sets $unit to the unit of a revision.
unit_of() { unit=${template%@.service}@$1.service; }

# read_instance NAME: sets $i_port, $i_proven, $i_hash, $i_rollout, $i_digest, $i_before, $i_before_digest; false: there is none.
read_instance() {
    i_port= i_proven= i_hash= i_rollout= i_digest= i_before=- i_before_digest=-
    [ -n "$1" ] && [ -f "$dir/.rollctl/instances/$1" ] || return 1
    while IFS= read -r line; do
        value=${line#* }
        case $line in
        "port "*) i_port=$value ;;
        "proven "*) i_proven=$value ;;
        "hash "*) i_hash=$value ;;
        "rollout "*) i_rollout=$value ;;
        "digest "*) i_digest=$value ;;
        "before "*) i_before=$value ;;
        "before_digest "*) i_before_digest=$value ;;
        esac
    done <"$dir/.rollctl/instances/$1"
}

# write_instance NAME PROVEN
write_instance() {
    put "$dir/.rollctl/instances/$1" "port $i_port
proven $2
hash $i_hash
rollout $i_rollout
digest $i_digest
before $i_before
before_digest $i_before_digest
"
}

# Every instance: `side NAME PORT PROVEN DIGEST` and what systemd shows of its unit. Then the units that are not ours.
side_facts() {
    for file in "$dir"/.rollctl/instances/*; do
        name=${file##*/}
        case $name in *[!A-Za-z0-9._-]*) continue ;; esac
        read_instance "$name" || continue
        printf "side %s %s %s %s " "$name" "$i_port" "$i_proven" "$i_digest"
        unit_of "$name"
        show -p "$properties" "$unit" | base64 -w0
        printf "\n"
    done
    show_units "${template%@.service}@*.service" | while read -r unit rest; do
        name=${unit#"${template%.service}"}
        name=${name%.service}
        if ! read_instance "$name"; then printf "stranger %s\n" "$unit"; fi
    done
}

# The units that run and match.
show_units() {
    if [ "$scope" = user ]; then
        systemctl --user list-units --plain --no-legend --full --state=active,activating,reloading "$1"
    else
        systemctl list-units --plain --no-legend --full --state=active,activating,reloading "$1"
    fi
}

# side_start dir= ledger= epoch= by= rollout= hash= from_name= from_digest= to_name= digest= template= port= drop_in=
# limit= keeps= guarded= name= guard_input= guard_service= guard_timer=: starts a revision, beside the one that runs or, with
# keeps=no, in its place. Unless it is guarded it is what the host runs from then on.
side_start() {
    options "$@"
    lock
    owned
    if read_instance "$to_name" && [ "$i_hash" = "$hash" ] && [ "$i_rollout" = "$rollout" ]; then
        unit_of "$to_name"
        look_at "$unit"
        if [ "$active" = active ]; then
            [ "$guarded" = yes ] || side_current "$to_name"
            side_answer
            return 0
        fi
    fi
    mkdir -p -- "$dir/.rollctl/instances" "$unit_dir" || refuse unwritable "cannot write \`$dir/.rollctl\`"
    [ "$from_name" = - ] || read_instance "$from_name" || refuse changed "\`$from_name\` has no instance here"
    i_port=$port i_hash=$hash i_rollout=$rollout i_digest=$digest i_before=$from_name i_before_digest=$from_digest
    side_install "$to_name"
    arm
    if ! write_instance "$to_name" no; then
        [ -z "$guard_input" ] || disarm
        refuse full "cannot write \`$dir/.rollctl/instances\`"
    fi
    if [ "$keeps" = no ] && [ "$from_name" != - ] && [ "$from_name" != "$to_name" ]; then
        unit_of "$from_name"
        said=$(control stop "$unit" 2>&1) || fail "\`$unit\` cannot be stopped: $said"
    fi
    side_run "$to_name" || fail "$said"
    [ "$guarded" = yes ] || side_current "$to_name"
    journal_line switched
    side_answer
}

# Its unit file and drop-in, by rename; systemd reads them.
side_install() {
    source=$dir/revisions/$1/.rollctl/units/$template
    [ -f "$source" ] || refuse changed "\`$dir/revisions/$1\` has no \`$template\`"
    unit_of "$1"
    mkdir -p -- "$unit_dir/$unit.d" || refuse unwritable "cannot write \`$unit_dir\`"
    put "$unit_dir/$unit.d/50-rollctl.conf" "$drop_in" && put_copy "$unit_dir/$unit" "$source" ||
        refuse full "cannot write \`$unit_dir/$unit\`"
    manage daemon-reload || fail "\`systemctl daemon-reload\` failed"
}

# Starts the unit of a revision anew; sets $said when it does not come up.
side_run() {
    unit_of "$1"
    control reset-failed "$unit" >/dev/null 2>&1
    said=$(control restart "$unit" 2>&1)
    status=$?
    [ "$status" != 0 ] || return 0
    look_at "$unit"
    journal_line failed
    if [ "$status" = 124 ]; then
        said="\`$unit\` did not come up within $limit s (it is $active)"
    else
        said="\`$unit\` did not come up (result: $result): $said"
    fi
    return 1
}

# side_current NAME: what the host runs, also after a reboot: exactly one is enabled.
side_current() {
    rm -f -- "$dir/.rollctl/next-current"
    ln -s -- "revisions/$1" "$dir/.rollctl/next-current" && mv -fT -- "$dir/.rollctl/next-current" "$dir/current" ||
        fail "cannot switch \`$dir/current\`"
    sync "$dir"
    unit_of "$1"
    manage enable -- "$unit" >/dev/null 2>&1 || fail "cannot enable \`$unit\`"
    for file in "$dir"/.rollctl/instances/*; do
        [ "${file##*/}" != "$1" ] || continue
        unit_of "${file##*/}"
        manage disable -- "$unit" >/dev/null 2>&1
    done
    read_instance "$1" && write_instance "$1" yes
}

side_answer() {
    boot_id
    unit_of "$to_name"
    look_at "$unit"
    printf "boot %s\nunit %s %s %s\n" "$boot" "$unit" "$restarts" "$invocation"
}

# side_confirm dir= ledger= epoch= by= rollout= hash= from_name= to_name= digest= template= keeps= unit= expect=: reads back that it
# runs as it was started; only then it is what the host runs. What was stopped for it is removed.
side_confirm() {
    options "$@"
    lock
    owned
    read_instance "$to_name" || fail "\`$to_name\` has no instance here any more"
    as_started
    side_current "$to_name"
    end_guard
    if [ "$keeps" = no ] && [ "$from_name" != - ] && [ "$from_name" != "$to_name" ]; then side_remove "$from_name"; fi
    journal_line confirmed || fail "cannot write \`$dir/.rollctl/journal\`"
    printf "confirmed\n"
}

# side_stop dir= ledger= epoch= by= rollout= hash= from_name= to_name= template= limit=: stops and removes from_name. to_name, unless it is
# `-`, stays: it is what the host runs from then on, and is started if it does not run.
side_stop() {
    options "$@"
    lock
    owned
    if [ "$to_name" != - ]; then
        read_instance "$to_name" || refuse changed "\`$to_name\` has no instance here"
        unit_of "$to_name"
        look_at "$unit"
        [ "$active" = active ] || side_run "$to_name" || fail "$said"
        side_current "$to_name"
    fi
    unproven=
    if read_instance "$from_name" && [ "$i_proven" = no ]; then unproven=yes; fi
    side_remove "$from_name"
    read_current
    if [ "${target##*/}" = "$from_name" ]; then rm -f -- "$dir/current"; fi
    read_armed
    if [ -n "$armed$disarmed" ] && [ -n "$unproven" ]; then disarm; fi
    journal_line stopped
    printf "stopped\n"
}

# side_remove NAME: stops it, and takes away what was installed for it; its revision stays.
side_remove() {
    unit_of "$1"
    look_at "$unit"
    if [ "$load" != not-found ] && ! said=$(control stop "$unit" 2>&1); then fail "\`$unit\` cannot be stopped: $said"; fi
    manage disable -- "$unit" >/dev/null 2>&1
    rm -f -- "$unit_dir/$unit.d/50-rollctl.conf" "$unit_dir/$unit" "$dir/.rollctl/instances/$1" ||
        fail "cannot remove \`$unit_dir/$unit\`"
    rmdir -- "$unit_dir/$unit.d" 2>/dev/null
    manage daemon-reload || fail "\`systemctl daemon-reload\` failed"
    control reset-failed "$unit" >/dev/null 2>&1
    return 0
}

# side_revert ...: the time of its dead-man's switch is over. What nobody confirmed goes, and what ran before runs.
side_revert() {
    fires "$@" || return 0
    outcome="put back by the dead-man's switch: not confirmed within $window s"
    if read_instance "$to_name" && [ "$i_proven" = no ]; then
        if [ "$from_name" != - ] && read_instance "$from_name"; then
            unit_of "$from_name"
            look_at "$unit"
            [ "$active" = active ] || side_run "$from_name" || outcome="$outcome; \`$unit\` did not come up"
            side_current "$from_name"
        fi
        side_remove "$to_name"
        # As where units are replaced: to what runs now.
        gone=$to_name to_name=$from_name from_name=$gone
        journal_line "$outcome"
    fi
    disarm
}
