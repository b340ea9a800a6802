
# confirm dir= ledger= epoch= by= rollout= hash= from_name= to_name= to= digest= unit=... expect=INVOCATION:NRESTARTS...:
# reads back under the lock, then writes the journal. What a revert needed is no longer needed.
confirm() {
    options "$@"
    lock
    owned
    read_current
    if [ "$target" != "$to" ]; then
        read_fired
        if [ -n "$fired" ]; then fail "its dead-man's switch has put \`$fired_name\` back at $fired"; fi
        fail "\`current\` points to \`$target\`, not to \`$to\`"
    fi
    as_started
    end_guard
    journal_line confirmed || fail "cannot write \`$dir/.rollctl/journal\`"
    forget
    printf "confirmed\n"
}

# Disarms what is armed here; only what is read back counts.
end_guard() {
    read_armed
    guarded_by=${armed:-$disarmed}
    [ -n "$guarded_by" ] || return 0
    disarm || fail "the dead-man's switch \`$guarded_by\` cannot be disarmed"
    # It may have been long in coming to an end: what runs now is what counts.
    as_started
}

# Every unit runs as it was started.
as_started() {
    left=$expected
    for unit in $units; do
        look_at "$unit"
        if [ "$digest" = - ]; then
            case $active in
            active | activating | reloading) fail "\`$unit\` is $active, though nothing should run" ;;
            esac
            continue
        fi
        wanted=${left# }
        wanted=${wanted%% *}
        left=${left# }
        case $left in *" "*) left=${left#* } ;; *) left= ;; esac
        [ "$active" = active ] || fail "\`$unit\` is $active (result: $result)"
        [ "$invocation" = "${wanted%:*}" ] || fail "\`$unit\` was started again since the switch"
        [ "$restarts" = "${wanted#*:}" ] || fail "\`$unit\` restarted since the switch"
    done
}

# What was saved for a revert goes; the name of the revision before stays for pruning.
forget() {
    [ -f "$dir/.rollctl/previous/list" ] || return 0
    while IFS= read -r item; do
        aside "${item#* }" previous
        rm -f -- "$aside"
        case $aside in */.50-rollctl.conf.*) rmdir -- "${aside%/*}" 2>/dev/null ;; esac
    done <"$dir/.rollctl/previous/list"
    rm -rf -- "$dir/.rollctl/previous"
}

# journal LINES UNIT...: the end of the journal of the units of their present invocation, after the word `readable`.
# What the user may not read is not taken for an empty journal.
journal() {
    lines=$1
    shift
    units="$*"
    names= matches=
    if [ "$scope" = user ]; then flag=--user-unit field_name=USER_INVOCATION_ID; else flag=-u field_name=INVOCATION_ID; fi
    for unit in $units; do
        look_at "$unit"
        [ -n "$invocation" ] || continue
        names="$names $flag $unit"
        [ -z "$matches" ] || matches="$matches +"
        matches="$matches _SYSTEMD_INVOCATION_ID=$invocation + $field_name=$invocation"
    done
    if [ -z "$matches" ]; then
        printf "readable\n"
        return 0
    fi
    # Names and matches have no blanks.
    set -f
    set -- journalctl $names $matches -n "$lines" --no-pager -o short
    if [ "$rights" = restricted ]; then set -- sudo -n "$@"; fi
    said=$("$@" 2>&1)
    if [ "$?" != 0 ] && [ "$rights" = restricted ]; then
        shift 2
        said=$("$@" 2>&1)
    fi
    # Hints are on stderr; entries begin with a date, hints and `-- ` lines do not count as any.
    entries=
    IFS="
"
    for line in $said; do
        case $line in
        "-- "* | "Hint: "* | "      "* | "No journal files were"* | "sudo: "* | "journalctl: "*) ;;
        *) entries="$entries$line
" ;;
        esac
    done
    unset IFS
    if [ -z "$entries" ]; then
        case $said in *"Hint: "* | *"No journal files were"* | *"ermission denied"* | *"sudo: "*)
            printf "hidden\n"
            return 0
            ;;
        esac
    fi
    printf "readable\n%s" "$entries"
}

# check SECONDS COMMAND: a health command. Its status, then the end of its output.
check() {
    said=$(timeout "$1" sh -c "$2" </dev/null 2>&1)
    printf "%s\n" "$?"
    printf %s "$said" | tail -c 4096
}
