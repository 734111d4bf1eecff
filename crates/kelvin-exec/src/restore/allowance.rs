//! How long a job may run in a child that is set back.

use std::time::Duration;

use crate::protocol::Request;

/// The CPU time that a job has left: a call's and a quarter more, and again when the child is seen to begin another
/// call, as `driver/zygote.py` has it for children that are forked.
pub(super) struct Allowance {
    until: Duration,
    noted: Duration,
    call: Duration,
    refills: u32,
}

/// What reading and compiling a job may cost, on top of its program's own time.
const START_CPU: Duration = Duration::from_millis(200);

impl Allowance {
    pub(super) fn new(request: &Request<'_>, spent: Duration) -> Allowance {
        let call = Duration::from_secs_f64(request.limits.cpu_s * 1.25);
        Allowance {
            until: spent + START_CPU + call,
            noted: Duration::ZERO,
            call,
            refills: request.n_inputs() as u32 * request.n_calls(),
        }
    }

    pub(super) fn left(&self, spent: Duration) -> Duration {
        self.until.saturating_sub(spent)
    }

    /// What the child notes may be forged, which gains it no more than its number of calls times as much.
    pub(super) fn refill(&mut self, spent: Duration, noted: Duration) -> bool {
        let is_new = noted != self.noted && 0 < self.refills;
        if is_new {
            self.noted = noted;
            self.refills -= 1;
            self.until = noted.min(spent) + self.call;
        }
        is_new && !self.left(spent).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::executor::{Calls, Limits, Names};

    use super::*;
    use crate::protocol::Part;

    fn allowance() -> Allowance {
        let request = Request {
            nonce: 0,
            parts: vec![Part { program: "", inputs: vec![""] }],
            calls: Calls::Twice,
            names: Names::Literals,
            limits: Limits { cpu_s: 1.0, ..Limits::default() },
        };
        Allowance::new(&request, Duration::from_secs(7))
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_call_that_begins_has_its_time() {
        let mut allowance = allowance();
        assert_eq!(allowance.left(ms(7000)), ms(1450));
        assert!(!allowance.refill(ms(8450), Duration::ZERO));
        assert!(allowance.refill(ms(8450), ms(8000)));
        assert_eq!(allowance.left(ms(8450)), ms(800));
        assert!(!allowance.refill(ms(9250), ms(8000)), "the same call still");
    }

    #[test]
    fn forged_notes_gain_no_more_than_the_calls_have() {
        let mut allowance = allowance();
        assert!(allowance.refill(ms(8450), ms(1 << 40)));
        assert_eq!(allowance.left(ms(8450)), ms(1250));
        assert!(allowance.refill(ms(9700), ms(1 << 41)));
        assert!(!allowance.refill(ms(10_950), ms(1 << 42)));
    }
}
