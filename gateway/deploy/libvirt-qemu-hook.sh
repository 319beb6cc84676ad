#!/bin/sh
# libvirt hook: puts the gateway before the bridge when a protected guest starts, and takes it away when the guest is gone.
# Install it as /etc/libvirt/hooks/qemu (or qemu.d/holdfast), executable. Protected guests are listed in /etc/holdfast/guests, one
# name a line; each needs <target dev='NAME'/> in its <interface type='bridge'>, a name that does not begin with 'vnet'.
#
# libvirt calls it as: GUEST OPERATION SUB-OPERATION EXTRA, with the guest's XML on standard input. A hook must not call libvirt.
set -eu

guests=${HOLDFAST_GUESTS:-/etc/holdfast/guests}
guest=$1
operation=$2

grep -qxF -e "$guest" "$guests" 2>/dev/null || exit 0

# Lines 'TAP BRIDGE' of the interfaces that are in a bridge.
interfaces() {
  awk '
    function attribute(line, name,   rest) {
      if (!match(line, "[ \t]" name "=[\"\047][^\"\047]*")) return ""
      rest = substr(line, RSTART, RLENGTH)
      sub(/^[^=]*=./, "", rest)
      return rest
    }
    BEGIN { RS = "<" }
    /^interface[ \t>]/ { inside = 1; tap = bridge = "" }
    # Of a virtual network too libvirt says here in which bridge it is.
    inside && /^source[ \t]/ { bridge = attribute($0, "bridge") }
    inside && /^target[ \t]/ { tap = attribute($0, "dev") }
    /^\/interface>/ { if (tap != "" && bridge != "") print tap, bridge; inside = 0 }
  '
}

case $operation in
  started)
    # A failure ends the guest's start: a guest that shall be protected does not run without.
    found=$(interfaces)
    [ -n "$found" ] || { echo "holdfast: $guest has no interface in a bridge with a target device" >&2; exit 1; }
    echo "$found" | while read -r tap bridge; do
      holdfast bridge attach --vm-tap "$tap" --bridge "$bridge" >&2
    done
    ;;
  release)
    # The tap is gone by now, as a rule; what was made for it goes too. One failure must not keep the others.
    failed=0
    for tap in $(interfaces | cut -d ' ' -f 1); do
      holdfast bridge detach --vm-tap "$tap" >&2 || failed=1
    done
    exit "$failed"
    ;;
esac
