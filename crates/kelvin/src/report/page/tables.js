// The summary, counts, what alarmed, and the settings with the divergences that they choose among.

function tile(name, value, more) {
  return element("div", { class: "card tile" }, element("div", { class: "name" }, name),
    element("div", { class: "value" }, value), element("div", { class: "more" }, more ?? ""));
}

const percent = (share) => (100 * share).toFixed(1);
const measured = (it) => (it ? `${percent(it.mean)}${it.half === null ? "" : ` ±${percent(it.half)}`}` : "");
const gained = (it) => (it ? number(`${0 < it.mean ? "+" : ""}${measured(it)}`, it.half === null || Math.abs(it.mean) <= it.half ? "" : 0 < it.mean ? "good" : "bad") : "");

function tiles() {
  const ends = data.ends.find((it) => it.row === "mean" && it.key === "accuracy");
  const total = (name) => sum(column(run, name));
  const seconds = total("timing/seed_s") + total("timing/step_s") + total("timing/eval_s") + total("timing/benchmark_s");
  const valid = matching(run, "proposer/*/valid").map(({ name }) => mean(column(run, name)));
  const memory = present(column(run, "system/memory_peak_bytes"));
  const labels = last(column(run, "curriculum/label_accuracy"));
  const steps = Math.max(...run.steps);
  return element("div", { class: "tiles" }, ...[
    ends && tile("Evaluation, mean", `${percent(ends.first.mean)} → ${percent(ends.last.mean)} %`, `±${percent(ends.last.half)} over tasks, at step ${ends.steps[1]}`),
    tile("Steps", String(steps), run.asked <= steps ? "all that were asked for" : `of ${run.asked} asked for`),
    tile("Tasks posed", spoken(data.tasks.total), valid.length ? `${(100 * mean(valid)).toFixed(0)} % of proposals are valid` : ""),
    labels !== undefined && tile("True labels", spoken(labels, "share"), "of the last curriculum, audited"),
    0 < seconds && tile("Time", duration(seconds), `${duration(mean(column(run, "timing/step_s")))} a step`),
    memory.length && tile("Most memory", spoken(Math.max(...memory), "bytes"), "of this process"),
    column(run, "alarms/responses") && tile("Responses that alarm", spoken(total("alarms/responses")), total("alarms/responses") ? "a reason to read, not a verdict" : "by the screen for phrases"),
  ].filter(Boolean));
}

const KEYS = { accuracy: "at the sampling temperature", greedy: "greedy", withheld: "withheld tasks alone" };
const keyName = (key) => KEYS[key] ?? (key.startsWith("pass_at_") ? `solved by any of ${key.slice(8)}` : key);

// Before and after: of a run with intervals over tasks, of several seeds with intervals over seeds.
function endsTable() {
  if (!data.ends.length) return element("p", { class: "note" }, "No evaluation was recorded.");
  const keys = [...new Set(data.ends.map((it) => it.key))];
  const place = element("div", { class: "card" });
  const show = (key) => place.replaceChildren(compares ? comparedEnds(key) : runEnds());
  show(keys[0]);
  const choose = compares ? choice("Measured", keys.map((it) => [it, keyName(it)]), keys[0], show) : null;
  return element("div", {}, choose && element("div", { class: "filters" }, choose), place);
}

function runEnds() {
  const rows = [...new Set(data.ends.map((it) => it.row))];
  const keys = [...new Set(data.ends.map((it) => it.key))];
  const floors = data.floors.length ? ["uniform guess", "best constant"].map((it) => ({ value: it, class: "number" })) : [];
  return table(["in %", ...keys.map((it) => ({ value: keyName(it), class: "number" })), ...floors], rows.map((row) => ({
    class: row === "mean" ? "main" : "",
    cells: [row, ...keys.map((key) => {
      const ends = data.ends.find((it) => it.row === row && it.key === key);
      return number(ends ? `${measured(ends.first)} → ${measured(ends.last)}` : "");
    }), ...(floors.length ? ["floor_uniform", "floor_constant"].map((key) => {
      const floor = data.floors.find((it) => it.row === row && it.key === key);
      return number(floor ? percent(floor.mean) : "");
    }) : [])],
  })));
}

function comparedEnds(key) {
  const heads = ["run", "task type", ...["seeds", "steps", "first", "last", "gain", "interval over"].map((it) => ({ value: it, class: "number" }))];
  const first = (it) => (it.row === "mean" ? 0 : 1);
  const of = (group) => data.ends.filter((it) => it.group === group && it.key === key).sort((a, b) => first(a) - first(b));
  return table(heads, data.groups.flatMap((group, index) => of(index).map((it) => ({
    class: it.row === "mean" ? "main" : "",
    cells: [it.row === "mean" ? group.name : "", it.row, number(String(it.n)), number(it.steps.join(" to ")), number(measured(it.first)), number(measured(it.last)), gained(it.gain), number(1 < it.n ? "seeds" : "tasks", "soft")],
  }))));
}

function counts() {
  const kinds = [["reject", "Proposals rejected, whole run"], ["miss", "Solutions that are not right, whole run"]];
  return element("div", { class: "charts" }, ...kinds.flatMap(([kind, title]) => {
    const found = matching(run, `${kind}/*/*`).map(({ name, stars }) => ({ type: stars[0], reason: stars[1], n: sum(column(run, name)) }));
    if (!found.length) return [];
    const types = [...new Set(found.map((it) => it.type))].sort((a, b) => TYPES.indexOf(a) - TYPES.indexOf(b));
    const reasons = [...new Set(found.map((it) => it.reason))].map((reason) => ({ reason, n: sum(found.filter((it) => it.reason === reason).map((it) => it.n)) }));
    reasons.sort((a, b) => b.n - a.n);
    const of = (type, reason) => sum(found.filter((it) => it.type === type && it.reason === reason).map((it) => it.n));
    const bar = (n) => {
      const made = element("span", { class: "bar" });
      made.style.width = `${(70 * n) / reasons[0].n}px`;
      return made;
    };
    return [element("div", { class: "card", style: "margin-top:.9rem" }, element("h3", { style: "margin-top:0" }, title),
      table(["reason", "", ...types.map((it) => ({ value: it, class: "number" })), { value: "all", class: "number" }],
        reasons.map(({ reason, n }) => [reason, { value: [bar(n)] }, ...types.map((type) => number(spoken(of(type, reason)))), number(spoken(n))])))];
  }));
}

function alarms() {
  const { total, shown: hits } = data.alarms;
  if (!total) return element("p", { class: "note", id: "alarms" }, "No response matched the screen for alarming phrases.");
  const list = hits.map((it) => element("details", { class: "card", style: "margin-top:.6rem" },
    element("summary", {}, `step ${it.step}, ${it.role} of ${it.task_type}: ${it.category}, pattern ${it.pattern}`), element("pre", {}, it.text)));
  return element("div", { id: "alarms" }, element("h3", {}, `${spoken(total)} alarming phrases${total === hits.length ? "" : `, the first ${hits.length} of them`}`), ...list);
}

// What papers and codes say, what this run is set to, and whose value that is.
function divergences() {
  if (!data.divergences.rows.length) return null;
  const settings = new Map(data.settings.map((it) => [it.key, it]));
  const chosen = (cells) => [...cells.at(data.divergences.setting).matchAll(/`([a-z0-9_.]+)`/g)].flatMap(([, key]) => {
    const found = settings.get(key);
    return found ? [element("div", {}, element("code", {}, `${key} = ${found.value}`), found.presets.length ? ` as ${found.presets.join(", ")}` : " as no preset")] : [];
  });
  const kept = data.divergences.heads.map((_, index) => index).filter((it) => !["setting", "state"].includes(data.divergences.heads[it]));
  const columns = kept.map((it) => ({ value: marked(data.divergences.heads[it]) }));
  return section("divergences", "Divergences", "Where paper, published code and kelvin differ, and what this run is set to.",
    element("details", { class: "card" }, element("summary", {}, `${data.divergences.rows.length} topics`),
      table([...columns, "this run"], data.divergences.rows.map((cells) => [...kept.map((it) => ({ value: marked(cells[it]) })), { value: chosen(cells) }]), { class: "settings" })));
}

function configuration() {
  if (compares) {
    if (!data.differences.length) return section("configuration", "Configuration", "The runs have the same settings.");
    const heads = ["setting", ...data.groups.map((it) => it.name)];
    return section("configuration", "Configuration", "Settings in which the runs differ.",
      element("div", { class: "card" }, table(heads, data.differences.map(({ key, values }) => [{ value: key, class: "mono" }, ...values.map((value) => ({ value, class: "mono" }))]))));
  }
  const place = element("div", {});
  const presets = ["kelvin", "paper", "code"];
  const show = (which) => {
    const rows = data.settings.filter((it) => which === "all" || !it.presets.includes(which));
    place.replaceChildren(table(["setting", "value", "as in the presets"], rows.map((it) => [{ value: it.key, class: "mono" }, { value: it.value, class: "mono" }, it.presets.join(", ") || "none of them"]), { class: "settings" }));
  };
  show("kelvin");
  const options = [...presets.map((it) => [it, `what differs from preset ${it}`]), ["all", "all settings"]];
  return section("configuration", "Configuration", null, element("div", { class: "card" },
    element("div", { class: "filters" }, choice("Show", options, "kelvin", show)), place,
    element("h3", {}, "Where it ran"), table(["", ""], data.manifest.map(([key, value]) => [key, { value, class: "mono" }]))));
}
