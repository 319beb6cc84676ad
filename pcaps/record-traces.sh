#!/usr/bin/env bash
# Records pcaps/traces anew, or only the captures that are named:
#
#   sudo pcaps/record-traces.sh [NAME...]       NAME as in pcaps/record/NAME.sh
#
# Real programs talk in network namespaces of their own; nothing leaves them and they are gone at the end, also after a
# failure. Frame counts differ a little from run to run: bring the README's table up to date afterwards (a test compares it).
# What it needs on Debian 12: tcpdump tshark ethtool iproute2 python3 baresip-core sip-tester dnsmasq-base bind9-dnsutils
# udhcpc nginx-light curl openssl openssh-server openvswitch-switch iputils-ping iputils-arping iperf3 socat frr keepalived
# isc-dhcp-relay ngtcp2-client ngtcp2-server wireguard-go wireguard-tools chrony
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
traces=$here/traces
export here traces

if [ "$(id -u)" != 0 ]; then
  echo 'record-traces: needs root (network namespaces)' >&2
  exit 2
fi

names=("$@")
if [ ${#names[@]} = 0 ]; then
  for script in "$here"/record/*.sh; do
    name=$(basename "$script" .sh)
    [ "$name" = lib ] || names+=("$name")
  done
fi

mkdir -p "$traces"
for name in "${names[@]}"; do
  if [ ! -f "$here/record/$name.sh" ]; then
    echo "record-traces: no recording is called $name" >&2
    exit 2
  fi
  echo "== $name"
  # A bash of its own, so that its exit trap removes exactly what it made.
  bash -c 'set -euo pipefail; . "$here/record/lib.sh"; . "$1"' record "$here/record/$name.sh"
done

shopt -s nullglob
for file in "$traces"/*.pcap "$traces"/*.pcapng "$traces"/*.pcap.gz; do
  printf '%-28s %5d frames %7d bytes\n' "$(basename "$file")" "$(tshark -r "$file" 2>/dev/null | wc -l)" "$(stat -c %s "$file")"
done
