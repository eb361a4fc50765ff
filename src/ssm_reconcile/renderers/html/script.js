// Filter the rows of the page. Names and values are read and compared; only counts are written to the page.
(function () {
  "use strict";
  var form = document.getElementById("filters");
  if (!form) { return; }
  var count = document.getElementById("count");
  var tables = Array.prototype.map.call(document.querySelectorAll("table.rows"), function (table) {
    var rows = Array.prototype.map.call(table.querySelectorAll("tr[data-k]"), function (row) {
      return { row: row, kind: row.dataset.k, state: row.dataset.s || "", targets: row.dataset.t.split(" "),
               name: row.querySelector("th").textContent, text: null, shown: true };
    });
    return { what: table.dataset.what, empty: table.parentNode.querySelector(".empty"), rows: rows };
  });

  function nameTest(text) {
    text = text.trim();
    if (!text) { return function () { return true; }; }
    if (text.indexOf("*") < 0) {
      return function (name) { return name.indexOf(text) === 0 || name.indexOf("/" + text) === 0; };
    }
    var pattern = text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*{3,}/g, "**")
      .replace(/\*\*|\*/g, function (stars) { return stars === "**" ? ".*" : "[^/]*"; });
    var whole = new RegExp("^/?" + pattern + "$");
    return function (name) { return whole.test(name); };
  }

  function apply() {
    var fields = form.elements, target = fields.target.value, kind = fields.kind.value;
    var state = fields.state ? fields.state.value : "";
    var words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    var named = nameTest(fields.path.value);
    var counts = tables.map(function (table) {
      var all = 0, matching = 0, rowsShown = 0;
      table.rows.forEach(function (entry) {
        var size = target ? 1 : entry.targets.length;
        all += entry.targets.length;
        var matches = (!kind || entry.kind === kind) && (!state || entry.state === state) &&
          (!target || entry.targets.indexOf(target) >= 0) && named(entry.name);
        if (matches && words.length) {
          // The text of a row is read once, and only for a filter on text: pages can have 50,000 rows.
          if (entry.text === null) { entry.text = entry.row.textContent.toLowerCase(); }
          matches = words.every(function (word) { return entry.text.indexOf(word) >= 0; });
        }
        if (matches) { matching += size; rowsShown += 1; }
        if (matches !== entry.shown) { entry.row.hidden = !matches; entry.shown = matches; }
      });
      if (table.empty) { table.empty.hidden = rowsShown > 0; }
      return matching.toLocaleString("en") + " of " + all.toLocaleString("en") + " " + table.what;
    });
    count.textContent = "Showing " + counts.join(", ") + ".";
  }

  var timer = 0;
  function applyLater() { clearTimeout(timer); timer = setTimeout(apply, 120); }
  form.addEventListener("input", applyLater);
  form.addEventListener("submit", function (event) { event.preventDefault(); apply(); });
  form.addEventListener("reset", function () { setTimeout(apply, 0); });
  form.hidden = false;
  document.getElementById("off").hidden = true;
  apply();
}());
