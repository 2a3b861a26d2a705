# SPDX-License-Identifier: Apache-2.0
"""The chi-square test of the drills, against the tables of textbooks."""
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from peers.chance import chi_square, p_value


@pytest.mark.parametrize("freedom, at_5, at_1", [
    (1, 3.841, 6.635), (2, 5.991, 9.210), (3, 7.815, 11.345), (4, 9.488, 13.277),
    (9, 16.919, 21.666), (10, 18.307, 23.209), (30, 43.773, 50.892)])
def test_tables(freedom, at_5, at_1):
    assert p_value(at_5, freedom) == pytest.approx(0.05, abs=2e-4)
    assert p_value(at_1, freedom) == pytest.approx(0.01, abs=5e-5)
    assert p_value(0, freedom) == 1


def test_what_is_even_and_what_is_not():
    assert chi_square([100, 100, 100], [1, 1, 1]) == (0, 1)
    assert chi_square([500, 100, 100], [5, 1, 1])[1] == 1
    assert chi_square([130, 70], [1, 1])[1] < 1e-4


def test_fair_dice_pass():
    dice = random.Random(1)
    worst = min(chi_square([rolls.count(side) for side in range(6)], [1] * 6)[1]
                for rolls in ([dice.randrange(6) for _ in range(600)] for _ in range(100)))
    assert 1e-4 < worst < 0.1
