"""Writes crates/kelvin-python/fixtures/repr.json: what CPython says about literals, for the tests to compare with.

    PYTHONHASHSEED=0 python3 -W ignore xtask/py/repr_fixture.py > crates/kelvin-python/fixtures/repr.json

Fields: `values` and `spellings` hold pairs of a text and its canonical text (CPython's `repr`, sets sorted by `key`),
`refused` pairs of a text and the reason it is no value, `equal` rows of two texts with the verdicts of `==` and of
the strict comparison. Seed and hash seed are fixed; the same CPython writes the same file.
"""

import ast
import json
import os
import random
import sys

SEED = 20250501
N_RANDOM = 1200
N_PAIRS = 1000


def key(value):
    """The order of set elements: None, numbers, strings, bytes, tuples, frozen sets."""
    if value is None:
        return (0,)
    if isinstance(value, complex):
        return (1, value.real, value.imag)
    if isinstance(value, (bool, int, float)):
        return (1, value, 0)
    if isinstance(value, str):
        return (2, value)
    if isinstance(value, bytes):
        return (3, value)
    if isinstance(value, tuple):
        return (4, [key(item) for item in value])
    if isinstance(value, frozenset):
        return (5, sorted(key(item) for item in value))
    raise TypeError(type(value))


def canonical(value):
    items = lambda values: ", ".join(map(canonical, values))
    if isinstance(value, (set, frozenset)):
        name = type(value).__name__
        if not value:
            return f"{name}()"
        text = "{" + items(sorted(value, key=key)) + "}"
        return text if name == "set" else f"frozenset({text})"
    if isinstance(value, tuple):
        return f"({items(value)},)" if len(value) == 1 else f"({items(value)})"
    if isinstance(value, list):
        return f"[{items(value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{canonical(k)}: {canonical(v)}" for k, v in value.items()) + "}"
    return repr(value)


def strict(a, b):
    numbers = (bool, int, float, complex)
    if isinstance(a, numbers) or isinstance(b, numbers):
        return type(a) is type(b) and a == b
    if isinstance(a, (set, frozenset)) and isinstance(b, (set, frozenset)):
        return len(a) == len(b) and all(any(strict(x, y) for y in b) for x in a)
    if isinstance(a, dict) and isinstance(b, dict):
        matches = lambda k, v: any(strict(k, other) and strict(v, b[other]) for other in b)
        return len(a) == len(b) and all(matches(k, v) for k, v in a.items())
    if type(a) is type(b) and isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(strict, a, b))
    return a == b


ALPHABETS = [
    "abcxyz 019_",
    "'\"\\\n\r\t{}#`",
    "".join(map(chr, range(0x20))) + "\x7f\x80\x9f\xa0\xad\xff",
    "äßé中文あЖ🙂𝔘",
    "\u0378\u200b\u2028\u3000\ue000\ufeff\uffff\U0001f9ff\U000e0001\U0010ffff",
]


def random_str(rng):
    alphabet = rng.choice(ALPHABETS)
    text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(8)))
    if rng.random() < 0.3:
        codes = [rng.choice([0x300, 0x3000, 0x11000, 0x110000]) for _ in range(4)]
        text += "".join(chr(code) for top in codes if not 0xD800 <= (code := rng.randrange(top)) < 0xE000)
    return text


def random_float(rng):
    shape = rng.randrange(4)
    if shape == 0:
        return float(rng.choice([0, 1, 2, -1, 10, 100]))
    if shape == 1:
        return rng.choice([1, -1]) * rng.random() * 10.0 ** rng.randrange(-320, 308)
    if shape == 2:
        return round(rng.uniform(-1000, 1000), rng.randrange(4))
    return rng.choice([-0.0, 0.1, 1e16, 1e15, 9007199254740993.0, 1e-4, 1e-5, 123456789012345680.0, 5e-324])


def random_leaf(rng):
    shape = rng.randrange(9)
    if shape == 0:
        return None
    if shape == 1:
        return rng.random() < 0.5
    if shape in (2, 3):
        return rng.choice([0, 1, 2, 3, -1, 10, 2**53, 2**53 + 1, 10**16, rng.randrange(-(10**30), 10**30)])
    if shape in (4, 5):
        return random_float(rng)
    if shape == 6:
        return complex(random_float(rng), random_float(rng))
    if shape == 7:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(6)))
    return random_str(rng)


def random_hashable(rng, depth):
    shape = rng.randrange(8)
    if depth and shape == 0:
        return tuple(random_hashable(rng, depth - 1) for _ in range(rng.randrange(4)))
    if depth and shape == 1:
        return frozenset(random_hashable(rng, depth - 1) for _ in range(rng.randrange(4)))
    return random_leaf(rng)


def random_value(rng, depth=3):
    shape = rng.randrange(10)
    n_items = rng.randrange(5)
    if depth and shape < 2:
        return [random_value(rng, depth - 1) for _ in range(n_items)]
    if depth and shape == 2:
        return tuple(random_value(rng, depth - 1) for _ in range(n_items))
    if depth and shape in (3, 4):
        return {random_hashable(rng, 2): random_value(rng, depth - 1) for _ in range(n_items)}
    if depth and shape == 5:
        return {random_hashable(rng, 2) for _ in range(n_items)}
    return random_hashable(rng, 2)


def numeric_edges():
    for exponent in range(-1074, 1024, 7):
        yield 2.0**exponent
    for exponent in range(-30, 30):
        yield float(f"1e{exponent}")
        yield float(f"9.999999999999999e{exponent}")
    yield from [sys.float_info.max, sys.float_info.min, 5e-324, 2**63, -(2**63), 2**64, 10**400, -(10**4299)]
    yield from [complex(0.0, 1.0), complex(-0.0, 1.0), complex(0.0, -0.0), complex(1.0, -0.0), complex(1e16, 1e-5)]


def equal_variant(rng, value):
    """Another value, often equal to this one or nearly so."""
    if isinstance(value, (bool, int, float)) and rng.random() < 0.5:
        try:
            return rng.choice([int, float, complex, bool])(value)
        except OverflowError:
            return value
    if isinstance(value, (list, tuple)):
        made = [equal_variant(rng, item) for item in value]
        return rng.choice([type(value), type(value), type(value), tuple])(made)
    if isinstance(value, (set, frozenset)):
        return rng.choice([set, frozenset])(equal_variant(rng, item) for item in value)
    if isinstance(value, dict):
        items = [(equal_variant(rng, k), equal_variant(rng, v)) for k, v in value.items()]
        rng.shuffle(items)
        return dict(items)
    return value if rng.random() < 0.9 else random_leaf(rng)


def variant_or_same(rng, value):
    try:
        return equal_variant(rng, value)
    except TypeError:
        return value


SPELLINGS = [
    " 1 ", "\n[1,\n 2]\n", "1, 2", "1,", "()", "(1)", "(1,)", "0x_ff", "0b101", "0o17", "1_000_000", "00", "+1", "-0",
    "- 1", "-0.0", "1.", ".5", "1e3", "1E-3", "1_0.0_1", "1e400 if 0 else 2", "0777 or 1", "1j", "1+2j", "(1-2j)",
    "-1+2J", "1.5e3j", "'a' 'b'", "('a'\n\"b\")", "u'x'", "r'\\n'", "R'\\'", "rb'\\x'", "bR'\\x'", "b'a' b'\\x00'",
    "'\\x41\\u00e9\\U0001f600\\N{DIGIT ONE}'", "'\\101\\7\\08'", "b'\\101\\377'", "'\\d\\ '", "'a\\\nb'",
    "'''a\nb'''", '"""it\'s "quoted\\""""', "'a\\'b\"c'", "{1: 2, True: 3, 1.0: 4}", "{1, True, 1.0}", "{True, 1}",
    "{0.0, -0.0, 0}", "{'b', 'a', 10, 9, 9.5, None, (2,), (1, 5), b'z'}", "{}", "set()", "frozenset()",
    "frozenset({2, 1})", "frozenset([2, 1, 2])", "frozenset((1,))", "set([3, 1])", "{frozenset({2}), frozenset({1})}",
    "dict()", "dict(a=1, b=[2])", "{**{}}", "[*[]]", "# note\n5", "5 # note", "[1, # one\n 2]", "None", "True",
    "{'a': {'b': ({1, 2}, [3])}}", "[[[[[[[[[[1]]]]]]]]]]", "1 if True else 2", "'\u2028'", "(\n1\n)", "[1,]", "{1,}",
    "1_", "1__0", "0x", "1.e", "'a", "[1", "1)", "", "   ", "nan", "inf", "1e999", "-1e999", "1e999j", "float('inf')", "a", "...",
    "print(1)", "[x for x in [1]]", "{[1]: 2}", "{[1]}", "{({},)}", "{frozenset({1}): 1, frozenset([1]): 2}",
    "frozenset([[1]])", "f'a'", "'a' f'b'", "lambda: 1", "1 + 2", "-True", "--1", "~1", "not 1", "1j + 2", "2 * 3j",
    "1 2", "1; 2", "x = 1", "(yield)", "'\\ud800'", "'\\\\ud800'", "r'\\ud800'", "'\\ud83d\\ude00'", "b'\u00e9'",
    "'\\x4'", "'\\u12'", "'\\N{no such name}'", "1 < 2", "[1][0]", "(1).real", "dict(a=1, a=2)", "dict(**{})",
    "dict([(1, 2)])", "set('ab')", "set(1)", "frozenset(a=1)", "1\x002", "1" * 4301, "1" * 4300, "-" + "1" * 4301,
    "0x" + "f" * 3572, "1\r\n", "[1,\r2]", "'''a\r\nb'''", "\ufeff1", "None\x0c", "t'a'", "'\\\r\n'", "b'''\\\n'''",
    "{1: 2}, {3}", "*[1],", "{*()}", "1if 1else 2", "0_7", "07", "0b2", "1jj", "True1", "'a'b", "\\\n1", "1\\\n", "10L",
]


def accepted(tree):
    """What the crate documents: `ast.literal_eval`, and calls of set, frozenset and dict with literals."""
    match tree:
        case ast.Expression(body):
            return accepted(body)
        case ast.Constant(value):
            in_range = not isinstance(value, (float, complex)) or abs(value) != float("inf")
            if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
                return False
            return value is not ... and in_range
        case ast.UnaryOp(ast.USub() | ast.UAdd(), ast.Constant(value)):
            return type(value) in (int, float, complex) and accepted(tree.operand)
        case ast.BinOp(left, ast.Add() | ast.Sub(), ast.Constant(complex())):
            real = left.operand if isinstance(left, ast.UnaryOp) else left
            is_real = isinstance(real, ast.Constant) and type(real.value) in (int, float)
            return is_real and accepted(left) and accepted(tree.right)
        case ast.Tuple(items) | ast.List(items) | ast.Set(items):
            return all(map(accepted, items))
        case ast.Dict(keys, values):
            return None not in keys and all(map(accepted, keys + values))
        case ast.Call(ast.Name("set" | "frozenset"), args, []):
            of_items = all(isinstance(arg, (ast.Tuple, ast.List, ast.Set, ast.Call)) for arg in args)
            return len(args) <= 1 and of_items and all(map(accepted, args))
        case ast.Call(ast.Name("dict"), [], keywords):
            return all(keyword.arg and accepted(keyword.value) for keyword in keywords)
    return False


def judge(text):
    """The canonical text of what CPython reads, or the reason it is none."""
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return None, "unparsable"
    try:
        if accepted(tree):
            return canonical(eval(text)), None
    except SyntaxError:
        return None, "unparsable"
    except (TypeError, ValueError):
        pass
    return None, "not_literal"


def main():
    assert os.environ.get("PYTHONHASHSEED") == "0", "the order of sets in the texts depends on it"
    rng = random.Random(SEED)
    randoms = [random_value(rng) for _ in range(N_RANDOM)]
    values = [[repr(value), canonical(value)] for value in [*numeric_edges(), *randoms]]
    judged = [(text, *judge(text)) for text in SPELLINGS]
    equal = []
    for _ in range(N_PAIRS):
        value = random_value(rng)
        other = variant_or_same(rng, value)
        equal.append([repr(value), repr(other), value == other, strict(value, other)])
    fixture = {
        "python": sys.version.split()[0],
        "values": values,
        "spellings": [[text, made] for text, made, _ in judged if made is not None],
        "refused": [[text, reason] for text, _, reason in judged if reason is not None],
        "equal": equal,
    }
    sys.stdout.write("{\n")
    for field_idx, (field, rows) in enumerate(fixture.items()):
        sys.stdout.write(",\n" if field_idx else "")
        if isinstance(rows, str):
            sys.stdout.write(f"{json.dumps(field)}: {json.dumps(rows)}")
        else:
            sys.stdout.write(f"{json.dumps(field)}: [\n" + ",\n".join(map(json.dumps, rows)) + "\n]")
    sys.stdout.write("\n}\n")


main()
