//! Programs: the entry function and its renaming, both policies, and messages that give a program away.

use kelvin_python::{Policy, Refusal, contains_program, prepare};

fn source(text: &str) -> String {
    match prepare(text, &Policy::Kelvin) {
        Ok(program) => program.source,
        Err(refusal) => panic!("{refusal}: {text}"),
    }
}

fn refusal(text: &str, policy: Policy) -> Refusal {
    match prepare(text, &policy) {
        Ok(program) => panic!("accepted {}", program.source),
        Err(refusal) => refusal,
    }
}

#[test]
fn f_is_kept_wherever_it_stands() {
    let text = "def g(x):\n    return x\n\ndef f(x):\n    return g(x)\n\ndef h(x):\n    return f(x)";
    assert_eq!(source(text), text);
    assert_eq!(source(&format!("\n\n{text}\n\n")), text);
}

#[test]
fn the_last_definition_is_renamed_with_its_references() {
    let text = "\
import math  # solve
def helper(n):
    return solve(n - 1) if n else 0  # solve again
def solve(n, *, solve_all=False):
    '''solve(n)'''
    text = f\"{solve.__name__} solve {n}\"
    def inner(solve):
        return solve(n) + math.solve(n)
    return [helper(n) for solve in range(n)], {'solve': solve}, self.solve(solve=solve)
print(solve(3))";
    let expected = "\
import math  # solve
def helper(n):
    return f(n - 1) if n else 0  # solve again
def f(n, *, solve_all=False):
    '''solve(n)'''
    text = f\"{f.__name__} solve {n}\"
    def inner(solve):
        return solve(n) + math.solve(n)
    return [helper(n) for solve in range(n)], {'solve': f}, self.solve(solve=f)
print(f(3))";
    assert_eq!(source(text), expected);
}

#[test]
fn shadowed_and_declared_names() {
    let text = "\
def g(x):
    global g
    class A:
        g = 1
        def m(self):
            return g(self)
    match x:
        case [a, *rest]:
            return lambda g=g: g
    try:
        pass
    except ValueError as e:
        return (g := 3)
@decorate
def g(x): return g(x)";
    let expected = "\
def f(x):
    global f
    class A:
        g = 1
        def m(self):
            return f(self)
    match x:
        case [a, *rest]:
            return lambda g=f: g
    try:
        pass
    except ValueError as e:
        return (f := 3)
@decorate
def f(x): return f(x)";
    assert_eq!(source(text), expected);
    let local = "def g(x):\n    g = x\n    return g + 1";
    assert_eq!(source(local), "def f(x):\n    g = x\n    return g + 1");
    let nonlocal = "def g(x):\n    def h():\n        nonlocal x\n        x = g\n    return h";
    assert_eq!(source(nonlocal), nonlocal.replace("def g", "def f").replace("= g", "= f"));
}

#[test]
fn where_renaming_would_change_the_program_an_alias_is_added() {
    let programs = [
        "def g(n):\n    f = n - 1\n    return g(f) if n else 0",
        "def g(n):\n    return [g(f) for f in range(n)]",
        "def g(n):\n    return f'{g(n - 1)=}' if n else ''",
        "def __g(n):\n    return n",
        "def g(n):\n    class A:\n        g = g\n    return A",
        "from math import floor as g, ceil\ndef ceil(n):\n    return n",
    ];
    for text in programs {
        let name = text.rsplit("def ").next().and_then(|rest| rest.split('(').next()).expect("a name");
        let aliased = format!("{text}\nf = {name}");
        assert_eq!(source(text), aliased);
        assert_eq!(source(&aliased), aliased, "preparing twice changes nothing");
    }
}

#[test]
fn programs_without_an_entry() {
    let programs = [
        "",
        "x = 1",
        "f = lambda x: x",
        "async def f(x):\n    return x",
        "class A:\n    def f(self):\n        return 1",
        "class f:\n    pass\ndef g(x):\n    return x",
        "def g(x):\n    return x\nf = lambda x: g(x)",
        "if True:\n    def f(x):\n        return x",
        "def g(x):\n    global f\n    f = x",
    ];
    for text in programs {
        assert_eq!(refusal(text, Policy::Kelvin), Refusal::NoEntry, "{text}");
    }
}

#[test]
fn syntax_is_python_3_11() {
    let programs = [
        "def f(x)\n    return x",
        "def f[T](x: T):\n    return x",
        "type A = int\ndef f(x): return x",
        "def f(x):\n    return f'{'a'}'",
        "def f(x):\n\treturn x\n        return y",
        "print 'a'\ndef f(x): return x",
        "def f(x):\n    return t'{x}'",
        "def f(x):\n    return '\0'",
        "def f(x):\n\tdef g(x):\n    return x",
        "def f(x):\n    y = yield, *x",
        "def f(x):\n    y = yield x, @x",
        "def f(x):\n    match x:\n        case 1 ** 2j: pass",
        "def f(x):\n    match x:\n        case 1j + 2: pass",
        "def f(x):\n    match x:\n        case -1 .real: pass",
        "x = 1; match x:\n    case 1: pass\ndef f(x): pass",
        "def f(x):\n    return [(y) := x]",
        "def f(x):\n    try: pass\n    else: pass\n    finally: pass",
        "def f(x):\n    return [1async for y in x]",
        "def f(x):\n    match x:\n        case [1.real]: pass",
        "def f(x):\n    match x:\n        case [1. real]: pass",
        "def f(x):\n    match x:\n        case [1 real]: pass",
        "def f(x):\n    with (yield x for y in x): pass",
        "def f(x):\n    return f'{x:{x:{x}}}'",
        "def f(x):\n    return f'{*x}'",
        "def f(x):\n    return f'{x!r }'",
        "def f(x):\n    match x:\n        case _.a: pass",
        "def f(x):\n    match x:\n        case 'a' f'b': pass",
    ];
    for text in programs {
        let refusal = refusal(text, Policy::Kelvin);
        assert_eq!(refusal.as_str(), "parse_error", "{text}");
        assert!(!refusal.detail().is_empty());
    }
    let Refusal::ParseError(detail) = refusal("def f(x):\n    return )", Policy::Kelvin) else {
        panic!("another refusal");
    };
    assert!(detail.starts_with("line 2: "), "{detail}");
    let accepted = "def f(x):\n    match x:\n        case {'a': b, **rest}:\n            return b\n    try:\n        pass\n    except* ValueError:\n        pass";
    assert_eq!(source(accepted), accepted);
    let bare_raise = "def f(x):\n    try: return x\n    except ValueError: raise; x = 1";
    assert_eq!(source(bare_raise), bare_raise);
    let soft_keywords = "type = 1; match = 2; match[0] = type; case = 3; match *= 2\ndef f(x): return x";
    assert_eq!(source(soft_keywords), soft_keywords);
}

#[test]
fn line_endings_are_pythons() {
    assert_eq!(source("def f(x):\r\n    return '''a\rb'''\r\n"), "def f(x):\n    return '''a\nb'''");
}

#[test]
fn imports_are_reported() {
    let text = "import math, collections.abc as c\nfrom typing import (\n    List,\n    Dict as D,\n)\n\ndef f(x):\n    import math, collections.abc as c\n    from functools import *\n    return x";
    let program = prepare(text, &Policy::Kelvin).expect("a program");
    assert_eq!(
        program.imports,
        [
            "import math, collections.abc as c",
            "from typing import List, Dict as D",
            "from functools import *"
        ]
    );
}

#[test]
fn kelvin_allows_pure_modules_only() {
    for module in
        ["random", "time", "datetime", "os", "sys", "builtins", "io", "numpy", ".", ".math", "importlib"]
    {
        let import = format!("from {module} import x\ndef f(y): return y");
        assert_eq!(refusal(&import, Policy::Kelvin), Refusal::BannedImport(module.to_owned()));
    }
    let text = "def f(x):\n    import math, os.path\n    return x";
    assert_eq!(refusal(text, Policy::Kelvin), Refusal::BannedImport("os.path".to_owned()));
}

#[test]
fn kelvin_bans_builtins_and_not_names() {
    let banned = [
        ("return input(x)", "input"),
        ("g = open", "open"),
        ("return eval('1')", "eval"),
        ("return [exec(x) for y in x]", "exec"),
        ("return id(x)", "id"),
        ("return hash(x)", "hash"),
        ("return globals()['f']", "globals"),
        ("return __builtins__", "__builtins__"),
        ("return x.__globals__", "__globals__"),
        ("return ().__class__.__bases__[0].__subclasses__()", "__subclasses__"),
        ("return getattr(x, '__code__')", "__code__"),
        ("setattr(x, '__code__', 1)", "__code__"),
        ("return f'{input(x)}'", "input"),
        ("return \u{ff45}val('1')", "eval"),
    ];
    for (line, name) in banned {
        let text = format!("def f(x):\n    {line}");
        assert_eq!(refusal(&text, Policy::Kelvin), Refusal::BannedCall(name.to_owned()), "{line}");
    }
    let allowed = [
        "def f(input, id=0):\n    return input + id",
        "def f(x):\n    for hash in x:\n        print(hash)\n    return hash",
        "def open(x):\n    return x\ndef f(x):\n    return open(x)",
        "def f(x):\n    return x.open().eval(compile=1)",
        "def f(x):\n    if __name__ == '__main__':\n        print(x.__class__.__name__)\n    return getattr(x, 'real')",
        "class A:\n    def __hash__(self):\n        return hash((self.a, 1))\n    def __lt__(self, o):\n        return super().__lt__(o)\ndef f(x):\n    return A()",
        "def f(x):\n    return 'open(input())'  # eval(x)",
    ];
    for text in allowed {
        assert_eq!(source(text), text);
    }
}

#[test]
fn code_bans_words_in_imports_only() {
    let program = |import: &str| format!("{import}\ndef f(x):\n    return x");
    let banned = [
        ("import random", "random"),
        ("import a.time.b", "a.time.b"),
        ("from a import datetime", "datetime"),
        ("from concurrent.threading import x", "concurrent.threading"),
    ];
    for (import, name) in banned {
        assert_eq!(refusal(&program(import), Policy::Code), Refusal::BannedImport(name.to_owned()));
    }
    for import in ["import os.path", "import sys", "from os import environ", "import sometimes", "open('a')"]
    {
        prepare(&program(import), &Policy::Code).unwrap_or_else(|refusal| panic!("{import}: {refusal}"));
    }
}

#[test]
fn messages_that_give_a_program_away() {
    let leaks = [
        "def f(x):\n    return x + 1",
        "It is:\n```python\ndef f(x):\n    return x + 1\n```\nDone.",
        "Use `def g(a, b): return a * b` and so on.",
        "(the code is def f(x): return x)",
        "say \"def f(x): return x * 2\", no more",
        "    class A:\n        def f(self, x):\n            y = x\n    rest of prose",
        "def f(x):\n    '''Adds.'''\n    ...\n    return x + 1\n\nwhich is simple, isn't it?",
        "async def f(x): return x",
        "def f(x):\n    y = {'`': 1}\n    return y",
        "hint: def f(x):\n  for i in x:\n    pass\n",
        "it is `f = lambda x: x[::-1]`, so turn it round",
        "f=lambda *xs: sum(xs)\nand no more",
        "take f = lambda x: (x + 1), then sort",
    ];
    for message in leaks {
        assert!(contains_program(message), "{message:?}");
    }
    let harmless = [
        "",
        "Sort the list and return every second element.",
        "Write `def f(x):` that adds one.",
        "def f(x): adds one to x",
        "def f(x): adds",
        "def f(x): return the sum of x",
        "def f(x):\n    '''Adds one.'''\n    ...",
        "The default and definite def of a function is to return x",
        "undef f(x): return x",
        "f = lambda x: x",
        "sort with key=lambda pair: the second comes first",
        "use sorted(xs, key=lambda p: p[1])",
        "max(xs, default = 0, key = lambda p: p[1]) is asked for",
        "lambda x: x + 1 is applied twice",
        "f(3) == 4",
        "def",
        "def f(",
    ];
    for message in harmless {
        assert!(!contains_program(message), "{message:?}");
    }
    assert!(contains_program(&"def f(x):\n".repeat(10_000)));
    assert!(!contains_program(&"def f(x):\n".repeat(100)));
}

/// From a frame a program reaches the variables of whoever called it.
#[test]
fn frames_are_out_of_reach_of_policy_kelvin() {
    for attribute in ["gi_frame", "f_back", "tb_frame", "cr_frame", "f_globals"] {
        for body in [format!("return x.{attribute}"), format!("return getattr(x, '{attribute}')")] {
            let refused = prepare(&format!("def f(x):\n    {body}"), &Policy::Kelvin).err();
            assert_eq!(refused, Some(Refusal::BannedCall(attribute.to_owned())), "{body}");
        }
    }
}
