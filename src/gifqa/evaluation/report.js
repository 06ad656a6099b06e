(() => {
  const cards = [...document.querySelectorAll(".card")];
  const buttons = [...document.querySelectorAll("button[data-verdict]")];
  const kinds = document.querySelector("#kind");
  const shown = document.querySelector("#shown");
  if (!cards.length) return;
  let verdict = "all";
  const update = () => {
    let count = 0;
    for (const card of cards) {
      const fits = (verdict === "all" || card.dataset.verdict === verdict) &&
        (!kinds || kinds.value === "all" || card.dataset.kind === kinds.value);
      card.hidden = !fits;
      count += fits;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    shown.textContent = `${count} of ${cards.length} shown`;
  };
  for (const button of buttons) button.addEventListener("click", () => { verdict = button.dataset.verdict; update(); });
  kinds?.addEventListener("change", update);
  update();
})();
