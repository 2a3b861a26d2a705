# SPDX-License-Identifier: Apache-2.0
"""Scripted peers on real sockets for tests/wire and tests/drill: weir as a child process, backends on
threads, clients that send any bytes, and a strict reader of HTTP/1 that shares no code with weir.

Nothing here waits for a time to pass. Every socket has a time limit that turns a hang into a
failure; it is generous and never the subject of a test.
"""
