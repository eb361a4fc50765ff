// Filter, sort, group, fold, copy. Names and values are read, compared and moved, and never parsed as HTML.
(() => {
  "use strict";
  const get = (id) => document.getElementById(id);
  const form = get("filters");
  if (!form) { return; }
  const FEW = 200; // Rows up to which a filter unfolds all groups with a match.
  const PAUSE = 80; // Milliseconds without typing before the filter runs.
  const fields = [...form.elements].filter((field) => field.name);
  const targets = [...form.elements.target.options].slice(1).map((option) => option.value);
  const paths = [...get("paths").options].map((option) => option.value);
  const number = (value) => value.toLocaleString("en");
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const ORDERS = {
    "": (a, b) => a.order - b.order,
    name: (a, b) => compare(a.name, b.name) || a.order - b.order,
    target: (a, b) => compare(a.targets[0], b.targets[0]) || a.targets.length - b.targets.length ||
      a.order - b.order,
    action: (a, b) => compare(a.kind, b.kind) || compare(a.name, b.name) || a.order - b.order,
  };
  const entries = [];
  const sections = [...document.querySelectorAll("section.rows")].map((element) => {
    const section = { element, what: element.dataset.what, total: element.querySelector(".n") };
    section.home = [...element.querySelectorAll("details.group")].map((details) => groupOf(details, null));
    section.isOpen = section.home[0].isOpen;
    section.entries = section.home.flatMap((home) => [...home.body.rows].map((row) => entryOf(row, home)));
    entries.push(...section.entries);
    return section;
  });

  function groupOf(details, target) {
    return { details, target, isOpen: details.open, body: details.querySelector("tbody"), items: [],
             counts: details.querySelector(".counts") };
  }

  function entryOf(row, home) {
    const name = row.cells[1].textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.setAttribute("aria-label", "Copy name");
    row.cells[1].append(button);
    return { row, home, name, kind: row.dataset.k, state: row.dataset.s, order: Number(row.dataset.n),
             path: paths[row.dataset.p], targets: row.dataset.t.split(" ").map(Number), text: null,
             style: row.querySelector(".a").className, matches: true };
  }

  // A new group has the elements of an existing one, without its rows.
  function makeGroup(section, label) {
    const details = section.home[0].details.cloneNode(false);
    const [summary, table] = section.home[0].details.children;
    details.append(summary.cloneNode(true), table.cloneNode(false));
    [...table.children].forEach((part) => details.lastChild.append(part.cloneNode(part.tagName !== "TBODY")));
    details.className = label ? "group" : "group flat";
    details.open = section.isOpen || !label;
    const code = document.createElement("code");
    code.textContent = label;
    details.querySelector(".label").replaceChildren(code);
    details.querySelector("caption").textContent = label || "All";
    return groupOf(details, targets.indexOf(label));
  }

  function arrange() {
    const mode = form.elements.group.value;
    const keysOf = {
      "": (entry) => [entry.home],
      path: (entry) => [entry.path],
      target: (entry) => entry.targets.map((index) => targets[index] || "elsewhere"),
      none: () => [""],
    }[mode];
    for (const section of sections) {
      const groups = new Map();
      for (const entry of section.entries.sort(ORDERS[form.elements.sort.value])) {
        keysOf(entry).forEach((key, copy) => {
          if (!groups.has(key)) {
            groups.set(key, key === entry.home ? key : makeGroup(section, key));
            groups.get(key).items = [];
          }
          const row = copy ? entry.row.cloneNode(true) : entry.row;
          groups.get(key).items.push({ entry, row, size: mode === "target" ? 1 : entry.targets.length });
        });
      }
      section.groups = [...groups.values()];
      for (const group of section.groups) {
        const rows = document.createDocumentFragment();
        group.items.forEach((item) => rows.append(item.row));
        group.body.replaceChildren(rows);
      }
      section.element.replaceChildren(section.element.firstElementChild,
                                      ...section.groups.map((group) => group.details));
    }
  }

  // Return a test for names: a prefix, or a pattern with `*` and `**`, in time linear in the name.
  function nameTest(text) {
    if (!text.includes("*")) {
      return (name) => name.startsWith(text) || name.startsWith("/" + text);
    }
    const tokens = text.startsWith("*") || text.startsWith("/") ? [] : ["/"];
    tokens.push(...text.replace(/\*{3,}/g, "**").match(/\*\*|[^]/g));
    return (name) => {
      let now = [true];
      tokens.forEach((token, at) => { now[at + 1] = now[at] && token[0] === "*"; });
      for (const letter of name) {
        const next = [false];
        tokens.forEach((token, at) => {
          next[at + 1] = token[0] === "*" ? next[at] || (now[at + 1] && (token === "**" || letter !== "/"))
            : now[at] && token === letter;
        });
        now = next;
      }
      return now[tokens.length];
    };
  }

  // The text of a row is read once: pages can have 50,000 rows.
  function textOf(entry) {
    const label = entry.home.details.querySelector(".label");
    entry.text = entry.text || (entry.row.textContent + " " + label.textContent).toLowerCase();
    return entry.text;
  }

  function match() {
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    const target = targets.indexOf(value("target")), kind = value("kind"), state = value("state");
    const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    const named = nameTest(value("path").trim());
    for (const entry of entries) {
      entry.matches = (!kind || entry.kind === kind) && (!state || entry.state === state) &&
        (target < 0 || entry.targets.includes(target)) && named(entry.name);
      if (entry.matches && words.length) {
        entry.matches = words.every((word) => textOf(entry).includes(word));
      }
    }
    return target;
  }

  function showCounts(element, counts) {
    element.replaceChildren(...[...counts].flatMap(([kind, { style, size }]) => {
      const part = document.createElement("span");
      part.className = style;
      part.textContent = number(size) + (style.endsWith(" left") ? "" : " " + kind);
      return [" ", part];
    }));
  }

  function apply(isFolding) {
    const target = match(), totals = new Map();
    let rows = 0;
    for (const section of sections) {
      let matching = 0, all = 0;
      section.entries.forEach((entry) => { all += entry.targets.length; });
      for (const group of section.groups) {
        const counts = new Map();
        for (const { entry, row, size } of group.items) {
          const shows = entry.matches && (target < 0 || group.target === null || group.target < 0 ||
                                          group.target === target);
          if (row.hidden === shows) { row.hidden = !shows; }
          if (!shows) { continue; }
          const found = counts.get(entry.kind) || { style: entry.style, size: 0 };
          found.size += target < 0 ? size : 1;
          matching += target < 0 ? size : 1;
          rows += 1;
          counts.set(entry.kind, found);
        }
        group.details.hidden = counts.size === 0;
        showCounts(group.counts, counts);
      }
      section.element.hidden = matching === 0;
      section.total.textContent = (matching < all ? number(matching) + " of " : "") + number(all);
      const sum = totals.get(section.what) || [0, 0];
      totals.set(section.what, [sum[0] + matching, sum[1] + all]);
    }
    if (isFolding) {
      const isNarrowed = fields.some((field) => field.value && field.name !== "sort" && field.name !== "group");
      for (const group of sections.flatMap((section) => section.groups)) {
        group.details.open = group.isOpen || (isNarrowed && rows <= FEW);
      }
    }
    get("empty").hidden = rows > 0;
    const text = [...totals].map(([what, [some, all]]) => number(some) + " of " + number(all) + " " + what);
    get("count").textContent = "Showing " + text.join(", ") + ".";
  }

  // The state of all controls is in the fragment of the URL, so that a reload or a link restores it.
  function read() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      field.value = (state.get(field.name) || "").slice(0, field.maxLength > 0 ? field.maxLength : undefined);
      if (field.selectedIndex < 0) { field.selectedIndex = 0; }
    }
  }

  function write() {
    const state = new URLSearchParams(fields.filter((f) => f.value).map((f) => [f.name, f.value])).toString();
    try {
      history.replaceState(null, "", location.href.split("#")[0] + (state && "#" + state));
    } catch (error) {
      // A page inside a frame without an origin cannot change its URL.
    }
  }

  async function copy(button) {
    const code = button.parentNode.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch (error) {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.classList.add("done");
    get("copied").textContent = "Copied " + code.textContent;
    setTimeout(() => { button.classList.remove("done"); get("copied").textContent = ""; }, 1500);
  }

  let timer = 0;
  function update(event) {
    clearTimeout(timer);
    const name = event.target.name;
    const isArranging = !name || name === "sort" || name === "group";
    timer = setTimeout(() => {
      if (isArranging) { arrange(); }
      apply(!isArranging || !name);
      write();
    }, event.type === "input" && !event.target.options ? PAUSE : 0);
  }

  function start() {
    read();
    arrange();
    apply(true);
  }

  form.elements.text.addEventListener("focus", () => entries.forEach(textOf), { once: true });
  form.addEventListener("input", update);
  form.addEventListener("reset", update);
  form.addEventListener("submit", (event) => { event.preventDefault(); update(event); });
  addEventListener("hashchange", () => { if (/=|^$/.test(location.hash)) { start(); } });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const link = event.target.closest("a[href^='#']");
    if (button && button.className.startsWith("copy")) { copy(button); }
    if (button && (button.id === "fold" || button.id === "unfold")) {
      document.querySelectorAll("details.group:not(.flat)").forEach((details) => {
        details.open = button.id === "unfold";
      });
    }
    if (link) {
      // A link to a part of the page leaves the state in the URL as it is.
      event.preventDefault();
      const part = get(link.hash.slice(1));
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
      part.scrollIntoView();
    }
  });
  const narrow = matchMedia("(max-width: 48rem)");
  const unfold = () => { get("controls").open = !narrow.matches; };
  narrow.addEventListener("change", unfold);
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar", get("bar").offsetHeight + "px");
  }).observe(get("bar"));
  get("controls").hidden = false;
  get("off").hidden = true;
  unfold();
  start();
})();
