# $1 what the mark is, $2 its place: gone, so that the instance's health says yes again.
case $1 in
file) rm -f -- "$2" && [ ! -e "$2" ] && [ ! -L "$2" ] ;;
url)
    ask() { curl -q -g -s -m 10 --noproxy "*" -o /dev/null -w "%{http_code}" "$@"; }
    [ "$(ask --url "$2")" = 404 ] && exit 0
    ask -X DELETE --url "$2" >/dev/null
    [ "$(ask --url "$2")" = 404 ] || {
        echo "the service does not say that its drain is over"
        exit 1
    }
    ;;
esac
