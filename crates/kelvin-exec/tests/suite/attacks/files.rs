//! Files, descriptors and the network. Without the filter another layer or the file's mode may still hold, so that
//! anything may come of them; what must not is tested by the probes at start.

use super::{ANYTHING, Attack, EPERM, REFUSED, attack};

pub(super) const ATTACKS: &[Attack] = &[
    attack("open", "return open('/etc/passwd').read()", &["NameError: name 'open'"]),
    attack("open past the guard", "return posix.open('/etc/passwd', 0)", REFUSED).else_(ANYTHING),
    attack(
        "io",
        "return sys.modules['io'].open_code('/etc/passwd').read()",
        &["PermissionError: ", "ImportError: "],
    )
    .else_(ANYTHING),
    attack("read what root reads", "return posix.open('/etc/shadow', 0)", REFUSED)
        .else_(&["PermissionError: ", "FileNotFoundError: "]),
    attack("read its own memory", "return posix.open('/proc/self/mem', 2)", REFUSED).else_(ANYTHING),
    attack(
        "read the host's environment",
        "return posix.open(f'/proc/{posix.getppid()}/environ', 0)",
        REFUSED,
    )
    .else_(ANYTHING),
    attack("list the root folder", "return len(posix.listdir('/'))", REFUSED).else_(ANYTHING),
    attack("look at a file", "return posix.stat('/etc/passwd').st_size", REFUSED).else_(ANYTHING),
    attack("follow a link", "return posix.readlink('/proc/self/exe')", REFUSED).else_(ANYTHING),
    attack("make a file", "return posix.open('/tmp/kelvin-attack', 65)", REFUSED).else_(ANYTHING),
    attack("make a folder", "posix.mkdir('/tmp/kelvin-attack-folder')", REFUSED).else_(ANYTHING),
    attack("remove a file", "posix.unlink('/tmp/kelvin-attack')", REFUSED).else_(ANYTHING),
    attack("remove a folder", "posix.rmdir('/tmp/kelvin-attack-folder')", REFUSED).else_(ANYTHING),
    attack("rename", "posix.rename('/tmp/kelvin-attack', '/tmp/kelvin-attack-2')", REFUSED).else_(ANYTHING),
    attack("change folder", "posix.chdir('/tmp')", REFUSED).else_(ANYTHING),
    attack("change root", "posix.chroot('/tmp')", REFUSED),
    attack("mount", "return libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) and ctypes.get_errno()", EPERM),
    attack("file in memory", "d = posix.memfd_create('x')\n posix.write(d, b'x')", REFUSED)
        .else_(&["OSError: [Errno 27]"]),
    attack("copy a descriptor", "return posix.dup(1)", REFUSED).else_(ANYTHING),
    attack(
        "read the environment",
        "return sorted(posix.environ)",
        &["[b'LC_ALL', b'MALLOC_ARENA_MAX', b'PYTHONHASHSEED']"],
    ),
    attack("import past the guard", "import os", &["ImportError: import of 'os' is not allowed"]),
    attack(
        "import past the guard's name",
        "return driver.real_import('socket')",
        &["ModuleNotFoundError: ", "PermissionError: ", "ImportError: "],
    )
    .else_(ANYTHING),
    attack("load a library", "return ctypes.CDLL('libcrypt.so.1').crypt", &["OSError: "]).else_(ANYTHING),
    attack("internet socket", "return errno(41, 2, 1, 0)", EPERM).else_(ANYTHING),
    attack("raw socket", "return errno(41, 2, 3, 255)", EPERM),
    attack("local socket", "return errno(41, 1, 1, 0)", EPERM).else_(ANYTHING),
    attack("kernel's socket", "return errno(41, 16, 3, 0)", EPERM).else_(ANYTHING),
    attack("pair of sockets", "return errno(53, 1, 1, 0, 0)", EPERM).else_(ANYTHING),
];
