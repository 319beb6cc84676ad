#!/bin/sh
# The test guest's first and only script: network, then the counter. Addresses come by the kernel's command line: ip4= and ip6=
# with their prefix lengths, vlan= for a tag.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Its questions for neighbours wait for their checkpoints, as all else does. On a busy machine that takes longer than a kernel asks (3 s),
# and then it forgets connections that are just beginning.
for file in /proc/sys/net/ipv[46]/neigh/default/[mu]cast_solicit; do echo 100 > $file; done
for word in $(cat /proc/cmdline); do
  case $word in
    ip4=*) ip4=${word#ip4=} ;;
    ip6=*) ip6=${word#ip6=} ;;
    vlan=*) vlan=${word#vlan=} ;;
  esac
done
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net; do
  insmod /modules/$module.ko
done
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
ip link set lo up
ip link set eth0 up
device=eth0
if [ -n "$vlan" ]; then
  for module in llc stp garp mrp 8021q; do insmod /modules/$module.ko; done
  ip link add link eth0 name eth0.$vlan type vlan id $vlan
  device=eth0.$vlan
  ip link set $device up
fi
[ -n "$ip4" ] && ip addr add $ip4 dev $device
[ -n "$ip6" ] && ip -6 addr add $ip6 dev $device
[ -b /dev/vda ] && /recorder
/sip
/load
while true; do /counter; done
