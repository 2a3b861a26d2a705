#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for HTTP/2 to corpus/h2/: the frames of every case of the
wire tests, for either role, behind the byte that chooses role and pieces. Deterministic, as
make_corpus.py."""
import hashlib
import pathlib
import sys

import hpack

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "wire")]
import test_zd_h2_client_frames as of_clients  # noqa: E402
import test_ze_h2_backend_frames as of_backends  # noqa: E402
from peers import h2  # noqa: E402

SIZE_MAX = 20000


def peer():
    """One that only packs."""
    made = object.__new__(h2.Peer)
    made.encoder = hpack.Encoder()
    return made


def flat(parts):
    data = b""
    for part in parts:
        if isinstance(part, (list, tuple)):
            data += flat(part)
        else:
            data += part if isinstance(part, bytes) else part.serialize()
    return data


def main():
    inputs = []
    settings = h2.SettingsFrame(0).serialize()
    for number, (name, (kind, make, _)) in enumerate(of_clients.CASES.items()):
        if make and kind != "bare":
            data = settings + flat(make(peer()))
            inputs.append((name, bytes([number % 4 << 1]) + data))
    for number, (name, (make, _)) in enumerate(of_backends.CASES.items()):
        for stream in (1, 5):
            data = settings + flat(make(peer(), stream))
            inputs.append((name, bytes([1 | number % 4 << 1]) + data))
    folder = HERE / "corpus" / "h2"
    folder.mkdir(parents=True, exist_ok=True)
    for _, data in inputs:
        if len(data) <= SIZE_MAX:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    print(f"{len(list(folder.iterdir()))} inputs")


if __name__ == "__main__":
    main()
