
# The loop: `ID VERB COUNT`, then so many arguments, each on a line of its own. What the verb prints stands between two
# lines that begin with the token; its stderr and its status follow.
printf "\n%s ready\n" "$token"
while read -r id verb count; do
    set --
    while [ "$#" -lt "$count" ]; do
        IFS= read -r line || exit 0
        decode "$line"
        set -- "$@" "$value"
    done
    printf "\n%s begin %s\n" "$token" "$id"
    {
        # Asked often, and the same as long as this runs.
        if [ "$verb" = facts ] && [ -z "$systemd_version" ]; then
            systemd_version=$(systemctl --version 2>/dev/null) && systemd_version=${systemd_version#* }
            hardware=$(uname -m)
        fi
        case $verb in
        receive)
            # The only one that reads standard input; nothing that follows may be taken for a request.
            stderr=$(receive "$@" 2>&1 1>&3 3>&-)
            ;;
        ping | facts | units | look | text | tree | fetch | claim | preflight | have | arrived | clean | prune | switch | \
            attest | differences | confirm | journal | check | revert | side_start | side_confirm | side_stop | \
            side_revert)
            stderr=$("$verb" "$@" 2>&1 1>&3 3>&- </dev/null)
            ;;
        *)
            stderr="unknown verb"
            false
            ;;
        esac
        status=$?
    } 3>&1
    printf "\n%s stderr %s\n%s\n%s end %s %s\n" "$token" "$id" "$stderr" "$token" "$id" "$status"
    [ "$verb" != receive ] || exit 0
done
# Run by the dead-man's switch: its unit shows how it ended.
[ "$token" != rollctl-guard ] || exit "${status:-0}"
