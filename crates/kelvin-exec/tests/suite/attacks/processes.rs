//! Other processes, privileges, and the corners of the kernel that nothing here needs. The numbers are those of
//! x86-64; elsewhere they name other calls, which are refused no less.

use super::{ANYTHING, Attack, EPERM, REFUSED, attack};

/// Refused by the limit on processes where there is no filter.
const NO_PROCESS: &[&str] = &["BlockingIOError: "];

pub(super) const ATTACKS: &[Attack] = &[
    attack("fork bomb", "for _ in range(6): posix.fork()", REFUSED).else_(NO_PROCESS),
    attack("fork by number", "return errno(57)", EPERM).else_(&["11"]),
    attack("clone", "return errno(56, 0, 0, 0, 0, 0)", EPERM).else_(&["11"]),
    attack("clone of another kind", "return errno(435, 0, 0)", EPERM).else_(ANYTHING),
    attack("other program", "posix.posix_spawn('/bin/sleep', ['sleep', '1000'], {})", REFUSED)
        .else_(NO_PROCESS),
    attack("become another program", "posix.execv('/bin/sleep', ['sleep', '1000'])", REFUSED).else_(&[
        "timed out",
        "PermissionError: ",
        "BlockingIOError: ",
    ]),
    attack("shell", "return libc.system(b'echo') != 0", &["True"]),
    attack("kill itself", "posix.kill(posix.getpid(), 9)", REFUSED).else_(&["crashed: signal: 9"]),
    attack("stop itself", "posix.kill(posix.getpid(), 19)", REFUSED).else_(&["timed out"]),
    attack("kill the worker", "posix.kill(driver.zygote_pid, 9)", REFUSED).else_(ANYTHING),
    attack("kill by thread", "return errno(234, driver.zygote_pid, driver.zygote_pid, 9)", EPERM)
        .else_(ANYTHING),
    attack("signal the first process", "posix.kill(1, 15)", REFUSED).else_(ANYTHING),
    attack("take hold of a process", "return errno(434, driver.zygote_pid, 0)", EPERM).else_(ANYTHING),
    attack("outlive the worker", "return libc.prctl(1, 0, 0, 0, 0)", &["-1"]).else_(ANYTHING),
    attack("trace the worker", "return errno(101, 16, driver.zygote_pid, 0, 0)", EPERM).else_(ANYTHING),
    attack("read another process", "return errno(310, driver.zygote_pid, 0, 0, 0, 0, 0)", EPERM)
        .else_(ANYTHING),
    attack("write another process", "return errno(311, driver.zygote_pid, 0, 0, 0, 0, 0)", EPERM)
        .else_(ANYTHING),
    attack("become root", "posix.setuid(0)\n return posix.getuid()", &["PermissionError: ", "0"])
        .else_(ANYTHING),
    attack("session of its own", "posix.setsid()", REFUSED),
    attack("priority", "return posix.nice(-5)", REFUSED),
    attack("another namespace", "return errno(272, 0x10000000)", EPERM).else_(ANYTHING),
    attack("enter a namespace", "return errno(308, 0, 0)", EPERM).else_(ANYTHING),
    attack("another filter", "return errno(317, 1, 0, 0)", EPERM).else_(ANYTHING),
    attack("program in the kernel", "return errno(321, 5, 0, 0)", EPERM).else_(ANYTHING),
    attack("faults of its own", "return errno(323, 1)", EPERM).else_(ANYTHING),
    attack("ring", "return errno(425, 1, 0)", EPERM).else_(ANYTHING),
    attack("keys", "return errno(250, 0, -3, 0, 0, 0)", EPERM).else_(ANYTHING),
    attack("counters", "return errno(298, 0, 0, -1, -1, 0)", EPERM).else_(ANYTHING),
    attack("personality", "return errno(135, 0x40000)", EPERM).else_(ANYTHING),
    attack("timer of its own", "return errno(222, 0, 0, 0)", EPERM).else_(ANYTHING),
    attack("numbers of another convention", "return errno(0x40000000 + 57)", EPERM).else_(&["38", "11", "1"]),
    attack("clock", "return errno(227, 0, 0)", EPERM).else_(ANYTHING),
    attack("name of the machine", "return errno(170, 0, 0)", EPERM),
    attack("end of the machine", "return errno(169, 0, 0, 0, 0)", EPERM).else_(ANYTHING),
];
