// Curves over steps, on the embedded uPlot. A chart is drawn when it comes near the window, and again when the
// theme or a view setting changes.

const view = { smoothing: run.steps.length < 40 ? 1 : 5, type: "mean" };
const figures = new Map();
let redrawAll = () => figures.forEach((state) => state.drawn && state.draw());

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const state = figures.get(entry.target);
    if (entry.isIntersecting && state && !state.drawn) state.draw();
  }
}, { rootMargin: "500px" });

// The mean of the last so many recorded values; null where nothing was recorded.
function smoothed(values, n) {
  if (n < 2) return values;
  const recent = [];
  return values.map((it) => {
    if (it === null) return null;
    recent.push(it);
    if (n < recent.length) recent.shift();
    return mean(recent);
  });
}

// Values of a run brought to the steps of the chart.
function aligned(of, values, steps) {
  if (!compares) return values;
  const at = new Map(of.steps.map((step, index) => [step, values[index]]));
  return steps.map((step) => at.get(step) ?? null);
}

const allSteps = compares ? [...new Set(runs.flatMap((it) => it.steps))].sort((a, b) => a - b) : run.steps;

// The mean over several columns, at the steps at which all of them are recorded.
function meanOf(all) {
  return all[0].map((_, row) => (all.every((it) => it[row] !== null) ? mean(all.map((it) => it[row])) : null));
}

// The lines of one run: by what the pattern's star stands for, or by what the list of names calls them.
function linesOf(spec) {
  const named = Array.isArray(spec.of)
    ? spec.of.filter(([name]) => run.columns[name]).map(([name, label]) => ({ name, label }))
    : matching(run, spec.of).map(({ name, stars }) => ({ name, label: stars[0] ?? name.split("/").at(-1) }));
  // The mean over one task type is that type.
  if (named.length === 2 && named.some((it) => it.label === "mean")) named.splice(named.findIndex((it) => it.label === "mean"), 1);
  const order = (it) => (it.label === "mean" ? 99 : TYPES.indexOf(it.label));
  named.sort((a, b) => order(a) - order(b));
  return named.map(({ name, label }, index) => {
    const values = column(run, name);
    const half = spec.interval && column(run, name + spec.interval);
    return { label, values, half, colour: colourOf(label, index), strong: label === "mean" };
  });
}

// One line a run, and where several runs share a configuration a strong one for their mean.
function comparedLines(spec) {
  if (Array.isArray(spec.of)) return [];
  const of = (it) => {
    const found = matching(it, spec.of).filter(({ stars }) => !stars.length || stars[0] !== "mean" || view.type === "mean");
    const summary = found.find(({ stars }) => stars[0] === "mean");
    const chosen = view.type === "mean"
      ? (summary ? [summary] : found)
      : found.filter(({ stars }) => !stars.length || stars[0] === view.type);
    return chosen.length ? aligned(it, meanOf(chosen.map(({ name }) => column(it, name))), allSteps) : null;
  };
  return data.groups.flatMap((group, index) => {
    const members = group.runs.map((place) => runs[place]);
    const lines = members.flatMap((it) => {
      const values = of(it);
      return values ? [{ label: it.name, values, colour: `--c${index % 8}`, faint: 1 < members.length }] : [];
    });
    if (lines.length < 2) return lines;
    const values = meanOf(lines.map((it) => it.values));
    lines.forEach((it) => { it.owner = `${group.name}, mean of ${lines.length}`; });
    const label = lines[0].owner;
    return [...lines, { label, values, colour: `--c${index % 8}`, strong: true, members: lines }];
  });
}

// Sums of counts by reason or phase as areas upon each other: the uppermost is drawn first and covers what is below.
function stackedLines(spec) {
  const parts = new Map();
  const add = (label, values) => {
    const total = parts.get(label) ?? new Array(run.steps.length).fill(0);
    parts.set(label, total.map((it, row) => it + (values[row] ?? 0)));
  };
  if (Array.isArray(spec.of)) {
    spec.of.forEach(([name, label]) => run.columns[name] && add(label, column(run, name)));
  } else {
    matching(run, spec.of).forEach(({ name, stars }) => add(stars.at(-1), column(run, name)));
  }
  let sorted = [...parts].filter(([, values]) => sum(values));
  if (!Array.isArray(spec.of)) sorted = withOthers(sorted.sort((a, b) => sum(b[1]) - sum(a[1])));
  let below = new Array(run.steps.length).fill(0);
  const recorded = (row) => run.steps[row] !== 0;
  return sorted.map(([label, values], index) => {
    below = below.map((it, row) => it + smoothedSum(values, row));
    return { label, own: values, values: below.map((it, row) => (recorded(row) ? it : null)), colour: `--c${index % 8}`, area: true };
  }).reverse();
}
// As many as there are colours; the rarest stand for themselves in the tables.
function withOthers(sorted) {
  if (sorted.length <= 8) return sorted;
  const others = sorted.slice(7).map(([, values]) => values);
  return [...sorted.slice(0, 7), ["others", others[0].map((_, row) => sum(others.map((it) => it[row])))]];
}
function smoothedSum(values, row) {
  const from = Math.max(1, row + 1 - view.smoothing);
  return mean(values.slice(from, row + 1));
}

function figure(spec) {
  const lines = spec.stacked ? stackedLines : compares ? comparedLines : linesOf;
  if (!lines(spec).some((it) => present(it.values).length)) return null;
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Lines" });
  const plot = element("div", { class: "plot", tabindex: 0, role: "img" });
  const made = element("figure", { class: "card" },
    element("figcaption", {}, spec.title, element("span", { class: "unit" }, spec.unit ?? "")), legend, plot);
  const state = { drawn: false, chart: null, hidden: new Set() };
  state.draw = () => {
    state.drawn = true;
    state.chart?.destroy();
    const current = lines(spec);
    const what = current.filter((it) => !it.faint).map((it) => `${it.label} ends at ${spoken(last(it.own ?? it.values), spec.unit)}`);
    plot.setAttribute("aria-label", `${spec.title}: ${what.join(", ")}. Arrow keys move along the steps.`);
    state.chart = plotted(plot, legend, spec, current, state.hidden);
  };
  figures.set(made, state);
  watcher.observe(made);
  new ResizeObserver(() => {
    const width = plot.clientWidth;
    if (state.chart && width && width !== state.chart.width) state.chart.setSize({ width, height: 220 });
  }).observe(plot);
  plot.addEventListener("keydown", (event) => walk(event, state.chart));
  return made;
}

// The keyboard's cursor: left and right by a step, home and end to the ends, escape back to all steps.
function walk(event, chart) {
  if (!chart) return;
  const n = chart.data[0].length;
  const at = chart.cursor.idx ?? n;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: n - 1 }[event.key];
  if (event.key === "Escape") chart.setScale("x", { min: chart.data[0][0], max: chart.data[0][n - 1] });
  if (to === undefined) return;
  event.preventDefault();
  const row = Math.min(n - 1, Math.max(0, to));
  chart.setCursor({ left: chart.valToPos(chart.data[0][row], "x"), top: 20 });
}

function axes(spec) {
  const soft = shown("--soft");
  const grid = { stroke: shown("--grid"), width: 1 };
  const font = "12px system-ui, sans-serif";
  const value = (it) => (spec.unit === "share" ? `${Math.round(100 * it)}%` : spoken(it, spec.unit));
  const whole = (_, splits) => splits.map((it) => (Number.isInteger(it) ? it : ""));
  return [
    { stroke: soft, grid: { show: false }, ticks: { stroke: shown("--line"), size: 4 }, font, size: 30, values: whole },
    { stroke: soft, grid, ticks: { show: false }, font, size: 56, values: (_, splits) => splits.map(value) },
  ];
}

function plotted(plot, legend, spec, lines, hidden) {
  const series = [{}];
  const values = [compares ? allSteps : run.steps];
  const bands = [];
  const push = (column, options) => { values.push(column); return series.push({ spanGaps: true, points: { show: false }, ...options }) - 1; };
  for (const line of lines) {
    const stroke = shown(line.colour);
    const show = !hidden.has(line.owner ?? line.label);
    const rare = present(line.values).length < 40;
    const smooth = line.area || rare || spec.raw ? line.values : smoothed(line.values, view.smoothing);
    line.places = [];
    if (line.half) {
      const edge = (sign) => line.values.map((it, row) => (it === null || line.half[row] === null ? null : it + sign * line.half[row]));
      const [high, low] = [push(edge(1), { show, stroke: "transparent" }), push(edge(-1), { show, stroke: "transparent" })];
      bands.push({ series: [high, low], fill: `${stroke}22` });
      line.places.push(high, low);
    }
    if (smooth !== line.values && !line.faint) line.places.push(push(line.values, { show, stroke: `${stroke}38`, width: 1 }));
    line.place = push(smooth, {
      show, stroke: line.faint ? `${stroke}66` : stroke, width: line.area ? 0.5 : line.faint ? 1 : line.strong ? 2.6 : 1.9,
      fill: line.area ? stroke : undefined, points: { show: rare && !line.area && !line.faint, size: 5, fill: stroke },
    });
    line.places.push(line.place);
  }
  const range = (_, low, high) => (spec.stacked ? [0, high || 1] : low === high ? [low - 0.5, high + 0.5] : uPlot.rangeNum(low, high, 0.06, true));
  let say = () => {};
  const chart = new uPlot({
    width: plot.clientWidth || 560, height: 220, series, bands, axes: axes(spec),
    legend: { show: false }, cursor: { sync: { key: "step" }, points: { show: !spec.stacked }, drag: { x: true, y: false } },
    scales: { x: { time: false }, y: { range } },
    hooks: { setCursor: [(it) => say(it.cursor.idx)], ...(spec.hooks ?? {}) },
  }, values, plot);
  say = keys(legend, lines, spec, chart, hidden);
  return chart;
}

// The legend: a button a line, which shows its value at the cursor and hides and shows the line; for several seeds one
// button, with the mean's value.
function keys(legend, lines, spec, chart, hidden) {
  const at = element("span", { class: "at", "aria-live": "polite" });
  const buttons = lines.filter((it) => !it.faint).map((line) => {
    const places = [line, ...(line.members ?? [])].flatMap((it) => it.places);
    const now = element("span", { class: "now" });
    const swatch = element("span", { class: line.area ? "swatch block" : "swatch" });
    swatch.style.background = shown(line.colour);
    const button = element("button", {
      type: "button", "aria-pressed": String(!hidden.has(line.label)),
      click: () => {
        const show = hidden.delete(line.label) || !hidden.add(line.label);
        button.setAttribute("aria-pressed", String(show));
        places.forEach((place) => chart.setSeries(place, { show }));
      },
    }, swatch, line.label, now);
    return { button, now, line };
  });
  if (spec.stacked) buttons.reverse();
  legend.replaceChildren(...buttons.map((it) => it.button), at);
  const say = (row) => {
    for (const { now, line } of buttons) {
      const values = line.own ?? chart.data[line.place];
      now.textContent = spoken(row === null || row === undefined ? last(values) : values[row], spec.unit);
    }
    const steps = chart.data[0];
    at.textContent = row === null || row === undefined ? "" : `step ${steps[row]}`;
  };
  say(null);
  return say;
}

// How many of a step's tasks were solved how often: a column a step, stronger where more of them are.
function heat(type, levels) {
  const recorded = levels.map((level) => column(run, `estimate/${type}/solved_${level}`));
  const most = Math.max(...levels);
  const hooks = {
    draw: [(chart) => {
      const { ctx } = chart;
      const left = (step) => chart.valToPos(step, "x", true);
      const height = Math.abs(chart.valToPos(1, "y", true) - chart.valToPos(0, "y", true));
      const width = Math.max(1, Math.abs(left(run.steps.at(-1)) - left(run.steps[0])) / Math.max(1, run.steps.length - 1));
      const counts = recorded.map((values) => smoothed(values, view.smoothing));
      const totals = run.steps.map((_, row) => sum(counts.map((it) => it[row])));
      ctx.save();
      ctx.fillStyle = shown(colourOf(type, 0));
      run.steps.forEach((step, row) => levels.forEach((level, index) => {
        const share = totals[row] ? (counts[index][row] ?? 0) / totals[row] : 0;
        ctx.globalAlpha = Math.min(1, 1.6 * share);
        if (share) ctx.fillRect(left(step) - width / 2, chart.valToPos(level, "y", true) - height / 2 + 1, width + 0.5, height - 2);
      }));
      ctx.restore();
    }],
  };
  const legend = element("div", { class: "legend soft" }, `times solved of ${most}; stronger where more of the step's tasks are`);
  const plot = element("div", { class: "plot", tabindex: 0, role: "img", "aria-label": `Share of ${type} tasks by times solved, over steps` });
  const made = element("figure", { class: "card" },
    element("figcaption", {}, `How often proposed tasks are solved: ${type}`, element("span", { class: "unit" }, "share of the step")), legend, plot);
  const state = { drawn: false, chart: null };
  state.draw = () => {
    state.drawn = true;
    state.chart?.destroy();
    const [across, up] = axes({ unit: "times" });
    state.chart = new uPlot({
      width: plot.clientWidth || 560, height: 220, legend: { show: false }, cursor: { show: false }, hooks,
      scales: { x: { time: false }, y: { range: () => [-0.6, most + 0.6] } },
      axes: [across, { ...up, grid: { show: false }, incrs: [1, 2, 4, 8], values: (_, splits) => splits.map((it) => it) }],
      series: [{}, { stroke: "transparent" }],
    }, [run.steps, run.steps.map(() => null)], plot);
  };
  figures.set(made, state);
  watcher.observe(made);
  return made;
}
