// Several files at once: the first is opened, the others wait beside the picture until the visitor wants the next one.
// They stay in the browser until then. Files may be dropped anywhere on the page, not only on the picture box.
(() => {
  /** @type {File[]} */
  let waiting = [];

  const MAX_NAMES = 3;
  const NO_LINKS = "A link cannot be opened here. Save the picture as a file, then drop the file.";

  const button = (text, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.addEventListener("click", act);
    return made;
  };

  /** Show which files are waiting, or another message. @param {string} [words] */
  function show(words) {
    const place = document.querySelector("#waiting .waiting");
    if (!place) return;
    const names = waiting.slice(0, MAX_NAMES).map(({ name }) => name);
    if (waiting.length > MAX_NAMES) names.push(`and ${waiting.length - MAX_NAMES} more`);
    const text = words ?? (waiting.length ? `Next: ${names.join(", ")}` : "");
    const line = Object.assign(document.createElement("span"), { textContent: text });
    const buttons = waiting.length ? [button("Next picture", next), button("Forget them", forget)] : [];
    place.replaceChildren(line, ...buttons);
    place.hidden = !text;
  }

  /** Pass a file to Gradio, as if the visitor had chosen it. @param {File} file */
  function open(file) {
    const input = document.querySelector("#picture input[type=file]");
    if (!input) return;
    const chosen = new DataTransfer();
    chosen.items.add(file);
    input.files = chosen.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function next() {
    const file = waiting.shift();
    show();
    if (file) open(file);
  }

  function forget() {
    waiting = [];
    show();
  }

  /** @param {FileList} files */
  function take(files) {
    waiting = [...files];
    next();
  }

  const isEditable = (node) => node?.closest?.("input:not([type=file]), textarea, [contenteditable]");

  const seize = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  document.addEventListener("dragover", (event) => {
    // Without this the browser would leave the page and show the file.
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });

  const onDrop = (event) => {
    const { files, types } = event.dataTransfer ?? { files: [], types: [] };
    const isLink = !files.length && types.includes("text/uri-list");
    if (isEditable(event.target) || (!files.length && !isLink)) return;
    if (event.target.closest?.("[data-takes-files]") && files.length) return;
    seize(event);
    if (isLink) show(NO_LINKS);
    else take(files);
  };

  const onPaste = (event) => {
    const files = event.clipboardData?.files ?? [];
    if (!files.length || isEditable(event.target)) return;
    seize(event);
    take(files);
  };

  const onChange = (event) => {
    const { target } = event;
    if (!target.matches?.("#picture input[type=file]") || target.files.length < 2) return;
    seize(event);
    take(target.files);
  };

  // This runs before Gradio's own handlers, which accept only one file.
  document.addEventListener("drop", onDrop, true);
  document.addEventListener("paste", onPaste, true);
  document.addEventListener("change", onChange, true);
  new MutationObserver(() => {
    const input = document.querySelector("#picture input[type=file]:not([multiple])");
    if (input) input.multiple = true;
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
