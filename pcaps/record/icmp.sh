# What a VM that routes says in ICMP: redirect, time exceeded, port unreachable, fragmentation needed; and echo. Three hosts
# on one bridge; the VM is the client's router and itself sends towards 198.51.100.0/24 through a second router.
QUIET6=1
SW=hf-rec-sw FAR=hf-rec-far
for name in $VM $NET $FAR $SW; do namespace $name; done
wire $VM vm0 $VM_MAC $SW swvm 02:00:00:00:02:a0
wire $NET net0 $NET_MAC $SW swnet 02:00:00:00:02:a1
wire $FAR far0 02:00:00:00:02:03 $SW swfar 02:00:00:00:02:a4
ip -n $SW link add br0 type bridge mcast_snooping 0
for port in swvm swnet swfar; do ip -n $SW link set $port master br0; done
ip -n $SW link set br0 up
ip -n $VM address add $VM4/24 dev vm0
ip -n $NET address add $NET4/24 dev net0
ip -n $FAR address add 192.0.2.3/24 dev far0
ip -n $FAR address add 198.51.100.9/32 dev lo
ip -n $NET route add 198.51.100.0/24 via $VM4
ip -n $VM route add 198.51.100.0/24 via 192.0.2.3
ip -n $VM route add 198.51.100.9/32 via 192.0.2.3 mtu lock 1200
in_ns $VM sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.vm0.send_redirects=1
in_ns $NET sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.net0.accept_redirects=0
sleep 0.5
export RECORD_NS=$VM RECORD_DEV=vm0
record icmp.pcapng
{
  in_ns $NET ping -q -n -c 2 -i 0.2 $VM4
  in_ns $NET ping -q -n -c 2 -i 0.2 198.51.100.9
  in_ns $NET ping -q -n -c 1 -W 1 -t 1 198.51.100.9 || true
  in_ns $NET ping -q -n -c 1 -W 1 -M 'do' -s 1400 198.51.100.9 || true
  in_ns $NET dig +tries=1 +time=1 @$VM4 www.example.com || true
} >"$work/icmp.log" 2>&1
stop_recording
