#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files as a C table: embed.py OUTPUT FILE..., for what the program serves out of itself."""
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
PER_LINE = 24


def main():
    output, *names = sys.argv[1:]
    lines = ["// Made by tools/embed.py.", '#include "admin/page.h"', ""]
    rows = []
    for number, name in enumerate(sorted(names)):
        data = pathlib.Path(name).read_bytes()
        path = pathlib.Path(name)
        lines.append(f"static const char data_{number}[] = {{")
        for at in range(0, len(data), PER_LINE):
            lines.append("\t" + ", ".join(str(byte if byte < 128 else byte - 256)
                                          for byte in data[at:at + PER_LINE]) + ",")
        lines.append("};")
        etag = hashlib.sha256(data).hexdigest()[:16]
        rows.append(f'\t{{"{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"", data_{number}, '
                    f"sizeof(data_{number})}},")
    lines += ["", "const struct page_file page_files[] = {", *rows, "};", "",
              f"const u32 page_file_count = {len(rows)};", ""]
    pathlib.Path(output).write_text("\n".join(lines), encoding="ascii")


main()
