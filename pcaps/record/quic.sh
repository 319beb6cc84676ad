# HTTP/3 over QUIC (RFC 9000, 9114): handshake, three requests over one connection, close. The VM is the server.
QUIET6=1
pair
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=vm.example \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/req.log"
mkdir "$work/www"
seq 1 3000 >"$work/www/numbers.txt"
echo 'Held until it is true.' >"$work/www/index.html"
background $VM gtlsserver gtlsserver --quiet --htdocs "$work/www" $VM4 443 "$work/key.pem" "$work/cert.pem"
until_true 5 listens $VM 443
record quic.pcapng
in_ns $NET gtlsclient --quiet --exit-on-all-streams-close --timeout=5s $VM4 443 \
  https://vm.example/numbers.txt https://vm.example/ https://vm.example/absent >"$work/client.log" 2>&1
stop_recording
