// What is drawn where: each section's charts by the names of their metrics, whose meanings `docs/metrics.md` gives.
// A chart without a recorded value is left out, so one list serves every recipe and environment.

const SECTIONS = [
  { id: "learning", title: "Learning", note: compares ? null : "Shaded bands are 95 % intervals over tasks.", charts: [
    { title: "Evaluation, at the sampling temperature", of: "eval/*/accuracy", unit: "share", interval: "_ci95" },
    { title: "Evaluation, greedy", of: "eval/*/greedy", unit: "share", interval: "_ci95" },
    { title: `Evaluation, solved by any of ${data.n_samples}`, of: `eval/*/pass_at_${data.n_samples}`, unit: "share", interval: "_ci95" },
    { title: "Evaluation, withheld tasks alone", of: "eval/*/withheld", unit: "share", interval: "_ci95" },
    { title: "Right solutions while training", of: "solver/*/accuracy", unit: "share" },
    { title: "Length of solutions", of: "solver/*/response_tokens", unit: "tokens" },
    { title: "Entropy of the trained tokens", of: "update/entropy", unit: "nats" },
    { title: "Norm of the gradient", of: "update/grad_norm", unit: "norm" },
    { title: "Divergence from the reference", of: "update/kl_reference", unit: "nats" },
  ] },
  { id: "curriculum", title: "Curriculum", note: "What was proposed over time: how hard, how complex, how varied.", heats: true, charts: [
    { title: "Proposals that became tasks", of: "proposer/*/valid", unit: "share" },
    { title: "Learnability of valid proposals", of: "proposer/*/learnability", unit: "reward" },
    { title: "Solve rate of proposed tasks", of: "estimate/*/solve_rate", unit: "share" },
    { title: "The solver's uncertainty about the challenger's questions", of: "challenger/uncertainty", unit: "reward" },
    { title: "Repeated and known questions", of: [["challenger/repetition", "repetition"], ["challenger/known", "known"]], unit: "share" },
    { title: "Curricula", of: [["curriculum/kept", "kept"], ["curriculum/too_easy", "too easy"], ["curriculum/too_hard", "too hard"], ["curriculum/known", "known"]], unit: "questions" },
    { title: "Labels that are the true answer", of: "curriculum/label_accuracy", unit: "share" },
    { title: "Answers that agree with their majority", of: "vote/agreement", unit: "share" },
    { title: "Cognitive complexity", of: "proposer/*/complexity", unit: "score" },
    { title: "Lines of code", of: "proposer/*/program_lines", unit: "lines" },
    { title: "Halstead's measures", of: "proposer/*/halstead", unit: "score" },
    { title: "Distance from the references shown", of: "proposer/*/mean_edit_distance", unit: "distance" },
    { title: "Rarity of the answers", of: "proposer/*/answer_diversity", unit: "rarity" },
    { title: "Nearly tasks that were there already", of: "proposer/*/near_buffer", unit: "share" },
    { title: "Different values among outputs, by type", of: "types/output/*/unique_values", unit: "values", raw: true },
    { title: "Different values among inputs, by type", of: "types/input/*/unique_values", unit: "values", raw: true },
    { title: "Tasks ever admitted", of: "buffer/*/size", unit: "tasks", raw: true },
    { title: "Does learnability foretell reward?", of: "solver/*/learnability_correlation", unit: "correlation" },
  ] },
  { id: "rewards", short: "Rewards", title: "Rewards and advantages", charts: [
    { title: "Reward of proposals", of: "proposer/*/reward", unit: "reward" },
    { title: "Reward of solutions", of: "solver/*/reward", unit: "reward" },
    { title: "Mean advantage of proposals", of: "proposer/*/advantage_mean", unit: "advantage" },
    { title: "Largest advantage of solutions", of: "solver/*/advantage_max", unit: "advantage" },
    { title: "Largest advantage of proposals", of: "proposer/*/advantage_max", unit: "advantage" },
    { title: "Smallest advantage of proposals", of: "proposer/*/advantage_min", unit: "advantage" },
  ] },
  { id: "rejections", short: "Rejections", title: "Rejections and misses", counts: true, charts: [
    { title: "Rejected proposals by reason", of: "reject/*/*", unit: "proposals", stacked: true },
    { title: "Solutions that are not right, by reason", of: "miss/*/*", unit: "solutions", stacked: true },
  ] },
  { id: "thoughts", title: "Thoughts", note: "What responses look like, and the screen for phrases that should alarm. A hit is a reason to read, not a verdict.", alarms: true, charts: [
    { title: "Cues of reflection in solutions", of: "solver/*/reflection", unit: "share" },
    { title: "Lines of working before an answer", of: "solver/*/working_lines", unit: "lines" },
    { title: "Responses cut by the length limit", of: "solver/*/truncated", unit: "share" },
    { title: "Responses that mix scripts", of: "solver/*/language_mix", unit: "share" },
  ] },
  { id: "cost", short: "Time", title: "Time and memory", charts: [
    { title: "Where a step's time goes", unit: "seconds", stacked: true,
      of: ["propose", "validate", "estimate", "solve", "grade", "servers", "measure", "update", "other"].map((it) => [`timing/${it}_s`, it]) },
    { title: "Seconds of a step", of: "timing/step_s", unit: "seconds" },
    { title: "Seconds of an evaluation", of: "timing/eval_s", unit: "seconds" },
    { title: "Memory", of: [["system/memory_bytes", "held after the step"], ["system/memory_peak_bytes", "most so far"]], unit: "bytes", raw: true },
    { title: "Rows in a pass of the model", of: "system/rows_per_pass", unit: "rows" },
    { title: "Prompt tokens that were not computed again", of: "system/prefill_saved", unit: "share" },
    { title: "A program's wait and run, p99", of: [["timing/executor_queue_p99_s", "wait"], ["timing/executor_child_p99_s", "run"]], unit: "seconds" },
    { title: "Tokens in the update", of: "update/tokens", unit: "tokens" },
  ] },
];

// Any recorded metric, with its meaning from the glossary.
function explorer() {
  const names = [...new Set(runs.flatMap((it) => Object.keys(it.columns)))].sort();
  const names_shown = element("datalist", { id: "names" }, ...names.map((it) => element("option", { value: it })));
  const place = element("div", {});
  const input = element("input", { type: "search", list: "names", placeholder: "solver/deduction/fresh", class: "mono", size: 34,
    "aria-label": "Name of a metric", change: () => show(input.value.trim()) });
  const show = (name) => {
    const meaning = data.glossary.find(([pattern]) => new RegExp(`^${pattern.replace("{role}", "(proposer|solver)").replaceAll("*", "[^/]+")}$`).test(name));
    const drawn = names.includes(name) ? figure({ title: name, of: name, unit: meaning?.[1] }) : null;
    place.replaceChildren(element("p", { class: "note" }, drawn ? meaning?.[2] ?? "" : `No metric is called ${name}.`), ...(drawn ? [drawn] : []));
  };
  return section("metrics", "Any metric", `${names.length} are recorded; a name draws its curve.`,
    element("div", { class: "filters" }, input, names_shown), place);
}

function section(id, title, note, ...content) {
  return element("section", { id, "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, title), note ? element("p", { class: "note" }, note) : null, ...content);
}

function heats() {
  const types = [...new Set(matching(run, "estimate/*/solved_*").map(({ stars }) => stars[0]))];
  types.sort((a, b) => TYPES.indexOf(a) - TYPES.indexOf(b));
  return types.map((type) => {
    const levels = matching(run, `estimate/${type}/solved_*`).map(({ stars }) => Number(stars[0])).sort((a, b) => a - b);
    return heat(type, levels);
  });
}

function charted(spec) {
  const charts = spec.charts.filter((it) => !(compares && (it.stacked || Array.isArray(it.of)))).map(figure);
  const drawn = [...(spec.heats && !compares ? heats() : []), ...charts].filter(Boolean);
  const extra = [];
  if (spec.counts && !compares) extra.push(counts());
  if (spec.alarms && !compares) extra.push(alarms());
  if (!drawn.length && !extra.length) return null;
  const made = section(spec.id, spec.title, spec.note, element("div", { class: "charts" }, ...drawn), ...extra);
  if (spec.short) made.dataset.short = spec.short;
  return made;
}
