//! Averages that AZR and R-Zero report, and what they report in their tables.

use kelvin_core::benchmark::Profile;

/// Benchmarks that a paper averages.
pub(crate) struct Group {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// What the paper calls it.
    pub(crate) title: &'static str,
    /// Means of which the average is taken; each the mean of some benchmarks.
    parts: &'static [&'static [&'static str]],
    /// Published averages.
    pub(crate) published: &'static [(&'static str, f64)],
    /// How these were obtained.
    pub(crate) conditions: &'static str,
}

const AZR_CODE: &[&str] = &["humaneval-plus", "mbpp-plus", "livecodebench"];
const AZR_MATHS: &[&str] = &["aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench"];
const R_ZERO_MATHS: &[&str] = &[
    "amc23-r-zero",
    "minerva-r-zero",
    "math500-r-zero",
    "gsm8k",
    "olympiadbench-r-zero",
    "aime25-r-zero",
    "aime24-r-zero",
];
const GREEDY: &str =
    "AZR table 1, greedy, one response; EvalPlus through a chat template with an answer that is begun";
const JUDGED: &str =
    "R-Zero; wrong answers of mathematics were judged once more by GPT-4o, which nothing here does";

/// All groups.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "azr-code",
        title: "AZR Code",
        parts: &[AZR_CODE],
        published: &[
            ("Qwen2.5-7B", 52.0),
            ("Qwen2.5-7B-Coder", 56.6),
            ("AZR-Base-7B", 55.2),
            ("AZR-Coder-7B", 61.6),
            ("Llama3.1-8B", 28.5),
        ],
        conditions: GREEDY,
    },
    Group {
        name: "azr-math",
        title: "AZR Math",
        parts: &[AZR_MATHS],
        published: &[
            ("Qwen2.5-7B", 27.5),
            ("Qwen2.5-7B-Coder", 23.9),
            ("AZR-Base-7B", 38.4),
            ("AZR-Coder-7B", 39.1),
            ("Llama3.1-8B", 3.4),
        ],
        conditions: GREEDY,
    },
    Group {
        name: "azr",
        title: "AZR overall",
        parts: &[AZR_CODE, AZR_MATHS],
        published: &[
            ("Qwen2.5-7B", 39.8),
            ("Qwen2.5-7B-Coder", 40.2),
            ("AZR-Base-7B", 46.8),
            ("AZR-Coder-7B", 50.4),
            ("Llama3.1-8B", 16.0),
        ],
        conditions: GREEDY,
    },
    Group {
        name: "r-zero-math",
        title: "R-Zero Math",
        parts: &[R_ZERO_MATHS],
        published: &[
            ("Qwen3-4B-Base", 42.58),
            ("R-Zero 4B iter 3", 49.07),
            ("Qwen3-8B-Base", 49.18),
            ("R-Zero 8B iter 3", 54.69),
        ],
        conditions: JUDGED,
    },
    Group {
        name: "r-zero",
        title: "R-Zero overall",
        parts: &[R_ZERO_MATHS, &["supergpqa"], &["mmlu-pro"], &["bbeh"]],
        published: &[
            ("Qwen3-4B-Base", 27.10),
            ("R-Zero 4B iter 3", 34.64),
            ("Qwen3-8B-Base", 34.49),
            ("R-Zero 8B iter 3", 38.73),
        ],
        conditions: JUDGED,
    },
];

impl Group {
    /// The benchmarks in it; R-Zero's way of asking is one of profile `paper` alone.
    pub(crate) fn members(&self, profile: Profile) -> Vec<&'static str> {
        self.parts.iter().flat_map(|it| it.iter()).map(|it| under(it, profile)).collect()
    }

    /// The average, where all benchmarks have a score.
    pub(crate) fn average(&self, profile: Profile, score: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len() as f64;
        let part = |it: &&[&'static str]| {
            Some(mean(&it.iter().map(|it| score(under(it, profile))).collect::<Option<Vec<f64>>>()?))
        };
        Some(mean(&self.parts.iter().map(part).collect::<Option<Vec<f64>>>()?))
    }
}

fn under(name: &'static str, profile: Profile) -> &'static str {
    match profile {
        Profile::Paper => name,
        Profile::Clean => name.strip_suffix("-r-zero").unwrap_or(name),
    }
}

/// What papers report of one benchmark, in per cent, by model.
pub(crate) fn published(benchmark: &str) -> Vec<(&'static str, f64)> {
    const AZR_MODELS: [&str; 5] =
        ["Qwen2.5-7B", "Qwen2.5-7B-Coder", "AZR-Base-7B", "AZR-Coder-7B", "Llama3.1-8B"];
    const R_ZERO_MODELS: [&str; 4] =
        ["Qwen3-4B-Base", "R-Zero 4B iter 3", "Qwen3-8B-Base", "R-Zero 8B iter 3"];
    let azr = |values: [f64; 5]| AZR_MODELS.into_iter().zip(values).collect();
    let r_zero = |values: [f64; 4]| R_ZERO_MODELS.into_iter().zip(values).collect();
    match benchmark {
        "humaneval-plus" => azr([73.2, 80.5, 71.3, 83.5, 31.7]),
        "mbpp-plus" => azr([65.3, 69.3, 69.1, 69.6, 53.7]),
        "livecodebench" => azr([17.5, 19.9, 25.3, 31.7, 0.0]),
        "aime24" => azr([6.7, 6.7, 13.3, 20.0, 0.0]),
        "aime25" => azr([3.3, 3.3, 13.3, 10.0, 0.0]),
        "amc23" => azr([37.5, 40.0, 52.5, 57.5, 2.5]),
        "math500" => azr([64.8, 54.0, 74.4, 72.6, 10.6]),
        "minerva" => azr([25.0, 17.3, 38.2, 36.4, 5.5]),
        "olympiadbench" => azr([27.7, 21.9, 38.5, 38.2, 2.1]),
        "amc23-r-zero" => r_zero([45.7, 57.3, 52.0, 61.7]),
        "minerva-r-zero" => r_zero([38.2, 52.9, 50.0, 60.7]),
        "math500-r-zero" => r_zero([68.2, 79.6, 78.0, 82.0]),
        "gsm8k" => r_zero([87.8, 92.1, 89.1, 94.1]),
        "olympiadbench-r-zero" => r_zero([41.0, 44.6, 44.7, 48.9]),
        "aime25-r-zero" => r_zero([6.15, 4.27, 16.7, 19.2]),
        "aime24-r-zero" => r_zero([10.9, 12.7, 13.9, 16.4]),
        "supergpqa" => r_zero([20.88, 27.55, 28.33, 31.38]),
        "mmlu-pro" => r_zero([37.38, 51.53, 51.80, 58.23]),
        "bbeh" => r_zero([7.57, 10.42, 8.63, 10.60]),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kelvin_env::benchmarks::named;

    use super::*;

    /// The published averages are the means of the published cells, so the groups are the papers'. A cell is rounded to
    /// a tenth, and so is an average.
    #[test]
    fn groups_average_as_the_papers_do() {
        for group in GROUPS {
            for (model, average) in group.published {
                let cell = |name: &str| published(name).into_iter().find(|it| it.0 == *model).map(|it| it.1);
                let mean = group.average(Profile::Paper, cell).expect("every cell is published");
                assert!((mean - average).abs() < 0.11, "{} of {model}: {mean} for {average}", group.name);
            }
        }
    }

    #[test]
    fn members_are_benchmarks_in_both_profiles() {
        for profile in [Profile::Clean, Profile::Paper] {
            for member in GROUPS.iter().flat_map(|it| it.members(profile)) {
                assert!(named(member).is_some(), "{member}");
            }
        }
    }
}
