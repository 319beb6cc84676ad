# DNS over IPv4 and IPv6: small answers, an answer that is cut and asked again over TCP, a large one with EDNS. The VM is the server.
pair
text=$(python3 -c 'print(",".join(f"{n:02d} " + "x" * 197 for n in range(6)))')
background $VM dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --port=53 \
  --listen-address=$VM4,$VM6 --bind-interfaces --edns-packet-max=4096 --local=/example.com/ \
  --host-record=www.example.com,198.51.100.80,2001:db8:80::80 --mx-host=example.com,www.example.com,10 \
  --cname=alias.example.com,www.example.com --txt-record=long.example.com,"$text"
until_true 5 listens $VM 53
record dns.pcapng
dig_at() { in_ns $NET dig +tries=1 +time=2 "$@" >>"$work/dig.log"; }
dig_at @$VM4 +noedns www.example.com A
dig_at @$VM4 www.example.com AAAA
dig_at @$VM4 alias.example.com A
dig_at @$VM4 example.com MX
dig_at @$VM4 -x 198.51.100.80
dig_at @$VM4 absent.example.com A
dig_at @$VM4 +noedns long.example.com TXT
dig_at @$VM4 +bufsize=4096 long.example.com TXT
dig_at @$VM6 www.example.com AAAA
dig_at @$VM6 +tcp www.example.com A
stop_recording
