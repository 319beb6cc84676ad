# ARP, ND and ping: untagged, with an 802.1Q tag, with an 802.1ad tag around an 802.1Q one. In each the VM also says
# unasked where its addresses are (gratuitous ARP; duplicate address detection and unsolicited advertisement).
#
#   hf-rec-vm vm0 ── swvm [Open vSwitch] trunk0 ─── trunk1 [the same] swnet ── net0 hf-rec-net
#
# Open vSwitch pushes and pops the tags (userspace datapath: the kernel needs no VLAN device). Recorded on trunk0.
SW=hf-rec-sw
namespace $VM
namespace $NET
QUIET6=1 namespace $SW
wire $VM vm0 $VM_MAC $SW swvm 02:00:00:00:02:a0
wire $NET net0 $NET_MAC $SW swnet 02:00:00:00:02:a1
wire $SW trunk0 02:00:00:00:02:a2 $SW trunk1 02:00:00:00:02:a3

export OVS_RUNDIR=$work OVS_LOGDIR=$work OVS_DBDIR=$work OVS_SYSCONFDIR=$work
ovsdb-tool create "$work/conf.db" /usr/share/openvswitch/vswitch.ovsschema
background $SW ovsdb ovsdb-server "$work/conf.db" --remote="punix:$work/db.sock" --no-chdir
until_true 5 test -S "$work/db.sock"
vsctl() { ovs-vsctl --db="unix:$work/db.sock" "$@"; }
vsctl --no-wait init
vsctl --no-wait set Open_vSwitch . other_config:vlan-limit=2
background $SW vswitchd ovs-vswitchd "unix:$work/db.sock" --no-chdir
vsctl --timeout=10 add-br br0 -- set bridge br0 datapath_type=netdev fail-mode=secure
for port in swvm swnet trunk0 trunk1; do vsctl --timeout=10 add-port br0 $port; done

# tags [OUTER] INNER: what a frame gets on its way onto the trunk and loses on its way off it; 0x1000 says that there is a tag
tags() {
  local push=''
  case $# in
  1) push="push_vlan:0x8100,set_field:$((0x1000 + $1))->vlan_vid," ;;
  2)
    push="push_vlan:0x8100,set_field:$((0x1000 + $2))->vlan_vid,"
    push+="push_vlan:0x88a8,set_field:$((0x1000 + $1))->vlan_vid,set_field:3->vlan_pcp,"
    ;;
  esac
  {
    echo "in_port=swvm,actions=${push}output:trunk0"
    echo "in_port=swnet,actions=${push}output:trunk1"
    # Off the trunk: pop and look again, until no tag is left
    echo "priority=2,in_port=trunk0,vlan_tci=0x1000/0x1000,actions=pop_vlan,resubmit:trunk0"
    echo "priority=2,in_port=trunk1,vlan_tci=0x1000/0x1000,actions=pop_vlan,resubmit:trunk1"
    echo "priority=1,in_port=trunk0,actions=output:swvm"
    echo "priority=1,in_port=trunk1,actions=output:swnet"
  } >"$work/flows"
  ovs-ofctl -O OpenFlow13 --names replace-flows "unix:$work/br0.mgmt" "$work/flows"
}

ip -n $VM address add $VM4/24 dev vm0
ip -n $NET address add $NET4/24 dev net0
ip -n $NET address add $NET6/64 dev net0 nodad
in_ns $VM sysctl -qw net.ipv6.conf.vm0.ndisc_notify=1
sleep 3
export RECORD_NS=$SW RECORD_DEV=trunk0
record arp-nd-vlan.pcap

talk() {
  local dev
  for dev in vm0 net0; do # each round resolves anew
    ip -n "$([ $dev = vm0 ] && echo $VM || echo $NET)" neighbour flush dev $dev
  done
  ip -n $VM address add $VM6/64 dev vm0
  sleep 2.5
  in_ns $VM arping -q -U -c 1 -I vm0 $VM4
  in_ns $NET ping -q -n -c 2 -i 0.2 $VM4 >>"$work/ping.log"
  in_ns $NET ping -q -n -c 2 -i 0.2 $VM6 >>"$work/ping.log"
  ip -n $VM address del $VM6/64 dev vm0
  sleep 0.2
}
tags
talk
tags 100
talk
tags 200 100
talk
stop_recording
