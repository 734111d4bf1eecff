//! Rules of evaluation.md section 5, each with what must and what must not be equal.

use kelvin_core::seed::{Draws, Seed};
use proptest::prelude::*;

use super::*;

fn verdict(gold: &str, answer: &str) -> Verdict {
    equal(gold, answer, &Options::default())
}

/// What has to be equal, both ways round.
const EQUAL: &[(&str, &str)] = &[
    // Wrappers and layout.
    ("$\\boxed{\\frac13}$.", "1/3"),
    ("\\[ \\frac{1}{3} \\]", "\\(\\frac 13\\)"),
    ("\\left( \\dfrac13 \\right)", "\\displaystyle \\tfrac{1}{3}"),
    ("\\boxed{\\boxed{7}}", "7"),
    ("{{5}}", "(5)"),
    // Fractions, roots, mixed numbers.
    ("\\frac9{19}", "9/19"),
    ("\\frac{270}7", "38\\frac{4}{7}"),
    ("\\frac94\\pi", "9\\pi/4"),
    ("\\frac{3}{3}", "1"),
    ("2/4", "1/2"),
    ("-\\frac{1}{2}", "\\frac{-1}{2}"),
    ("-1/2", "\\frac{1}{-2}"),
    ("2\\frac58", "2.625"),
    ("-2\\frac58", "-2.625"),
    ("12 3/5", "63/5"),
    ("\\sqrt[3]{5/12}", "(5/12)^{1/3}"),
    ("\\sqrt3", "3^{1/2}"),
    ("\\sqrt[3]{-8}", "-2"),
    ("\\frac{1}{\\sqrt2}", "\\frac{\\sqrt 2}{2}"),
    ("\\sqrt{3+2\\sqrt2}", "1+\\sqrt{2}"),
    ("sqrt(8)", "2√2"),
    ("5 \\sqrt[3]{4}", "\\sqrt[3]{500}"),
    // Numbers.
    ("7,425,000", "7425000"),
    ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
    ("10{,}000", "10^4"),
    ("1,000.99", "1000.99"),
    ("1 234 567", "1,234,567"),
    ("100,200,300", "100, 200, 300"),
    (".4", "0.40"),
    ("1000.0", "1000"),
    ("4.5e33", "4.5\\times10^{33}"),
    ("7.8\\times 10^2", "780"),
    ("0.\\overline{3}", "1/3"),
    ("0.1\\overline{6}", "\\frac16"),
    ("2^{1009}", "2 \\cdot 2^{1008}"),
    ("10!", "3628800"),
    ("\\frac{100!}{99!}", "100"),
    ("3 \\text{ million}", "3000000"),
    ("52_8", "52_{8}"),
    ("0.0833333333333333", "\\frac{1}{12}"),
    ("1.41421356", "\\sqrt{2}"),
    // Words and choices.
    ("\\text{Evelyn}", "evelyn"),
    ("\\text{(C)}", "C"),
    ("(C)", "\\textbf{(C)}"),
    ("\\text{no solution}", "No solution."),
    ("\\text{yes}", "Yes"),
    ("y\\text{-axis}", "y-axis"),
    // Units, money, degrees, percent.
    ("\\frac13 \\text{ meters}", "1/3"),
    ("5.4 \\text{ cents}", "5.4"),
    ("864 \\mbox{ inches}^2", "864"),
    ("15\\mbox{ cm}^2", "15 \\text{ square centimeters}"),
    ("12 cm", "12 \\text{ cm}"),
    ("5 \\text{ km}", "5000 \\text{ m}"),
    ("2 \\text{ hours}", "120 minutes"),
    ("18 apples", "18"),
    ("60 \\text{ miles per hour}", "60"),
    ("60 km/h", "60"),
    ("3\\sqrt{13} \\text{ units}", "3\\sqrt{13}"),
    ("$125$ miles", "125"),
    ("90^\\circ", "90"),
    ("90^{\\circ}", "90°"),
    ("90 \\text{ degrees}", "90^\\circ"),
    ("(45^{\\circ}, 60^{\\circ})", "(45,60)"),
    ("\\sin 30^\\circ", "\\frac12"),
    ("\\$36", "36"),
    ("\\$32,\\!348", "32348 dollars"),
    ("28\\%", "28"),
    ("28 percent", "28\\%"),
    // Names, chains, equations.
    ("x=5", "5"),
    ("5 = x", "x = 5"),
    ("k = \\frac13", "1/3"),
    ("a_n=2n+1", "2n+1"),
    ("a_{n} = 2n+1", "a_n = 1+2n"),
    ("x = 5+5+1 = 11", "11"),
    ("x=1/3\\approx 0.33", "\\frac13"),
    ("f(x)=x+1", "f(t)=t+1"),
    ("f(x) = 2x", "y = 2x"),
    ("\\Delta p = 3", "3"),
    ("I_{\\max }=\\frac{1}{2}", "0.5"),
    ("\\angle ABC = 40^\\circ", "40"),
    ("AB = 7", "7"),
    ("\\text{Area} = 12", "12"),
    ("f^{-1}(x) = x-1", "x-1"),
    ("x \\in \\{1,2\\}", "1,2"),
    ("2x+4y-3=0", "y=-\\frac12x+\\frac34"),
    ("x^2/4+y^2/3=1", "x^2/16+y^2/12=1/4"),
    ("y = 2x+3", "2x - y + 3 = 0"),
    ("\\frac{x}{2}=\\frac{y}{3}", "3x=2y"),
    // Inequalities, intervals.
    ("x<1", "-x>-1"),
    ("x\\ge5", "5\\le x"),
    ("x \\geqslant 5", "x>=5"),
    ("x \\ge 5", "[5,\\infty)"),
    ("-2\\le x\\le7", "[-2,7]"),
    ("x\\in[-2,7]", "7 \\ge x \\ge -2"),
    ("0 < x < \\sqrt2", "(0,\\sqrt{2})"),
    ("(-\\infty,1]\\cup[10,\\infty)", "[10,+\\infty)\\cup(-\\infty,1]"),
    ("x<3 \\text{ or } x>5", "(-\\infty,3)\\cup(5,\\infty)"),
    ("|x-3|<2", "1<x<5"),
    ("x^2 \\le 2", "[-\\sqrt2,\\sqrt2]"),
    ("x \\ne 3", "(-\\infty,3)\\cup(3,\\infty)"),
    ("\\mathbb{R}", "(-\\infty,\\infty)"),
    ("\\mathbb{R} \\setminus \\{3\\}", "x \\neq 3"),
    ("[1,2] \\cup [2,3]", "[1,3]"),
    ("(-\\infty, 0) \\cup\\{1\\}", "\\{1\\} \\cup (-\\infty,0)"),
    ("\\{x : x > 2\\}", "(2,\\infty)"),
    ("]0,1[", "(0,1)"),
    // Lists, sets, tuples.
    ("1,2", "2,1"),
    ("6 \\text{ and } 8", "6,8"),
    ("19, 46, and 82", "82, 19, 46"),
    ("x=1 \\text{ or } x=2", "\\{1,2\\}"),
    ("x=1, x=2", "2, 1"),
    ("-12;-11;-10", "\\{-12,-11,-10\\}"),
    ("\\{5\\}", "5"),
    ("\\emptyset", "\\varnothing"),
    ("1\\pm\\sqrt{19}", "1+\\sqrt{19},1-\\sqrt{19}"),
    ("x = 1\\pm\\sqrt{19}", "1 - \\sqrt{19}, 1 + \\sqrt{19}"),
    ("\\pm 2021", "{-2021, 2021}"),
    ("\\{1\\pm\\sqrt5,-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
    ("(\\pm 1, 2)", "(1,2),(-1,2)"),
    ("(1,4.5)", "\\left(1,\\frac{9}{2}\\right)"),
    ("(1,2),(3,4)", "(3,4), (1,2)"),
    ("(x, y) = (1, 2)", "(1,2)"),
    ("x = 1, y = 2", "y=2, x=1"),
    ("x = 1, y = 2", "(1,2)"),
    ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
    ("\\langle 1,2,3\\rangle", "(1,2,3)"),
    ("7:32", "7 : 32"),
    ("3:30", "3:30"),
    // Matrices.
    (
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        "\\begin{bmatrix} 1 & 2 \\\\ 3 & \\frac{8}{2} \\end{bmatrix}",
    ),
    ("\\begin{pmatrix}-1/3\\\\2/3\\end{pmatrix}", "\\frac13\\begin{pmatrix}-1\\\\2\\end{pmatrix}"),
    ("\\begin{array}{cc}1&0\\\\0&1\\end{array}", "\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}"),
    // Formulas.
    ("(x-2)(x+2)", "x^2-4"),
    ("2xy", "2yx"),
    ("2RC+R+C", "C + R(2C+1)"),
    ("\\sec^2y", "\\tan^2 y+1"),
    ("\\sin 2x", "2\\sin x\\cos x"),
    ("\\cot x", "\\frac{\\cos(x)}{\\sin x}"),
    ("\\sin^{-1} x", "\\arcsin(x)"),
    ("\\frac{(n-1)!}{k!}\\frac{n}{(n-k)!}", "\\binom nk"),
    ("\\binom{2n}{n}", "\\frac{(2n)!}{n!^2}"),
    ("\\frac{n(n+1)}{2}", "\\sum_{k=1}^{n} k"),
    ("\\lceil n/2\\rceil", "\\left\\lfloor\\frac{n+1}{2}\\right\\rfloor"),
    ("\\log_2 8", "3"),
    ("\\frac{\\log 2}{\\log 2-\\log 3}", "\\frac{\\ln 2}{\\ln 2-\\ln 3}"),
    ("4, \\log _{10} 2", "\\log 2, 4"),
    ("\\ln(ab)", "\\ln a+\\ln b"),
    ("e^{x+y}", "e^xe^y"),
    ("\\frac{1}{3\\sqrt[3]{x}^2}", "\\frac{1}{3x^{2/3}}"),
    ("6 - 5i", "-5i+6"),
    ("e^{i\\pi/3}", "\\frac{1+i\\sqrt3}{2}"),
    ("(1+i)^2", "2i"),
    ("\\sqrt{-4}", "2i"),
    ("|{-3}|", "3"),
    ("|x|", "\\sqrt{x^2}"),
    ("x^{-1}", "\\frac1x"),
    ("2^{k-n}", "\\frac{2^k}{2^n}"),
    ("v^2_0", "v_0^2"),
    ("-\\frac{\\omega_{L} \\hbar}{c}", "-\\frac{\\hbar \\omega_{L}}{c}"),
    ("f(x)g(x)", "g(x)f(x)"),
    ("\\frac{1}{2}\\left(\\vec{a}+\\vec{b}\\right)", "\\frac{\\vec{a}}{2}+\\frac{\\vec b}{2}"),
    ("x**2 + 2*x + 1", "(x+1)^2"),
    ("3R^2", "3 R^{2}"),
    ("\\frac{x+1}{2y}", "\\frac{x}{2y} + \\frac{1}{2y}"),
    // More ways in which people write such things.
    ("|AB|=2", "2"),
    ("(1;2)", "(1,2)"),
    ("[-1;2]", "[-1,2]"),
    ("(-\\infty;-1)\\cup(1;+\\infty)", "(-\\infty,-1)\\cup(1,\\infty)"),
    ("1.5 \\mathrm{~cm}", "1.5"),
    ("10 \\mathrm{~m} / \\mathrm{s}", "10"),
    ("20^{\\circ} \\mathrm{C}", "20"),
    ("6.7 \\times 10^{-11} \\mathrm{~N} \\mathrm{~m}^2", "6.7e-11"),
    ("\\angle A=60^{\\circ}", "60"),
    ("x_{1}=1, x_{2}=2", "1,2"),
    ("\\frac{\\pi}{4}+\\pi k, k \\in \\mathbb{Z}", "x = \\frac{\\pi}{4}+k\\pi"),
    ("\\text{6:00 PM}", "6:00 PM"),
    ("3:00 \\mathrm{PM}", "3:00 pm"),
    ("\\tan^{-1}(x)", "\\arctan x"),
    ("\\sqrt{\\frac{q_0}{2LC}}", "\\frac{\\sqrt{q_0}}{\\sqrt{2LC}}"),
    ("a=b=5", "5"),
    ("\\mathrm{Monday}", "Monday"),
    ("2^{2006}-2", "2(2^{2005}-1)"),
    ("\\text{2 or 3}", "2,3"),
    ("(0,0), (1,1)", "(1,1)\\text{ and }(0,0)"),
    ("1/2 \\text{ hour}", "30 \\text{ minutes}"),
    ("\\frac{1}{2}\\%", "0.5\\%"),
    ("x\\in\\{-1,3\\}", "x=-1\\text{ or }x=3"),
    ("{5}^{2}", "25"),
    ("e^{-x}", "\\frac{1}{e^x}"),
    ("\\$1.50", "1.5"),
    ("5.", "+5"),
    ("(3,3,2,3),(1,2,3,4)", "(1,2,3,4),(3,3,2,3),(1,2,3,4)"),
    ("0 < f(x) < 1", "(0,1)"),
    ("\\{1,2,2\\}", "\\{2,1\\}"),
    ("x > 2 \\text{ and } x \\neq 3", "(2,3)\\cup(3,\\infty)"),
    ("\\frac{(1+x)^{40}}{(1+x)^{39}}", "x+1"),
];

/// What must not be equal, either way round.
const DIFFERENT: &[(&str, &str)] = &[
    ("13535", "13536"),
    ("28800", "28801"),
    ("2500,7500", "2500,7502"),
    ("10^{10^{10^{10}}}", "10^{10}"),
    ("10^{10}+\\sqrt2", "10^{10}+\\sqrt3"),
    ("2^{1000}", "2^{1000}+1"),
    ("\\sqrt{2}", "1.414"),
    ("\\sqrt{2}", "1.4142136000"),
    ("1/3", "0.333"),
    ("100/3", "33.3"),
    ("5", "5.0000001"),
    ("0.333333", "0.3333333"),
    ("2\\frac58", "2\\cdot\\frac58"),
    ("52_8", "52"),
    ("52_8", "52_9"),
    ("52_8", "42"),
    ("1112112_3", "1112122_3"),
    ("1,-2", "1,2"),
    ("32, 349", "32349"),
    ("1,234,5", "12345"),
    ("odd", "oddd"),
    ("d", "E"),
    ("x", "X"),
    ("E", "\\mathrm{E}*2"),
    ("\\text{none}", "0"),
    ("(a+5)(b+2)", "(+5)(b+2)"),
    ("5 \\text{ km}", "5 \\text{ m}"),
    ("2 \\text{ hours}", "2 \\text{ minutes}"),
    ("5 \\text{ cm}", "5 \\text{ seconds}"),
    ("15 \\text{ cm}^2", "15 \\text{ cm}^3"),
    ("36 dollars", "36 cents"),
    ("5m", "5"),
    ("4 million", "4"),
    ("3 \\text{ am}", "3 \\text{ pm}"),
    ("10\\%", "0.1"),
    ("28\\%", "0.28"),
    ("90^\\circ", "\\frac{\\pi}{2}"),
    ("\\sin 30^\\circ", "\\sin 30"),
    ("7 = 11a+c", "11a+c"),
    ("2x+z=1", "1"),
    ("a +3z = 0", "0"),
    ("xy = 5", "5"),
    ("x^2 = 5", "5"),
    ("x=5", "y=5"),
    ("x=5", "x=-5"),
    ("x^2+y^2=1", "x^2-y^2=1"),
    ("x^2+y^2=1", "x^2+y^2=2"),
    ("y=2x", "y=-2x"),
    ("x>5", "x<5"),
    ("x>5", "x\\ge5"),
    ("x>5", "5"),
    ("x<1", "x > -1"),
    ("[0,1)", "[0,1]"),
    ("(0,9)", "[0,9)"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "\\{1,2\\}"),
    ("(1,2)", "1,2"),
    ("[5,\\infty)", "x > 5"),
    ("-2\\le x\\le7", "(-2,7)"),
    ("x^2 \\le 2", "(-\\sqrt2,\\sqrt2)"),
    ("x^2 > 0", "\\mathbb{R}"),
    ("(-\\infty,3)\\cup(3,\\infty)", "(-\\infty,\\infty)"),
    ("(-\\infty, 0) \\cup\\{1\\}", "(-\\infty,0)"),
    ("10,11", "10,11,-1"),
    ("1,1,2", "1,2,2"),
    ("2,2,3", "2,3"),
    ("\\pm2021", "2021"),
    ("1\\pm\\sqrt{19}", "1+\\sqrt{19}"),
    ("x=1, y=2", "x=2, y=1"),
    ("p=5,q=2;p=7,q=2", "(2,5),(2,7)"),
    ("a_3 = 2, a_{37} = 19", "a_3 = 19, a_{37} = 2"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "-\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "1,2,3,4"),
    ("12:00", "1:00"),
    ("3:4", "4:3"),
    ("7:32", "14:64"),
    ("\\sqrt{x^2}", "x"),
    ("x^2", "x^3"),
    ("f(-x)", "-f(x)"),
    ("f'", "f"),
    ("a_1", "a_2"),
    ("x+2n+1", "x+1"),
    ("\\lfloor n/2 \\rfloor", "n/2"),
    ("(-1)^n", "1"),
    ("\\ln 2", "\\log_{10} 2"),
    ("\\frac{n(n+1)}{2}", "\\sum_{k=1}^{n} k^2"),
    ("6-5i", "6+5i"),
    ("-[0,1)", "1"),
    ("\\frac{34}{16}+\\frac{\\sqrt{1358}}{16}", "4"),
    ("\\infty", "-\\infty"),
    ("0", "\\emptyset"),
    ("0", "1/0"),
    ("n!", "n"),
    ("3:00 PM", "3:00 AM"),
    ("\\frac{\\pi}{4}+\\pi k, k\\in\\mathbb{Z}", "\\frac{\\pi}{4}+2\\pi k"),
    ("(1;2)", "(2;1)"),
    ("\\sqrt{17}", "\\sqrt[3]{17}"),
    ("1{,}000", "1"),
    ("5!", "5"),
    ("[1,2]\\cup[3,4]", "[1,4]"),
    ("A", "\\text{A and B}"),
    ("10^{10}x+1", "10^{10}x+2"),
    ("(1+x)^{40}", "(1+x)^{40}+10^{-20}"),
    ("x^2 \\sin y", "x^2 \\sin x"),
    ("20^{\\circ} \\mathrm{C}", "20^{\\circ} \\mathrm{F}"),
    ("x > 2 \\text{ or } x < 1", "x > 2 \\text{ and } x < 1"),
    ("20 \\mathrm{~m}", "20 \\mathrm{~s}"),
];

#[test]
fn what_says_the_same_is_equal() {
    let wrong: Vec<_> = EQUAL
        .iter()
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .filter(|(gold, answer)| verdict(gold, answer) != Verdict::Equal)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_says_something_else_is_not() {
    let wrong: Vec<_> = DIFFERENT
        .iter()
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .filter(|(gold, answer)| verdict(gold, answer) == Verdict::Equal)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn switches_are_for_what_people_disagree_about() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        move |gold: &str, answer: &str| equal(gold, answer, &options) == Verdict::Equal
    };
    let ordered = with(|it| it.lists = Order::Kept);
    assert!(!ordered("10, 4, -2", "4, 10, -2") && ordered("10, 4, -2", "10,4,-2"));
    let no_brackets = with(|it| it.brackets = Brackets::Ignored);
    assert!(
        no_brackets("(1,3)", "\\{1,3\\}") && no_brackets("(1,3)", "1,3") && no_brackets("(1,3)", "[1,3]")
    );
    assert!(!no_brackets("(3,1)", "\\{1,3\\}"));
    let share = with(|it| it.percent = Percent::AlsoShare);
    assert!(share("60\\%", "0.6") && share("0.6", "60\\%") && share("60\\%", "60") && !share("60\\%", "6"));
    let rounded = with(|it| it.rounded_decimals = Some(3));
    assert!(rounded("\\frac{\\sqrt{3}}{3}", "0.577") && !rounded("\\frac{\\sqrt{3}}{3}", "0.578"));
    assert!(rounded("1/3", "0.333") && !rounded("1/3", "0.33"));
    assert!(rounded("(\\frac35,\\frac83]", "(0.6,2.6667]"));
    let exact = with(|it| it.rounded_decimals = None);
    assert!(!exact("\\frac{1}{12}", "0.0833333333333333") && exact("1/4", "0.25"));
}

#[test]
fn words_for_mathematics_are_unparsable() {
    for answer in ["", "  ", "\\boxed{}", "five", "I do not know", "the answer"] {
        assert_eq!(verdict("5", answer), Verdict::Unparsable, "{answer}");
    }
    for (gold, answer) in
        [("5", "6"), ("Evelyn", "Carla"), ("\\text{yes}", "5"), ("5", "1, 2"), ("[0,1]", "x")]
    {
        assert_eq!(verdict(gold, answer), Verdict::Different, "{gold} {answer}");
    }
}

/// Texts whose value, depth or expansion is out of proportion to their length.
fn hostile() -> Vec<String> {
    let within = |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let list = |item: &str| vec![item; 120].join(",");
    vec![
        within("{", 3000, "}"),
        within("(", 64, ")"),
        within("\\frac{1}{1+", 60, "}"),
        within("\\sqrt{1+", 60, "}"),
        within("|", 100, "|"),
        "9^".repeat(60) + "9",
        "2^{2^{2^{2^{2^{2}}}}}".to_owned(),
        "10^{10^{10^{10}}}".to_owned(),
        "((((9^9)^9)^9)^9)^9".to_owned(),
        "1000!".to_owned(),
        "999!!!!".to_owned(),
        "(999!)!".to_owned(),
        "5000!+1".to_owned(),
        "\\binom{1000}{500}".to_owned(),
        "\\binom{10^9}{5}".to_owned(),
        "\\sum_{k=1}^{10^9} k".to_owned(),
        "\\sum_{a=1}^{200}\\sum_{b=1}^{200}\\sum_{c=1}^{200} abc".to_owned(),
        "(a+b+c+d+e+f)^{500}".to_owned(),
        "(1+x)".repeat(150),
        (1..200).map(|it| format!("\\frac{{1}}{{{it}x+1}}+")).collect::<String>() + "1",
        "\\pm".repeat(60) + "1",
        list("1\\pm\\sqrt{2}"),
        list("\\frac{x+1}{x+2}"),
        list("(1,2)"),
        "1e4000+x".to_owned(),
        "1e99999999999999999999".to_owned(),
        "7".repeat(1900),
        "7".repeat(1_000_000),
        "x_".repeat(500),
        "\\begin{pmatrix}".repeat(50),
        "\\begin{pmatrix}".to_owned() + &"1&".repeat(300) + "1\\end{pmatrix}",
        "-".repeat(1900) + "1",
        "\\text{".repeat(300),
        "\\sin".repeat(300) + "x",
        "1/0".to_owned(),
        "0^0".to_owned(),
        "0^{-1}".to_owned(),
        "\\log_1 5".to_owned(),
        "\\sqrt[0]{5}".to_owned(),
        "x>".repeat(200) + "1",
    ]
}

/// Every pair ends: the test would not, if a bound were missing.
#[test]
fn hostile_answers_take_bounded_work() {
    let hostile = hostile();
    for (at, gold) in hostile.iter().enumerate() {
        // Each is equal to itself in another layout, or cannot be told; it is never equal to its neighbour.
        verdict(gold, &format!("\\displaystyle {gold}+0"));
        assert_eq!(verdict(gold, gold), Verdict::Equal, "{gold:.80}");
        let other = &hostile[(at + 1) % hostile.len()];
        assert_ne!(verdict(gold, other), Verdict::Equal, "{gold:.80} {other:.80}");
    }
}

/// Real answers with a sign removed, doubled or exchanged for one of another answer.
#[test]
fn mutated_answers_are_read() {
    let golds: Vec<&str> = EQUAL.iter().chain(DIFFERENT).flat_map(|it| [it.0, it.1]).collect();
    for index in 0..4000 {
        let mut draws = Seed::new(21).nth(index).draws();
        let gold = *draws.pick(&golds);
        let mut signs: Vec<char> = gold.chars().collect();
        for _ in 0..draws.between(1, 3) {
            let at = draws.below(signs.len());
            match draws.below(3) {
                0 if 1 < signs.len() => drop(signs.remove(at)),
                1 => signs.insert(at, signs[at]),
                _ => {
                    let other: Vec<char> = draws.pick(&golds).chars().collect();
                    signs[at] = other[draws.below(other.len())];
                }
            }
        }
        let mutated: String = signs.into_iter().collect();
        let (there, back) = (verdict(gold, &mutated), verdict(&mutated, gold));
        assert_eq!(there == Verdict::Equal, back == Verdict::Equal, "{gold} {mutated}");
        assert_eq!(verdict(gold, &mutated), there, "a verdict is always the same");
    }
}

/// Fractions in different spellings: equal exactly where their values are.
#[test]
fn equality_of_numbers_is_equality_of_values() {
    let mut draws = Seed::new(22).draws();
    let spelled = |draws: &mut Draws, above: i64, below: i64| {
        let scale = draws.between(1, 4);
        let (a, b) = (above * scale, below * scale);
        match draws.below(6) {
            0 => format!("{a}/{b}"),
            1 => format!("\\frac{{{a}}}{{{b}}}"),
            2 => format!("{a}\\cdot\\frac{{1}}{{{b}}}"),
            3 => format!("\\frac{{{a}\\sqrt{{2}}}}{{{b}\\sqrt 2}}"),
            4 => format!("x = \\left({a}\\right) / {b} \\text{{ cm}}"),
            _ => format!("\\frac{{{}+t}}{{{b}}} - \\frac{{t+1}}{{{b}}}", a + 1),
        }
    };
    for _ in 0..1500 {
        let (a, b, c, d) =
            (draws.between(-6, 6), draws.between(1, 6), draws.between(-6, 6), draws.between(1, 6));
        let (left, right) = (spelled(&mut draws, a, b), spelled(&mut draws, c, d));
        assert_eq!(verdict(&left, &right) == Verdict::Equal, a * d == c * b, "{left} {right}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged(gold in any::<String>(), answer in any::<String>()) {
        verdict(&gold, &answer);
        prop_assert_eq!(verdict(&answer, &answer) == Verdict::Equal, !committed(&answer).is_empty());
    }
}
