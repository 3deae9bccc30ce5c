#!/usr/bin/env python3
"""Packs a root directory as an OCI image, one layer, the same bytes for the same files.

    scripts/release/oci.py ROOT VERSION OUT.tar

The archive is an OCI image layout (image-spec 1.1): `podman load -i OUT.tar`, `skopeo inspect
oci-archive:OUT.tar`. Times are SOURCE_DATE_EPOCH, owners are root, names are sorted.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def entry(name, size=0, mode=0o644, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, EPOCH
    info.uname = info.gname = "root"
    return info


def layer(root):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            name, mode = str(path.relative_to(root)), path.stat().st_mode & 0o7777
            if path.is_dir():
                tar.addfile(entry(name, mode=mode, kind=tarfile.DIRTYPE))
            else:
                data = path.read_bytes()
                tar.addfile(entry(name, len(data), mode), io.BytesIO(data))
    return out.getvalue()


def main(root, version, out):
    files = {}

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(value, media_type):
        return blob(json.dumps(value, sort_keys=True).encode(), media_type)

    oci = "application/vnd.oci.image"
    tar = layer(pathlib.Path(root))
    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc)
    config = document({
        "architecture": "amd64",
        "os": "linux",
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {
            "Entrypoint": ["/usr/bin/chatagram"],
            "Cmd": ["--help"],
            "Env": ["PATH=/usr/bin", "HOME=/root", "TERM=xterm-256color"],
            "ExposedPorts": {"2428/udp": {}, "2428/tcp": {}, "2429/udp": {}},
            "WorkingDir": "/root",
            "Labels": {
                "org.opencontainers.image.title": "chatagram",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "MIT",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "created_by": "oci.py"}],
    }, f"{oci}.config.v1+json")
    packed = gzip.compress(tar, compresslevel=9, mtime=0)
    manifest = document({
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": config,
        "layers": [blob(packed, f"{oci}.layer.v1.tar+gzip")],
    }, f"{oci}.manifest.v1+json")
    manifest["annotations"] = {
        "org.opencontainers.image.ref.name": version,
        "io.containerd.image.name": f"localhost/chatagram:{version}",
    }
    index = {"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": [manifest]}
    files["index.json"] = json.dumps(index, sort_keys=True).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    with tarfile.open(out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ["blobs", "blobs/sha256"]:
            archive.addfile(entry(folder, mode=0o755, kind=tarfile.DIRTYPE))
        for name, data in sorted(files.items()):
            archive.addfile(entry(name, len(data)), io.BytesIO(data))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
