// Gradio runs the joined modules as the body of a function of (element, trigger, props, server, upload, watch).

import { LinkedViewer } from "./viewer.js";

const viewer = new LinkedViewer(element, trigger);
element.linkedViewer = viewer;
viewer.setScene(props.value);
watch("value", () => viewer.setScene(props.value));
