// What Gradio gives to the script of a component.

type SceneMessage = import("./messages.js").SceneMessage;

declare const element: HTMLElement & { linkedViewer: import("./viewer.js").LinkedViewer };
declare function trigger(event: string, data?: object): void;
declare var gradio_config: { root: string } | undefined;
declare const props: { value: SceneMessage | null };
declare function watch(name: string, onChange: () => void): void;
