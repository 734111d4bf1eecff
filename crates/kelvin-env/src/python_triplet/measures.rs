//! What a task's program and values show without running anything (azr.md sections 4.3 and 5.4).

use kelvin_core::measures::{Distance, Extent, Measures, TypedText, Values};
use kelvin_python::{
    arguments::parse_arguments,
    program::{compat_distance, complexity, distance, lines},
    value::parse_literal,
};

use super::Problem;

/// `None` where the program does not parse, which that of a validated task does.
pub(super) fn measures(problem: &Problem, extent: Extent) -> Option<Measures> {
    let program = within(problem, extent);
    let complexity = complexity(program).ok()?;
    let lines = lines(program);
    Some(Measures {
        program_lines: lines.n_code as f64,
        comment_density: lines.comment_density(),
        complexity: complexity.cognitive_score(),
        halstead: complexity.halstead_score(),
        maintainability: complexity.maintainability_score(&lines),
    })
}

/// Between two tasks' programs.
pub(super) fn between(problem: &Problem, reference: &Problem, kind: Distance, extent: Extent) -> f64 {
    let [a, b] = [problem, reference].map(|it| within(it, extent));
    match kind {
        Distance::Tokens => distance(a, b),
        Distance::Compat => compat_distance(a, b),
    }
}

fn within(problem: &Problem, extent: Extent) -> &str {
    match extent {
        Extent::Own => problem.own_program(),
        Extent::Whole => problem.program(),
    }
}

/// Every value with its type. Several arguments are a `tuple`; what is no literal, and arguments by keyword, are `str`.
pub(super) fn values(problem: &Problem) -> Values {
    let pairs = problem.pairs();
    let typed = |type_name: &'static str, text: &str| TypedText { type_name, text: text.to_owned() };
    Values {
        inputs: pairs.iter().map(|(input, _)| typed(type_of_arguments(input), input)).collect(),
        outputs: pairs
            .iter()
            .map(|(_, output)| typed(parse_literal(output).map_or("str", |it| it.type_name()), output))
            .collect(),
    }
}

fn type_of_arguments(text: &str) -> &'static str {
    match parse_arguments(text) {
        Ok(arguments) if arguments.keywords.is_empty() => match arguments.positional.as_slice() {
            [] => "str",
            [value] => value.type_name(),
            [_, _, ..] => "tuple",
        },
        Ok(_) | Err(_) => "str",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_triplet::Composition;

    fn triplet(program: &str, input: &str, output: &str) -> Problem {
        Problem::triplet(program.into(), input.into(), output.into())
    }

    #[test]
    fn types_are_those_of_the_original() {
        for (input, type_name) in [
            ("1", "int"),
            ("[1, 2]", "list"),
            ("1, 2", "tuple"),
            ("(1, 2)", "tuple"),
            ("'a, b'", "str"),
            ("b=1, a=2", "str"),
            ("", "str"),
            ("None", "NoneType"),
            ("x + y", "str"),
        ] {
            let values = values(&triplet("def f(): pass", input, "{1: 2}"));
            assert_eq!((values.inputs[0].type_name, values.inputs[0].text.as_str()), (type_name, input));
            assert_eq!(values.outputs[0].type_name, "dict");
        }
    }

    #[test]
    fn helpers_count_in_the_whole_program_alone() {
        let own = "def f(x):\n    # one\n    return g_0(x)";
        let helper = "def g_0(x):\n    if x:\n        return 1\n    return 2\n";
        let whole = Problem::Triplet {
            program: format!("{helper}{own}"),
            input: "1".into(),
            output: "1".into(),
            composition: Some(Composition {
                original_snippet: own.into(),
                composite_functions: vec![helper.into()],
            }),
        };
        let measured = measures(&whole, Extent::Own).unwrap();
        assert_eq!((measured.program_lines, measured.comment_density, measured.complexity), (2.0, 0.5, 0.0));
        assert_eq!(measures(&whole, Extent::Whole).unwrap().program_lines, 6.0);
        assert_eq!(measures(&whole, Extent::Whole).unwrap().complexity, 1.0 / 15.0);
        for kind in [Distance::Tokens, Distance::Compat] {
            assert!(between(&whole, &triplet(own, "1", "1"), kind, Extent::Own) < 1e-9, "{kind:?}");
            assert!(0.1 < between(&whole, &triplet(own, "1", "1"), kind, Extent::Whole), "{kind:?}");
        }
    }
}
