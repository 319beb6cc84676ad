# Two BGP routers (RFC 4271), IPv4 and IPv6 routes over one session: OPEN, KEEPALIVE, UPDATE that announces and withdraws,
# ROUTE-REFRESH, NOTIFICATION. The VM is one of them; between its words it forwards what others say to each other.
legs
routes='no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 timers bgp 2 6'
for ns in $VM $NET; do frr $ns zebra </dev/null; done
background $FAR web sh -c 'cd "$1" && exec python3 -m http.server 8080' sh "$(mkdir "$work/www" && cd "$work/www" && seq 1 900 >numbers && pwd)"
until_true 5 listens $FAR 8080
record bgp.pcapng
frr $NET bgpd <<CONF
router bgp 65001
 bgp router-id $NET4
 $routes
 neighbor $VM4 remote-as 65010
 neighbor $VM4 timers connect 1
 neighbor $VM4 passive
 address-family ipv4 unicast
  network 203.0.113.0/25
  neighbor $VM4 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:8000::/33
  neighbor $VM4 activate
 exit-address-family
CONF
frr $VM bgpd <<CONF
router bgp 65010
 bgp router-id $VM4
 $routes
 neighbor $NET4 remote-as 65001
 neighbor $NET4 timers connect 1
 address-family ipv4 unicast
  network 198.51.100.0/24
  neighbor $NET4 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:3::/64
  neighbor $NET4 activate
 exit-address-family
CONF
learnt() { in_ns $NET ip route get $FAR4 | grep -q "via $VM4" && in_ns $NET ip -6 route get $FAR6 | grep -q via; }
until_true 20 learnt
sleep 1
tell $VM 'configure terminal' 'router bgp 65010' 'address-family ipv4 unicast' 'network 203.0.113.128/25'
sleep 1

# What the VM forwards, while the session goes on
in_ns $NET ping -q -n -c 3 -i 0.2 $FAR4 >>"$work/ping.log"
in_ns $NET ping -q -n -c 3 -i 0.2 $FAR6 >>"$work/ping.log"
in_ns $NET ping -q -n -c 1 -s 3000 $FAR4 >>"$work/ping.log"
in_ns $NET curl -sS -o /dev/null http://$FAR4:8080/numbers
in_ns $NET dig +tries=1 +time=1 @$FAR4 www.example.com >>"$work/dig.log" || true
# Its own voice in between: an answer, and an error about a packet that is none of its own
in_ns $NET ping -q -n -c 1 $VM4 >>"$work/ping.log"
in_ns $NET ping -q -n -c 1 -W 1 -t 1 $FAR4 >>"$work/ping.log" || true

tell $VM 'configure terminal' 'router bgp 65010' 'address-family ipv4 unicast' 'no network 203.0.113.128/25'
sleep 1
tell $VM 'clear bgp * soft in'
sleep 1
tell $VM 'clear bgp *'
sleep 2.5
tell $VM 'configure terminal' 'router bgp 65010' "neighbor $NET4 shutdown message recording ends"
sleep 1
stop_recording
