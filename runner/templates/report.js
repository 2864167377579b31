"use strict";
(() => {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const found = document.getElementById("found");
  const rows = Array.from(document.querySelectorAll("tr[data-status]"));
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const wanted = new Set(
      Array.from(form.querySelectorAll("input[type=checkbox]:checked"), (box) => box.value),
    );
    const parts = words.value.toLowerCase().split(/\s+/);
    let count = 0;
    rows.forEach((row, at) => {
      const shown = wanted.has(row.dataset.status) && parts.every((part) => texts[at].includes(part));
      row.hidden = !shown;
      count += shown;
    });
    found.textContent = `${count} of ${rows.length}`;
  };
  // report.html#words is a page that is filtered already.
  words.value = decodeURIComponent(location.hash.slice(1));
  if (words.value) document.getElementById("cases").open = true;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
