# SPDX-License-Identifier: Apache-2.0
"""State changes of backends, as weir's log tells them: the one place that knows its words."""
import re
import time

from .net import until

OPEN, HALF_OPEN, CLOSED = "open", "half_open", "closed"  # circuit breakers
UP, DOWN = "up", "down"  # health checks
EJECTED, BACK = "ejected", "back"  # outliers
OUT = (OPEN, DOWN, EJECTED)  # whichever comes first takes the backend out

# A line that tells of a change names the state in one of these fields, or in its message.
FIELDS = ("to", "state")
SPELLINGS = {"half-open": HALF_OPEN, "healthy": UP, "unhealthy": DOWN, "returned": BACK}
MESSAGE = re.compile(r"breaker[^,;]*?\b(open|half[-_]open|closed)\b|"
                     r"\b(healthy|unhealthy|ejected|returned)\b|backend (?:is )?(up|down)\b")
STATES = (OPEN, HALF_OPEN, CLOSED, UP, DOWN, EJECTED, BACK)


def state_of(line):
    """The state that a line of the log says a backend has now, or None."""
    words = [line[field] for field in FIELDS if isinstance(line.get(field), str)]
    found = MESSAGE.search(line["msg"])
    if found:
        words.append(next(filter(None, found.groups())))
    for word in words:
        word = SPELLINGS.get(word, word)
        if word in STATES:
            return word
    return None


def names(line, backend):
    """Whether a line is about this backend: one of its fields is the id, or tells it as part."""
    return any(isinstance(value, str) and re.search(rf"(?<![\w.-]){re.escape(backend)}(?![\w-])",
                                                    value) for value in line.values())


def changes(weir, backend, wanted=STATES):
    """[(state, line)] of a backend since weir's start, in order."""
    found = [(state_of(line), line) for line in weir.log() if names(line, backend)]
    return [(state, line) for state, line in found if state in wanted]


def states(weir, backend, wanted=STATES):
    """The states alone, each only when it is another one than before."""
    result = []
    for state, _ in changes(weir, backend, wanted):
        if not result or result[-1] != state:
            result.append(state)
    return result


def wait_state(weir, backend, *wanted, after=0):
    """Waits until the backend came into one of these states, not counting the first `after` of its
    changes; gives the line."""
    def look():
        time.sleep(0.01)
        return [line for state, line in changes(weir, backend)[after:] if state in wanted]

    try:
        return until(look, f"{backend} to be {' or '.join(wanted)}")[0]
    except AssertionError as error:
        raise AssertionError(f"{error} in\n{weir.stderr[-3000:]}") from None


def shown(line):
    """A line of the log as drills print it."""
    rest = ", ".join(f"{key}={value}" for key, value in line.items()
                     if key not in ("msg", "time", "ts", "level"))
    return f"{line['msg']} ({rest})"
