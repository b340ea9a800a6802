# What the units of an instance may take to stop, together, in whole seconds: `$1` at most each, also where nobody knows.
# $2 is whose systemd has them, the units come after it.
most=$1
scope=$2
shift 2
total=0
for unit; do
    if [ "$scope" = user ]; then
        [ -n "$XDG_RUNTIME_DIR" ] || XDG_RUNTIME_DIR=/run/user/$(id -u)
        export XDG_RUNTIME_DIR
        span=$(systemctl --user show -p TimeoutStopUSec --value -- "$unit" 2>/dev/null)
    else
        span=$(systemctl show -p TimeoutStopUSec --value -- "$unit" 2>/dev/null)
    fi
    seconds=0
    for word in ${span:-infinity}; do
        number=${word%%[!0-9]*}
        case $word in
        [0-9]*min) part=$((number * 60)) ;;
        # What is less than a second counts as one, as does what is more than a whole one.
        [0-9]*us | [0-9]*ms) part=1 ;;
        [0-9]*.*s) part=$((number + 1)) ;;
        [0-9]*s) part=$number ;;
        *) part=$most ;;
        esac
        seconds=$((seconds + part))
    done
    if [ "$seconds" -gt "$most" ]; then seconds=$most; fi
    total=$((total + seconds))
done
printf "%s\n" "$total"
