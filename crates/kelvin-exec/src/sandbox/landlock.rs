//! Landlock: a ruleset without a rule. A worker takes it on once it has read all modules; from then on neither it nor
//! a child opens a file, connects a TCP socket, or signals a process outside.

use std::os::fd::OwnedFd;

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};

/// The newest interface that the ruleset uses; older kernels hold what they can.
const NEWEST: ABI = ABI::V6;

/// The ruleset's descriptor; `None` where the kernel has no Landlock.
pub(super) fn empty_ruleset() -> Option<OwnedFd> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|it| it.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|it| it.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create);
    ruleset.ok()?.into()
}
