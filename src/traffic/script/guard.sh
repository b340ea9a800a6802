# The dead-man's switch of an instance that is taken out of traffic. Fixed text: names, paths and contents come as
# arguments. $1 is what to do, $2 the name of the switch. The answer is one line: `armed`, `none`, or `cannot CODE TEXT`.
verb=$1
name=$2
guard_place
guard=$guards/$name
running_guard=

cannot() {
    printf "cannot %s %s\n" "$1" "$2"
    exit 0
}

# Ends with why there can be none here. $1 is what the switch itself needs, $2 the socket.
must_be_able() {
    [ -d /run/systemd/system ] || cannot systemd "systemd does not run there"
    command -v flock >/dev/null 2>&1 || cannot tool "\`flock\` is not there"
    if [ "$rights" = user ]; then
        [ -e "/var/lib/systemd/linger/$(id -un)" ] || [ "$(loginctl show-user -p Linger --value -- "$uid" 2>/dev/null)" = yes ] ||
            cannot linger "\`$(id -un)\` is not root there, and has no lingering"
    fi
    guard_manage show -p Version >/dev/null 2>&1 || cannot systemd "systemd does not answer"
    case $1 in
    socket)
        find_speaker || cannot tool "nothing there can speak to a Unix socket"
        [ -w "$2" ] || cannot rights "who would act there may not write to \`$2\`"
        ;;
    curl) command -v curl >/dev/null 2>&1 || cannot tool "\`curl\` is not there" ;;
    esac
    for place in "$guards" "$guard_dir"; do is_writable "$place" || cannot rights "\`$place\` cannot be written"; done
}

# Itself, or where it would be made.
is_writable() {
    above=$1
    while ! exists "$above"; do above=${above%/*}; done
    [ -w "${above:-/}" ]
}

# Aside and renamed, so that it is whole or not there.
put() { printf %s "$2" >"$1.rollctl-new" && sync "$1.rollctl-new" && mv -fT -- "$1.rollctl-new" "$1"; }

exists() { [ -e "$1" ] || [ -L "$1" ]; }

description() {
    printf "# Made by rollctl: unless somebody puts it back into traffic in time, this machine does.\n[Unit]\nDescription=rollctl: puts %s back into traffic\n" "$1"
}

service_unit() {
    description "$1"
    # A home may have any name.
    if [ "$rights" = full ]; then folder=$guard; else folder=%h${guard#"$HOME"}; fi
    printf "\n[Service]\nType=oneshot\nTimeoutStartSec=2h\nExecStart=/bin/sh %s/script\n" "$folder"
}

timer_unit() {
    description "$1"
    printf "\n[Timer]\nOnActiveSec=%ss\nAccuracySec=100ms\n\n[Install]\nWantedBy=timers.target\n" "$2"
}

# There is no such switch, as systemd and the file system say.
is_gone() { ! exists "$guard" && is_unloaded "$name"; }

remove() {
    rm -f -- "$guard/armed"
    remove_guard "$name"
    rm -rf -- "$guard"
}

case $verb in
able)
    must_be_able "$3" "$4"
    echo none
    ;;
arm)
    must_be_able "$3" "$4"
    mkdir -p -- "$guards" "$guard_dir" && chmod 700 -- "$guards" && guard_lock 60 || cannot busy "another switch is at work there"
    # One of this name that has fired already waits at the lock: it may not go on with the new one.
    if exists "$guard"; then guard_manage stop "$name.timer" "$name.service" >/dev/null 2>&1; fi
    umask 077
    if ! { mkdir -p -- "$guard" && put "$guard/script" "$5" && put "$guard/arguments" "$6" && put "$guard/armed" ""; }; then
        remove
        cannot full "\`$guard\` cannot be written"
    fi
    umask 022
    if ! { put "$guard_dir/$name.service" "$(service_unit "$8")" && put "$guard_dir/$name.timer" "$(timer_unit "$8" "$7")"; }; then
        remove
        cannot full "\`$guard_dir/$name.timer\` cannot be written"
    fi
    if ! said=$(start_guard "$name" 2>&1); then
        remove
        cannot timer "its systemd does not take the timer: $(printf %s "$said" | tr "\n" " ")"
    fi
    echo armed
    ;;
again)
    # Whoever goes on with what another has begun has the whole time.
    exists "$guard/armed" || {
        echo none
        exit 0
    }
    guard_lock 60 || cannot busy "another switch is at work there"
    exists "$guard/armed" || {
        echo none
        exit 0
    }
    guard_manage stop "$name.service" >/dev/null 2>&1
    guard_manage restart "$name.timer" >/dev/null 2>&1 && timer_runs "$name" ||
        cannot timer "\`$name.timer\` cannot be set anew"
    echo armed
    ;;
disarm)
    if ! exists "$guard" && ! exists "$guard_dir/$name.timer" && ! exists "$guard_dir/$name.service"; then
        echo none
        exit 0
    fi
    mkdir -p -- "$guards"
    guard_lock 120 || cannot busy "another switch is at work there"
    remove
    is_gone || cannot timer "\`$name.timer\` is still there"
    echo none
    ;;
esac
