# What rollctl does on a host. Fixed text: names, paths and commands of people come as data, line by line.
# Needs POSIX sh, coreutils, flock, tar and systemd. Every verb runs in a subshell of its own, so variables and the
# lock end with it.
LC_ALL=C
export LC_ALL
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022
# A step that began is finished even if the connection dies.
trap "" HUP PIPE
IFS= read -r token && IFS= read -r scope && IFS= read -r acting || exit 1

# `uid=1000(deploy) gid=...`; without a name the number stands alone.
login=$(id)
login=${login%% *}
login=${login#uid=}
uid=${login%%"("*}
login=${login#*"("}
login=${login%")"}
home=$HOME
if [ "$acting" = sudo ]; then
    # `~` is the home of the user who logs in, also when root does the work.
    case $SUDO_USER in
    "" | -* | *[!A-Za-z0-9._@-]*) ;;
    *)
        login=$SUDO_USER
        eval "home=~$SUDO_USER"
        ;;
    esac
fi
if [ "$scope" = user ]; then
    rights=user
    unit_dir=$HOME/.config/systemd/user
    [ -n "$XDG_RUNTIME_DIR" ] || XDG_RUNTIME_DIR=/run/user/$uid
    export XDG_RUNTIME_DIR
else
    unit_dir=/etc/systemd/system
    if [ "$uid" = 0 ]; then rights=full; else rights=restricted; fi
fi

# Sets $value to the bytes of an encoded line: `\0ooo` stands for a byte, all else for itself.
decode() {
    value=$1
    case $value in
    *\\*)
        value=$(printf "%bX" "$value")
        value=${value%X}
        ;;
    esac
}

# refuse CODE TEXT: nothing was changed, and nothing will be.
refuse() {
    printf "\n%s refused %s\n%s" "$token" "$1" "$2"
    exit 40
}

# fail TEXT: the step ran and failed.
fail() {
    printf "\n%s failed -\n%s" "$token" "$1"
    exit 41
}

# field NAME VALUE: any bytes, on one line; plain ones as they are, after a `=`.
field() {
    case $2 in
    *[!A-Za-z0-9._/:@-]*)
        printf "%s " "$1"
        printf %s "$2" | base64 -w0
        printf "\n"
        ;;
    *) printf "%s =%s\n" "$1" "$2" ;;
    esac
}

# lines NAME TEXT: a field of several lines.
lines() {
    rest=$2
    while [ -n "$rest" ]; do
        printf "%s |%s\n" "$1" "${rest%%"
"*}"
        case $rest in *"
"*) rest=${rest#*"
"} ;; *) rest= ;; esac
    done
}

exists() { [ -e "$1" ] || [ -L "$1" ]; }

same() { [ -f "$1" ] && [ -f "$2" ] && [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]; }

# Sets $dir.
expand() {
    case $1 in
    "~") dir=$home ;;
    "~/"*) dir=$home/${1#"~/"} ;;
    *) dir=$1 ;;
    esac
}

# Arguments of steps are `name=value`. What is not given is empty, whatever variables the login has.
options() {
    dir= ledger= machine= service= epoch= by= rollout= hash= digest= from= to= from_name= to_name= from_digest=
    revision= binary= link= origin= drop_in= limit= patience= name= id= codec= base= meta= size= source= sums= user=
    units= expected= keep= boot= template= port= keeps= guarded= window= guard_input= guard_service= guard_timer= looked=
    takes= url= protocols= form= pulled_size= pulled_sha256= at=
    for argument; do
        value=${argument#*=}
        case $argument in
        dir=*) expand "$value" ;;
        ledger=*) ledger=$value ;;
        machine=*) machine=$value ;;
        service=*) service=$value ;;
        epoch=*) epoch=$value ;;
        by=*) by=$value ;;
        takes=*) takes=$value ;;
        rollout=*) rollout=$value ;;
        hash=*) hash=$value ;;
        digest=*) digest=$value ;;
        from=*) from=$value ;;
        to=*) to=$value ;;
        from_name=*) from_name=$value ;;
        to_name=*) to_name=$value ;;
        from_digest=*) from_digest=$value ;;
        revision=*) revision=$value ;;
        binary=*) binary=$value ;;
        link=*) link=$value ;;
        origin=*) origin=$value ;;
        drop_in=*) drop_in=$value ;;
        limit=*) limit=$value ;;
        patience=*) patience=$value ;;
        name=*) name=$value ;;
        id=*) id=$value ;;
        codec=*) codec=$value ;;
        base=*) base=$value ;;
        meta=*) meta=$value ;;
        size=*) size=$value ;;
        source=*) source=$value ;;
        sums=*) sums=$value ;;
        at=*) at=$value ;;
        url=*) url=$value ;;
        protocols=*) protocols=$value ;;
        form=*) form=$value ;;
        pulled_size=*) pulled_size=$value ;;
        pulled_sha256=*) pulled_sha256=$value ;;
        user=*) user=$value ;;
        unit=*) units="$units $value" ;;
        expect=*) expected="$expected $value" ;;
        keep=*) keep="$keep $value" ;;
        boot=*) boot=$value ;;
        template=*) template=$value ;;
        port=*) port=$value ;;
        keeps=*) keeps=$value ;;
        guarded=*) guarded=$value ;;
        window=*) window=$value ;;
        guard_input=*) guard_input=$value ;;
        guard_service=*) guard_service=$value ;;
        guard_timer=*) guard_timer=$value ;;
        *) refuse usage "unknown option" ;;
        esac
    done
}

# show ...: needs no rights.
show() {
    if [ "$scope" = user ]; then systemctl --user show "$@"; else systemctl show "$@"; fi
}

# control VERB UNIT: start, stop, restart, reset-failed, in exactly the form that a sudoers line can name.
control() {
    case $rights in
    user) set -- systemctl --user "$@" ;;
    restricted) set -- sudo -n systemctl "$@" ;;
    *) set -- systemctl "$@" ;;
    esac
    if [ -n "$limit" ]; then timeout "$limit" "$@"; else "$@"; fi
}

# manage ...: what restricted rights cannot do.
manage() {
    if [ "$scope" = user ]; then systemctl --user "$@"; else systemctl "$@"; fi
}

boot_id() { IFS= read -r boot </proc/sys/kernel/random/boot_id; }

# Sets $active, $invocation, $restarts, $result, $pid, $reload, $enabled, $load, $unit_file, $entered of a unit.
look_at() {
    active= invocation= restarts=0 result= pid=0 reload= enabled= load= unit_file= entered=
    seen=$(show -p LoadState,ActiveState,InvocationID,NRestarts,Result,MainPID,NeedDaemonReload,UnitFileState \
        -p FragmentPath,ActiveEnterTimestamp "$1")
    set -f
    IFS="
"
    for line in $seen; do
        case $line in
        LoadState=*) load=${line#*=} ;;
        ActiveState=*) active=${line#*=} ;;
        InvocationID=*) invocation=${line#*=} ;;
        NRestarts=*) restarts=${line#*=} ;;
        Result=*) result=${line#*=} ;;
        MainPID=*) pid=${line#*=} ;;
        NeedDaemonReload=*) reload=${line#*=} ;;
        UnitFileState=*) enabled=${line#*=} ;;
        FragmentPath=*) unit_file=${line#*=} ;;
        ActiveEnterTimestamp=*) entered=${line#*=} ;;
        esac
    done
    unset IFS
    set +f
}

# Sets $target to what `current` points to; empty: there is none.
read_current() {
    target=
    if [ -L "$dir/current" ]; then target=$(readlink -- "$dir/current"); fi
}

# aside PATH PURPOSE: sets $aside to a hidden name beside it, which systemd ignores.
aside() { aside=${1%/*}/.${1##*/}.rollctl-$2; }

# replace FROM TO: a rename, also where both are one file already.
replace() {
    if [ "$1" -ef "$2" ] && [ ! -L "$1" ]; then rm -f -- "$1"; else mv -fT -- "$1" "$2"; fi
}

# put FILE TEXT ...: replaces files of ours by rename, in this order, when all of them are on the disk.
put() {
    count=$#
    while [ "$count" -gt 0 ]; do
        aside "$1" new
        # What is there was left by one that died; a new one gets its mode from the umask.
        if exists "$aside"; then rm -f -- "$aside"; fi
        printf %s "$2" >"$aside" || return 1
        set -- "$@" "$aside" "$1"
        shift 2
        count=$((count - 2))
    done
    sync_firsts "$@" || return 1
    while [ "$#" -gt 0 ]; do
        mv -fT -- "$1" "$2" || return 1
        shift 2
    done
}

# sync_firsts FILE OTHER ...: the first of each pair.
sync_firsts() {
    count=$#
    while [ "$count" -gt 0 ]; do
        set -- "$@" "$1"
        shift 2
        count=$((count - 2))
    done
    sync "$@"
}

# put_copy FILE FROM: the same with the bytes of another file.
put_copy() {
    aside "$1" new
    if exists "$aside"; then rm -f -- "$aside"; fi
    cat -- "$2" >"$aside" && sync "$aside" && mv -fT -- "$aside" "$1"
}

# Waits for the lock of $dir; it is held until the subshell of the verb ends.
lock() {
    if ! (: >>"$dir/.rollctl/lock"); then
        refuse unwritable "cannot write \`$dir/.rollctl\`"
    fi
    exec 9>>"$dir/.rollctl/lock"
    flock -w "${patience:-60}" 9 || refuse busy "another step holds \`$dir/.rollctl/lock\`"
}

# Sets $owner, $owner_machine, $owner_service, $seen_epoch.
read_owner() {
    owner= owner_machine= owner_service= seen_epoch=
    if [ -f "$dir/.rollctl/owner" ]; then
        {
            IFS= read -r owner
            IFS= read -r owner_machine
            IFS= read -r owner_service
        } <"$dir/.rollctl/owner"
    fi
    if [ -f "$dir/.rollctl/epoch" ]; then IFS= read -r seen_epoch <"$dir/.rollctl/epoch"; fi
    case $seen_epoch in *[!0-9]*) seen_epoch= ;; esac
}

# Ends the step where another ledger or a later controller is at work.
check_owner() {
    if [ -n "$owner" ] && [ "$owner" != "$ledger" ]; then
        refuse owner "\`$dir\` is managed by the ledger $owner on $owner_machine"
    fi
    if [ -n "$seen_epoch" ] && [ "$seen_epoch" -gt "$epoch" ]; then
        refuse epoch "a later controller (epoch $seen_epoch, ours is $epoch) works in \`$dir\`"
    fi
}

# The same for a step: it needs a claim.
owned() {
    read_owner
    [ -n "$owner" ] || refuse unclaimed "\`$dir\` was not claimed by this ledger"
    check_owner
}

# journal_line OUTCOME: one line per change, not twice for the same.
journal_line() {
    tab="	"
    mark="$tab$from_name$tab$to_name$tab$1$tab$hash"
    last=
    if [ -f "$dir/.rollctl/journal" ]; then last=$(tail -n 1 "$dir/.rollctl/journal"); fi
    case $last in *"$mark") return 0 ;; esac
    printf "%s\t%s\t%s\t%s%s\n" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$rollout" "$epoch" "$by" "$mark" \
        >>"$dir/.rollctl/journal" && sync "$dir/.rollctl/journal"
}

# The echo that tests ask: the number of arguments, then each with its length.
ping() {
    printf "%s\n" "$#"
    for argument; do printf "%s\n" "$argument" | wc -c; printf "%s\n" "$argument"; done
}
