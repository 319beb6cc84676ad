# A reverse proxy: the VM passes requests on to a back end whose name it looks up, and asks for the time meanwhile. It is a
# server to one program and a client to three.
QUIET6=1
pair
mkdir "$work/www"
seq 1 900 >"$work/www/numbers.txt"
background $NET backend sh -c 'cd "$1" && exec python3 -m http.server 8080' sh "$work/www"
background $NET dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --port=53 \
  --listen-address=$NET4 --bind-interfaces --host-record=backend.example,$NET4 --local-ttl=1
cat >"$work/chrony.conf" <<CONF
bindaddress $NET4
allow 192.0.2.0/24
local stratum 8
cmdport 0
CONF
daemon $NET time chronyd -d -x -u root -f "$work/chrony.conf" # -x: leaves the clock alone
cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; user root; pid $work/nginx.pid; error_log $work/nginx-error.log;
events { worker_connections 16; }
http {
  access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  resolver $NET4 ipv6=off;
  server {
    listen $VM4:80;
    location / { set \$backend backend.example:8080; proxy_pass http://\$backend; }
  }
}
CONF
background $VM nginx nginx -c "$work/nginx.conf" -e "$work/nginx-error.log"
until_true 5 listens $VM 80
until_true 5 listens $NET 8080
until_true 5 listens $NET 123
record proxy.pcapng
in_ns $NET curl -sS -o /dev/null http://$VM4/numbers.txt
in_own $VM chronyd -Q -t 6 -u root -f /dev/null "server $NET4 iburst" >"$work/ask.log" 2>&1 || true # -Q: asks, sets nothing
in_ns $NET curl -sS -o /dev/null http://$VM4/absent
in_ns $NET ping -q -n -c 2 -i 0.2 $VM4 >>"$work/ping.log"
stop_recording
