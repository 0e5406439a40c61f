// What the page does without the server.
(() => {
  // The browser numbers its events, so that the server knows their order even if the network changes it. The first
  // event is the page's own.
  let serial = 1;
  window.srflowSerial = () => (serial += 1);

  const PREVIEW_NAME = "Low-resolution input. Click to move the crop there, or use the numbers beside it.";

  const isEditable = (node) => node?.closest?.("input, textarea, select, [contenteditable]");

  /** Table rows and dots of the similarity map show their sample in the viewer. */
  function showSample(target) {
    const id = target.closest?.("[data-show-sample]")?.dataset.showSample;
    const viewer = document.querySelector("#viewer .lv");
    if (!id || !viewer) return false;
    const isRefused = viewer.dispatchEvent(new CustomEvent("lv-show", { detail: id, cancelable: true }));
    if (isRefused) return false;
    const stage = document.querySelector("#viewer");
    if (stage.getBoundingClientRect().bottom < 120) stage.scrollIntoView({ block: "start" });
    return true;
  }

  /** Sort a table by the column of this heading; a second click reverses the order. Rows without a value go last. */
  function sortBy(button) {
    const head = button.closest("th");
    const column = [...head.parentElement.children].indexOf(head);
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.children) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const value = (row) => Number.parseFloat(row.cells[column].dataset.value ?? "NaN");
    const order = (a, b) => {
      const [left, right] = [value(a), value(b)];
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return ascending ? left - right : right - left;
    };
    body.append(...[...body.rows].sort(order));
  }

  document.addEventListener("click", (event) => {
    showSample(event.target);
    const heading = event.target.closest?.("[data-sort]");
    if (heading) sortBy(heading);
  });

  document.addEventListener("keydown", (event) => {
    const isDot = event.target.matches?.("g[data-show-sample]");
    if (isDot && (event.key === "Enter" || event.key === " ") && showSample(event.target)) event.preventDefault();
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const isUndo = event.key.toLowerCase() === "z" && !event.shiftKey;
    const isRedo = event.key.toLowerCase() === "y" || (event.key.toLowerCase() === "z" && event.shiftKey);
    if (event.key === "Enter") document.querySelector("#sample")?.click();
    else if ((isUndo || isRedo) && !isEditable(event.target)) document.querySelector(isUndo ? "#undo" : "#redo")?.click();
    else return;
    event.preventDefault();
  });

  // A separate, permanent live region: the status line itself is replaced several times a second, mostly with progress
  // that need not be read aloud.
  const live = document.createElement("div");
  live.className = "unseen";
  live.id = "announcements";
  live.setAttribute("role", "status");
  new MutationObserver(() => {
    // The button around the preview has no accessible name of its own.
    document.querySelector("#preview button:has(img):not([aria-label])")?.setAttribute("aria-label", PREVIEW_NAME);
    const status = document.querySelector("#status");
    if (!status) return; // until Gradio has built the page, it would remove anything added here
    if (!live.isConnected) document.body.append(live);
    const spoken = status.querySelector("[data-spoken]")?.dataset.spoken;
    if (spoken !== undefined && live.textContent !== spoken) live.textContent = spoken;
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
