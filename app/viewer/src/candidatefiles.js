// Small picture files that show what a region may contain: chosen or dropped, and read into the form in which they are sent.

import { make, makeButton } from "./dom.js";

const MOST_BYTES = 2 * 2 ** 20; // app/viewer/candidate_file.py refuses larger ones, too
const LONGEST_NAME = 100;

/** The content without what a data URL begins with. @param {Blob} file @returns {Promise<string>} */
function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export class CandidateFiles {
  /**
   * @param {HTMLElement} target where files may be dropped
   * @param {(file: import("./messages.js").CandidateFileMessage) => void} onAdd
   * @param {(text: string) => void} onRefuse
   */
  constructor(target, onAdd, onRefuse) {
    this.onAdd = onAdd;
    this.onRefuse = onRefuse;
    this.input = make("input", {
      ...{ type: "file", accept: "image/*", multiple: true, hidden: true, "aria-label": "Files to try" },
      onchange: () => {
        this.take([...this.input.files]);
        this.input.value = ""; // so that the same file can be chosen again
      },
    });
    this.button = makeButton("Add a file", "A small picture of what may be there; or drop one here", () => this.input.click());
    target.dataset.takesFiles = ""; // styles/queue.js leaves what is dropped here alone
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      this.take([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** One after the other, in their order. @param {File[]} files */
  async take(files) {
    for (const file of files) {
      if (file.size > MOST_BYTES) {
        this.onRefuse(`${file.name} is larger than 2 MB. Crop it to what the region may show.`);
        continue;
      }
      try {
        this.onAdd({ name: file.name.slice(-LONGEST_NAME), file: await readBase64(file) });
      } catch {
        this.onRefuse(`${file.name} cannot be read. Choose it again.`);
      }
    }
  }
}
