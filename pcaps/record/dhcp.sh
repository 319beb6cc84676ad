# DISCOVER, OFFER, REQUEST, ACK, a renewal, RELEASE. The VM is the server; the client takes the address for real.
QUIET6=1
namespace $VM
namespace $NET
wire $VM vm0 $VM_MAC $NET net0 $NET_MAC
ip -n $VM address add $VM4/24 dev vm0
cat >"$work/apply" <<'SCRIPT'
#!/bin/sh
case $1 in
deconfig) ip address flush dev "$interface" ;;
bound | renew) ip address replace "$ip/24" dev "$interface" ;;
esac
SCRIPT
chmod +x "$work/apply"
background $VM dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-daemon --port=0 --interface=vm0 --bind-interfaces \
  --dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,1h --dhcp-leasefile="$work/leases" --dhcp-authoritative \
  --dhcp-option=option:router,$VM4 --dhcp-option=option:dns-server,$VM4
until_true 5 listens $VM 67
record dhcp.pcap
background $NET udhcpc udhcpc -f -R -i net0 -s "$work/apply" -x hostname:guest
client=${pids[-1]}
until_true 10 grep -q 'lease of' "$work/udhcpc.log"
sleep 1
kill -USR1 "$client" # renew
sleep 1
kill -USR2 "$client" # release
sleep 1
stop_recording
