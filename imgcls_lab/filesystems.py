"""What kind of file system a path lies on. Called by the store and the engine's cache; standard library only."""

from __future__ import annotations

from pathlib import Path

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "ncpfs", "pvfs", "ocfs")
_NETWORK_FUSE = ("sshfs", "gluster", "ceph", "smb", "cifs", "nfs", "s3fs", "gcsfuse", "rclone", "davfs", "blobfuse")


def network_filesystem(path: Path, mounts: str | None = None) -> str | None:
    """The type of the network file system that a path lies on, None on a local one. `mounts`: as /proc/mounts."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text()
        except OSError:
            return None
    best, kind = "", ""
    resolved = str(path.resolve())
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        point = parts[1].encode().decode("unicode_escape")
        inside = point in ("/", resolved) or resolved.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    if kind.startswith(_NETWORK) or (kind.startswith("fuse.") and kind[5:].startswith(_NETWORK_FUSE)):
        return kind
    return None
