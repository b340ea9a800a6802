
# facts DIR UNIT...: everything about the service here; changes nothing.
facts() {
    expand "$1"
    shift
    for tool in systemctl flock tar sha256sum base64; do
        command -v "$tool" >/dev/null || refuse tool "the host has no \`$tool\`"
    done
    wait_for_step
    [ -n "$systemd_version" ] || refuse systemd "\`systemctl --version\` failed"
    printf "systemd %s\n" "${systemd_version%%[!0-9]*}"
    boot_id
    printf "boot %s\nuid %s\nmachine %s\n" "$boot" "$uid" "$hardware"
    field dir "$dir"
    field home "$home"
    field login "$login"
    read_owner
    printf "epoch %s\n" "$seen_epoch"
    field owner "$owner"
    field owner_machine "$owner_machine"
    field owner_service "$owner_service"
    kind=none
    if [ -L "$dir/current" ]; then kind=link; elif [ -e "$dir/current" ]; then kind=other; fi
    read_current
    printf "current_kind %s\n" "$kind"
    field current "$target"
    for tool in zstd gzip curl; do
        if command -v "$tool" >/dev/null; then printf "tool %s\n" "$tool"; fi
    done
    linger
    revisions
    read_armed
    if [ -n "$armed" ] && read_saved && [ "$saved_to" = "$target" ]; then
        printf "unproven_digest %s\n" "$saved_digest"
        printf "unproven_name %s\n" "${saved_name:--}"
    fi
    # The dead-man's switch leaves another state.
    fired=
    [ "$state" = "state done" ] || read_fired
    if [ -n "$fired" ]; then printf "fired %s %s\n" "$fired" "$fired_name"; fi
    if [ -f "$dir/.rollctl/step" ]; then
        while IFS= read -r line; do printf "step |%s\n" "$line"; done <"$dir/.rollctl/step"
    fi
    case $1 in
    *@.service)
        template=$1
        side_facts
        ;;
    *)
        shown=$(show -p "$properties" "$@") || refuse systemd "systemd does not answer"
        lines show "$shown"
        ;;
    esac
}

# A step that is at work, whoever asked for it, is waited for a while: what is seen is then what it becomes. One that died
# holds no lock.
wait_for_step() {
    state=
    if [ -f "$dir/.rollctl/step" ]; then IFS= read -r state <"$dir/.rollctl/step"; fi
    if [ "$state" = "state begun" ]; then (exec 9<"$dir/.rollctl/lock" && flock -s -w 5 9); fi
}

properties=Id,LoadState,ActiveState,SubState,Result,MainPID,InvocationID,NRestarts,Type,User,DynamicUser,ExecStart,FragmentPath,NeedDaemonReload,UnitFileState,TimeoutStopUSec,TriggeredBy

# The dead-man's switch of restricted rights is a timer of the login user.
linger() {
    [ "$rights" != full ] || return 0
    state=$(loginctl show-user "$login" -p Linger --value 2>/dev/null)
    if [ "$state" != yes ] && [ -e "/var/lib/systemd/linger/$login" ]; then state=yes; fi
    printf "linger %s\n" "${state:-no}"
}

# Complete revisions: a folder gets its name only when everything in it was verified. And what uploads and removals have left.
revisions() {
    for folder in "$dir"/revisions/*; do
        name=${folder##*/}
        case $name in *[!A-Za-z0-9._-]*) continue ;; esac
        [ -f "$folder/.rollctl/digest" ] || continue
        digest=
        IFS= read -r digest <"$folder/.rollctl/digest"
        printf "revision %s %s " "$name" "$digest"
        if [ -f "$folder/.rollctl/target" ]; then base64 -w0 "$folder/.rollctl/target"; else printf -; fi
        printf "\n"
    done
    for folder in "$dir"/revisions/.incoming-* "$dir"/revisions/.removed-*; do
        if [ -d "$folder" ]; then printf "left %s\n" "${folder##*/}"; fi
    done
}

# units UNIT...: the cheap poll.
units() {
    boot_id
    printf "%s\n" "$boot"
    show -p Id,LoadState,ActiveState,SubState,Result,MainPID,InvocationID,NRestarts "$@" ||
        refuse systemd "systemd does not answer"
}

# look PATH...: what lies there.
look() {
    for path; do
        kind=none
        if [ -f "$path" ]; then kind=file; elif [ -d "$path" ]; then kind=folder; fi
        link=
        if [ -L "$path" ]; then link=$(readlink -- "$path"); fi
        printf "path %s\n" "$kind"
        field link "$link"
        field real "$(readlink -f -- "$path")"
        if [ "$kind" = file ]; then
            printf "stat %s\n" "$(stat -L -c "%a %s" -- "$path")"
            sum=$(sha256sum <"$path") || sum=-
            printf "sha256 %s\n" "${sum%% *}"
        fi
    done
}

# text PATH...: small files, whole; unreadable ones are empty.
text() {
    for path; do
        printf "text "
        if [ -f "$path" ] && [ -r "$path" ]; then base64 -w0 "$path"; fi
        printf "\n"
    done
}

# tree PATH: a digest over a folder. Huge or partly unreadable ones: over names, sizes and times.
tree() {
    cd -- "$1" || refuse folder "cannot enter \`$1\`"
    size=$(du -sb . 2>/dev/null)
    size=${size%%[!0-9]*}
    count=$(du -s --inodes . 2>/dev/null)
    count=${count%%[!0-9]*}
    if [ "${size:-0}" -le 524288000 ] && [ "${count:-0}" -le 2000 ]; then
        sum=$({ tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf - . 2>/dev/null ||
            printf "partly unreadable"; } | sha256sum)
        printf "content %s\n" "${sum%% *}"
        return 0
    fi
    sum=$(du -0ab --time --time-style=+%s . 2>/dev/null | sort -z | sha256sum)
    printf "list %s\n" "${sum%% *}"
}

# fetch PATH SIZE: its bytes, when it still has that size.
fetch() {
    [ -r "$1" ] && [ "$(stat -L -c %s -- "$1")" = "$2" ] || refuse changed "\`$1\` changed or cannot be read"
    printf "bytes\n"
    cat -- "$1"
}
