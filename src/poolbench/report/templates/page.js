"use strict";
// Draws the figures, follows light and dark, sorts tables, and makes the page ready for paper.

const plots = [];
const dark = matchMedia("(prefers-color-scheme: dark)");

function template(onPaper) {
  const night = dark.matches && !onPaper;
  const ink = night ? "#e6e6e6" : "#1f2328";
  const grid = night ? "#3a3f47" : "#e3e5e8";
  const axis = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickcolor: grid };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: ink },
      hoverlabel: { bgcolor: night ? "#22262c" : "#ffffff", font: { color: ink } },
      xaxis: axis,
      yaxis: axis,
    },
  };
}

function draw() {
  for (const source of document.querySelectorAll("script[type='application/json']")) {
    const place = document.getElementById(source.dataset.for);
    const figure = JSON.parse(source.textContent);
    figure.layout.template = template(false);
    figure.layout.dragmode = false; // a finger that scrolls the page must not zoom a figure
    Plotly.newPlot(place, figure.data, figure.layout, { responsive: true, displayModeBar: false });
    plots.push(place);
  }
}

function repaint(onPaper) {
  for (const place of plots) {
    const width = onPaper ? 660 : null;
    Plotly.relayout(place, { template: template(onPaper), width, autosize: !onPaper });
  }
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? "";
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is unknown comes last
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return ascending ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const part of closed) part.open = true;
  repaint(true);
});
addEventListener("afterprint", () => {
  for (const part of closed) part.open = false;
  repaint(false);
});
dark.addEventListener("change", () => repaint(false));

draw();
document.querySelectorAll("table.sortable").forEach(sortable);
document.documentElement.dataset.drawn = plots.length;
