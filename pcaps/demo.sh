#!/usr/bin/env bash
# The main job on a real capture: a SIP call with RTP through the gateway, then the same call with a VM that dies.
set -eu
cd "$(dirname "$0")/.."
call=pcaps/traces/sip-rtp-call.pcapng
vm=52:54:00:00:02:10
holdfast() {
  echo
  echo "\$ holdfast $*"
  node dist/gateway/cli/main.js "$@"
}

echo "A recorded call: the VM ($vm) is rung, answers after 0.9 s, talks for 7 s (RTP both ways), is hung up on."
echo "What it says about the call is control and waits for a checkpoint; its voice is data and leaves at once."
echo "What the VM sent, but for its voice:"
holdfast explain "$call" --rules telephony --vm "$vm" | grep -e ' out hold ' -e '^\$ '
echo
echo "Why frame 9 may leave at once:"
holdfast explain "$call" --rules telephony --vm "$vm" --frame 9
echo
echo "The call, with a checkpoint every 100 ms that commits 20 ms later:"
holdfast replay "$call" --rules telephony --vm "$vm" --epoch 100ms --commit-delay 20ms
echo
echo "The same call, but the VM dies 38 ms after it sent '200 OK', before the checkpoint that contains it has committed."
echo "Two frames are discarded: 5, an RTCP ping, and 6, the answer. The caller never hears of an answer that the standby"
echo "does not know of:"
holdfast replay "$call" --rules telephony --vm "$vm" --epoch 100ms --commit-delay 20ms --fail-at 950ms
echo
if [ "$(id -u)" = 0 ] && ! command -v ip >/dev/null && command -v apt-get >/dev/null; then
  echo "installing: iproute2"
  { apt-get update && apt-get install -y --no-install-recommends iproute2; } >/dev/null 2>&1 || true
fi
if [ "$(id -u)" != 0 ]; then
  echo "Live, between network namespaces: skipped, it needs root (sudo make demo)."
elif ! command -v ip >/dev/null || ! ip netns add holdfast-demo-try-$$ 2>/dev/null; then
  echo "Live, between network namespaces: skipped, it needs the program ip (Debian: iproute2) and the right to make namespaces."
elif ! ip netns exec holdfast-demo-try-$$ true 2>/dev/null; then
  ip netns del holdfast-demo-try-$$
  echo "Live, between network namespaces: skipped, 'ip netns exec' fails here (in a chroot: its root must be a mount point)."
else
  ip netns del holdfast-demo-try-$$
  bash pcaps/demo-live.sh
fi
