"use strict";
// Draws the figures, sorts and filters tables, and prepares the page for printing. Colours are in page.css.

const plots = [];

// Figures in closed parts are drawn when their part is opened.
function draw(size = {}) {
  for (const source of document.querySelectorAll("script[type='application/json']")) {
    const place = document.getElementById(source.dataset.for);
    if (plots.includes(place) || !place.checkVisibility()) continue;
    plots.push(place);
    const { data, layout } = JSON.parse(source.textContent);
    Object.assign(layout, size, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
    layout.font = { family: "system-ui, sans-serif", size: 13 };
    layout.dragmode = false; // a finger that scrolls the page must not zoom a figure
    Plotly.newPlot(place, data, layout, { responsive: true, displayModeBar: false });
  }
}
draw();
addEventListener("toggle", () => draw(), true);

function reveal(hash) {
  let part = document.getElementById(hash.slice(1));
  for (; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
}
reveal(location.hash);
addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link) reveal(link.hash);
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

for (const field of document.querySelectorAll(".filter")) {
  const rows = [...field.nextElementSibling.querySelector("tbody").rows];
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

let closed = [];
let onScreen; // number of figures that were drawn before printing
addEventListener("beforeprint", () => {
  // A long list of runs is printed if it is open; everything else is.
  const hidden = [...document.querySelectorAll("details:not([open], .long, .long *)")];
  closed.push(...hidden);
  for (const part of hidden) part.open = true;
  const paper = { width: 660, autosize: false };
  onScreen ??= plots.length;
  for (const place of plots) Plotly.relayout(place, paper);
  draw(paper);
});
addEventListener("afterprint", () => {
  for (const part of closed) part.open = false;
  for (const place of plots.splice(onScreen ?? plots.length)) Plotly.purge(place);
  for (const place of plots) Plotly.relayout(place, { width: null, autosize: true });
  closed = [];
  onScreen = undefined;
});
