r"""Writes crates/kelvin-python/tests/data/compat_distance.jsonl: programs with how far they lie apart by the definition
of the Absolute Zero Reasoner.

    python3.11 -m venv .venv && .venv/bin/pip install black==25.1.0
    .venv/bin/python -W ignore xtask/py/distance_goldens.py > crates/kelvin-python/tests/data/compat_distance.jsonl

Development only: nothing in the build or in the tests runs it. Each line is one program: `name`, `source`, `next`, its
distance from the program on the line below, and `back`, that program's distance from this one; the last line's is the
first. With a JSONL file and a key as arguments, the programs are those that the file holds under the key.
"""

import ast
import difflib
import json
import sys

import black

# Programs, each under a line `#: name`. Three tildes stand for three single quotes, `\x20` for a blank at the end of
# a line, NUL and HEX for what would be unreadable here.
PROGRAMS = r'''
#: empty
#: only_comment
# nothing here
#: pass
pass
#: name
x
#: identity
def f(a):
    return a
#: assignments
x = y = 1
x, *y = y, x
x[0] = x.y = 2
(x.y) = (1,)
x += 1; x -= 1; x *= 2; x /= 2; x //= 2; x %= 2; x **= 2; x @= 2; x >>= 1; x <<= 1; x &= 1; x ^= 1; x |= 1
#: annotated
x: int = 1
(y): int = 2
x.y: list[int]
def f(a: int, *b: str, c: 'float' = 1.0, **d: None) -> dict[str, int]:
    z: tuple = a, b
    return z
#: arithmetic
def f(a, b):
    return a + b - a * b / a // b % a ** b @ a << b >> a | b ^ a & b
#: precedence
def f(a, b):
    return (a + b) * -a ** -b, not a, ~a, +b, a or b and not a, (a or b) and (b or a) and a
#: comparisons
def f(a, b):
    return a == b != a < b <= a > b >= a is b is not a in b not in a
#: integers
x = [0, 1, -1, 0xFF, 0o17, 0b101, 1_000_000, 10 ** 30, 123456789012345678901234567890, 0xFFFFFFFFFFFFFFFFFFFFFFFF, 00]
#: floats
x = [0.0, 1.0, 1e16, 1e15, 123456.789e3, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 1e400, .5, 5., 1_0.0_1, 1E5]
#: constants
x = (None, True, False, -1, 'a', "a", '', 'a' 'b')
#: bytes
x = b'abc'
#: complex
x = 1j
#: ellipsis
def f(x): ...
#: too_long_an_integer
x = 0xHEX
#: escapes
x = 'tab\t newline\n return\r quote\' "double" backslash\\ null\0 bell\a back\b feed\f \x1f \x7f \x80 \u20ac \U0001f40d'
y = r'raw \n' "\N{BULLET}" 'é ß 漢字 🐍' '\
continued'
#: triple_quoted
x = """one
	two
  three  \x20
"""
y = ~~~a"""b~~~
#: prefixes
x = u'a' + U"b" + R'\d' + F'{x}' + fR'\d{x}'
#: strings_side_by_side
x = ('a' f'{y}' 'b' "c" f'd{z}e' f'f' 'g')
y = f''
z = 'a' f''
w = f'{x}' ''
#: f_strings
def f(x, w, p):
    a = f'{x}', f'{x!r}', f'{x!s}{x!a}', f'a{{b}}c{x}', f'{x:>10}', f'{x:{w}.{p}f}', f'{x!r:^{w}}', f'{x:}'
    b = f'{x=}', f'a {x = }', f'{x=!s}', f'{x=:>5}', f'{x=!r:5}', f"{x['a']}", f'{(x, w)=}', f'{ x + 1 = }'
    return a, b, f'\n{x}\t{{}}\\', f'{lambda_}' f'{(lambda y: y)(1)}', rf'\{x}\n', f'{x:%Y-%m-%d}', f'{x,}'
#: f_string_triple
x = f"""
{y
=} {
z} é
"""
#: calls
def f(g, *a, **k):
    return g(), g(1, 2), g(*a), g(**k), g(1, *a, k=1, **k), g(x for x in a), g((x for x in a), 1), g(a)(k)
#: attributes
def f(a):
    return a.b.c, a.b(1).c[0].d, (1).real, 1 .imag
#: slices
def f(a, *b):
    return a[0], a[0:1], a[:], a[::2], a[1:], a[:-1:-1], a[:, 1], a[0, 1], a[0,], a[(0, 1)], a[*b], a[x := 1]
#: collections
def f(a, b):
    return [], [1], [1, *a], (), (1,), (1, *a), {}, {1: 2}, {**a}, {1: 2, **a, 3: 4}, {1}, {1, *b}
#: comprehensions
def f(a):
    return [x for x in a], {x for x in a if x if x > 1}, {x: y for x, y in a}, (x for (x) in a for y in x), [
        [y for y in x] for x in a if x for z in x]
#: asynchronous
async def f(a):
    async with a as b, c: pass
    async for x in a: await x
    else: await (b)
    return [x async for x in a], [await x for x in a], {x: 1 async for x in a if await x}
#: lambdas
f = lambda: 0
g = lambda a, b=1, *c, d, e=2, **f: (a, b, c)
h = lambda a, /, b, *, c: lambda: (yield)
#: parameters
def f(a, b, /, c, d=1, *e, g, h=2, i, **j): pass
def g(a=1, /, b=2, *, c): pass
def h(*, a=1, b): pass
def i(*a, **b): pass
def j(): pass
#: conditionals
def f(a):
    if a: return 1
    elif a > 1: return 2
    elif a > 2:
        if a: pass
        else: pass
    else:
        return 3 if a else 4 if not a else 5
    if a: pass
    else:
        if a: pass
#: loops
def f(a):
    for i in a:
        if i: continue
        break
    else:
        pass
    while a:
        a -= 1
    else: a = 0
    for (i, j) in a: pass
    for i, in a: pass
    for i in 1, 2, *a: pass
#: withs
def f(a):
    with a: pass
    with a as b: pass
    with a as b, c as (d, e): pass
    with (a as b, c): pass
    with (a): pass
    with (a, b): pass
    with (yield): pass
#: tries
def f(a):
    try: a()
    except ValueError: pass
    except (TypeError, KeyError) as e: raise
    except: raise ValueError('a') from e
    else: raise ValueError
    finally: pass
    try: a()
    finally: a()
    try: a()
    except* ValueError as e: pass
#: small_statements
def f(a):
    global b, c
    def g():
        nonlocal a
        a = 1
    assert a
    assert a, 'message'
    assert (a), (b, c)
    del a
    del b, c
    del (b, c)
    del a.b, a[0], [b]
    return
#: imports
import a
import a.b, c as d, e.f as g
from a import b
from a.b import (c, d as e,)
from . import a
from .. import a as b
from ...a import b
from a import *
from __future__ import annotations
#: classes
@a
@b.c(1)
class A(B, C.D, *E, metaclass=M, **k):
    x = 1
    y: int
    @property
    def f(self): return self.x
    class B: pass
class C(): pass
class D(B): """doc"""
#: decorated
@(lambda f: f)
@a[0].b
def f(): pass
@a
async def g(): pass
#: generators
def f(a):
    x = yield
    y = yield a
    z = yield a, 1
    yield from a
    w = yield from a
    return (yield)
#: walrus
def f(a):
    if (b := a) and (c := 1): return b
    while x := a.pop(): print(x)
    return [y := 1, y ** 2], g(z := 1)
#: match_values
def f(a):
    match a:
        case 1: pass
        case -1 | 1.5 | 'a' 'b': pass
        case None: pass
        case True | False: pass
        case A.B.C: pass
        case _: pass
#: match_shapes
def f(a, b):
    match a, b:
        case [x, y, *rest]: pass
        case (x, [_, *_]): pass
        case x, : pass
        case []: pass
        case {'a': 1, B.c: x, **rest}: pass
        case {}: pass
        case A(): pass
        case A(x, 1, y=2, z=[a]): pass
        case [1 as x, (2 | 3) as y] as z if x > y: pass
        case (x): pass
#: match_words
match = case = type = _ = 1
match[case](type)
match (match):
    case (case): pass
#: non_ascii_names
def ﬁ(ª, é, 変数): return ﬁ(ª, é, 変数).ﬁ
#: docstring_one_line
def f(x):
    "  spaces  "
    return x
#: docstring_indented
def f(x):
        """
        First.

            Second.
	Tab.   \x20
          """
        return x
#: docstring_quotes
def f(x):
    '"quoted"'
class A:
    ~~~ "quoted" ~~~
    def g(self):
        '\'quoted\''
    def h(self):
        """it's "quoted\""""
#: docstring_blank
def f(x):
    """   """
class A:
    """
    """
    def g(self): ''
    def h(self): """ """
#: docstring_backslash
def f(x):
    """ ends with \\ """
def g(x):
    r""" ends with \ """
def h(x):
    """ continued \
    here """
#: docstring_long
def f(x):
    """ 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234"""
    def g(x):
        """ First.
        123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456"""
    def h(x):
        """ First.
        123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234567"""
    def i(x):
        """ First.
        123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234567
        """
#: docstrings_that_are_none
def f(x): ' one line ' ; ' second '
def g(x) -> int: ' one line '; ' second '
if x: ' a '; ' b '
else:
    ' c '; ' d '; 1; ' e '
    ' f '
for x in y:
    ~~~ g
   h ~~~
x = 1
' i '
def h(x):
    (' j ')
def i(x):
    ' k ' ' l '
def j(x):
    f' m '
def k(x):
    x; ' n '
match x:
    case 1:
        """ o
      p"""
try:
    ' q '
except A: ' r '
finally:
    ' s '
#: docstring_of_the_file
"""  A file.

  Indented.
"""
' second '
#: docstring_unprintable
"""  a   b

	é c
        d  """
#: syntax_error
def f(:
#: null_byte
x = 'NUL'
#: newer_syntax
def f[T](x: T) -> T: return x
#: comments_and_layout
def  f ( a,b ) :  # comment
  c=[ a ,
      b, ]   # trailing comma

  return(c)  ; pass
#: fibonacci
def f(n):
    a, b = 0, 1
    seen = {}
    for i in range(n):
        seen[i] = a
        a, b = b, (a + b) % 1000007
    return sorted(seen.values(), key=lambda value: -value)[:3]
#: fibonacci_renamed
def f(count):
    first, second = 0, 1
    found = {}
    for index in range(count):
        found[index] = first
        first, second = second, (first + second) % 1000007
    return sorted(found.values(), key=lambda item: -item)[:4]
#: word_count
from collections import Counter
def f(text: str, n: int = 3):
    """Counts the words."""
    words = [word.strip('.,!?').lower() for word in text.split()]
    counts = Counter(word for word in words if word)
    total = sum(counts.values()) or 1
    return {word: round(count / total, 2) for word, count in counts.most_common(n)}
#: knapsack
def f(weights, values, capacity):
    best = [[0] * (capacity + 1) for _ in range(len(weights) + 1)]
    for i in range(1, len(weights) + 1):
        for w in range(capacity + 1):
            best[i][w] = best[i - 1][w]
            if weights[i - 1] <= w and best[i - 1][w - weights[i - 1]] + values[i - 1] > best[i][w]:
                best[i][w] = best[i - 1][w - weights[i - 1]] + values[i - 1]
    return best[-1][-1]
#: matrix
def f(a, b):
    if not a or not b or len(a[0]) != len(b):
        return None
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]
'''


def programs():
    stand_ins = {"~~~": "'''", "\\x20\n": " \n", "NUL": "\0", "HEX": "F" * 4000}
    text = PROGRAMS
    for stand_in, meant in stand_ins.items():
        text = text.replace(stand_in, meant)
    for block in text.split("\n#: ")[1:]:
        name, _, source = block.partition("\n")
        yield name, source + "\n" if source else ""


def node_as_dict(node):
    """A node with all that is a node, a list of nodes or a value in it."""
    record = {"node_type": type(node).__name__}
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            if field != "ctx":
                record[field] = node_as_dict(value)
        elif isinstance(value, list):
            record[field] = [node_as_dict(item) for item in value if isinstance(item, ast.AST)]
        elif value is not None:
            record[field] = value
    return record


def tree_as_json(source):
    """The text that is compared; None where black, `ast` or `json` refuses the program."""
    try:
        tree = ast.parse(black.format_str(source, mode=black.Mode()))
        return json.dumps(node_as_dict(tree), indent=2, sort_keys=True)
    except Exception:
        return None


def distance(a, b):
    """`a` and `b` are what `tree_as_json` gives."""
    if a is None or b is None:
        return 0.0
    return 1.0 - difflib.SequenceMatcher(None, a, b).ratio()


def main():
    if len(sys.argv) == 3:
        path, key = sys.argv[1:]
        with open(path, encoding="utf-8") as lines:
            sources = [(str(idx), json.loads(line)[key]) for idx, line in enumerate(lines)]
    else:
        sources = list(programs())
    trees = [tree_as_json(source) for _, source in sources]
    for idx, (name, source) in enumerate(sources):
        here, below = trees[idx], trees[(idx + 1) % len(trees)]
        row = {"name": name, "source": source, "next": distance(here, below), "back": distance(below, here)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()
