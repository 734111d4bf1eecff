//! Agreement with the Absolute Zero Reasoner's distance, from programs that `xtask/py/distance_goldens.py` compares.

use kelvin_python::compat_distance;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Programs with the distances between each and the one below.
fn goldens() -> Vec<Json> {
    let lines = include_str!("data/compat_distance.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn source(golden: &Json) -> &str {
    golden["source"].as_str().expect("a text")
}

#[test]
fn programs_lie_as_far_apart_as_in_the_original() {
    let goldens = goldens();
    assert!(goldens.len() >= 60, "{} programs", goldens.len());
    for (golden, below) in goldens.iter().zip(goldens.iter().cycle().skip(1)) {
        for (a, b, key) in [(golden, below, "next"), (below, golden, "back")] {
            let (ours, theirs) =
                (compat_distance(source(a), source(b)), golden[key].as_f64().expect("a number"));
            let is_equal = (ours - theirs).abs() <= 1e-12;
            assert!(is_equal, "{} to {}: {ours}, the original says {theirs}", a["name"], b["name"]);
        }
    }
}

#[test]
fn what_cannot_be_written_as_json_lies_at_0_from_everything() {
    for broken in ["def f(:", "x = b'a'", "x = 1j", "x = ...", "x = '\0'"] {
        assert_eq!(compat_distance(broken, "x = 1"), 0.0, "{broken:?}");
        assert_eq!(compat_distance("x = 1", broken), 0.0, "{broken:?}");
    }
}

#[test]
fn the_order_matters() {
    let (a, b) = ("x = 1\ny = 2\nz = x", "def f(x):\n    return x");
    assert_ne!(compat_distance(a, b), compat_distance(b, a));
}

#[test]
fn no_depth_exhausts_the_stack() {
    let elifs = format!("if x: pass\n{}", "elif x: pass\n".repeat(50_000));
    let signs = format!("x = {}1", "-".repeat(590));
    let attributes = format!("x{}", ".a".repeat(590));
    let brackets = format!("x = {}1{}", "[".repeat(190), "]".repeat(190));
    for text in [elifs, signs, attributes, brackets] {
        assert!((0.0..=1.0).contains(&compat_distance(&text, "x = 1")));
    }
}

proptest! {
    #[test]
    fn it_is_between_0_and_1_and_0_for_a_program_and_itself(
        a in prop::sample::select(goldens()),
        b in prop::sample::select(goldens()),
    ) {
        prop_assert!((0.0..=1.0).contains(&compat_distance(source(&a), source(&b))));
        prop_assert_eq!(compat_distance(source(&a), source(&a)), 0.0);
    }

    #[test]
    fn any_text_has_a_distance(text in any::<String>()) {
        prop_assert!((0.0..=1.0).contains(&compat_distance(&text, "x = 1")));
    }
}
