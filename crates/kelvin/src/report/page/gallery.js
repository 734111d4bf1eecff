// Tasks and transcripts to leaf through: filters, a list with pages, and the one that is chosen beside it.

const PER_PAGE = 20;
const WORDS = new Set("and as assert break class continue def del elif else except False finally for from if import in is lambda None not or pass raise return True try while with yield".split(" "));
const TOKEN = /(#.*)|('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|\b(\d[\d_.]*)\b|\b([A-Za-z_]\w*)\b/g;

// Python's words, texts, numbers and remarks in their colours.
function coloured(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(TOKEN)) {
    const kind = found[1] ? "remark" : found[2] ? "text" : found[3] ? "digit" : WORDS.has(found[4]) ? "word" : null;
    if (!kind) continue;
    parts.push(text.slice(from, found.index), element("span", { class: kind }, found[0]));
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  return element("pre", {}, ...parts);
}

function definitions(pairs) {
  const list = element("dl", {});
  for (const [name, value] of pairs) {
    if (value !== undefined && value !== null && value !== "") list.append(element("dt", {}, name), element("dd", { class: "mono" }, String(value)));
  }
  return list;
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// A task of any environment: its program or text first, then whatever else it has.
function taskDetail(task) {
  const { snippet, text, inputs, outputs, ...more } = task.payload ?? {};
  const parts = [];
  if (typeof snippet === "string") parts.push(coloured(snippet));
  if (typeof text === "string") parts.push(element("pre", {}, text));
  const rest = Object.entries(more).map(([key, value]) => [key, asText(value)]);
  if (task.label) rest.push(["label", `${asText(task.label.answer)}, ${spoken(task.label.share, "share")} of the votes`]);
  parts.push(definitions(rest));
  if (Array.isArray(inputs) && Array.isArray(outputs)) {
    parts.push(table(["input", "output"], inputs.map((it, index) => [{ value: asText(it), class: "mono" }, { value: asText(outputs[index] ?? ""), class: "mono" }])));
  }
  return parts;
}

const firstLine = (text) => {
  const lines = (text ?? "").split("\n").map((it) => it.trim()).filter(Boolean);
  return (lines.find((it) => !/^(def |class |import |from |###|<|```)/.test(it)) ?? lines[0] ?? "(empty)").slice(0, 160);
};

function verdict(it) {
  if (it.role === "proposer") return it.rejection ? [it.rejection.reason, "bad"] : ["accepted", "good"];
  if (!it.grade) return ["", ""];
  return it.grade.correct ? ["right", "good"] : [it.grade.miss ?? "not right", "bad"];
}

function rolloutDetail(it) {
  const [word, tone] = verdict(it);
  return [
    element("h3", { style: "margin-top:0" }, `${it.role} of ${it.task_type}, step ${it.step}: `, element("span", { class: tone }, word)),
    definitions([["reward", it.reward === undefined ? "" : spoken(it.reward)], ["advantage", it.advantage === undefined ? "" : spoken(it.advantage)],
      ["solve rate", it.solve_rate === undefined ? "" : spoken(it.solve_rate, "share")], ["tokens", it.n_tokens], ["why", it.rejection?.detail]]),
    element("h4", {}, "Prompt"), coloured(it.prompt ?? ""), element("h4", {}, "Response"), coloured(it.response ?? ""),
    ...(it.task ? [element("h4", {}, "The task it became"), ...taskDetail(it.task)] : []),
  ];
}

// A filtered, paged list with its detail. `spec` says how an item is listed, shown, searched and filtered.
function gallery(spec) {
  const state = { page: 0, chosen: 0, filters: {}, search: "" };
  const list = element("ul", { class: "list" });
  const detail = element("div", { class: "card detail", "aria-live": "polite" });
  const place = element("span", {});
  const fits = (it) => Object.entries(state.filters).every(([key, value]) => value === "" || String(spec.filters[key](it)) === value)
    && (!state.search || JSON.stringify(it).toLowerCase().includes(state.search));
  const turn = (by) => { state.page += by; state.chosen = 0; show(); };
  const [before, after] = [["Back", -1], ["Next", 1]].map(([text, by]) => element("button", { type: "button", click: () => turn(by) }, text));
  let found = [];
  const choose = (index, focus) => {
    const rows = [...list.querySelectorAll("button")];
    if (!rows.length) return;
    state.chosen = Math.min(rows.length - 1, Math.max(0, index));
    rows.forEach((it, at) => (at === state.chosen ? it.setAttribute("aria-current", "true") : it.removeAttribute("aria-current")));
    if (focus) rows[state.chosen].focus();
    detail.replaceChildren(...spec.detail(found[state.page * PER_PAGE + state.chosen]));
  };
  const show = () => {
    found = spec.items.filter(fits);
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    state.page = Math.min(pages - 1, Math.max(0, state.page));
    const visible = found.slice(state.page * PER_PAGE, (state.page + 1) * PER_PAGE);
    list.replaceChildren(...visible.map((it, index) => element("li", {}, element("button", { type: "button", click: () => choose(index) }, ...spec.row(it)))));
    place.textContent = found.length ? `${found.length.toLocaleString("en")} found, page ${state.page + 1} of ${pages}` : "nothing found";
    [before.disabled, after.disabled] = [state.page === 0, state.page === pages - 1];
    if (found.length) choose(state.chosen);
    else detail.replaceChildren(element("p", { class: "soft" }, "Nothing fits the filters."));
  };
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    choose(state.chosen + by, true);
  });
  const filters = Object.entries(spec.filters).map(([name, of]) => {
    const values = [...new Set(spec.items.map((it) => String(of(it))))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    return choice(name, [["", "all"], ...values.map((it) => [it, it])], "", (value) => { state.filters[name] = value; state.page = state.chosen = 0; show(); });
  });
  const search = element("input", { type: "search", input: () => { state.search = search.value.toLowerCase(); state.page = state.chosen = 0; show(); } });
  show();
  return section(spec.id, spec.title, spec.note,
    element("div", { class: "filters" }, ...filters, element("label", { class: "grow" }, "search", search)),
    element("div", { class: "gallery" }, element("div", { class: "card" }, list, element("div", { class: "pages" }, before, place, after)), detail));
}

const portion = ({ total, shown: items }, what, how) => (total === items.length ? `All ${spoken(total)} ${what}.` : `${spoken(items.length)} of ${spoken(total)} ${what}, ${how}.`);
const row = (text, left, [word, tone]) => [element("span", { class: "line mono" }, text), element("span", { class: "meta" }, left, element("span", { class: `verdict ${tone}` }, word))];

function tasks() {
  if (compares || !data.tasks.shown.length) return null;
  return gallery({
    id: "tasks", title: "Tasks", note: portion(data.tasks, "tasks", "evenly spaced over the run, the newest first"), items: data.tasks.shown.toReversed(),
    filters: { type: (it) => it.task_type, origin: (it) => (it.born ? "proposed" : "seed") },
    row: (it) => row(firstLine(it.payload?.snippet ?? it.payload?.text ?? asText(it.payload)), it.task_type, [it.born ? `step ${it.born}` : "seed", "soft"]),
    detail: (it) => [element("h3", { style: "margin-top:0" }, `${it.task_type}, ${it.born ? `proposed at step ${it.born}` : "a seed"}`), ...taskDetail(it)],
  });
}

function transcripts() {
  if (compares || !data.rollouts.shown.length) return null;
  return gallery({
    id: "transcripts", title: "Transcripts", note: portion(data.rollouts, "rollouts", `evenly spaced over ${data.rollouts.read} of ${data.rollouts.files} transcripts, the newest first`), items: data.rollouts.shown.toSorted((a, b) => b.step - a.step),
    filters: { role: (it) => it.role, type: (it) => it.task_type, verdict: (it) => verdict(it)[0], step: (it) => it.step },
    row: (it) => row(firstLine(it.response), `${it.role}, ${it.task_type}, step ${it.step}`, verdict(it)),
    detail: rolloutDetail,
  });
}
