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
    var said = tables.map(function (table) {
      var all = 0, here = 0, visible = 0;
      table.rows.forEach(function (one) {
        var size = target ? 1 : one.targets.length;
        all += one.targets.length;
        var fits = (!kind || one.kind === kind) && (!state || one.state === state) &&
          (!target || one.targets.indexOf(target) >= 0) && named(one.name);
        if (fits && words.length) {
          if (one.text === null) { one.text = one.row.textContent.toLowerCase(); }
          fits = words.every(function (word) { return one.text.indexOf(word) >= 0; });
        }
        if (fits) { here += size; visible += 1; }
        if (fits !== one.shown) { one.row.hidden = !fits; one.shown = fits; }
      });
      if (table.empty) { table.empty.hidden = visible > 0; }
      return here.toLocaleString("en") + " of " + all.toLocaleString("en") + " " + table.what;
    });
    count.textContent = "Showing " + said.join(", ") + ".";
  }

  var waiting = 0;
  function soon() { clearTimeout(waiting); waiting = setTimeout(apply, 120); }
  form.addEventListener("input", soon);
  form.addEventListener("submit", function (event) { event.preventDefault(); apply(); });
  form.addEventListener("reset", function () { setTimeout(apply, 0); });
  form.hidden = false;
  document.getElementById("off").hidden = true;
  apply();
}());
