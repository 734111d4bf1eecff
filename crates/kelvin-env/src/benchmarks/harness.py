"""What runs inside the sandbox for a benchmark: one call of `f`, which `harness.rs` makes, runs a program in one of the
ways below and says in literals what came of it. Whether that is right is decided outside, but for `asserts`.
"""

import collections
import hashlib
import json
import random
import sys
import time


def f(way, *given):
    random.seed(0)  # the module was seeded when the worker started
    # In ASCII, so that the text's own text is soon read.
    return to_json(WAYS[way](*given))


# The program may change what modules hold.
to_json, digest, clock = json.dumps, hashlib.sha256, time.thread_time_ns
# The longest text of a result; a longer one is told by its digest alone, and equals only what is the same text.
RESULT_CHARS_MAX = 1 << 14
# From here on integers are written in hexadecimal.
INT_BITS_MAX = 14_000
PLAIN = {type(None), bool, int, float, str, bytes}


def calls(program, entry, tests, begin, end, shape):
    """Calls the entry function with each of some argument lists, a JSON list of lists. Gives for each what `written`
    makes of its result, its CPU time in microseconds, and that with the writing; after an exception, its name and nothing
    more."""
    # Read before the program has a hand in anything.
    arguments = json.loads(tests)[begin:end]
    reshape = SHAPES[shape]
    candidate, results = None, []
    for given in arguments:
        given = reshape(given)
        begun = clock()
        try:
            if candidate is None:
                candidate = namespace_of(program)[entry]
            result = candidate(*given)
        except MemoryError:
            raise
        except BaseException as error:
            used = since(begun)
            results.append(("raised", type(error).__name__, used, used))
            break
        used = since(begun)
        results.append(("value", told(result), used, since(begun)))
    return results


def told(result):
    """The text of a result, or its digest. That of a long list is made item by item: its text may not fit into memory."""
    if type(result) is list and len(result) > RESULT_CHARS_MAX and not is_plain(result):
        parts, ends = digest(b"["), b""
        for item in result:
            parts.update(ends + encoded(written(item)))
            ends = b", "
        parts.update(b"]")
        return marked("digest", parts.hexdigest())
    text = written(result)
    return text if len(text) <= RESULT_CHARS_MAX else marked("digest", digest(encoded(text)).hexdigest())


def encoded(text):
    return text.encode("utf-8", "backslashreplace")


def since(begun):
    return (clock() - begun) // 1000


def asserts(program, tests):
    """Runs a program and its tests together; what fails raises."""
    namespace_of(program + "\n" + tests)
    return "passed"


def expression(program, text):
    """The value of an expression after a program has run."""
    return written(eval(text, namespace_of(program)))


def functional(program, entry, lines):
    """The result of one call, each argument of which is a line of JSON; a method where there is a class `Solution`."""
    space = namespace_of(program)
    target = getattr(space["Solution"](), entry) if "class Solution" in program else space[entry]
    result = target(*[json.loads(line) for line in lines])
    return written(list(result) if isinstance(result, tuple) else result)


def namespace_of(program):
    module = type(sys)("solution")
    sys.modules["solution"] = module  # dataclasses look their module up
    exec(compile(program, "<solution>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def written(value):
    """The text of a value: a literal where it is made of literals. Subclasses are written as what they are compared as,
    and what has no literal as a tuple with a mark that no text of a program begins with."""
    kind = type(value)
    if value is None or kind in (bool, str, bytes):
        return repr(value)
    if isinstance(value, bool):
        return repr(bool(value))
    if isinstance(value, float):
        return repr(float(value)) if abs(value) < float("inf") else marked("float", repr(float(value)))
    if isinstance(value, complex):
        return repr(complex(value))
    if isinstance(value, int):
        # Decimal digits of a long integer take time that is quadratic in their number.
        return repr(int(value)) if value.bit_length() < INT_BITS_MAX else hex(value)
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, list):
        return repr(value) if kind is list and is_plain(value) else "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, tuple):
        if kind is tuple and value and is_plain(value):
            return "(" + repr([*value])[1:-1] + ", )"
        return "(" + "".join(written(item) + ", " for item in value) + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(written(key) + ": " + written(item) for key, item in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        # A frozen set equals a set.
        return "{" + ", ".join(sorted(map(written, value))) + "}" if value else "set()"
    if isinstance(value, collections.deque):
        return marked("deque", "[" + ", ".join(map(written, value)) + "]")
    return marked("object", kind.__name__)


def is_plain(items):
    """Whether `repr` writes a list of them as `written` would, which it does much faster."""
    kinds = set(map(type, items))
    return (
        kinds <= PLAIN
        and (int not in kinds or all(item.bit_length() < INT_BITS_MAX for item in items if type(item) is int))
        and (float not in kinds or all(item - item == 0.0 for item in items if type(item) is float))
    )


def marked(kind, text):
    return repr(("\0" + kind, text))


def tupled(item):
    return tuple(item) if isinstance(item, list) else item


def deep_tuple(item):
    return tuple(map(deep_tuple, item)) if isinstance(item, list) else item


def tuples_in(items):
    return [tupled(item) for item in items]


# JSON has no tuples, sets and complex numbers: what argument lists are made into before a call. `mbpp.rs` has the names.
SHAPES = {
    "": lambda given: given,
    "tuples": tuples_in,
    "lists of tuples": lambda given: [tuples_in(item) for item in given],
    "list of tuples": lambda given: [tuples_in(given[0]), *given[1:]],
    "tuple": lambda given: [tupled(given[0]), *given[1:]],
    "second tuple": lambda given: [given[0], tupled(given[1])],
    "tuples of tuples": lambda given: [tuple(tuples_in(item)) for item in given],
    "tuple of tuples": lambda given: [tuple(tuples_in(given[0]))],
    "deep tuples": deep_tuple,
    # An empty one becomes a dictionary, as it does there.
    "list of sets": lambda given: [[set(item) if item else {} for item in given[0]]],
    "dictionary of tuples": lambda given: [{key: tupled(item) for key, item in given[0].items()}, *given[1:]],
    "complex": lambda given: [complex(given[0])],
    "float, complex": lambda given: [float(given[0]), complex(given[1])],
}
WAYS = {"calls": calls, "asserts": asserts, "expression": expression, "functional": functional}
