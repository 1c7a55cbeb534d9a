"use strict";
// Details at once instead of after the browser's delay. Without scripts the titles do, later.
const detail = document.getElementById("detail");
for (const title of document.querySelectorAll("svg.picture title")) {
  const owner = title.parentNode;
  owner.dataset.detail = title.textContent;
  title.remove();
}
document.addEventListener("mousemove", (event) => {
  const owner = event.target.closest("[data-detail]");
  detail.hidden = owner === null;
  if (owner === null) return;
  detail.textContent = owner.dataset.detail;
  const box = detail.getBoundingClientRect();
  detail.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
  const below = event.clientY + 16;
  detail.style.top = (below + box.height < innerHeight ? below : event.clientY - box.height - 10) + "px";
});
for (const box of document.querySelectorAll("input[data-family]")) {
  const show = () => {
    for (const message of document.querySelectorAll("svg .message." + box.dataset.family)) {
      message.style.display = box.checked ? "" : "none";
    }
  };
  box.addEventListener("change", show);
  show();
}
