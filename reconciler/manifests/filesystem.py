"""Which file system a folder is on, by its name.

Owns: the number that statfs(2) gives and the names that people know for it. Never: says what a file system can do:
that is tried where it is needed.
"""

import ctypes
import os
from pathlib import Path

# linux/magic.h, and for those that are not part of Linux their own sources.
_NAMES = {
    0xEF53: "ext2/ext3/ext4",
    0x01021994: "tmpfs",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xCA451A4E: "bcachefs",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0x794C7630: "overlayfs",
    0x3153464A: "jfs",
    0x52654973: "reiserfs",
    0x858458F6: "ramfs",
    0x4D44: "vfat",
    0x2011BAB0: "exfat",
    0x5346544E: "ntfs",
    0x7366746E: "ntfs3",
    0x482B: "hfsplus",
    0x65735546: "fuse",
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x517B: "smb",
    0x01021997: "9p",
    0x00C36400: "ceph",
    0x6B414653: "afs",
    0x73757245: "coda",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x013661: "gfs2",
    0x7461636F: "ocfs2",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
}

# `struct statfs` is some 120 bytes on every machine that Linux runs on; its first field, a word, is the number.
_STATFS_BYTES_MAX = 512

_libc = ctypes.CDLL(None, use_errno=True)


def file_system_of(path: Path) -> str:
    """Name the file system that `path` is on; a number in hexadecimal where it has no name here. Raises OSError."""
    found = ctypes.create_string_buffer(_STATFS_BYTES_MAX)
    if _libc.statfs(os.fsencode(path), found) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    # Some numbers have the highest of 32 bits set, which a word of 32 bits gives as a negative one.
    number = ctypes.c_long.from_buffer(found).value & 0xFFFFFFFF
    return _NAMES.get(number, f"0x{number:x}")
