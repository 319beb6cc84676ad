#!/usr/bin/env bash
# Makes a Debian package of what `make build` has built: `make deb`, which prints its path.
#   deb.sh [FOLDER]   where the package goes; default: dist
# No root, no network, no debhelper: files as `npm pack` lists them, the packages that they need at run time from node_modules, dpkg-deb.
#
# Without the package cap, which ports of kind pcap: need: it is compiled for one version of Node.js. `npm install -g` has it.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-dist}
[ -x dist/gateway/cli/main.js ] || { echo "deb.sh: there is no dist/gateway/cli/main.js: run make build" >&2; exit 1; }

field() { node -p "require('./package.json').$1"; }
version=$(field version)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-deb-XXXXXX")
trap 'rm -rf "$stage"' EXIT
tree=$stage/root
lib=$tree/usr/lib/holdfast

# The files that npm would publish.
tarball=$(npm pack --silent --ignore-scripts --pack-destination "$stage")
mkdir -p "$lib"
tar -C "$lib" --strip-components 1 --exclude='*.map' -xf "$stage/$tarball"
# What they need at run time, as it is installed here; the first line is the project itself.
{ npm ls --omit=dev --omit=optional --all --parseable 2>/dev/null || true; } | tail -n +2 | sort -u |
  sed "s|^$PWD/||" | grep '^node_modules/' |
  tar -c --exclude='*.map' --exclude='*.d.ts' --exclude=.bin -T - | tar -C "$lib" -x
[ -d "$lib/node_modules/koffi" ] || { echo 'deb.sh: node_modules is not complete: run npm ci' >&2; exit 1; }

put() { install -D -m "$1" "$2" "$tree$3"; }
mkdir -p "$tree/usr/bin"
ln -s ../lib/holdfast/dist/gateway/cli/main.js "$tree/usr/bin/holdfast"
chmod 755 "$lib/dist/gateway/cli/main.js"
put 644 gateway/deploy/holdfast.service /usr/lib/systemd/system/holdfast.service
put 600 gateway/holdfast.example.yaml /etc/holdfast/holdfast.yaml
node dist/gateway/cli/main.js manual >"$stage/manual"
put 644 "$stage/manual" /usr/share/man/man1/holdfast.1
gzip -9n "$tree/usr/share/man/man1/holdfast.1"
put 644 LICENSE /usr/share/doc/holdfast/copyright
put 644 CHANGELOG.md /usr/share/doc/holdfast/changelog
gzip -9n "$tree/usr/share/doc/holdfast/changelog"
node dist/gateway/cli/main.js completion bash >"$stage/completion"
put 644 "$stage/completion" /usr/share/bash-completion/completions/holdfast
node dist/gateway/cli/main.js completion fish >"$stage/completion"
put 644 "$stage/completion" /usr/share/fish/vendor_completions.d/holdfast.fish
chmod -R u+rwX,go+rX,go-w "$tree"
chmod 600 "$tree/etc/holdfast/holdfast.yaml"

mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: holdfast
Version: $version
Architecture: $architecture
Maintainer: $(field author) <holdfast@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: nodejs (>= 20.19), libc6
Recommends: iproute2
Section: net
Priority: optional
Description: output commit for replicated virtual machines
 A userspace switch between a VM host's tap interface and the network. Data
 frames leave at once; control frames wait until the checkpoint that contains
 their cause has committed.
CONTROL
echo /etc/holdfast/holdfast.yaml >"$tree/DEBIAN/conffiles"
# The service is neither enabled nor started: its configuration is an example.
cat >"$tree/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
SCRIPT
# An upgrade leaves the gateway running; `holdfast run --takeover` or a restart puts the new version in its place.
cat >"$tree/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
[ "$1" != remove ] || [ ! -d /run/systemd/system ] || systemctl disable --now holdfast || true
SCRIPT
cp "$tree/DEBIAN/postinst" "$tree/DEBIAN/postrm"
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"

mkdir -p "$out"
package=$out/holdfast_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$tree" "$package" >/dev/null
echo "$package"
