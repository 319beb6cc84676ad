#!/usr/bin/env bash
# A fresh Debian, and what README's 'Quick start' says, from nothing to a running gateway: `make fresh`, as root, some minutes.
#
#   make fresh               make demo; make check; a part of the tests
#   make fresh full=1        make demo; make test
#   make fresh base=FOLDER   a copy of what 'debootstrap --variant=minbase --include=git,make,gcc,g++,ca-certificates' has made there
#   make fresh keep=1        the folder stays
#
# Debian is put into a temporary folder by debootstrap, from the mirror that this machine's apt has, and everything runs in a chroot with
# mounts, processes and network namespaces of its own: nothing of it is left. Node.js is this machine's own, copied: that of
# Debian may be older than 20. Exit code 77: skipped, and why.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
export full=${full:-} keep=${keep:-} base=${base:-}

skip() { echo "make fresh: skipped: $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip 'it needs root'
for program in debootstrap unshare apt-get; do
  command -v "$program" >/dev/null || skip "it needs the program $program (Debian: $program)"
done
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
  awk -v release="$release" '$2 == release && $3 == "Debian" { found = $1 } END { print found }')
[ -n "$mirror" ] || skip 'this machine is no Debian, or its apt knows no mirror'
node=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")

if [ "${1:-}" != inside ]; then
  work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-fresh-XXXXXX")
  export work
  clean_up() {
    # Its processes go with it, and with them the mounts, which nobody else sees.
    kill -KILL "$child" 2>/dev/null && sleep 1
    if [ -n "$keep" ]; then echo "kept: $work"; else rm -rf --one-file-system "$work"; fi
  }
  trap 'exit 130' INT
  trap 'exit 143' TERM
  unshare --mount --pid --fork --kill-child --mount-proc "$0" inside &
  child=$!
  trap clean_up EXIT
  wait "$child"
  exit
fi

root=$work/debian
mkdir "$root"
# The root of a chroot that is no mount point cannot be made private, as 'ip netns exec' does.
mount --bind "$root" "$root"
step() { printf '%4d s  %s\n' $SECONDS "$*"; }
log=$work/log
quietly() { "$@" >"$log" 2>&1 || { tail -n 40 "$log"; echo "failed: $*"; exit 1; }; }

# What README asks for: git, make and a compiler. Certificates: npm asks a registry over TLS.
if [ -n "$base" ]; then
  step "a copy of $base"
  cp -a "$base/." "$root"
else
  step "debootstrap $release"
  quietly debootstrap --variant=minbase --include=git,make,gcc,g++,ca-certificates "$release" "$root" "$mirror"
fi

step "Node.js $(node --version), this machine's"
tar -C "$node" -c bin/node lib/node_modules/npm $(cd "$node" && ls -d include/node 2>/dev/null) | tar -C "$root/usr" -x
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/bin/npx"
# What this machine believes and asks, so does the fresh one.
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp -r /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/" 2>/dev/null && : >"$root/etc/apt/sources.list"
# As Debian's installer leaves it.
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/sys"
mount --make-rslave "$root/dev"

step 'the project, as git would clone it'
mkdir "$root/root/holdfast"
(cd "$here" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -c --ignore-failed-read 2>/dev/null) |
  tar -C "$root/root/holdfast" -x

inside() {
  chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    npm_config_registry="$(npm config get registry 2>/dev/null)" NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    bash -euo pipefail -c "cd ~/holdfast; $1"
}

demo=$work/demo
step 'make demo'
inside 'make demo' >"$demo" 2>&1 || { tail -n 60 "$demo"; echo 'failed: make demo'; exit 1; }
for words in 'replayed 719 frames' 'held, then discarded' 'a host takes over' 'epoch 1 is sealed' 'epoch 1 is committed' 'term 2 has begun'; do
  grep -qF "$words" "$demo" || { tail -n 60 "$demo"; echo "make demo does not say '$words'"; exit 1; }
done
step 'make demo: a gateway ran, held a frame, released it, and took others back'

if [ -n "$full" ]; then
  step 'make test'
  inside 'make test' 2>&1 | tail -n 60
else
  step 'make check'
  quietly inside 'make check'
  step 'a part of the tests: bash test/support/tools.sh; npx vitest run test/cli test/e2e/deploy.test.ts test/e2e/live-run.test.ts'
  inside 'bash test/support/tools.sh; npx vitest run test/cli test/e2e/deploy.test.ts test/e2e/live-run.test.ts' 2>&1 | tail -n 40
fi
step 'installed by npm, with its manual page'
quietly inside 'npm install -g . && holdfast --version && test -e "$(npm prefix -g)/share/man/man1/holdfast.1" && npm uninstall -g holdfast'
step 'installed as a Debian package'
# dpkg knows nothing of a copied Node.js.
quietly inside 'make deb && dpkg -i --ignore-depends=nodejs dist/holdfast_*.deb && cd / &&
  holdfast --version && holdfast check --config /etc/holdfast/holdfast.yaml && { holdfast doctor || [ $? = 1 ]; } &&
  dpkg --purge holdfast && test ! -e /usr/bin/holdfast && test ! -e /etc/holdfast/holdfast.yaml'
step 'done'
