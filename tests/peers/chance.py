# SPDX-License-Identifier: Apache-2.0
"""Is this chance? Pearson's test of counts against the shares they should have."""
import math


def upper_gamma(half, x):
    """Q(half / 2, x), the regularized upper incomplete gamma function: the closed form for half = 1
    or 2, from there by its recurrence (DLMF 8.8.6)."""
    at = 0.5 if half % 2 else 1.0
    value = math.erfc(math.sqrt(x)) if half % 2 else math.exp(-x)
    while at < half / 2 - 0.25:
        value += math.exp(at * math.log(x) - x - math.lgamma(at + 1)) if x > 0 else 0.0
        at += 1
    return value


def p_value(statistic, freedom):
    """How often chance alone would make the statistic at least as large."""
    return upper_gamma(freedom, statistic / 2)


def chi_square(counts, shares):
    """(statistic, p) of counts that should be in the ratio of `shares`."""
    total, whole = sum(counts), sum(shares)
    statistic = sum((count - total * share / whole) ** 2 / (total * share / whole)
                    for count, share in zip(counts, shares))
    return statistic, p_value(statistic, len(counts) - 1)
