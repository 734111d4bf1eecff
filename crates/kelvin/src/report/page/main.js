// The page from its parts: head with the view's settings, navigation, sections.

function head() {
  const smoothing = choice("Curves", [[1, "as recorded"], [5, "mean of 5 steps"], [20, "mean of 20 steps"]].map(([n, text]) => [String(n), text]), String(view.smoothing), (value) => {
    view.smoothing = Number(value);
    redrawAll();
  });
  const types = [...new Set(runs.flatMap((it) => matching(it, "solver/*/reward").map(({ stars }) => stars[0])))];
  const type = compares && 1 < types.length ? choice("Task type", [["mean", "mean over types"], ...types.map((it) => [it, it])], "mean", (value) => {
    view.type = value;
    redrawAll();
  }) : null;
  document.getElementById("head").append(
    element("div", {}, element("h1", {}, data.title), element("p", { class: "facts" }, data.facts)),
    element("div", { class: "controls" }, type, smoothing, themeSwitch()));
}

function navigation(sections) {
  const links = sections.map((it) => element("a", { href: `#${it.id}` }, it.dataset.short ?? it.querySelector("h2").textContent));
  document.getElementById("sections").append(element("ul", {}, ...links.map((it) => element("li", {}, it))));
  const follow = () => {
    const passed = sections.filter((it) => it.getBoundingClientRect().top < 120).length;
    const at = innerHeight + scrollY >= document.documentElement.scrollHeight - 2 ? sections.length - 1 : Math.max(0, passed - 1);
    links.forEach((it, index) => (index === at ? it.setAttribute("aria-current", "true") : it.removeAttribute("aria-current")));
  };
  addEventListener("scroll", follow, { passive: true });
  follow();
}

function show() {
  head();
  const note = compares ? `${runs.length} runs. Those that differ in nothing but their seed stand together: thin lines are seeds, strong ones their mean.` : null;
  const sections = [
    section("summary", "Summary", note, compares ? null : tiles(), endsTable()),
    ...SECTIONS.map(charted), tasks(), transcripts(), explorer(), compares ? null : divergences(), configuration(),
  ].filter(Boolean);
  document.getElementById("main").replaceChildren(...sections);
  navigation(sections);
  document.documentElement.dataset.ready = "true";
}

show();
