r"""Writes crates/kelvin-python/tests/data/complexity.jsonl: programs with what complexipy and radon say of them.

    python3.11 -m venv .venv && .venv/bin/pip install complexipy==1.2.0 radon==6.0.1
    .venv/bin/python -W ignore xtask/py/complexity_goldens.py > crates/kelvin-python/tests/data/complexity.jsonl

Development only: nothing in the build or in the tests runs it. Each line is one program: `name`, `source`,
`cognitive`, `cyclomatic_max` (0 without blocks), Halstead's `counts` (distinct operators and operands, operators,
operands) with `volume`, `difficulty` and `effort`, `score`, the term of azr.md section 4.3, `cyclomatic_total` over the
file, and `maintainability`, radon's index for 12 lines of code and 25 comments for each hundred. A `cognitive` that
complexipy lets fall below zero, and so reports near 2^64, is written as 0.
"""

import json
import re

from complexipy import code_complexity
from radon.complexity import cc_visit
from radon.metrics import h_visit, mi_compute
from radon.visitors import ComplexityVisitor

# Programs, each under a line `#: name`.
PROGRAMS = r'''
#: empty
#: only_comment
# nothing here
#: docstring_only
"""Text, and no program."""
#: identity
def f(a):
    return a
#: pass_body
def f():
    pass
#: ellipsis_body
def f(x): ...
#: module_level_arithmetic
x = 1 + 2
y = x * 3 - 1
#: one_if
def f(n):
    if n > 3:
        return n
    return 0
#: if_else
def f(n):
    if n % 2 == 0:
        return n // 2
    else:
        return 3 * n + 1
#: elif_ladder
def f(n):
    if n < 0:
        s = 'neg'
    elif n == 0:
        s = 'zero'
    elif n < 10:
        s = 'small'
    elif n < 100 and n % 2:
        s = 'odd'
    else:
        s = 'large'
    return s
#: else_if_on_two_lines
def f(n):
    if n < 0:
        return 1
    else:
        if n == 0:
            return 2
        else:
            if n == 1:
                return 3
    return 4
#: else_with_two_ifs
def f(a, b):
    for i in range(a):
        if i:
            b += 1
        else:
            if b:
                a += 1
            if a:
                b -= 1
            print(a)
    return b
#: else_with_chains_deep
def f(a, b):
    for i in a:
        for j in b:
            if i == j:
                x = 0
            else:
                x = i or j
    return x
#: else_below_zero
def f(a, b):
    for i in a:
        for j in b:
            for k in b:
                if i:
                    x = 1
                else:
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
                    x = i or j
    return x
#: else_to_exactly_zero
def f(a, b):
    for i in a:
        for j in b:
            if i:
                x = 1
            elif j:
                x = 2
            else:
                x = i or j
                x = i and j
                x = i or j
    return x
#: else_below_zero_within_try
def f(a, b):
    while a:
        while b:
            try:
                if a:
                    pass
                else:
                    x = a or b
                    y = a or b
                    z = a or b
                    w = a or b
            except ValueError:
                pass
    return 0
#: else_below_zero_made_up_for
def f(a):
    for i in a:
        for j in a:
            for k in a:
                if i:
                    pass
                else:
                    x = i or j
                    x = j or k
                    x = k or i
                    x = i and k
def g(a):
    for i in a:
        if i:
            while a:
                if i > a: break
    return a
#: nested_ifs
def f(a, b, c):
    if a:
        if b:
            if c:
                return 1
            elif a > 1:
                return 2
        else:
            return 3
    return 4
#: if_in_elif_body
def f(a, b):
    if a:
        pass
    elif b:
        if a < b:
            while a:
                a -= 1
    else:
        for i in range(b):
            a += i
    return a
#: for_loop
def f(xs):
    t = 0
    for x in xs:
        t += x
    return t
#: for_else
def f(xs, y):
    for x in xs:
        if x == y:
            break
    else:
        return -1
    return y
#: for_else_with_branches
def f(xs):
    for x in xs:
        pass
    else:
        if xs:
            return 1
        while xs:
            xs = xs[1:]
    return 0
#: while_loop
def f(n):
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
    return n
#: while_else
def f(n):
    while n:
        n -= 1
        if n == 5:
            break
    else:
        n = 100
    return n
#: while_true_continue
def f(n):
    while True:
        n += 1
        if n % 3:
            continue
        if n > 50 or n < -50:
            break
    return n
#: while_chain
def f(a, b):
    while a and b and not (a == b or a < 0):
        a, b = b, a % b
    return a
#: for_over_chain
def f(a, b):
    for x in a or b or [1]:
        print(x)
#: for_over_ternary
def f(a, b):
    for x in (a if b else [1, 2]):
        for y in (b if a else []):
            print(x, y)
#: triple_loop
def f(n):
    c = 0
    for i in range(n):
        for j in range(i):
            for k in range(j):
                if i ^ j ^ k:
                    c += 1
    return c
#: tuple_target
def f(d):
    for k, (v, *w) in d.items():
        d[k] = v, w
    return d
#: nested_function
def f(x):
    def g(y):
        if y > 0:
            return y
        return -y
    return g(x) + g(x + 1)
#: decorator_shape
def f(fn):
    def wrapper(*args, **kwargs):
        if not args:
            return None
        for a in args:
            if a:
                return fn(*args, **kwargs)
    return wrapper
#: decorator_factory
def f(n):
    def outer(fn):
        def inner(x):
            if x > n:
                while x:
                    x -= 1
            return fn(x)
        return inner
    return outer
#: decorator_shape_with_docstring
def f(fn):
    """Not the shape of a decorator any more."""
    def wrapper(x):
        if x:
            return fn(x)
    return wrapper
#: decorator_shape_async
async def f(fn):
    def wrapper(x):
        if x:
            return fn(x)
    return wrapper
#: decorator_shape_async_inner
def f(fn):
    async def wrapper(x):
        if x:
            return await fn(x)
    return wrapper
#: decorator_shape_class_inside
def f(x):
    class K:
        def go(self):
            if x:
                return 1
    return K
#: function_in_if
if True:
    def f(x):
        if x:
            return 1
        return 2
else:
    def f(x):
        return x and 3
#: function_in_try
try:
    def f(x):
        for i in x:
            yield i
except NameError:
    pass
#: function_in_loop_in_function
def f(xs):
    fs = []
    for x in xs:
        def g(y):
            if y:
                return y + x
            return y
        fs.append(g)
    return fs
#: three_levels_of_functions
def f(a):
    def g(b):
        def h(c):
            if c:
                return a + b
            return c
        return h(b) + 1
    x = g(a)
    return x
#: recursion
def f(n):
    if n < 2:
        return n
    return f(n - 1) + f(n - 2)
#: mutual_recursion
def even(n):
    return True if n == 0 else odd(n - 1)
def odd(n):
    return False if n == 0 else even(n - 1)
def f(n):
    return even(n) and not odd(n)
#: recursion_with_memo
def f(n, memo={}):
    if n in memo:
        return memo[n]
    if n <= 1:
        r = 1
    else:
        r = sum(f(i, memo) * f(n - 1 - i, memo) for i in range(n))
    memo[n] = r
    return r
#: same_name_twice
def g(x):
    return x + 1
def g(x):
    return x + 2
def f(x):
    return g(x) + 1
#: same_operands_in_two_functions
def g(a, b):
    return a + b - 1
def f(a, b):
    return a + b - 1
#: class_simple
class P:
    def __init__(self, x):
        self.x = x
    def shift(self, d):
        if d:
            self.x += d
        return self
def f(x):
    return P(x).shift(2).x
#: class_without_methods
class C:
    a = 1
    b = a if a > 0 else -a
    for i in range(3):
        if i:
            a += i
#: class_one_method
class C:
    flag = 1 and 2
    def go(self, xs):
        return [x for x in xs if x if x > 1]
#: class_many_methods
class C:
    def a(self): return 1
    def b(self, x): return x or 1
    def c(self, x):
        while x:
            x -= 1
            if x == 3: break
        else:
            return 9
        return x
    def d(self, x):
        return 1 if x else 2
#: class_with_busy_body
class C:
    if True:
        x = 1
    elif False:
        x = 2
    for y in range(3):
        while y:
            y -= 1
    def only(self):
        return self.x
#: class_methods_in_branches
class C:
    if 1 < 2:
        def go(self): return 1 and 2
    else:
        def go(self): return 3 or 4
    try:
        def stop(self):
            for i in self: pass
    except Exception:
        pass
#: inner_class
class A:
    class B:
        def m(self, x):
            if x:
                if x > 1:
                    return 1
            return 0
    def n(self, x):
        return x if x else self.B().m(x)
#: class_in_function
def f(x):
    class K:
        y = 3 if x else 4
        def m(self):
            if self.y:
                return x
            return 0
    return K().m()
#: class_in_branch
if 1:
    class K:
        z = 1 or 2
        class L:
            def m(self):
                while self: pass
        def n(self):
            if self: return 1
#: class_bases_and_keywords
def g(x):
    return x
class K(g(object if 1 else list), metaclass=type if 2 else None):
    def m(self): return -1
#: class_decorated
def d(k): return k
@d
@(lambda k: k if k else None)
class K:
    x: int = 1 + 1
#: properties
class T:
    def __init__(self):
        self._v = 0
    @property
    def v(self):
        return self._v
    @v.setter
    def v(self, n):
        if n < 0 or n > 100:
            raise ValueError(n)
        self._v = n
    @staticmethod
    def s(a, b=1 + 1): return a * b
    @classmethod
    def c(cls, a: int) -> int: return cls.s(a)
def f(n):
    t = T()
    t.v = n
    return t.v
#: class_async_method
class A:
    async def m(self, xs):
        async for x in xs:
            if x:
                yield x
    async def n(self):
        if self:
            return await self.m([])
#: dunder_methods
class V:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __eq__(self, o): return isinstance(o, V) and self.x == o.x and self.y == o.y
    def __bool__(self): return bool(self.x or self.y)
def f(a, b): return V(a, b) + V(b, a) == V(a + b, a + b)
#: inheritance
class A:
    def go(self): return 1
class B(A):
    def go(self): return super().go() + (2 if self else 3)
#: lambda_plain
f = lambda x: x + 1
#: lambda_with_branches
def f(xs):
    key = lambda x: (x > 0 and x) or (-x if x < 0 else 0)
    return sorted(xs, key=key)
#: lambda_defaults
def f(n):
    g = lambda x, y=n + 1, *a, z=2 if n else 3, **k: x + y + z
    return g(n)
#: lambda_in_argument
def f(xs):
    xs.sort(key=lambda p: (p[0] or 0, -p[1]))
    m = map(lambda q: q and 1, xs)
    return list(m)
#: list_comprehension
def f(xs):
    return [x * x for x in xs if x % 2]
#: comprehensions_of_all_kinds
def f(xs):
    a = {x for x in xs}
    b = {x: x + 1 for x in xs if x if x > 1}
    c = list(x for x in xs if x or a)
    d = [[y for y in range(x)] for x in xs]
    return a, b, c, d
#: comprehension_with_many_clauses
def f(n):
    return [(a, b, c) for a in range(n) for b in range(a) if a != b for c in range(b) if c and a if b]
#: comprehension_ternary
def f(xs):
    return ['even' if x % 2 == 0 else 'odd' for x in xs]
#: comprehension_assigned_ternary
def f(xs):
    r = [1 if x else 0 for x in xs]
    s = sum(1 if x else 0 for x in xs)
    return r, s
#: try_except
def f(x):
    try:
        return int(x)
    except ValueError:
        return 0
#: try_everything
def f(x):
    try:
        y = 10 / x
    except ZeroDivisionError as e:
        y = 0
    except (TypeError, ValueError):
        y = 1
    except Exception:
        raise
    else:
        y += 1
    finally:
        x = None
    return y
#: try_finally_only
def f(x):
    try:
        x += 1
    finally:
        print(x)
    return x
#: try_bodies_with_branches
def f(xs):
    for x in xs:
        try:
            if x:
                x = 1 / x
        except ZeroDivisionError:
            if x == 0:
                x = 1
        else:
            while x > 2:
                x -= 1
        finally:
            for y in range(2):
                x += y
    return xs
#: try_quiet_in_loop
def f(xs):
    while xs:
        try:
            xs.pop()
        finally:
            xs.clear()
    return xs
#: nested_try
def f(x):
    if x:
        try:
            try:
                return x[0]
            except IndexError:
                return x[1]
        except KeyError:
            return 3
    return 4
#: bare_except
def f(x):
    try:
        return x[0]
    except:
        return None
#: except_star
def f(x):
    try:
        x = x or 1
        if x:
            pass
    except* ValueError:
        x = 1 if x else 2
    except* TypeError:
        pass
    else:
        x = 3
    return x
#: raise_from
def f(x):
    if x not in (1, 2):
        raise ValueError(f'bad {x + 1}') from None
    return x
#: custom_exception
class Bad(Exception):
    pass
def f(x):
    try:
        if x < 0:
            raise Bad('x' * 3)
    except Bad as e:
        return str(e) or 'none'
    return x
#: match_literals
def f(x):
    match x:
        case 1:
            return 'a'
        case -1:
            return 'b'
        case 'k' | 'l':
            return 'c'
        case None | True:
            return 'd'
        case _:
            return 'e'
#: match_captures
def f(p):
    match p:
        case [x, y]:
            return x + y
        case [x, *rest] if x > 1 and rest:
            return len(rest)
        case {'k': v, **others}:
            return v if v else others
        case int(n) | float(n):
            return -n
        case other:
            return other
#: match_without_default
def f(p):
    match p:
        case (0, 0):
            r = 1
        case (x, 0) as q:
            r = x or q
        case 1 + 2j:
            r = 3
    return 0
#: match_open_case_guarded
def f(x):
    match x:
        case y if y > 3:
            return 1
        case 2:
            return 2
#: match_only_default
def f(x):
    match x:
        case _:
            pass
    return x
#: match_or_with_wildcard
def f(x):
    match x:
        case [_] | [_, _]:
            return 1
        case (1 | 2) as y:
            return y
        case (_):
            return 3
#: match_class_patterns
class P:
    __match_args__ = ('x', 'y')
def f(p):
    match p:
        case P(1, y=2):
            return 1
        case P(x=P.z):
            return 2
        case P():
            return 3
#: match_nested_branches
def f(xs):
    for x in xs:
        match x:
            case 1:
                if x:
                    return 1
            case [a, b]:
                while a < b:
                    a += 1
                match a:
                    case 3:
                        b = a and 1
    return 2
#: match_silent_in_loop
def f(xs):
    for x in xs:
        match x:
            case 1:
                print(1)
            case 2:
                print(2)
#: match_as_name
def f(match, case):
    match = case + 1
    case = match[0] if match else case
    return match
#: bool_chain_and
def f(a, b, c):
    x = a and b and c
    return x
#: bool_chain_mixed
def f(a, b, c, d):
    x = a and b or c and not d
    y = (a or b) and (c or d)
    z = not (a and (b or (c and d)))
    return x, y, z
#: bool_chain_in_parentheses
def f(a, b, c):
    x = (a and b) and c
    y = a and (b and c)
    return x or y
#: bool_chain_returned
def f(a, b, c):
    return a and b or c
#: bool_chain_in_calls
def f(a, b):
    x = max(a or b, min(a and b, 1), key=lambda q: q or 1)
    y = print(a or b, *[a or b], end=a or b)
    return x
#: bool_chain_in_containers
def f(a, b):
    x = [a or b, (a and b, 1), {a or b}, {a or b: a and b, **(a or {})}]
    y = x[a or 0], (a or b) + 1, -(a or b), f'{a or b}', (a or b).c, [a or b][0]
    return x, y
#: bool_in_condition_kinds
def f(a, b):
    if (a or b) == (a and b):
        return 1
    if not (a or b):
        return 2
    if [a and b]:
        return 3
    if len(a or b) > 1 and (a if b else 1):
        return 4
    if (a or b) + 1:
        return 5
#: ternary
def f(a):
    return 1 if a else 2
#: ternary_assigned
def f(a, b):
    x = 1 if a else 2
    y = 1 if a and b else 2 if b else 3
    return x + y
#: ternary_nested_in_loops
def f(xs):
    r = 0
    for x in xs:
        while x:
            r = (1 if x > 1 else 0) if x else -1
            x = x - 1 if r else 0
    return r
#: ternary_in_condition
def f(a, b):
    while (a if b else 0):
        if (b if a else 1) > 2:
            a -= 1
        b -= 1
    return a
#: ternary_in_aug_assign
def f(a, b):
    a += 1 if b else 2
    b -= a or 3
    return a
#: ternary_in_annotated_assign
def f(a, b):
    x: int = a if b else 0
    y: list[int | None] = [a or b]
    return x
#: assigned_twice
def f(a, b):
    x = y = a or b
    x, y = a or b, a and b
    (x, *y) = a or b
    x[a or 1] = 2
    return x
#: walrus
def f(xs):
    if (n := len(xs)) > 3 and (m := n * 2):
        return m
    while (n := n - 1) > 0:
        xs = xs[1:]
    y = [z for x in xs if (z := x or 1)]
    return (w := n)
#: augmented_assignments
def f(x):
    x += 1
    x -= 2
    x *= 3
    x //= 4
    x %= 5
    x **= 2
    x <<= 1
    x >>= 1
    x &= 255
    x |= 1
    x ^= 7
    x /= 2
    return x
#: augmented_targets
def f(a, o):
    a[0] += 1
    a[0] += 1
    o.x -= a
    o.y.x -= a
    a @= o
    return a
#: all_binary_operators
def f(a, b):
    return [a + b, a - b, a * b, a / b, a // b, a % b, a ** b, a << b, a >> b, a & b, a | b, a ^ b, a @ b]
#: all_unary_operators
def f(a):
    return -a, +a, ~a, not a, - -a, not not a
#: all_comparisons
def f(a, b):
    return (a < b, a <= b, a > b, a >= b, a == b, a != b, a is b, a is not b, a in [b], a not in [b])
#: chained_comparisons
def f(a, b, c):
    if 0 < a <= b < c != 10:
        return a < b < c
    return a == b == c == 1
#: compare_with_calls
def f(xs):
    return len(xs) == len(set(xs)) == len(xs)
#: slices
def f(s):
    a = s[1:3] + s[::2] + s[::-1] + s[-2:] + s[:len(s) // 2]
    return a[0] + a[1:2][0]
#: multi_slices
def f(m):
    return m[1:2, ::3], m[..., 0], m[a := 1], m[-1][-1]
#: f_strings
def f(x, w):
    a = f'{x}' + f'{x!r:>10}' + f"{x + 1:{w * 2}}"
    b = f'{x if x else 0}{w and x}' f'{x}' 'tail'
    return a == f'plain' or b
#: f_string_debug
def f(x):
    return f'{x=}' + f'{x + 1 = !s:^{x * 2}}'
#: f_string_as_operand
def f(x):
    return f'{x}' * 2 + f'{x}' * 2 + 'x' * 2
#: f_string_nested
def f(d):
    return f"{d['k']:{'>' + str(d['w'])}}" + f'{f"{d}" if d else f"{not d}"}'
#: implicit_concatenation
def f(x):
    return 'ab' + 'a' 'b' + """ab""" + r'ab' + u'ab' + b'ab'.decode() + 'a\x62'
#: name_equals_string
def f(x):
    return x + 'x' + x.x + y.x + 'y' * y
#: numbers_of_equal_value
def f(x):
    return x + 1 + 1.0 + True + 0x1 + 1e0 + 0 + False + 0.0 + 0j + 0o0 + 2 + 2.5 + 2.50 + 25e-1
#: large_numbers
def f(x):
    a = x + 10**20 + 100000000000000000000 + 1e20 + 0x56bc75e2d63100000 + 1_0 + 10
    return a + 1e999 + 1e999 + 9007199254740993 + 9007199254740992.0 + 9007199254740992 + 1e-320
#: complex_numbers
def f(x):
    return x * 1j + 1J - 2j + 1.0j + 1 + 0.5j
#: constants_of_all_kinds
def f(x):
    return [x == None, x == True, x != ..., x == ..., x == b'x', x == 'x', x is None, x == b'' b'x', x == '']
#: attributes_as_operands
def f(o):
    return o.a + o.b.a + o.a() + o[0].a + a - o.c.d.a
#: calls_as_operands
def f(g):
    return g(1) + g(1) + g(g(1) * 2)
#: global_and_nonlocal
n = 0
def f(x):
    global n
    k = 0
    def g():
        nonlocal k
        k += x
        return k
    n = g() + n
    return n
#: generator
def f(n):
    i = 0
    while i < n:
        got = yield i
        if got:
            i = got
        i += 1
    yield from range(n)
#: async_function
async def f(xs):
    r = []
    async for x in xs:
        if x and r:
            r.append(await x)
    else:
        r.append(0)
    async with xs as y, y.z as z:
        if z:
            return [a async for a in y if a]
    return r
#: async_nested
async def f(x):
    async def g(y):
        if y:
            return y
    def h(y):
        for z in y:
            if z: return z
    return await g(x) or h(x)
#: with_statement
def f(p):
    with open(p) as a, open(p + 'b') as b:
        for line in a:
            if line:
                b.write(line)
    with (p as c,):
        x = c or p
    return p
#: with_in_loop
def f(xs):
    for x in xs:
        with x:
            if x:
                x = 1
        if x:
            with x as y:
                y = y and x
#: asserts
def f(x, y):
    assert x
    assert x and y, 'a' + 'b'
    assert all(a if a else b for a, b in x) or y
    return x
#: delete_and_global_code
xs = [1, 2, 3]
del xs[0], xs[-1]
for x in xs:
    if x > 1 and x < 3:
        print(x)
    elif x:
        pass
while xs:
    xs.pop() if xs else None
#: module_branches_and_functions
import math
from os import path as p
DEBUG = False or True
if DEBUG:
    LEVEL = 1
def f(x):
    if DEBUG and x:
        return math.sqrt(x ** 2)
    return x
if __name__ == '__main__':
    for i in range(3):
        print(f(i) if i else 0)
#: decorated_function
def deco(n):
    return lambda g: g
@deco(1 + 2 if 3 else 4)
@staticmethod
def f(x):
    return x
#: defaults_and_annotations
def f(a: int = 1 + 1, *b: (str or None), c: 'x' = -1 if 2 else 3, d=lambda q: q and 1, **e) -> int or None:
    return a + c
#: parameters_of_all_kinds
def f(a, b, /, c, *d, e, g=1, **h):
    return a + b * c - e / g + len(d) + len(h)
#: star_arguments
def f(*args, **kwargs):
    x = print(*args, *(args or ()), **(kwargs or {}))
    return [*args, *kwargs], {**kwargs, 'a': 1}, (*args,)
#: early_returns
def f(n):
    if n == 1: return 'one'
    if n == 2: return 'two'
    if n == 3: return 'three'
    if n == 4: return 'four'
    if n == 5: return 'five'
    return 'many'
#: semicolons
def f(a): b = a or 1; c = b and 2; return b if c else a
#: return_tuple_of_conditions
def f(a, b):
    return a or b, a and b, (a if b else 0), [not a, -b]
#: conditional_import
def f(x):
    import math
    if x > math.pi:
        from math import floor
        return floor(x)
    return math.ceil(x)
#: gcd
def f(a, b):
    while b:
        a, b = b, a % b
    return abs(a)
#: primes
def f(n):
    sieve = [True] * (n + 1)
    sieve[:2] = [False] * min(2, n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            for j in range(i * i, n + 1, i):
                sieve[j] = False
    return [i for i, p in enumerate(sieve) if p]
#: bubble_sort
def f(xs):
    xs = list(xs)
    n = len(xs)
    for i in range(n):
        swapped = False
        for j in range(n - i - 1):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
                swapped = True
        if not swapped:
            break
    return xs
#: binary_search
def f(xs, t):
    lo, hi = 0, len(xs) - 1
    while lo <= hi:
        mid = lo + (hi - lo) // 2
        if xs[mid] == t:
            return mid
        elif xs[mid] < t:
            lo = mid + 1
        else:
            hi = mid - 1
    return -(lo + 1)
#: brackets
def f(s):
    pairs = {')': '(', ']': '[', '}': '{'}
    stack = []
    for c in s:
        if c in pairs.values():
            stack.append(c)
        elif c in pairs:
            if not stack or stack.pop() != pairs[c]:
                return False
    return not stack
#: edit_table
def f(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diag, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            cost = diag + (0 if x == y else 1)
            diag = row[j]
            row[j] = min(cost, row[j] + 1, row[j - 1] + 1)
    return row[-1]
#: matrix
def f(m):
    n = len(m)
    if n == 0 or any(len(r) != n for r in m):
        return None
    t = [[m[j][i] for j in range(n)] for i in range(n)]
    return [[sum(a * b for a, b in zip(r, c)) for c in t] for r in m]
#: state_machine
def f(text):
    state, out, word = 'start', [], ''
    for ch in text + ' ':
        if state == 'start':
            if ch.isalpha() or ch == '_':
                state, word = 'word', ch
            elif ch.isdigit():
                state, word = 'number', ch
        elif state == 'word':
            if ch.isalnum() or ch == '_':
                word += ch
            else:
                out.append(('w', word))
                state = 'start'
        else:
            if ch.isdigit() or (ch == '.' and '.' not in word):
                word += ch
            else:
                out.append(('n', float(word) if '.' in word else int(word)))
                state = 'start'
    return out
#: bank
class Account:
    total = 0
    def __init__(self, owner, balance=0):
        self.owner, self.balance, self.log = owner, balance, []
    def move(self, amount, other=None):
        if amount <= 0:
            raise ValueError('amount')
        if self.balance - amount < 0 and not (other and other.owner == self.owner):
            self.log.append((amount, False))
            return False
        self.balance -= amount
        if other is not None:
            other.balance += amount
        self.log.append((amount, True))
        return True
def f(amounts):
    a, b = Account('a', 100), Account('b')
    done = [a.move(x, b if i % 2 else None) for i, x in enumerate(amounts) if x > 0]
    return a.balance, b.balance, sum(done)
#: tree
class Node:
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None
    def insert(self, key):
        side = 'left' if key < self.key else 'right'
        child = getattr(self, side)
        if child:
            child.insert(key)
        else:
            setattr(self, side, Node(key))
    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.key
        if self.right:
            yield from self.right.walk()
def f(keys):
    if not keys: return []
    root = Node(keys[0])
    for key in keys[1:]:
        root.insert(key)
    return list(root.walk())
#: graph_search
from collections import deque
def f(edges, start, goal):
    graph = {}
    for a, b in edges:
        graph.setdefault(a, []).append(b)
        graph.setdefault(b, []).append(a)
    seen, queue = {start: None}, deque([start])
    while queue:
        node = queue.popleft()
        if node == goal:
            path = []
            while node is not None:
                path.append(node)
                node = seen[node]
            return path[::-1]
        for other in graph.get(node, ()):
            if other not in seen:
                seen[other] = node
                queue.append(other)
    return None
#: roman
def f(n):
    table = [(1000, 'M'), (900, 'CM'), (500, 'D'), (400, 'CD'), (100, 'C'), (90, 'XC'), (50, 'L'), (40, 'XL')]
    table += [(10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')]
    out = ''
    for value, sign in table:
        while n >= value:
            out, n = out + sign, n - value
    return out
#: run_lengths
def f(s):
    out, i = [], 0
    while i < len(s):
        j = i
        while j < len(s) and s[j] == s[i]:
            j += 1
        out.append(s[i] + (str(j - i) if j - i > 1 else ''))
        i = j
    return ''.join(out)
#: wide_arithmetic
def f(a, b, c):
    x = (a * a + b * b) ** 0.5 - (c << 2) % 7
    y = x * 3 + a * 4 - b * 5 + c * 6 - x / 7
    z = (x + y) * (x - y) // (a + 1) ^ (b | c) & 15
    w = -x + ~c - (+y) + (a < b) - (b < c) + (not z)
    u = [x * i + y * i ** 2 - z * i ** 3 for i in range(a) if i % 2 == 0 or i % 3 == 0]
    return w * sum(u) - x * y * z + a / (b + 1) - c % (a + 2) + w ** 2 - 2 * w + 1
#: saturated_score
def f(a, b, c, d):
    r = 0
    if a > b and c > d or a < d:
        r += a * b - c * d + 1
    elif a == b or b == c or c == d:
        r -= a ** 2 + b ** 2 - c ** 2
    elif a != d and b != d:
        r ^= (a << 1) | (b >> 2) & c
    for i in range(a):
        if i % 3 == 0 and i % 5 == 0: r += i * 15 - a
        elif i % 3 == 0: r += i * 3 - b
        elif i % 5 == 0: r += i * 5 - c
        else: r += i - d
        while r > 1000 or r < -1000:
            r = r // 2 - r % 7 + (a - b) * (c - d)
    x = r * 31 + a * 37 - b * 41 + c * 43 - d * 47
    y = x ** 2 - r * x + (a + b) * (b + c) * (c + d)
    z = (x // 3) % 101 + (y // 5) % 103 - (x ^ y) & 255
    return x - y + z if x > y > z else y - x - z if y > z else z - x + y
#: unicode_names
def f(ﬁ, é, 变量):
    return fi + ﬁ - é * 变量 + 'é' + 'ﬁ'
#: unicode_strings
def f(x):
    return x + 'ß' + '\u00df' + '\N{LATIN SMALL LETTER SHARP S}' + '😀' + '\ud800' + '\ud800' + '\\'
#: tabs_and_continuations
def f(a,
      b):
	if a \
	   and b:
		return (a +
			b)
	return a
#: type_hints
from typing import Optional
def f(x: Optional[int] = None) -> 'list[int]':
    y: int
    z: dict[str, int] = {}
    self.w: int = x or 1
    return [x or 0]
#: print_only
print('a' * 3, 1 < 2 < 3, not None)
#: docstrings_and_strings
def f(x):
    """Some text."""
    'more' + 'text'
    x
    return """a
b""" + 'a\nb'
#: empty_class
class C: pass
#: class_docstring_only
class C:
    """Text."""
#: conditional_expression_statement
def f(a):
    a and print(a)
    print(1) if a else None
    (a or 1).real
    [print(x) for x in a if x]
    return
#: dict_of_lambdas
def f(op, a, b):
    table = {'+': lambda: a + b, '-': lambda: a - b, '/': lambda: a / b if b else None}
    return table.get(op, lambda: a or b)()
#: deep_nesting
def f(a):
    if a:
        for b in a:
            while b:
                try:
                    with b:
                        pass
                    if b:
                        match b:
                            case 1:
                                for c in b:
                                    x = 1 if c and b else 2
                            case _:
                                x = b or a
                    elif a:
                        y = a and b
                except KeyError:
                    if b: break
                    else: y = a if b else 1
    return a
'''


def measure(name, source):
    cognitive = code_complexity(source).complexity
    blocks = [block.complexity for block in cc_visit(source)]
    halstead = h_visit(source).total
    score = 0.5 * min(halstead.effort / 10000, 1) + 0.3 * min(max(blocks, default=0) / 10, 1)
    score += 0.2 * min(halstead.volume / 500, 1)
    total = ComplexityVisitor.from_code(source).total_complexity
    return {
        "name": name,
        "source": source,
        "cognitive": cognitive if cognitive < 1 << 63 else 0,
        "cyclomatic_max": max(blocks, default=0),
        "counts": [halstead.h1, halstead.h2, halstead.N1, halstead.N2],
        "volume": halstead.volume,
        "difficulty": halstead.difficulty,
        "effort": halstead.effort,
        "score": round(score, 3),
        "cyclomatic_total": total,
        "maintainability": mi_compute(halstead.volume, total, 12, 25),
    }


def main():
    parts = re.split(r"^#: (\w+)\n", PROGRAMS, flags=re.MULTILINE)
    names, sources = parts[1::2], parts[2::2]
    assert len(set(names)) == len(names), "two programs of one name"
    for name, source in zip(names, sources):
        print(json.dumps(measure(name, source)))


if __name__ == "__main__":
    main()
