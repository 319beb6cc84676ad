#!/bin/sh
# Prints the command of the machine in which a libvirt guest goes on at its standby, quoted for a shell:
#
#   libvirt-standby-command.sh GUEST TAP...
#
# TAP: what the guest's interfaces are called at the standby, in their order. It is libvirt's own command for the guest, without what
# only libvirt can use (its monitor, its secret, open files, `-qmp` of the guest's own) and without the sandbox: the standby reads its
# image through a program. Paths in it must be there at the standby's host.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 GUEST TAP..." >&2; exit 2; }
guest=$1
shift
command=$(virsh -c "${LIBVIRT_DEFAULT_URI:-qemu:///system}" domxml-to-native qemu-argv --domain "$guest")
number=0
for tap in "$@"; do
  command=$(printf '%s\n' "$command" | sed -E "s/-netdev '[^']*\"id\":\"hostnet$number\"[^']*'/-netdev tap,id=hostnet$number,ifname=$tap,script=no,downscript=no/")
  number=$((number + 1))
done
if printf '%s\n' "$command" | grep -q -e "-netdev '"; then
  echo "$guest has more interfaces than were named here: $*" >&2
  exit 1
fi
# Before QEMU stands its environment.
printf '%s\n' "$command" | sed -E \
  -e 's/^([A-Z_]+=[^ ]* )+//' \
  -e 's/ -S( |$)/ /' \
  -e "s/ -object '\{\"qom-type\":\"secret\"[^']*'//" \
  -e 's/ -chardev socket,id=charmonitor[^ ]* -mon [^ ]*//' \
  -e 's/ -qmp [^ ]*//' \
  -e 's/ -sandbox [^ ]*//'
