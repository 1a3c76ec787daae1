"use strict";
// Draws the figures, sorts tables, and prepares the page for printing. Colours are in page.css.

const plots = [...document.querySelectorAll("script[type='application/json']")].map((source) => {
  const place = document.getElementById(source.dataset.for);
  const { data, layout } = JSON.parse(source.textContent);
  Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
  layout.font = { family: "system-ui, sans-serif", size: 13 };
  layout.dragmode = false; // a finger that scrolls the page must not zoom a figure
  Plotly.newPlot(place, data, layout, { responsive: true, displayModeBar: false });
  return place;
});

function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const ascending = heads[column].getAttribute("aria-sort") !== "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value ?? "";
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // unknown values come last
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return ascending ? order : -order;
  });
  table.tBodies[0].append(...rows);
}

for (const button of document.querySelectorAll("thead button")) {
  const head = button.parentElement;
  button.addEventListener("click", () => sort(head.closest("table"), head.cellIndex));
}

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const part of closed) part.open = true;
  for (const place of plots) Plotly.relayout(place, { width: 660, autosize: false });
});
addEventListener("afterprint", () => {
  for (const part of closed) part.open = false;
  for (const place of plots) Plotly.relayout(place, { width: null, autosize: true });
});
