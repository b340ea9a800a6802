
# ---- commit: renames only

# Sets $changed when systemd has to read the path again.
changed_unit() { case $1 in "$unit_dir"/*) changed=yes ;; esac; }

# The folder of our drop-in goes with it, when it holds no other.
vanish() {
    rm -f -- "$1" || return 1
    case $1 in */50-rollctl.conf) rmdir -- "${1%/*}" 2>/dev/null ;; esac
    return 0
}

commit() {
    changed=$again
    while IFS= read -r item; do
        path=${item#* }
        case $item in
        "put "*)
            aside "$path" new
            if exists "$aside"; then
                mv -fT -- "$aside" "$path" || fail "cannot replace \`$path\`"
            fi
            ;;
        "gone "*) vanish "$path" || fail "cannot remove \`$path\`" ;;
        esac
        changed_unit "$path"
    done <"$dir/.rollctl/next/list"
    if [ -n "$to" ]; then
        mv -fT -- "$dir/.rollctl/next/current" "$dir/current" || fail "cannot switch \`$dir/current\`"
    else
        rm -f -- "$dir/current" || fail "cannot remove \`$dir/current\`"
    fi
    rm -rf -- "$dir/.rollctl/next"
    sync "$dir"
    reload
}

# put_back: what was saved, by renames; done twice, the second finds nothing left to do.
put_back() {
    saved=$dir/.rollctl/previous
    changed=$again
    if ! read_saved; then
        reload
        return 0
    fi
    if [ "$saved_digest" = - ]; then stop_all; fi
    while IFS= read -r item; do
        path=${item#* }
        case $item in
        "kept "*)
            aside "$path" previous
            if exists "$aside"; then replace "$aside" "$path" || fail "cannot put \`$path\` back"; fi
            ;;
        "absent "*)
            if exists "$path"; then vanish "$path" || fail "cannot remove \`$path\`"; fi
            ;;
        esac
        changed_unit "$path"
    done <"$saved/list"
    if [ -z "$saved_from" ]; then
        rm -f -- "$dir/current"
    elif [ -L "$saved/current" ]; then
        mv -fT -- "$saved/current" "$dir/current" || fail "cannot switch \`$dir/current\` back"
    fi
    sync "$dir"
    reload
    # Last: until here, a step that is cut off finds its way back.
    rm -rf -- "$saved"
}

reload() {
    [ "$rights" != restricted ] || return 0
    # What systemd said in this step before still holds where nothing was put into its path since.
    if [ -z "$changed" ]; then
        [ -n "$looked" ] || look_at_all
        changed=$is_stale
    fi
    [ -n "$changed" ] || return 0
    looked=
    manage daemon-reload || fail "\`systemctl daemon-reload\` failed"
}

# ---- start

# A unit file that we installed, that can be enabled and is not.
enable_units() {
    [ "$rights" != restricted ] || return 0
    [ -n "$looked" ] || look_at_all
    for unit in $disabled; do
        is_ours "$unit" || continue
        : >"$dir/.rollctl/enabled/$unit"
        manage enable -- "$unit" || fail "cannot enable \`$unit\`"
    done
}

start_all() {
    for unit in $units; do
        control reset-failed "$unit" >/dev/null 2>&1
        said=$(control restart "$unit" 2>&1)
        status=$?
        [ "$status" != 0 ] || continue
        look_at "$unit"
        remember_invocations
        write_step failed
        journal_line failed
        if [ "$status" = 124 ]; then
            fail "\`$unit\` did not come up within $limit s (it is $active)"
        fi
        fail "\`$unit\` did not come up (result: $result): $said"
    done
}

stop_all() {
    for unit in $units; do
        look_at "$unit"
        [ "$load" != not-found ] || continue
        if ! said=$(control stop "$unit" 2>&1); then fail "\`$unit\` cannot be stopped: $said"; fi
        if [ -e "$dir/.rollctl/enabled/$unit" ]; then
            manage disable -- "$unit" && rm -f -- "$dir/.rollctl/enabled/$unit"
        fi
        control reset-failed "$unit" >/dev/null 2>&1
    done
}

# recover: a step that was cut off is finished when all its units were restarted, else put back.
recover() {
    read_step
    [ "$step_state" = begun ] || return 0
    read_current
    units= touched= untouched=
    set -f
    IFS="
"
    for line in $step_units; do
        unset IFS
        was=${line##* }
        line=${line#unit }
        unit=${line%% *}
        units="$units $unit"
        look_at "$unit"
        if [ "$invocation" != "$was" ]; then touched="$touched $unit"; else untouched="$untouched $unit"; fi
    done
    unset IFS
    set +f
    rollout=$step_rollout hash=$step_hash from=$step_from to=$step_to again=begun by=recovery
    from_digest=$step_from_digest digest=$step_digest from_name=- to_name=-
    if [ "$way" = back ]; then
        put_back
        # A host that came up again before all was put back runs what was in place then.
        boot_id
        if [ "$digest" != - ] && { [ -n "$untouched" ] || [ "$boot" != "$step_boot" ]; }; then start_all; fi
    elif [ "$digest" = - ] || [ "$target" != "$to" ] || [ -n "$untouched" ]; then
        undo
        return 0
    fi
    remember_invocations
    write_step "done"
    journal_line finished
}

# Nothing new was saved: nothing was changed. Else it is put back, and what was restarted is restarted.
undo() {
    if read_saved && [ "$saved_digest" = "$from_digest" ] && [ "$saved_new" = "$digest" ]; then
        put_back
        [ "$digest" = - ] || units=$touched
        if [ "$from_digest" != - ]; then start_all; fi
        journal_line "put back"
    fi
    write_step undone
}
