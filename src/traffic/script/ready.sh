# $1 the socket, $2 the backend, $3 the server: ready, as the drain found it, so that HAProxy's own checks decide.
find_speaker || {
    echo "nothing here can speak to a Unix socket any more"
    exit 1
}
said=$(speak "$1" "set server $2/$3 state ready") || {
    echo "HAProxy does not answer: $said"
    exit 1
}
state=$(speak "$1" "show servers state $2" | while read -r _ _ _ name _ _ admin _; do
    if [ "$name" = "$3" ]; then echo "$admin"; fi
done)
# Neither forced into maintenance (1) nor draining (8).
case $state in
"" | *[!0-9]*) ;;
*) [ $((state & 9)) -ne 0 ] || exit 0 ;;
esac
echo "HAProxy does not have it ready: $said"
exit 1
