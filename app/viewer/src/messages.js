// The messages between Python and the browser, as types. `messages.json` describes them; tests compare this file,
// data.py and the actual messages with that description.

/** @typedef {{url: string}} FileData relative to the address of the page */
/** @typedef {{top: number, rows: number, image: FileData}} PartMessage */
/**
 * @typedef {object} PictureMessage
 * @property {string} id
 * @property {string} label
 * @property {"sample" | "reference" | "way"} kind
 * @property {string} badge
 * @property {string} key
 * @property {string} file_name
 * @property {FileData | null} image
 * @property {string} problem why there is no image, and never will be; "" while it is still being made
 * @property {PartMessage[]} parts
 */
/**
 * @typedef {object} OverlayMessage
 * @property {FileData} image
 * @property {FileData | null} values
 * @property {string} title
 * @property {number} minimum
 * @property {number} maximum
 * @property {string} unit
 * @property {string[]} colors
 * @property {number} values_top
 * @property {number | null} bars
 * @property {boolean} of_luma
 * @property {string} remark
 * @property {string} details
 */
/** @typedef {"roll" | "more" | "different" | "typical" | "extremes" | "families" | "family"} PoolKind */
/** @typedef {PoolKind | "children" | "between" | "heat" | "sliders" | "wish" | "edit" | "grain" | "texts" | "pieces"} WayKind */
/** @typedef {"flat" | "uncertain"} FoundName */
/** @typedef {{name: FoundName, mask: MaskMessage}} FoundMessage */
/** @typedef {{temperature: number, mask: MaskMessage}} HeatMessage */
/** @typedef {{type: string, [parameter: string]: string | number | object[]}} WishMessage see srflow.steering.wishes */
/** @typedef {{type: string, [parameter: string]: string | number}} EditMessage of the selected region */
/** @typedef {{id: string, box: number[]}} SourceMessage a source region */
/** @typedef {{name: string, file: string}} CandidateFileMessage its content in base64 */
/** @typedef {SourceMessage | CandidateFileMessage} PieceMessage what a region may show */
/** @typedef {{id: string, ends: string[], percent: number}} BlendMessage */
/** @typedef {{image: FileData | null, low: string, high: string, share: number, deviations: number[] | null, remark: string}} SliderMessage */
/** @typedef {{strips: SliderMessage[], angles: number[]}} SlidersMessage */
/**
 * @typedef {object} WalkMessage
 * @property {string} start
 * @property {string[]} ids
 * @property {number} count
 * @property {number[]} box
 * @property {WayKind} kind
 * @property {number} dial
 * @property {BlendMessage | null} blend
 * @property {FoundMessage | null} found
 * @property {SlidersMessage | null} sliders
 * @property {number[]} levels
 */
/**
 * @typedef {object} StepMessage
 * @property {number} number
 * @property {number | null} parent
 * @property {FileData | null} image
 * @property {string} caption
 * @property {string} words
 * @property {"picture" | "samples" | "sweep" | "explored"} kind
 * @property {string} name
 * @property {boolean} is_pinned
 * @property {boolean} is_current
 * @property {string | null} difference
 */
/**
 * @typedef {object} SceneMessage
 * @property {number} width
 * @property {number} height
 * @property {string} subject
 * @property {PictureMessage[]} pictures
 * @property {OverlayMessage | null} overlay
 * @property {boolean} overlay_expected
 * @property {"grid" | "single" | "wipe" | "difference" | null} mode
 * @property {string | null} selected
 * @property {string[] | null} compare
 * @property {number[] | null} place
 * @property {string | null} placeholder
 * @property {number[] | null} suggested_place
 * @property {string} note
 * @property {number[] | null} grid
 * @property {WalkMessage | null} walk
 * @property {string | null} explored
 * @property {StepMessage[]} steps
 * @property {number | null} temperature
 * @property {string} serial
 * @property {number} revision
 */
/**
 * @typedef {object} PlaceEvent
 * @property {number} x
 * @property {number} y
 * @property {string} id
 * @property {string} subject
 */
/**
 * @typedef {object} PickEvent
 * @property {string} id
 * @property {string} subject
 */

/**
 * @typedef {object} MaskMessage
 * @property {number} width
 * @property {number} height
 * @property {number[]} box
 * @property {number[]} runs
 */
/**
 * @typedef {object} ExploreEvent
 * @property {WayKind | FoundName | "like" | "slide" | "accept" | "leave"} action
 * @property {string} id
 * @property {MaskMessage | null} mask
 * @property {number} dial
 * @property {string[]} others
 * @property {Detail} detail
 * @property {HeatMessage[]} heat
 * @property {number[]} angles
 * @property {WishMessage | null} wish
 * @property {EditMessage | null} edit
 * @property {string[]} texts
 * @property {SourceMessage | null} source
 * @property {PieceMessage[]} sources
 * @property {string} subject
 */
/** @typedef {{number: number}} TravelEvent */
/**
 * @typedef {object} MarkEvent
 * @property {"name" | "pin" | "compare"} action
 * @property {number} number
 * @property {string} name
 * @property {boolean} is_pinned
 */
/** @typedef {{line: number[] | null, subject: string}} LineEvent */
/** @typedef {"all" | "coarse" | "fine"} Detail */
/**
 * @typedef {object} MaskEvent
 * @property {MaskMessage | null} mask
 * @property {string} id
 * @property {string} subject
 */

/**
 * @param {SceneMessage} scene
 * @param {import("./geometry.js").Point} pixel
 * @param {string} id
 * @returns {PlaceEvent}
 */
export function placeEvent(scene, pixel, id) {
  return { x: pixel.x, y: pixel.y, id, subject: scene.subject };
}

/**
 * @param {SceneMessage} scene
 * @param {string} id
 * @returns {PickEvent}
 */
export function pickEvent(scene, id) {
  return { id, subject: scene.subject };
}

/**
 * @param {SceneMessage} scene
 * @param {import("./geometry.js").Point} start
 * @param {import("./geometry.js").Point} end
 * @returns {LineEvent}
 */
export function lineEvent(scene, start, end) {
  return { line: [start.x, start.y, end.x, end.y], subject: scene.subject };
}

/**
 * The address of a file: the page may be served below another address than its server's root.
 * @param {FileData} file
 */
export function addressOf(file) {
  return `${globalThis.gradio_config?.root ?? ""}${file.url}`;
}

/**
 * @param {SceneMessage} scene
 * @param {MaskMessage | null} mask
 * @param {string} id of the picture that one would go on from
 * @returns {MaskEvent}
 */
export function maskEvent(scene, mask, id) {
  return { mask, id, subject: scene.subject };
}

/**
 * @param {SceneMessage} scene
 * @param {ExploreEvent["action"]} action
 * @param {string} id
 * @param {MaskMessage | null} mask
 * @param {{dial: number, detail: Detail, others?: string[], heat?: HeatMessage[], angles?: number[], wish?: WishMessage | null,
 *   edit?: EditMessage | null, texts?: string[], source?: SourceMessage | null, sources?: PieceMessage[]}} settings
 * @returns {ExploreEvent}
 */
export function exploreEvent(scene, action, id, mask, settings) {
  const { dial, detail, others = [], heat = [], angles = [] } = settings;
  const { wish = null, edit = null, texts = [], source = null, sources = [] } = settings;
  const given = { wish, edit, texts, source, sources };
  return { action, id, mask, dial, others, detail, heat, angles, ...given, subject: scene.subject };
}

/**
 * @param {StepMessage} step
 * @param {MarkEvent["action"]} action
 * @param {{name?: string, is_pinned?: boolean}} [changes]
 * @returns {MarkEvent}
 */
export function markEvent({ number, name, is_pinned }, action, changes = {}) {
  return { action, number, name, is_pinned, ...changes };
}
