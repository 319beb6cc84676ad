# A call between two baresip phones: INVITE, 180, 200, ACK, G.711 A-law every 20 ms both ways with RTCP, BYE, 200.
# The VM is the callee: it rings for 0.9 s, talks for 7 s and hears the caller hang up.
QUIET6=1
pair

# A scale for each side: music of our own, so that nobody's recording is inside.
python3 - "$work" <<'PY'
import math, struct, sys, wave
for name, steps in (('caller', (0, 4, 7, 12, 7, 4)), ('vm', (12, 9, 5, 0, 5, 9))):
    with wave.open(f'{sys.argv[1]}/{name}.wav', 'wb') as out:
        out.setparams((1, 2, 8000, 0, 'NONE', ''))
        for n in range(8000 * 12):
            note = steps[n // 2000 % len(steps)]
            fade = 1 - n % 2000 / 2000
            out.writeframesraw(struct.pack('<h', int(9000 * fade * math.sin(2 * math.pi * 262 * 2 ** (note / 12) * n / 8000))))
PY

# phone NAME ADDRESS: its settings; it is told what to do over a socket of its own namespace
phone() {
  mkdir "$work/$1"
  cat >"$work/$1/config" <<CONF
poll_method epoll
sip_listen $2:5060
audio_source aufile,$work/$1.wav
audio_player aubridge,none
audio_alert aubridge,none
rtp_tos 184
rtp_ports 16384-16400
rtcp_mux no
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:4444
CONF
  echo "<sip:$1@$2>;regint=0;ptime=20;audio_codecs=PCMA/8000/1" >"$work/$1/accounts"
  : >"$work/$1/contacts"
}
phone caller $NET4
phone vm $VM4

# order NS COMMAND [PARAMETER]: as a netstring of JSON
order() {
  local json="{\"command\":\"$2\",\"params\":\"${3:-}\"}"
  printf '%d:%s,' ${#json} "$json" | in_ns "$1" socat -t 0.3 - TCP4:127.0.0.1:4444 >>"$work/order.log"
}

HOME=$work background $VM vm baresip -4 -f "$work/vm"
HOME=$work background $NET caller baresip -4 -f "$work/caller"
until_true 5 listens $VM 4444
until_true 5 listens $NET 4444
record sip-rtp-call.pcapng
order $NET dial sip:vm@$VM4
sleep 0.9
order $VM accept
sleep 7
order $NET hangup
sleep 0.5
stop_recording
