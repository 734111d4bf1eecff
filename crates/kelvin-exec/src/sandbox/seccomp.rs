//! The system calls that a child may make once it is confined: those that computing and answering need. Everything
//! else fails with EPERM, also calls of another calling convention, whose numbers are on no list. And those of them
//! that change nothing outside of the child's memory, which is what a child can be set back after.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Memory, the answer's pipe, clocks, random bytes, the interpreter's own lock, the end.
const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_write,
];

/// What a child may do and be set back after: none of these leaves a trace in the kernel that a later program could
/// find. The filter itself comes through `prctl`, which it refuses from then on.
const TRACELESS: &[c_long] = &[
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_prctl,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_write,
];

/// Allowed for memory that does not become code; the protection is the third argument of both.
const WITHOUT_CODE: &[c_long] = &[libc::SYS_mmap, libc::SYS_mprotect];

/// The filter as the kernel reads it, 8 bytes an instruction; `None` on machines that the compiler does not know.
pub(super) fn program() -> Option<Vec<u8>> {
    let no_code =
        SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
    let no_code = no_code.and_then(|condition| SeccompRule::new(vec![condition])).expect("one condition");
    let always = ALLOWED.iter().map(|&call| (call, Vec::new()));
    let guarded = WITHOUT_CODE.iter().map(|&call| (call, vec![no_code.clone()]));
    compiled(always.chain(guarded).collect(), SeccompAction::Errno(libc::EPERM as u32))
}

/// A filter that has the host told of every call that leaves a trace, before it is made.
pub(super) fn telling_program() -> Option<Vec<u8>> {
    let rules = TRACELESS.iter().map(|&call| (call, Vec::new())).collect();
    let mut program = compiled(rules, SeccompAction::Trace(0))?;
    // The compiler knows no name for this action; it stands where that of tracing does.
    let [traced, told] = [libc::SECCOMP_RET_TRACE, libc::SECCOMP_RET_USER_NOTIF].map(u32::to_ne_bytes);
    let returns = |it: &&mut [u8]| it[..2] == BPF_RETURN.to_ne_bytes() && it[4..] == traced;
    program.chunks_exact_mut(8).filter(returns).for_each(|it| it[4..].copy_from_slice(&told));
    Some(program)
}

/// `BPF_RET | BPF_K`.
const BPF_RETURN: u16 = 6;

fn compiled(rules: BTreeMap<c_long, Vec<SeccompRule>>, otherwise: SeccompAction) -> Option<Vec<u8>> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().ok()?;
    let filter =
        SeccompFilter::new(rules, otherwise, SeccompAction::Allow, arch).expect("the actions differ");
    let program: BpfProgram = filter.try_into().expect("a list of this length fits");
    let bytes = program.iter().flat_map(|it| {
        let [c0, c1] = it.code.to_ne_bytes();
        let [k0, k1, k2, k3] = it.k.to_ne_bytes();
        [c0, c1, it.jt, it.jf, k0, k1, k2, k3]
    });
    Some(bytes.collect())
}
