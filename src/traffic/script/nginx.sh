# What rollctl does with nginx's upstream file on a balancer. Fixed text: paths, contents and commands come as arguments.
# $1 is what to do, $2 the file. Exit 40: the file is not what it was thought to be. 41: nginx refuses the configuration.
# 42: nginx does not run. 43: it did not take the new configuration in. 44: the file cannot be written.
verb=$1
path=$2
shift 2
# A link is followed, so that the file behind it is replaced.
if [ -L "$path" ]; then path=$(readlink -f -- "$path") || exit 44; fi
# Hidden names, which no `include *.conf` takes in.
folder=${path%/*}
name=${path##*/}
new=$folder/.$name.rollctl-new
old=$folder/.$name.rollctl-old
lock=$folder/.$name.rollctl-lock

sum() { if [ -f "$path" ]; then sha256sum <"$path" | cut -d " " -f 1; else printf none; fi; }

# Sets $master to the pid of nginx's master process.
find_master() {
    pid_file=$("$@" -T 2>/dev/null | sed -n 's/^[[:space:]]*pid[[:space:]]\{1,\}"\{0,1\}\([^;"]*\)"\{0,1\}[[:space:]]*;.*/\1/p' | tail -n 1)
    if [ -z "$pid_file" ]; then pid_file=$("$@" -V 2>&1 | tr " " "\n" | sed -n 's/^--pid-path=//p'); fi
    case $pid_file in
    /*) ;;
    *) pid_file=$("$@" -V 2>&1 | tr " " "\n" | sed -n 's/^--prefix=//p')/$pid_file ;;
    esac
    master=
    if [ -f "$pid_file" ]; then IFS= read -r master <"$pid_file" || :; fi
    case $master in "" | *[!0-9]*) return 1 ;; esac
    kill -0 "$master" 2>/dev/null || [ -d "/proc/$master" ]
}

# Sets $workers to those at work and $leaving to those that finish what they have.
find_workers() {
    workers= leaving=
    for status in $(grep -ls "^PPid:	$master\$" /proc/[0-9]*/status 2>/dev/null); do
        pid=${status#/proc/}
        pid=${pid%/status}
        title=$(tr "\0" " " <"/proc/$pid/cmdline" 2>/dev/null)
        case $title in
        "nginx: worker process is shutting down"*) leaving="$leaving $pid" ;;
        "nginx: worker process"*) workers="$workers $pid" ;;
        esac
    done
}

# Puts the file back that nginx ran with; an empty one stands for none.
put_back() {
    rm -f -- "$new"
    if [ -s "$old" ]; then mv -fT -- "$old" "$path"; else rm -f -- "$path" "$old"; fi
}

# Waits for a generation of workers that began after the reload.
wait_for_reload() {
    tries=0
    while [ "$tries" -lt 100 ]; do
        find_workers
        fresh=
        for pid in $workers; do
            case " $before " in
            *" $pid "*)
                fresh=
                break
                ;;
            *) fresh=yes ;;
            esac
        done
        [ -z "$fresh" ] || return 0
        tries=$((tries + 1))
        sleep 0.1
    done
    return 1
}

lock_file() {
    (: >>"$lock") || exit 44
    exec 9>>"$lock"
    flock -w 60 9 || exit 44
}

# Writes $content, and lets nginx, whose command are the arguments, take it in. Sets $before to the workers of before.
replace() {
    if [ ! -e "$old" ]; then
        if [ -f "$path" ]; then
            cp -p -- "$path" "$new" && sync "$new" && mv -fT -- "$new" "$old" || exit 44
        else
            : >"$old" || exit 44
        fi
    fi
    # Owner and mode stay as they were.
    if [ -f "$path" ]; then cp -p -- "$path" "$new" || exit 44; else rm -f -- "$new"; fi
    printf %s "$content" >"$new" && sync "$new" && mv -fT -- "$new" "$path" || exit 44
    if ! said=$("$@" -t 2>&1); then
        put_back
        printf "%s\n" "$said"
        exit 41
    fi
    if ! find_master "$@"; then
        put_back
        exit 42
    fi
    find_workers
    before=$workers
    if ! said=$("$@" -s reload 2>&1) || ! wait_for_reload; then
        put_back
        printf "%s\n" "$said"
        exit 43
    fi
    rm -f -- "$old"
}

case $verb in
read)
    # The file, and what it was before a change that was cut off.
    if [ -f "$path" ]; then printf "file %s\n" "$(base64 -w0 <"$path")"; fi
    if [ -e "$old" ]; then printf "pending %s\n" "$(base64 -w0 <"$old")"; fi
    ;;
apply)
    # In place of the text with that sum.
    wanted=$1
    content=$2
    shift 2
    lock_file
    [ "$(sum)" = "$wanted" ] || exit 40
    replace "$@"
    printf "before%s\n" "$before"
    ;;
release)
    # The line $1, as a drain wrote it, becomes $2 again, as the drain found it; else nothing is changed.
    drained=$1
    found=$2
    shift 2
    lock_file
    [ -f "$path" ] || exit 0
    content= is_there=
    while IFS= read -r line || [ -n "$line" ]; do
        if [ "$line" = "$drained" ]; then
            line=$found
            is_there=yes
        fi
        content=$content$line"
"
    done <"$path"
    # A change that was cut off may say so in the file only.
    if [ -n "$is_there" ] || [ -e "$old" ]; then replace "$@"; fi
    ;;
wait)
    # So many tenths of a second at most, for these workers; without any: for all that are leaving. How many are left.
    tries=$1
    count=$2
    shift 2
    ours=
    while [ "$count" -gt 0 ]; do
        ours="$ours $1"
        shift
        count=$((count - 1))
    done
    find_master "$@" || exit 42
    while :; do
        find_workers
        left=0
        for pid in $leaving; do
            if [ -z "$ours" ]; then
                left=$((left + 1))
            else
                case "$ours " in *" $pid "*) left=$((left + 1)) ;; esac
            fi
        done
        if [ "$left" -eq 0 ] || [ "$tries" -le 0 ]; then break; fi
        tries=$((tries - 1))
        sleep 0.1
    done
    printf "left %s\n" "$left"
    ;;
esac
