#!/usr/bin/env bash
# Builds the downloads. The same commit and toolchain give the same bytes, in any directory.
#
# scripts/release.sh [OUT]            into OUT (target/release-files by default)
# scripts/release.sh --check [OUT]    installs what is in OUT into new roots and runs it (as root)
#
#   chatagram-VERSION-x86_64-linux.tar.gz   static program, manual pages, completions, scripts
#   chatagram_VERSION_amd64.deb             the same for Debian and Ubuntu, with a systemd unit
#   chatagram-VERSION-oci.tar               container image: the static program and the scripts
#   SHA256SUMS
#
# Needs cargo, python3, dpkg-deb, tar, gzip; --check needs debootstrap, dpkg, unshare.
# $BINARY is a program to pack instead of building one.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
if [ $# -gt 1 ] || [[ ${1:-} == -* ]]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 2
fi
out=$(realpath -m "${1:-$here/target/release-files}")
cd "$here"
[ -z "$check" ] || exec scripts/release/check.sh "$out"

version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
fi
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022

target=x86_64-unknown-linux-gnu
if [ -z "${BINARY:-}" ]; then
    # The program contains no directory of this machine. glibc is linked statically, because not
    # every toolchain has the musl target.
    # A static program does not find getrandom(2) in its C library, and would need /dev/random.
    export RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static
        --cfg getrandom_backend=\"linux_getrandom\"
        --remap-path-prefix=$here=/chatagram
        --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    CARGO_INCREMENTAL=0 cargo build --locked --profile dist --target $target --bin chatagram \
        --features redis,quic
    BINARY=${CARGO_TARGET_DIR:-target}/$target/dist/chatagram
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
rm -f "$out"/chatagram[-_]* "$out/SHA256SUMS"

packed() { # packed DIRECTORY: a tar of it on standard output
    tar -C "$1" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
        --mtime="@$SOURCE_DATE_EPOCH" -c . | gzip -9n
}

# The files of every download, at their paths in a Debian package.
share=$work/all/usr/share
install -Dm755 "$BINARY" "$work/all/usr/bin/chatagram"
install -d "$share/man/man1" "$share/chatagram/scripts"
"$BINARY" man "$share/man/man1" >/dev/null
install -Dm644 <("$BINARY" completions bash) "$share/bash-completion/completions/chatagram"
install -Dm644 <("$BINARY" completions zsh) "$share/zsh/vendor-completions/_chatagram"
install -Dm644 <("$BINARY" completions fish) "$share/fish/vendor_completions.d/chatagram.fish"
install -Dm644 -t "$share/doc/chatagram" README.md proto.md src/docs/*.md
install -Dm644 LICENSE "$share/doc/chatagram/copyright"
find scripts -maxdepth 1 -type f \( -name '*.py' -o -name '*.sh' \) \
    ! -name 'release.sh' ! -name 'bench-*' -exec install -m755 -t "$share/chatagram/scripts" {} +
install -m644 -t "$share/chatagram/scripts" scripts/chatagram.lua scripts/exercises.md

name=chatagram-$version-x86_64-linux
mkdir "$work/tar"
cp -a "$work/all/usr" "$work/tar/$name"
packed "$work/tar" >"$out/$name.tar.gz"

# dpkg-deb instead of cargo-deb, which has 200 crates to build.
cp -a "$work/all" "$work/deb"
find "$work/deb/usr/share/man" -type f -exec gzip -9n {} +
install -Dm644 -t "$work/deb/usr/lib/systemd/system" scripts/release/chatagram.service
install -d "$work/deb/DEBIAN"
(cd "$work/deb" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$work/md5sums"
install -m644 "$work/md5sums" "$work/deb/DEBIAN/md5sums"
size=$(find "$work/deb/usr" -type f -printf '%s\n' |
    awk '{ k += int(($1 + 1023) / 1024) } END { print k }')
cat >"$work/deb/DEBIAN/control" <<CONTROL
Package: chatagram
Version: $version
Architecture: amd64
Maintainer: Chatagram maintainers
Installed-Size: $size
Section: net
Priority: optional
Suggests: python3, iproute2
Description: chat whose transport is the subject
 Raw UDP, reliable UDP and TCP in one room, with a lab that measures what
 packet loss does to each. A server: systemctl enable --now chatagram.
CONTROL
chmod 644 "$work/deb/DEBIAN/control"
find "$work/deb" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz -z6 --build "$work/deb" \
    "$out/chatagram_${version}_amd64.deb" >/dev/null

mkdir -p "$work/image/usr/bin" "$work/image/usr/share" "$work/image/root" "$work/image/tmp" \
    "$work/image/dev" "$work/image/proc" "$work/image/sys" "$work/image/etc"
chmod 1777 "$work/image/tmp"
cp -a "$work/all/usr/bin/chatagram" "$work/image/usr/bin/"
cp -a "$share/chatagram" "$work/image/usr/share/"
echo 'root:x:0:0:root:/root:/usr/bin/chatagram' >"$work/image/etc/passwd"
echo 'hosts: files dns' >"$work/image/etc/nsswitch.conf"
python3 scripts/release/oci.py "$work/image" "$version" "$out/chatagram-$version-oci.tar"

(cd "$out" && sha256sum chatagram[-_]* >SHA256SUMS)
cat "$out/SHA256SUMS"
