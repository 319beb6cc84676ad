# DHCP through a relay agent (RFC 2131 section 4.1, RFC 3046): the VM is the relay, between a client on its one side and a
# server on its other. Recorded on both of the VM's legs.
QUIET6=1
legs
cat >"$work/apply" <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
  ip address replace "$ip/24" dev "$interface"
  ip route replace default via "$router"
  ;;
esac
SCRIPT
chmod +x "$work/apply"
background $FAR dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-daemon --port=0 --interface=far0 --bind-interfaces \
  --dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,1h --dhcp-leasefile="$work/leases" --dhcp-authoritative --no-ping \
  --dhcp-option=option:router,$VM4
background $VM relay dhcrelay -4 -d --no-pid -a -id vm0 -iu vm1 $FAR4
until_true 5 listens $FAR 67
until_true 5 listens $VM 67
RECORD_NS=$VM RECORD_DEV=vm0 record dhcp-relay.pcapng -i vm1
background $NET udhcpc udhcpc -f -R -i net0 -s "$work/apply" -x hostname:guest
client=${pids[-1]}
until_true 10 grep -q 'lease of' "$work/udhcpc.log"
sleep 1
kill -USR1 "$client" # renew: by unicast, which the VM forwards
sleep 1
kill -USR2 "$client" # release
sleep 1
stop_recording
