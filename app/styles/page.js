// Table rows and dots of the atlas show "their" sample in the viewer, without asking the server.
(() => {
  const show = (target) => {
    const id = target.closest("[data-show-sample]")?.dataset.showSample;
    const viewer = document.querySelector("#viewer .lv")?.parentElement.linkedViewer;
    if (!id || !viewer || !viewer.pictures.has(id)) return false;
    viewer.show(id);
    const stage = document.querySelector("#viewer");
    if (stage.getBoundingClientRect().bottom < 120) stage.scrollIntoView({ block: "start" });
    return true;
  };
  document.addEventListener("click", (event) => {
    show(event.target);
    // On a phone the pictures lie below the controls.
    if (event.target.closest("#sample") && window.innerWidth < 760) {
      document.querySelector("#status")?.scrollIntoView({ behavior: "smooth", block: "start" });
    }
  });
  document.addEventListener("keydown", (event) => {
    const isDot = event.target.matches?.("g[data-show-sample]");
    if (isDot && (event.key === "Enter" || event.key === " ") && show(event.target)) event.preventDefault();
  });
})();
