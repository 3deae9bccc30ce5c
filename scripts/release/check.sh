#!/usr/bin/env bash
# Installs the files of scripts/release.sh into new roots and runs them there. Run as root:
#
#   scripts/release.sh --check [OUT]
set -euo pipefail
out=${1:?usage: scripts/release.sh --check OUT}
[ "$(id -u)" = 0 ] || { echo "--check makes roots and namespaces: run it as root" >&2; exit 2; }
for tool in debootstrap dpkg unshare python3 timeout; do
    command -v "$tool" >/dev/null || { echo "--check needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
chmod 755 "$work" # for the program without privileges
trap 'rm -rf --one-file-system "$work"' EXIT
(cd "$out" && sha256sum --check --quiet SHA256SUMS)

# Runs a command in new namespaces, with /proc and /dev of the root's own.
inside() { # inside ROOT COMMAND...
    local root=$1
    shift
    mkdir -p "$root/proc" "$root/dev/pts" "$root/dev/net"
    # shellcheck disable=SC2016 # expanded inside
    timeout 120 unshare --mount --pid --net --uts --ipc --fork bash -ec '
        root=$1
        shift
        mount --make-rprivate /
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        for node in null zero urandom net/tun; do
            [ -e "/dev/$node" ] || continue
            touch "$root/dev/$node"
            mount --bind "/dev/$node" "$root/dev/$node"
        done
        # pivot_root, not chroot: the kernel gives a process in a chroot no user namespace.
        mkdir -p "$root/.old"
        cd "$root"
        pivot_root . .old
        exec "$@"' bash "$root" "$@"
}
says() { # says FILE PATTERN
    grep -q -- "$2" "$1" || { echo "no \"$2\" in:" >&2; cat "$1" >&2; exit 1; }
}

echo "== archive"
mkdir "$work/archive"
tar -C "$work/archive" -xzf "$out"/chatagram-*-x86_64-linux.tar.gz
program=$(echo "$work"/archive/*/bin/chatagram)
"$program" --version
if ldd "$program" >/dev/null 2>&1; then
    echo "the program is not static" >&2
    exit 1
fi

echo "== package"
debootstrap --variant=minbase --include=ca-certificates stable "$work/debian" \
    >"$work/debootstrap" 2>&1 ||
    { tail -5 "$work/debootstrap" >&2; exit 1; }
cp "$out"/chatagram_*.deb "$work/debian/tmp/chatagram.deb"
chroot "$work/debian" dpkg -i /tmp/chatagram.deb
for file in usr/share/man/man1/chatagram-server.1.gz usr/lib/systemd/system/chatagram.service \
    usr/share/bash-completion/completions/chatagram usr/share/chatagram/scripts/chatagram.lua; do
    [ -s "$work/debian/$file" ] || { echo "the package lacks /$file" >&2; exit 1; }
done
chroot "$work/debian" chatagram --version
chroot "$work/debian" dpkg --verify chatagram
if command -v systemd-analyze >/dev/null; then
    sed "s,/usr/bin/chatagram,$program," "$work/debian/usr/lib/systemd/system/chatagram.service" \
        >"$work/chatagram.service"
    systemd-analyze verify --man=no "$work/chatagram.service"
fi
chroot "$work/debian" dpkg -r chatagram
[ ! -e "$work/debian/usr/bin/chatagram" ]

echo "== image"
python3 - "$out"/chatagram-*-oci.tar "$work/image" <<'PYTHON'
import gzip, hashlib, io, json, sys, tarfile
archive = tarfile.open(sys.argv[1])
read = lambda name: archive.extractfile(name).read()
def blob(descriptor):
    data = read("blobs/" + descriptor["digest"].replace(":", "/"))
    assert len(data) == descriptor["size"], descriptor
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"], descriptor
    return data
assert json.loads(read("oci-layout"))["imageLayoutVersion"] == "1.0.0"
[descriptor] = json.loads(read("index.json"))["manifests"]
manifest = json.loads(blob(descriptor))
config = json.loads(blob(manifest["config"]))
[layer] = manifest["layers"]
tar = gzip.decompress(blob(layer))
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(tar).hexdigest()]
assert config["config"]["Entrypoint"] == ["/usr/bin/chatagram"]
tarfile.open(fileobj=io.BytesIO(tar)).extractall(sys.argv[2], filter="tar")
PYTHON
if command -v skopeo >/dev/null; then
    skopeo inspect "oci-archive:$(echo "$out"/chatagram-*-oci.tar)" >/dev/null
fi
# With namespaces the lab loses real packets of the kernel's own TCP, and of QUIC.
inside "$work/image" /usr/bin/chatagram doctor >"$work/said" || true
says "$work/said" '^ok  *namespaces'
inside "$work/image" /usr/bin/chatagram lab --modes tcp,quic-unreliable --loss 5 --delay-ms 5 \
    --duration-s 2 --out /tmp/run >"$work/said" 2>&1 ||
    { cat "$work/said" >&2; exit 1; }
# Without them, as in a container without flags, the doctor names the flag.
cat >"$work/filter.py" <<'PYTHON'
import ctypes, os, struct, sys
# A seccomp filter (seccomp(2)) that refuses unshare, setns and clone with new namespaces.
def op(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)
LOAD, EQUAL, SET, RETURN = 0x20, 0x15, 0x45, 0x06
refuse, allow = 0x00050000 | 1, 0x7FFF0000
program = b"".join([
    op(LOAD, 0, 0, 0), op(EQUAL, 4, 0, 272), op(EQUAL, 3, 0, 308), op(EQUAL, 0, 3, 56),
    op(LOAD, 0, 0, 16), op(SET, 0, 1, 0x7E020000), op(RETURN, 0, 0, refuse),
    op(RETURN, 0, 0, allow),
])
buffer = ctypes.create_string_buffer(program)
fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, fprog, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
PYTHON
python3 "$work/filter.py" "$program" doctor >"$work/said" || true
says "$work/said" '--cap-add SYS_ADMIN'
echo "all of $out is installed and runs"
