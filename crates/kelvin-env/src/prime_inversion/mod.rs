//! Inverses modulo a prime (the ARENA reproduction's domain): x * y = 1 (mod p), with one of the three numbers left out.
//! Given x and p it is a deduction, given y and p an abduction, given x and y an induction. Every task can be counted, so
//! the evaluation is all of a range of primes; docs/divergences/prime-inversion.md tells it from the original.

mod equation;
mod floors;
mod grammar;
mod prompt;
mod settings;

use kelvin_core::{
    environment::{Environment, Floors, Given},
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use num_bigint::BigInt;

use equation::{P_CAP, is_prime, primes};
use grammar::{Equation, Slot, parse_answer};

pub use equation::{Blank, Inversion};
pub use floors::{evaluation, floors, is_right};
pub use prompt::{PromptSet, compact_propose_prompt, compact_solve_prompt};
pub use settings::{InductionRule, Settings};

/// The environment of prime inversion. It runs nothing.
pub struct PrimeInversion {
    settings: Settings,
    task_types: &'static [TaskType],
}

impl PrimeInversion {
    /// The environment under `settings`.
    ///
    /// # Errors
    /// If the settings contradict themselves; see [`Settings::check`].
    pub fn new(settings: Settings) -> anyhow::Result<PrimeInversion> {
        let task_types = settings.check()?;
        Ok(PrimeInversion { settings, task_types })
    }
}

impl Environment for PrimeInversion {
    type Payload = Inversion;

    fn task_types(&self) -> &'static [TaskType] {
        self.task_types
    }

    /// As many of each type, spread over the range of primes. They are the same for every run.
    fn seed_tasks(&self) -> Vec<(TaskType, Inversion)> {
        let of_type = |&task_type: &TaskType| {
            let all = self.posable(blank(task_type));
            let seed = Seed::new(0).fork("seeds of prime inversion").fork(task_type.as_str());
            let drawn = seed.draws().distinct(self.settings.n_seeds, all.len());
            drawn.into_iter().map(move |index| (task_type, all[index]))
        };
        self.task_types.iter().flat_map(of_type).collect()
    }

    fn propose_prompt(&self, task_type: TaskType, given: Given<'_, Inversion>) -> Prompt {
        let references: Vec<Inversion> = given.references.iter().map(|task| task.payload).collect();
        self.settings.prompt_set.propose_prompt(&references, blank(task_type), &self.settings)
    }

    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_, Inversion>,
        response: &str,
    ) -> anyhow::Result<Result<Inversion, Rejection>> {
        let blank = blank(task_type);
        let proposed = self.equation(response).and_then(|equation| self.completed(&equation, blank));
        Ok(proposed.and_then(|inversion| {
            self.admissible(&inversion, blank)?;
            match given.references.iter().any(|it| it.payload.with(blank) == inversion.with(blank)) {
                true => Err(Rejection::new(Reason::ReferenceCopy, "it was shown as an example")),
                false => Ok(inversion),
            }
        }))
    }

    fn proposal_is_formatted(&self, _task_type: TaskType, response: &str) -> bool {
        self.equation(response).is_ok()
    }

    fn solve_prompt(&self, task: &Task<Inversion>) -> Prompt {
        let Settings { prompt_set, induction, .. } = self.settings;
        prompt_set.solve_prompt(&task.payload, blank(task.task_type), induction)
    }

    /// x and y count modulo p, in training and in evaluation; p counts by the rule of induction.
    fn grade(&self, task: &Task<Inversion>, response: &str) -> anyhow::Result<Grade> {
        let blank = blank(task.task_type);
        let Some(answer) = self.read_answer(blank, response) else { return Ok(Grade::malformed()) };
        let right = reduced(&answer, blank, task.payload.p)
            .is_some_and(|it| is_right(&task.payload, blank, self.settings.induction, it));
        Ok(if right { Grade::correct() } else { Grade::missed(Miss::Wrong) })
    }

    fn answer(&self, task: &Task<Inversion>, response: &str) -> Option<String> {
        let blank = blank(task.task_type);
        let answer = self.read_answer(blank, response)?;
        reduced(&answer, blank, task.payload.p).map(|it| it.to_string())
    }

    /// The numbers that the solver sees, and which is left out.
    fn identity(&self, task: &Task<Inversion>) -> String {
        task.payload.with(blank(task.task_type))
    }

    /// All of the range in order, whatever the seed, withheld or not: [`Environment::may_teach`] tells them apart.
    fn held_out(&self, task_type: TaskType, n: usize, _seed: Seed) -> anyhow::Result<Vec<Inversion>> {
        let mut all = self.evaluated(blank(task_type));
        all.truncate(n);
        Ok(all)
    }

    fn may_teach(&self, task: &Task<Inversion>) -> bool {
        !task.payload.is_withheld()
    }

    fn floors(&self, task_type: TaskType) -> Option<Floors> {
        let blank = blank(task_type);
        Some(floors(&self.evaluated(blank), blank, self.settings.induction))
    }
}

impl PrimeInversion {
    fn evaluated(&self, blank: Blank) -> Vec<Inversion> {
        let Settings { eval_p_min, eval_p_max, induction, .. } = self.settings;
        evaluation(eval_p_min, eval_p_max, blank, induction)
    }

    /// Every equation that may be posed.
    fn posable(&self, blank: Blank) -> Vec<Inversion> {
        let Settings { p_min, p_max, .. } = self.settings;
        let all = primes(p_min, p_max).flat_map(Inversion::all_of);
        all.filter(|it| self.admissible(it, blank).is_ok()).collect()
    }

    /// The equation of a proposal, true or not.
    fn equation(&self, response: &str) -> Result<Equation, Rejection> {
        let text = self.settings.prompt_set.proposal(response);
        Equation::parse(text.ok_or_else(|| Rejection::new(Reason::NoAnswer, "no problem between tags"))?)
    }

    fn read_answer(&self, blank: Blank, response: &str) -> Option<BigInt> {
        parse_answer(self.settings.prompt_set.solution(response)?, blank)
    }

    /// The equation with the number that it leaves out, which is never taken from the proposer.
    fn completed(&self, equation: &Equation, asked: Blank) -> Result<Inversion, Rejection> {
        match equation.blanks()[..] {
            [] => return Err(Rejection::new(Reason::Leak, "all three numbers are given")),
            [blank] if blank == asked => {}
            [_, ..] => {
                let detail = format!("{} alone is to be left out", asked.letter());
                return Err(Rejection::new(Reason::WrongBlank, detail));
            }
        }
        let [x, y, p] = equation.slots;
        match asked {
            Blank::X => self.inverse(y, p).map(Inversion::mirrored),
            Blank::Y => self.inverse(x, p),
            Blank::P => self.modulus(x, y),
        }
    }

    /// The equation of a number and a prime.
    fn inverse(&self, given: Slot, p: Slot) -> Result<Inversion, Rejection> {
        let (given, p) = (number(given)?, number(p)?);
        let Settings { p_min, p_max, .. } = self.settings;
        if !(p_min..=p_max).contains(&p) {
            return Err(out_of_range(p, format!("{p_min} to {p_max}")));
        }
        if !is_prime(p) {
            return Err(Rejection::new(Reason::NotPrime, format!("{p} is not prime")));
        }
        if given % p == 0 {
            return Err(Rejection::new(Reason::NotInvertible, format!("{p} divides {given}")));
        }
        Inversion::of(given, p).ok_or_else(|| out_of_range(given, format!("1 to {}", p - 1)))
    }

    /// The equation of two numbers: its prime is the largest of the range that the rule of induction allows.
    fn modulus(&self, x: Slot, y: Slot) -> Result<Inversion, Rejection> {
        let (x, y) = (number(x)?, number(y)?);
        if let Some(large) = [x, y].into_iter().find(|&it| P_CAP <= it) {
            return Err(out_of_range(large, format!("1 to {}", P_CAP - 1)));
        }
        if x * y == 1 {
            return Err(Rejection::new(Reason::Trivial, "every prime makes it true"));
        }
        let Settings { p_min, p_max, induction, .. } = self.settings;
        let fitting: Vec<u32> = primes(2, P_CAP).filter(|&p| induction.fits(x, y, p)).collect();
        let Some(&largest) = fitting.last() else {
            return Err(Rejection::new(Reason::NotInvertible, "no prime of the domain makes it true"));
        };
        match fitting.into_iter().rfind(|it| (p_min..=p_max).contains(it)) {
            Some(p) => Ok(Inversion { x, y, p }),
            None => Err(out_of_range(largest, format!("{p_min} to {p_max}"))),
        }
    }

    /// Whether a true equation may be posed and trained on.
    fn admissible(&self, inversion: &Inversion, blank: Blank) -> Result<(), Rejection> {
        let is_trivial = inversion.is_trivial() && !self.settings.trivial_allowed;
        if is_trivial || (blank == Blank::P && inversion.x == 1 && inversion.y == 1) {
            return Err(Rejection::new(Reason::Trivial, "1 and p - 1 are their own inverses"));
        }
        if inversion.is_withheld() {
            return Err(Rejection::new(Reason::HeldOut, "the pair is withheld from training"));
        }
        Ok(())
    }
}

/// What tasks of this type leave out.
fn blank(task_type: TaskType) -> Blank {
    Blank::of(task_type).unwrap_or_else(|| panic!("prime inversion has no {task_type} tasks"))
}

fn number(slot: Slot) -> Result<u32, Rejection> {
    match slot {
        Slot::Integer(Some(number)) => Ok(number),
        Slot::Integer(None) => Err(Rejection::new(Reason::OutOfRange, "a number is negative or huge")),
        Slot::Letter => unreachable!("one slot is a letter, and it is the one that is asked for"),
    }
}

fn out_of_range(number: u32, range: String) -> Rejection {
    Rejection::new(Reason::OutOfRange, format!("{number} is not from {range}"))
}

/// An answer as [`is_right`] reads it; `None` for what cannot be a prime of 32 bits.
fn reduced(answer: &BigInt, blank: Blank, p: u32) -> Option<u32> {
    let number = match blank {
        Blank::X | Blank::Y => (answer % p + p) % p,
        Blank::P => answer.clone(),
    };
    u32::try_from(number).ok()
}
