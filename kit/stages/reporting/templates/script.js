
"use strict";
// tables are sorted by a click on a heading, and rows and pictures are filtered by class; without scripts all is shown
const names = JSON.parse(document.getElementById("class-names").textContent);

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number.parseFloat(text);
  return { text, number: Number.isNaN(number) || !/^[-+–]?\.?\d/.test(text) ? null : number };
}

function compare(one, other) {
  if (one.number !== null && other.number !== null) return one.number - other.number;
  if (one.number !== null || other.number !== null) return one.number === null ? 1 : -1;
  return one.text.localeCompare(other.text, undefined, { numeric: true });
}

function sort(table, heading, column) {
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const way = before === null ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", way);
  const sign = way === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, value: valueOf(row, column) }));
  rows.sort((one, other) => {
    const empty = (one.value.text === "–") - (other.value.text === "–");  // what has no value stays last
    return empty || sign * compare(one.value, other.value);
  });
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading, column));
    heading.append(button);
  });
}

const choice = document.getElementById("class");
const marked = Array.from(document.querySelectorAll("[data-classes]"));
const cards = marked.filter((one) => one.classList.contains("card"));

function filter() {
  for (const one of marked) {
    one.hidden = choice.value !== "" && !one.dataset.classes.split(" ").includes(choice.value);
  }
  const left = cards.filter((one) => !one.hidden).length;
  for (const none of document.querySelectorAll(".none")) {
    none.hidden = Array.from(none.parentElement.querySelectorAll(".card")).some((one) => !one.hidden);
  }
  const more = document.getElementById("more-cards");
  if (more && choice.value !== "") more.open = true;
  document.getElementById("shown").textContent = choice.value === "" ? "" : `${left} of ${cards.length} pictures`;
}

if (marked.length && names.length) {
  names.forEach((name, number) => choice.append(new Option(name.length > 60 ? `${name.slice(0, 59)}…` : name, String(number))));
  choice.addEventListener("change", filter);
  document.getElementById("filter").hidden = false;
}

// on paper what is folded away is unfolded, but for the many pictures that only the filter is for
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not(#more-cards)").forEach((one) => { one.open = true; });
});
