
# attest dir= link= origin= unit=...: what each unit runs since when, its unit file and our drop-in, and where links
# lead; changes nothing.
attest() {
    options "$@"
    # In which systemd tells when a unit came up.
    TZ=UTC0
    export TZ
    field real "$(readlink -f -- "$dir")"
    # A rename keeps the time at which the link was made: shortly before the switch.
    if [ -L "$dir/current" ]; then printf "switched %s\n" "$(stat -c %Y -- "$dir/current")"; fi
    if [ -n "$link" ]; then field link "$(readlink -- "$link")"; fi
    if [ -n "$origin" ]; then
        sum=$(sha256sum <"$origin") || sum=-
        printf "origin %s\n" "${sum%% *}"
    fi
    for unit in $units; do
        look_at "$unit"
        printf "unit %s\nactive %s\ninvocation %s\npid %s\n" "$unit" "$active" "$invocation" "${pid:-0}"
        if [ -n "$entered" ]; then printf "entered %s\n" "$(date -u -d "$entered" +%s)"; fi
        if [ "${pid:-0}" != 0 ]; then running_file; fi
        sum=-
        if [ -n "$unit_file" ]; then sum=$(sha256sum <"$unit_file") || sum=-; fi
        printf "unit_file %s\n" "${sum%% *}"
        place=$unit_dir/$unit.d/50-rollctl.conf
        if [ -f "$place" ]; then field drop_in "$(cat "$place"; printf X)"; fi
    done
}

# The file that a process runs, and its SHA-256.
running_file() {
    field exe "$(readlink -- "/proc/$pid/exe")"
    if [ "$rights" = restricted ]; then
        sum=$(sudo -n sha256sum "/proc/$pid/exe") || sum=-
    else
        sum=$(sha256sum <"/proc/$pid/exe") || sum=-
    fi
    printf "sha256 %s\n" "${sum%% *}"
}

# differences dir= name=: each file of a revision that is not as its lists say. Unlike `have`, it mends no mode.
differences() {
    options "$@"
    cd -- "$dir/revisions/$name" || fail "cannot enter \`$dir/revisions/$name\`"
    for list in SHA256SUMS modes manifest.json; do
        [ -r ".rollctl/$list" ] || field missing ".rollctl/$list"
    done
    [ -r .rollctl/SHA256SUMS ] && [ -r .rollctl/modes ] || return 0
    if [ -s .rollctl/SHA256SUMS ]; then
        sha256sum --quiet --strict -c .rollctl/SHA256SUMS 2>/dev/null | while IFS= read -r line; do
            case $line in
            *": FAILED open or read") field missing "${line%": FAILED open or read"}" ;;
            *": FAILED") field changed "${line%": FAILED"}" ;;
            esac
        done
    fi
    wrong_modes
    added
}

# Modes and links that are not as listed; what is not there at all was told before.
wrong_modes() {
    mode=
    set --
    while IFS= read -r line; do
        case $line in
        "link "*)
            IFS= read -r want
            [ "$(readlink -- "./${line#link }")" = "$want" ] || field changed "${line#link }"
            ;;
        *)
            if [ "$#" -ge 100 ] || [ "$mode" != "${line%% *}" ]; then
                compare_modes "$@"
                set --
            fi
            mode=${line%% *}
            if [ -f "./${line#* }" ]; then set -- "$@" "./${line#* }"; fi
            ;;
        esac
    done <.rollctl/modes
    compare_modes "$@"
}

# compare_modes FILE...: with $mode.
compare_modes() {
    [ "$#" -gt 0 ] || return 0
    want=$mode
    while :; do case $want in 0?*) want=${want#0} ;; *) break ;; esac; done
    for seen in $(stat -L -c %a -- "$@"); do
        [ "$seen" = "$want" ] || field mode "${1#./}"
        shift
    done
}

# What lies in a revision and is not listed. Python leaves its caches beside the modules that it loads.
added() {
    {
        while IFS= read -r line; do
            case $line in
            "link "*)
                IFS= read -r want
                line=${line#link }
                ;;
            *) line=${line#* } ;;
            esac
            printf "%s\n%s\n" "$line" "$line"
        done <.rollctl/modes
        names_below .
    } | sort | uniq -u | while IFS= read -r line; do field added "$line"; done
}

# names_below FOLDER: as `walk` counts them, each on a line.
names_below() {
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -L "$entry" ] || [ -f "$entry" ]; then
            printf "%s\n" "${entry#./}"
        elif [ "$entry" = ./.rollctl ]; then
            continue
        elif [ -d "$entry" ]; then
            case $entry in */__pycache__) ;; *) names_below "$entry" ;; esac
        elif [ -e "$entry" ]; then
            printf "%s\n" "${entry#./}"
        fi
    done
}
