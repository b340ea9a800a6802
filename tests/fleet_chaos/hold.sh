#!/bin/sh
# Stands before a tool of a host (/usr/local/sbin comes first in root's PATH). When /run/chaos/hold names a point and this
# call is that point, the call waits: for as long as /run/chaos/held is there. Only one call is held, once.
tool=${0##*/}
if [ -f /run/chaos/hold ]; then
    IFS= read -r point </run/chaos/hold
    hit=
    case "$point $tool $*" in
    "stage-begin dd "* | "stage-arrived chmod 755 "*/.incoming-* | "stage-end sync -f "*/.incoming-*) hit=yes ;;
    "unit-to-link mv "*" /opt/web/current") hit=yes ;;
    "link-to-reload systemctl daemon-reload")
        # The guard is armed with one too, before anything is switched.
        if [ -d /opt/web/.rollctl/previous ] && [ ! -e /opt/web/.rollctl/next ]; then hit=yes; fi
        ;;
    "link-to-restart systemctl restart web.service") hit=yes ;;
    "confirm-disable systemctl disable -- rollctl-revert-"* | "confirm-stop systemctl stop rollctl-revert-"*.timer) hit=yes ;;
    "confirm-end sync /opt/web/.rollctl/journal")
        case $(tail -n 1 /opt/web/.rollctl/journal) in *"	confirmed	"*) hit=yes ;; esac
        ;;
    esac
    if [ -n "$hit" ] && /usr/bin/mv /run/chaos/hold /run/chaos/held 2>/dev/null; then
        while [ -e /run/chaos/held ]; do sleep 0.02; done
    fi
fi
exec /usr/bin/"$tool" "$@"
