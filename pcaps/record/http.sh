# HTTP/1.1 keep-alive: four requests over one connection. The VM is the server.
QUIET6=1
pair
mkdir "$work/www"
printf '<!doctype html><title>Holdfast</title><p>Held until it is true.\n' >"$work/www/index.html"
python3 -c 'print("\n".join(f"line {n} of a page that needs several segments" for n in range(200)))' >"$work/www/long.txt"
cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; user root; pid $work/nginx.pid; error_log $work/nginx-error.log;
events { worker_connections 16; }
http {
  access_log off; keepalive_timeout 10; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server { listen $VM4:80; root $work/www; }
}
CONF
background $VM nginx nginx -c "$work/nginx.conf" -e "$work/nginx-error.log"
until_true 5 listens $VM 80
record http.pcap
in_ns $NET curl -sS -o /dev/null http://$VM4/ --next -sS -o /dev/null http://$VM4/long.txt \
  --next -sS -o /dev/null -I http://$VM4/long.txt --next -sS -o /dev/null http://$VM4/absent
stop_recording
