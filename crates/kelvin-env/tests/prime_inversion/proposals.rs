//! Which proposals become tasks, and why the others do not.

use kelvin_core::{
    environment::{Environment, Given},
    task::{Reason, TaskType},
};
use kelvin_env::prime_inversion::{Inversion, PromptSet, Settings};
use proptest::prelude::*;

use crate::{SETS, TYPES, any_prime, blank, env, task, validate, with};

/// Every spelling of the grammar, of a deduction, an abduction and an induction.
#[test]
fn every_spelling_is_read() {
    let env = env(PromptSet::Full);
    let mut n_read = 0;
    for times in ["*", "·", "×", "\\times", "\\cdot", "\\TIMES"] {
        for equals in ["=", "≡", "\\equiv"] {
            for modulus in
                ["(mod 17)", "\\pmod{17}", "\\pmod 17", "\\bmod 17", "mod 17", "MOD17", "\\pmod{{17}}"]
            {
                for (open, close) in [
                    ("", ""),
                    ("\\[", "\\]"),
                    ("$", "$"),
                    ("\\boxed{", "}"),
                    ("\\boxed{{", "}}"),
                    ("{{", "}}"),
                ] {
                    let whole = |x: &str, y: &str, modulus: &str| {
                        format!("{open} {x} {times} {y}{equals}1 {modulus}{close}")
                    };
                    let p = modulus.replace("17", " p ");
                    for (task_type, text) in [
                        (TaskType::Deduction, whole("5", "Y", modulus)),
                        (TaskType::Deduction, whole("5", "x", modulus)),
                        (TaskType::Abduction, whole("X", "7", modulus)),
                        (TaskType::Induction, whole("5", "7", &p)),
                    ] {
                        let read = validate(&env, task_type, &text);
                        assert_eq!(read, Ok(Inversion { x: 5, y: 7, p: 17 }), "{text}");
                        n_read += 1;
                    }
                }
            }
        }
    }
    assert_eq!(n_read, 6 * 3 * 7 * 6 * 4);
}

/// Answers that obeyed the original's prompt and scored -1 there, none of which its parser read.
#[test]
fn natural_answers_to_the_original_are_read() {
    let env = env(PromptSet::Full);
    for text in [
        "\\boxed{5 * y ≡ 1 (mod 17)}",
        "\\[ 5 \\cdot y \\equiv 1 \\pmod{17} \\]",
        "\\[ 5 \\times y \\equiv 1 \\pmod 17 \\]",
        "\\[ \\boxed{5 \\times y \\equiv 1 \\pmod{17}} \\]",
        "\\boxed{{5 * y ≡ 1 (mod 17)}}",
    ] {
        assert_eq!(validate(&env, TaskType::Deduction, text), Ok(Inversion { x: 5, y: 7, p: 17 }), "{text}");
    }
}

#[test]
fn each_fault_has_its_reason() {
    use TaskType::{Abduction, Deduction, Induction};
    let env = env(PromptSet::Full);
    let is_withheld = |it: &Inversion| it.is_withheld() && !it.is_trivial();
    let withheld = Inversion::all_of(43).find(is_withheld).expect("one in five");
    let given = format!("{} * y = 1 (mod 43)", withheld.x);
    let pair = format!("{} * {} = 1 (mod p)", withheld.x, withheld.y);
    for (task_type, text, reason) in [
        (Deduction, "", Reason::ParseError),
        (Deduction, "5 * y = 2 (mod 17)", Reason::ParseError),
        (Deduction, "5 * z = 1 (mod 17)", Reason::ParseError),
        (Deduction, "5 y = 1 (mod 17)", Reason::ParseError),
        (Deduction, "5 * y = 1", Reason::ParseError),
        (Deduction, "5 * y = 1 (mod 17) and more", Reason::ParseError),
        (Deduction, "5 * y = 1 (mod 17", Reason::ParseError),
        (Deduction, "5 * 7 = 1 (mod 17)", Reason::Leak),
        (Deduction, "x * 5 = 1 (mod 17)", Reason::WrongBlank),
        (Deduction, "x * y = 1 (mod 17)", Reason::WrongBlank),
        (Deduction, "5 * 7 = 1 (mod p)", Reason::WrongBlank),
        (Abduction, "5 * y = 1 (mod 17)", Reason::WrongBlank),
        (Induction, "5 * y = 1 (mod 17)", Reason::WrongBlank),
        (Induction, "5 * y = 1 (mod p)", Reason::WrongBlank),
        (Deduction, "5 * y = 1 (mod 15)", Reason::NotPrime),
        (Abduction, "x * 4 = 1 (mod 21)", Reason::NotPrime),
        (Deduction, "5 * y = 1 (mod 0)", Reason::OutOfRange),
        (Deduction, "5 * y = 1 (mod 1)", Reason::OutOfRange),
        (Deduction, "5 * y = 1 (mod -17)", Reason::OutOfRange),
        (Deduction, "-5 * y = 1 (mod 17)", Reason::OutOfRange),
        (Deduction, "5 * y = 1 (mod 211)", Reason::OutOfRange),
        (Deduction, "5 * y = 1 (mod 99999999999999999999999999999999999999999)", Reason::OutOfRange),
        (Deduction, "4294967296 * y = 1 (mod 17)", Reason::OutOfRange),
        (Deduction, "18 * y = 1 (mod 17)", Reason::OutOfRange),
        (Deduction, "34 * y = 1 (mod 17)", Reason::NotInvertible),
        (Deduction, "0 * y = 1 (mod 17)", Reason::NotInvertible),
        (Abduction, "x * 17 = 1 (mod 17)", Reason::NotInvertible),
        (Induction, "0 * 7 = 1 (mod p)", Reason::NotInvertible),
        (Induction, "9 * 9 = 1 (mod p)", Reason::NotInvertible),
        (Induction, "2 * 106 = 1 (mod p)", Reason::OutOfRange),
        (Induction, "617 * 2 = 1 (mod p)", Reason::OutOfRange),
        (Induction, "4294967295 * 4294967295 = 1 (mod p)", Reason::OutOfRange),
        (Deduction, "1 * y = 1 (mod 17)", Reason::Trivial),
        (Abduction, "x * 16 = 1 (mod 17)", Reason::Trivial),
        (Induction, "16 * 16 = 1 (mod p)", Reason::Trivial),
        (Induction, "1 * 1 = 1 (mod p)", Reason::Trivial),
        (Deduction, &given, Reason::HeldOut),
        (Induction, &pair, Reason::HeldOut),
    ] {
        assert_eq!(validate(&env, task_type, text), Err(reason), "{task_type}: {text}");
    }
}

#[test]
fn settings_move_the_limits() {
    let easy = with(Settings { trivial_allowed: true, p_min: 5, p_max: 17, ..Settings::default() });
    assert_eq!(validate(&easy, TaskType::Deduction, "1 * y = 1 (mod 17)").unwrap().y, 1);
    assert_eq!(validate(&easy, TaskType::Induction, "1 * 1 = 1 (mod p)"), Err(Reason::Trivial));
    assert_eq!(validate(&easy, TaskType::Deduction, "3 * y = 1 (mod 19)"), Err(Reason::OutOfRange));
    // 9 * 9 - 1 = 80, which 5 divides, and 2.
    let loose = any_prime();
    assert_eq!(validate(&loose, TaskType::Induction, "9 * 9 = 1 (mod p)").unwrap().p, 5);
    assert_eq!(validate(&loose, TaskType::Induction, "3 * 3 = 1 (mod p)"), Err(Reason::OutOfRange));
}

#[test]
fn the_last_pair_of_tags_counts() {
    let env = env(PromptSet::Full);
    let read = |response: &str| {
        let read = env.validate(TaskType::Deduction, Given::references(&[]), response).unwrap();
        read.map(|it| it.p).map_err(|it| it.reason)
    };
    let (first, last) = ("<problem>5 * y = 1 (mod 17)</problem>", "<problem>5 * y = 1 (mod 13)</problem>");
    assert_eq!(read(&format!("{first} or rather {last}.")), Ok(13));
    assert_eq!(read(&format!("{first} or <problem>5 * y")), Ok(17));
    for none in ["", "5 * y = 1 (mod 17)", "</problem>5 * y = 1 (mod 17)<problem>"] {
        assert_eq!(read(none), Err(Reason::NoAnswer), "{none}");
        assert!(!env.proposal_is_formatted(TaskType::Deduction, none));
    }
    assert!(env.proposal_is_formatted(TaskType::Deduction, "<problem>5 * y = 1 (mod 18)</problem>"));
}

#[test]
fn a_shown_task_is_no_new_one() {
    let env = env(PromptSet::Full);
    for task_type in TYPES {
        let shown = [task(task_type, 2, 29), task(task_type, 5, 17)];
        let response = |index: usize| PromptSet::Full.proposal_text(&shown[index].payload, blank(task_type));
        let validate =
            |given: &[_], index| env.validate(task_type, Given::references(given), &response(index)).unwrap();
        assert_eq!(validate(&shown, 1).unwrap_err().reason, Reason::ReferenceCopy);
        assert_eq!(validate(&shown[..1], 1).unwrap(), shown[1].payload);
    }
}

/// What a prompt shows as an example can be posed, in both sets and for every type.
#[test]
fn examples_of_prompts_are_valid_proposals() {
    for set in SETS {
        let env = env(set);
        for task_type in TYPES {
            let shown = task(task_type, 5, 17);
            let prompt = env.propose_prompt(task_type, Given::references(std::slice::from_ref(&shown)));
            let text = set.proposal_text(&shown.payload, blank(task_type));
            assert!(prompt.contains(&text), "{prompt}");
            assert_eq!(env.validate(task_type, Given::references(&[]), &text).unwrap(), Ok(shown.payload));
            assert!(env.proposal_is_formatted(task_type, &text));
        }
    }
}

#[test]
fn seeds_are_tasks_that_could_have_been_posed() {
    for (set, n_seeds) in [(PromptSet::Full, 64), (PromptSet::Compact, 10_000)] {
        let settings = Settings { prompt_set: set, n_seeds, p_max: 43, ..Settings::default() };
        let env = with(settings);
        let seeds = env.seed_tasks();
        for task_type in TYPES {
            let own: Vec<Inversion> = seeds.iter().filter(|it| it.0 == task_type).map(|it| it.1).collect();
            assert!(own.len() == 64 || 64 < n_seeds, "{}", own.len());
            let different: std::collections::HashSet<_> = own.iter().collect();
            assert_eq!(different.len(), own.len());
            for seed in &own {
                let text = set.proposal_text(seed, blank(task_type));
                assert_eq!(env.validate(task_type, Given::references(&[]), &text).unwrap(), Ok(*seed));
            }
            let primes: std::collections::HashSet<u32> = own.iter().map(|it| it.p).collect();
            assert_eq!(primes.len(), 10, "seeds of every prime from 11 to 43");
        }
        assert_eq!(seeds, env.seed_tasks());
    }
}

#[test]
fn settings_that_leave_nothing_are_refused() {
    let refused = |settings: Settings| settings.check().unwrap_err().to_string();
    for settings in [
        Settings { p_min: 24, p_max: 28, ..Settings::default() },
        Settings { p_min: 3, ..Settings::default() },
        Settings { p_max: 619, ..Settings::default() },
        Settings { eval_p_min: 50, ..Settings::default() },
        Settings { n_seeds: 0, ..Settings::default() },
        Settings { task_types: vec![TaskType::Error], ..Settings::default() },
        Settings { task_types: Vec::new(), ..Settings::default() },
    ] {
        assert!(refused(settings.clone()).contains("\nhint: "), "{settings:?}");
    }
    let some = Settings { task_types: vec![TaskType::Induction, TaskType::Deduction], ..Settings::default() };
    assert_eq!(some.check().unwrap(), [TaskType::Deduction, TaskType::Induction]);
}

proptest! {
    /// Whatever is written, a task that comes of it is true, in range and not withheld.
    #[test]
    fn what_is_admitted_is_sound(
        slots in prop::array::uniform3(prop_oneof![
            "x|y|p", (0u32..60).prop_map(|it| it.to_string()), "-?[0-9]{1,30}",
        ]),
        mul in "\\*|·|×|\\\\times|x",
        modulus in "\\(mod |\\\\pmod\\{|mod |",
        task_type in prop::sample::select(TYPES.to_vec()),
    ) {
        let close = match modulus.as_str() { "(mod " => ")", "\\pmod{" => "}", _ => "" };
        let [x, y, p] = slots;
        if let Ok(it) = validate(&env(PromptSet::Full), task_type, &format!("{x} {mul} {y} = 1 {modulus}{p}{close}")) {
            prop_assert_eq!(u64::from(it.x) * u64::from(it.y) % u64::from(it.p), 1);
            prop_assert!((5..=199).contains(&it.p) && 1 < it.x && it.x + 1 < it.p && it.y < it.p);
            prop_assert!(!it.is_withheld());
        }
    }

    /// No text makes the parsers panic.
    #[test]
    fn any_text_is_data(text in any::<String>(), signs in "[\\[\\]${}()xyp0-9*=≡×·\\\\ modb-]{0,40}") {
        for set in SETS {
            let env = env(set);
            for task_type in TYPES {
                for text in [&text, &signs, &format!("<problem>{signs}</problem>\\boxed{{{text}}}")] {
                    let _ = env.validate(task_type, Given::references(&[]), text).unwrap();
                    let grade = env.grade(&task(task_type, 5, 17), text).unwrap();
                    prop_assert!(grade.formatted || !grade.correct);
                }
            }
        }
    }
}
