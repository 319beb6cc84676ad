# Two keepalived that share virtual addresses by VRRPv2 (RFC 3768), VRRPv3 over IPv4 and over IPv6 (RFC 5798). The VM is master
# with gratuitous ARP and unsolicited neighbour advertisements, resigns (priority 0), and takes the addresses back.
pair
# group NS DEV PRIORITY: the settings of one side
group() {
  mkdir -p "$work/$1"
  cat >"$work/$1/keepalived.conf" <<CONF
global_defs {
  router_id $1
  vrrp_garp_master_delay 1
  vrrp_garp_master_repeat 2
}
vrrp_instance two {
  interface $2
  virtual_router_id 51
  priority $3
  advert_int 1
  authentication {
    auth_type PASS
    auth_pass recorded
  }
  virtual_ipaddress {
    192.0.2.100/24
  }
}
vrrp_instance three {
  version 3
  interface $2
  virtual_router_id 52
  priority $3
  advert_int 0.5
  virtual_ipaddress {
    192.0.2.101/24
  }
}
vrrp_instance six {
  version 3
  interface $2
  virtual_router_id 53
  priority $3
  advert_int 0.5
  virtual_ipaddress {
    fe80::64
    2001:db8:2::64/64
  }
}
CONF
}
group $VM vm0 150
group $NET net0 100
# start NS
start() { daemon "$1" "$1-keepalived" keepalived --dont-fork --log-console --log-detail --vrrp --use-file "$work/$1/keepalived.conf"; }
owns() { ip -n "$1" -6 address show | grep -q 2001:db8:2::64 && ip -n "$1" address show | grep -q 192.0.2.100; }
record vrrp.pcap
start $VM
keepalived=${pids[-1]}
until_true 10 owns $VM
start $NET
sleep 2
in_ns $NET ping -q -n -c 1 192.0.2.100 >>"$work/ping.log"
kill "$keepalived"
until_true 10 owns $NET
sleep 1
start $VM
until_true 15 owns $VM
sleep 3
stop_recording
