#!/usr/bin/env bash
# Installs the programs that tests and benchmarks compare with, where this machine lets us; otherwise says what is missing.
# Tests that need one of them skip with a reason.
set -u
declare -A package=([tshark]=tshark [tcpdump]=tcpdump [editcap]=wireshark-common
  [nft]=nftables [tcpreplay]=tcpreplay [ethtool]=ethtool [ip]=iproute2 [sysctl]=procps [iperf3]=iperf3 [socat]=socat
  [qemu-system-x86_64]=qemu-system-x86 [cpio]=cpio [gcc]=gcc
  [dnsmasq]=dnsmasq-base [dig]=bind9-dnsutils [curl]=curl [sipp]=sip-tester [busybox]=busybox-static [ping]=iputils-ping
  [qemu-io]=qemu-utils [nbdinfo]=libnbd-bin [fio]=fio [openssl]=openssl
  [libvirtd]='libvirt-daemon libvirt-daemon-driver-qemu' [virsh]=libvirt-clients
  [groff]=groff-base [mandoc]=mandoc [zsh]=zsh [fish]=fish)
missing=()
for program in "${!package[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing+=(${package[$program]})
done
# Names of protocols, without which nft knows no 'ospf'.
[ -e /etc/protocols ] || missing+=(netbase)
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 5 "$log"
  rm -f "$log"
fi
echo "not installed, their tests are skipped: ${missing[*]} (Debian: apt-get install ${missing[*]})"
