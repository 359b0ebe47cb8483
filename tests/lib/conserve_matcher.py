# SPDX-License-Identifier: Apache-2.0
"""Does an event match a pattern, said naively: the few kinds of leaf that conserve's rules use.

It shares no code with weir, for it judges weir, and refuses a pattern it does not know rather than
guess.  Known: equal strings and numbers, prefix, suffix, equals-ignore-case, numeric, exists,
anything-but with plain values.
"""

import operator

COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
           "=": operator.eq}
MISSING = object()


def matches(pattern, event):
    """Every member of the pattern must hold in the event."""
    return all(_member(wanted, event.get(name, MISSING)) for name, wanted in pattern.items())


def _member(wanted, value):
    if isinstance(wanted, dict):
        if value is MISSING:
            value = {}  # what is not there has no members: `exists: false` may still hold
        return isinstance(value, dict) and matches(wanted, value)
    # An array matches with any of its items; an empty one holds nothing.
    values = value if isinstance(value, list) else [value]
    return any(_leaf(leaf, one) for leaf in wanted for one in values)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _leaf(leaf, value):
    if not isinstance(leaf, dict):
        return value is not MISSING and type(leaf) is type(value) and leaf == value
    ((kind, wanted),) = leaf.items()
    if kind == "exists":
        return (value is not MISSING) == wanted
    if kind == "prefix":
        return isinstance(value, str) and value.startswith(wanted)
    if kind == "suffix":
        return isinstance(value, str) and value.endswith(wanted)
    if kind == "equals-ignore-case":
        return isinstance(value, str) and value.lower() == wanted.lower()
    if kind == "anything-but":
        refused = wanted if isinstance(wanted, list) else [wanted]
        return value is not MISSING and value not in refused
    if kind == "numeric":
        pairs = zip(wanted[::2], wanted[1::2])
        return _is_number(value) and all(COMPARE[sign](value, limit) for sign, limit in pairs)
    raise ValueError(f"the naive matcher does not know {kind!r}")
