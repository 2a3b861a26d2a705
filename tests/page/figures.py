# SPDX-License-Identifier: Apache-2.0
"""How the dashboard writes numbers, written a second time."""
NBSP = "\u00a0"


def num(value):
    if value is None:
        return "–"
    if value == 0:
        return "0"
    letter = ""
    for following in "kMGT":
        if abs(value) < 999.5:
            break
        value, letter = value / 1000, following
    size = abs(value)
    if letter:
        places = 2 if size < 9.995 else 1 if size < 99.95 else 0
    else:
        places = 2 if size < 0.095 else 1 if size < 99.95 else 0
    return fixed(value, places) + letter


def fixed(value, places):
    """toFixed() of JavaScript: half away from zero, of the number as it is in binary."""
    from decimal import ROUND_HALF_UP, Decimal
    return str(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def rate(value):
    return "–" if value is None else num(value) + "/s"


def count(value):
    return "–" if value is None else str(round(value)) if value < 10000 else num(value)


def dur(us):
    if us is None:
        return "–"
    if us < 999.5:
        return fixed(us, 0) + NBSP + "µs"
    if us < 999500:
        return (fixed(us / 1000, 1) if us < 9950 else fixed(us / 1000, 0)) + NBSP + "ms"
    return (fixed(us / 1e6, 1) if us < 9.95e6 else fixed(us / 1e6, 0)) + NBSP + "s"


def pct(ratio):
    value = ratio * 100
    if 0 < value < 0.005:
        return f"<0.01{NBSP}%"
    return fixed(value, 0 if value in (0, 100) else 2 if value < 0.995 else 1 if value < 9.95 or value > 99 else 0) + NBSP + "%"
