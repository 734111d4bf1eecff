//! What a child says: too much, too early, forged, or made to look like something else.

use super::{Attack, attack};

pub(super) const ATTACKS: &[Attack] = &[
    attack("list over the output limit", "return [0] * 10**6", &["too large: 4096"]),
    attack("exponential result", "x = [1]\n for _ in range(60): x = [x, x]\n return x", &["too large: 4096"]),
    attack("huge string", "return 'x' * 10**7", &["too large: 4096"]),
    attack("huge integer", "return 1 << (1 << 24)", &["too large: 4096"]),
    attack(
        "result that contains itself",
        "x = []\n x.append(x)\n return x",
        &["not literal: list nested too deeply"],
    ),
    attack(
        "result nested deeply",
        "x = []\n for _ in range(10**5): x = [x]\n return x",
        &["not literal: list nested too deeply"],
    ),
    attack(
        "flood every descriptor",
        "while True:\n  for fd in range(64):\n   try: posix.write(fd, b'x' * 65536)\n   except OSError: pass",
        &["crashed: wrote over", "crashed: malformed answer", "crashed: signal: 9"],
    ),
    attack("print without end", "while True: print('x' * 10**6)", &["timed out"]),
    attack(
        "forge an answer",
        "for fd in range(64):\n  try: posix.write(fd, bytes(12) + b'V' + bytes(8) + b'\\1\\0\\0\\0' + b'7')\n  \
            except OSError: pass\n posix._exit(0)",
        &["crashed: malformed answer"],
    ),
    // With the nonce it can speak for itself, and for nobody else: no gold value is near.
    attack(
        "forge an answer with the nonce",
        "voice = sys._getframe(4).f_locals['voice']\n voice.answer(b'V', b'42', 0)\n voice.speak()\n posix._exit(0)",
        &["42"],
    ),
    attack(
        "forge the answer of another input",
        "voice = sys._getframe(4).f_locals['voice']\n voice.index = 1\n voice.answer(b'V', b'42', 0)\n voice.speak()\n \
         posix._exit(0)",
        &["crashed: malformed answer"],
    ),
    attack(
        "answer twice",
        "voice = sys._getframe(4).f_locals['voice']\n voice.answer(b'V', b'42', 0)\n voice.answer(b'V', b'43', 0)\n \
         voice.speak()\n posix._exit(0)",
        &["42", "crashed: malformed answer"],
    ),
    attack(
        "answers without end",
        "voice = sys._getframe(4).f_locals['voice']\n while True:\n  voice.answer(b'V', b'1', 0)\n  voice.speak()",
        &["1"],
    ),
    attack(
        "more time without end",
        "voice = sys._getframe(4).f_locals['voice']\n while True:\n  voice.refresh(1 << 63)",
        &["timed out"],
    ),
    attack(
        "time that never passes",
        "voice = sys._getframe(4).f_locals['voice']\n voice.refresh(1000)\n while True: pass",
        &["timed out"],
    ),
    attack(
        "pipe that does not wait, for the next job",
        "return libc.fcntl(1, 4, posix.O_WRONLY | posix.O_NONBLOCK)",
        &["-1"],
    )
    .else_(&["0"]),
    attack(
        "answer that is no text",
        "voice = sys._getframe(4).f_locals['voice']\n voice.answer(b'V', bytes([255]), 0)\n voice.speak()\n \
         posix._exit(0)",
        &["crashed: malformed answer"],
    ),
    attack(
        "garbage before the answer",
        "for fd in range(64):\n  try: posix.write(fd, b'garbage' * 10)\n  except OSError: pass\n return 1",
        &["crashed: malformed answer"],
    ),
    attack("close every descriptor", "posix.closerange(0, 64)", &["crashed: exit status: 70"]),
    attack(
        "speak to the host",
        "for fd in range(64):\n  try: posix.write(fd, b'X' + b'\\0' * 17)\n  except OSError: pass\n posix._exit(0)",
        &["crashed: "],
    ),
    attack(
        "patch builtins",
        "b = sys.modules['builtins']\n for n in 'len repr type eval exec str sorted sum isinstance'.split():\n  \
            setattr(b, n, lambda *a: 42)\n return 1",
        &["1"],
    ),
    attack("patch the driver", "driver.judge = lambda *a: (b'V', b'42', b'42')\n return 1", &["42", "1"]),
    attack(
        "string that lies",
        "class S(str):\n  def encode(self, *a): return b'2'\n  def __len__(self): return 0\n return S('x')",
        &["not literal: S"],
    ),
    attack(
        "number that equals everything",
        "class N(int):\n  __eq__ = lambda *a: True\n return N(1)",
        &["not literal: N"],
    ),
    attack(
        "list that lies",
        "class L(list):\n  __repr__ = lambda s: '[1, 2]'\n return L()",
        &["not literal: L"],
    ),
    attack(
        "type that lies",
        "class M(type):\n  __name__ = 'int'\n class X(metaclass=M): pass\n return X()",
        &["not literal: X"],
    ),
    attack(
        "message that lies",
        "class S(str):\n  def __getitem__(self, i): return 7\n class E(Exception):\n  \
            def __str__(self): return S('x' * 10**6)\n raise E",
        &["E: xxx"],
    ),
    attack(
        "message with terminal codes",
        "raise ValueError('\\x1b[2Jgone\\nsecond line')",
        &["ValueError:  [2Jgone"],
    ),
    attack("half a character", "return '\\ud800'", &["'\\ud800'"]),
    attack("zero bytes", "return 'a\\0b'", &["'a\\x00b'"]),
    attack("not a number", "return [float('nan')]", &["not literal: float nan"]),
];
