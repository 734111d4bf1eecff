// The page's data, elements made from it, numbers as people read them, and light and dark. All text of a run goes
// through text nodes: what a model wrote is never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;
const compares = data.kind === "comparison";
const [run] = runs;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((it) => it !== undefined && it !== null));
  return made;
}

// A metric of a run at its steps, null where it was not recorded. Rare ones lie in the data as places and values.
const columns = new Map();
function column(of, name) {
  const key = `${runs.indexOf(of)} ${name}`;
  if (!columns.has(key)) {
    const stored = of.columns[name];
    let values = stored;
    if (stored && !Array.isArray(stored)) {
      values = new Array(of.steps.length).fill(null);
      stored.at.forEach((row, index) => { values[row] = stored.is[index]; });
    }
    columns.set(key, values);
  }
  return columns.get(key);
}

// Names that fit a pattern in which `*` is one segment or the end of one, with what stood there.
function matching(of, pattern) {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "([^/]+)");
  const expression = new RegExp(`^${escaped}$`);
  return Object.keys(of.columns).flatMap((name) => {
    const found = expression.exec(name);
    return found ? [{ name, stars: found.slice(1) }] : [];
  });
}

const present = (values) => (values || []).filter((it) => it !== null);
const sum = (values) => present(values).reduce((total, it) => total + it, 0);
const mean = (values) => sum(values) / Math.max(1, present(values).length);
const last = (values) => present(values).at(-1);

// A value and its unit as text: shares in %, bytes in MiB, the rest with about three digits.
function spoken(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  if (unit === "bytes") return value < 2 ** 30 ? `${(value / 2 ** 20).toFixed(0)} MiB` : `${(value / 2 ** 30).toFixed(2)} GiB`;
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return value.toExponential(1);
  if (Number.isInteger(value) || 1000 <= size) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function duration(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(whole % 60).padStart(2, "0")} s` : `${seconds.toFixed(1)} s`;
}

// Colours stand for task types where there are some, so that one type looks alike in all charts.
const TYPES = ["deduction", "abduction", "induction", "error", "question"];
const colourOf = (name, index) => {
  if (name === "mean") return "--ink";
  const place = TYPES.indexOf(name);
  return `--c${place < 0 ? index % 8 : place}`;
};
const shown = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();

// The reader's choice stays where the browser lets a local file keep one.
const dark = matchMedia("(prefers-color-scheme: dark)");
function chosenTheme() {
  try { return localStorage.getItem("kelvin-theme"); } catch { return null; }
}
function applyTheme(theme) {
  document.documentElement.dataset.theme = theme ?? (dark.matches ? "dark" : "light");
}
applyTheme(chosenTheme());
dark.addEventListener("change", () => {
  applyTheme(chosenTheme());
  redrawAll();
});
function themeSwitch() {
  const other = () => (document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  const button = element("button", {
    type: "button",
    id: "theme",
    click: () => {
      const theme = other();
      try { localStorage.setItem("kelvin-theme", theme); } catch { /* The choice lasts as long as the page. */ }
      applyTheme(theme);
      button.textContent = `${other()} theme`;
      redrawAll();
    },
  }, `${other()} theme`);
  return button;
}

function choice(name, options, chosen, change) {
  const select = element("select", { change: () => change(select.value) });
  for (const [value, text] of options) select.append(element("option", { value, selected: value === chosen }, text));
  return element("label", {}, `${name} `, select);
}

// A page's text in which `code` stands between backticks, as in the project's documents.
function marked(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function table(heads, rows, attributes = {}) {
  const cell = (tag, it) => {
    const value = it !== null && typeof it === "object" && "value" in it ? it : { value: it ?? "" };
    const parts = Array.isArray(value.value) ? value.value : [value.value];
    return element(tag, { class: value.class, title: value.title }, ...parts);
  };
  const body = rows.map((row) => element("tr", { class: row.class }, ...(row.cells ?? row).map((it) => cell("td", it))));
  return element("div", { class: "wide" }, element("table", attributes,
    element("thead", {}, element("tr", {}, ...heads.map((it) => cell("th", it)))),
    element("tbody", {}, ...body)));
}
const number = (value, more) => ({ value, class: `number ${more ?? ""}`.trim() });
