// The views' shared kit, and each view's module behind it, as a page gets them. Started by test_parts_kit.py;
// by hand: node --test tests/widgets/kit.test.mjs
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

const parts = new URL("../../explorer/widgets/parts/", import.meta.url);
const shares = new URL("../../explorer/display/views/", import.meta.url);  // what a live page draws with too
const read = (name) => readFileSync([new URL(name, parts), new URL(name, shares)].find((file) => existsSync(file)), "utf8");
const load = (text) => import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
const kit = await load(read("kit.js"));

// The few things of a page that the kit touches.
class Node {
  constructor(tag) { Object.assign(this, { tag, children: [], attributes: {}, hidden: false, calls: [] }); }
  append(...nodes) { nodes.forEach((node) => { node.parent = this; }); this.children.push(...nodes); }
  remove() { this.parent.children = this.parent.children.filter((node) => node !== this); }
  setAttribute(name, value) { this.attributes[name] = value; }
  click() { this.calls.push("click"); this.onclick?.(); }
  focus() { this.calls.push("focus"); }
  select() { this.calls.push("select"); }
}
class Model {
  constructor(values = {}) { Object.assign(this, { values, heard: {}, sent: [] }); }
  get(key) { return this.values[key]; }
  set(key, value) { this.values[key] = value; this.heard[`change:${key}`]?.(); }
  on(event, act) { this.heard[event] = act; }
  off(event, act) { if (this.heard[event] === act) delete this.heard[event]; }
  send(message) {
    if (this.dead) throw new Error("comm is closed");
    this.sent.push(message);
  }
}
const page = { document: { createElement: (tag) => new Node(tag) } };
let copied;
const clipboard = { writeText: async (text) => { copied = text; } };

beforeEach(() => {
  globalThis.document = page.document;
  Object.defineProperty(globalThis, "navigator", { value: { clipboard }, configurable: true });
  mock.method(console, "warn", () => {});
  copied = undefined;
});
afterEach(() => mock.restoreAll());

describe("elements", () => {
  test("a text is written as text, and no text leaves the element empty", () => {
    const parent = new Node("div"), node = kit.make("p", "vx-a", parent, "<b>x</b>");
    assert.equal(node.textContent, "<b>x</b>");
    assert.equal(node.className, "vx-a");
    assert.deepEqual(parent.children, [node]);
    assert.equal("textContent" in kit.make("p"), false);
  });
  test("a button submits nothing, does its act, and says its label where its text is a sign", () => {
    let pressed = 0;
    const node = kit.button(null, "×", () => { pressed += 1; }, { className: "vx-b", label: "Close" });
    node.click();
    assert.equal(pressed, 1);
    const { type, className, title, attributes } = node;
    assert.deepEqual([type, className], ["button", "vx-b"]);
    assert.deepEqual([title, attributes["aria-label"]], ["Close", "Close"]);
    assert.equal(kit.button(null, "Copy").attributes["aria-label"], undefined);
  });
});

describe("the kernel", () => {
  test("a loaded view says so after its own beginning", () => {
    const model = new Model(), order = [];
    model.send = (message) => order.push(message.kind);
    kit.part(() => {}, () => order.push("own")).initialize({ model });
    assert.deepEqual(order, ["own", "ready"]);
  });
  test("without a kernel the reader is told what to do, and nothing is thrown", () => {
    const model = new Model(), said = [];
    kit.tell(model, { kind: "pick" }, (text) => said.push(text));
    assert.deepEqual([model.sent, said], [[{ kind: "pick" }], []]);
    model.dead = true;
    kit.tell(model, { kind: "pick" }, (text) => said.push(text));
    kit.tell(model, { kind: "pick" });
    assert.deepEqual(said, ["No kernel is running: run the notebook's cells first."]);
  });
  test("a choice is shown at once, kernel or not, and travels as a message", () => {
    const model = new Model({ sort: "channel" });
    let seen = 0;
    const unwatch = kit.watch(model, { sort: () => { seen += 1; } });
    kit.choose(model, "sort", "strength");
    assert.deepEqual(model.sent, [{ kind: "choose", key: "sort", value: "strength" }]);
    model.dead = true;
    kit.choose(model, "sort", "channel");
    assert.deepEqual([model.get("sort"), seen], ["channel", 2]);
    unwatch();
    kit.choose(model, "sort", "strength");
    assert.equal(seen, 2);
  });
});

describe("bytes, files, clipboard", () => {
  test("a view's bytes are its own and not its buffer's", () => {
    const view = new DataView(Uint8Array.from([9, 1, 2, 3, 4, 9]).buffer, 1, 4);
    assert.deepEqual([...kit.bytesOf(view)], [1, 2, 3, 4]);
    assert.deepEqual([...kit.bytesOf(view, 1, 2)], [2, 3]);
    assert.deepEqual([...kit.bytesOf(view, 4)], []);
    assert.deepEqual([...kit.bytesOf(undefined)], []);
  });
  test("pictures one behind the other become one address each", async () => {
    const blobs = [];
    mock.method(URL, "createObjectURL", (blob) => `blob:${blobs.push(blob)}`);
    const data = new DataView(Uint8Array.from([0, 1, 2, 3, 4, 5]).buffer, 1);
    assert.deepEqual(kit.pictureUrls({ sizes: [2, 3], data }), ["blob:1", "blob:2"]);
    const bytes = await Promise.all(blobs.map(async (blob) => [...new Uint8Array(await blob.arrayBuffer())]));
    assert.deepEqual(bytes, [[1, 2], [3, 4, 5]]);
    assert.deepEqual(kit.pictureUrls({}), []);
  });
  test("a file is saved under its name, and its address is given back later", () => {
    let later;
    mock.method(globalThis, "setTimeout", (act) => { later = act; });
    const parent = new Node("div"), revoked = [], links = [];
    mock.method(URL, "createObjectURL", (blob) => `blob:${blob.type}`);
    mock.method(URL, "revokeObjectURL", (url) => revoked.push(url));
    mock.method(page.document, "createElement", (tag) => { links.push(new Node(tag)); return links.at(-1); });
    kit.saveFile(parent, "a,b", { name: "runs.csv", mime: "text/csv" });
    const [link] = links;
    const { href, download, calls } = link;
    assert.deepEqual([href, download, calls, parent.children], ["blob:text/csv", "runs.csv", ["click"], []]);
    assert.deepEqual(revoked, []);
    later();
    assert.deepEqual(revoked, ["blob:text/csv"]);
  });
  test("what can't be copied is shown, selected, with the keys to press; a copy hides it", async () => {
    const said = [], byHand = kit.copier(new Node("div"), "vx-byhand", (text) => said.push(text));
    const { node } = byHand;
    assert.deepEqual([node.hidden, node.readOnly], [true, true]);
    assert.equal(node.attributes["aria-label"], "Text to copy");
    await byHand.copy("1,2", "Copied.");
    assert.deepEqual([copied, said, node.hidden], ["1,2", ["Copied."], true]);
    mock.method(clipboard, "writeText", async () => { throw new Error("NotAllowedError"); });
    await byHand.copy("3,4", "Copied.");
    assert.deepEqual([node.hidden, node.value, node.calls], [false, "3,4", ["focus", "select"]]);
    assert.equal(said[1], "The browser does not let this page copy. "
      + "The text is selected: press Ctrl+C (⌘C on a Mac).");
    byHand.hide();
    assert.equal(node.hidden, true);
  });
  test("a page without a clipboard, as over http, is the same case", async () => {
    Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
    const said = [];
    let selected = 0;
    await kit.copyText("x", { done: "Copied.", selected: "The lines are selected",
                              say: (text) => said.push(text), select: () => { selected += 1; } });
    assert.equal(selected, 1);
    assert.match(said[0], /The lines are selected: press Ctrl\+C/);
  });
});

describe("axes", () => {
  const near = (found, wanted) => {
    assert.equal(found.length, wanted.length, `${found} is not ${wanted}`);
    const off = found.map((value, i) => Math.abs(value - wanted[i]) / Math.max(1, Math.abs(wanted[i])));
    assert.ok(Math.max(...off) < 1e-9, `${found} is not ${wanted}`);
  };
  test("ticks are round numbers inside the range, at most as many as there is room for", () => {
    near(kit.ticks(0, 1, 5).at, [0, 0.2, 0.4, 0.6, 0.8, 1]);
    near(kit.ticks(-3.2, 4.1, 4).at, [-2, 0, 2, 4]);
    near(kit.ticks(0.93, 0.96, 3).at, [0.93, 0.94, 0.95, 0.96]);
    assert.equal(kit.ticks(0, 7000, 7).step, 1000);
    near(kit.ticks(0.7, 0.7 + 2 ** -53, 5).at, [0.7]);  // a loss that stands still, but for its rounding
    near(kit.ticks(-1e20, -1e20 + 2 ** 14, 5).at, [-1e20]);
  });
  test("a log axis has powers of ten, more in a narrow range, and never less than two", () => {
    near(kit.logTicks(1e-4, 1e3, 10), [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]);
    near(kit.logTicks(1e-4, 1e3, 3), [1e-4, 0.1, 100]);
    near(kit.logTicks(0.9, 60, 5), [1, 2, 5, 10, 20, 50]);
    near(kit.logTicks(0.3, 0.42, 3), [0.3, 0.35, 0.4]);
  });
  test("a tick has the digits that tell it from its neighbours", () => {
    const texts = [0, 0.05, 0.1].map((value) => kit.tickText(value, 0.05, "number"));
    assert.deepEqual(texts, ["0", "0.05", "0.10"]);
    assert.equal(kit.tickText(0.125, 0.005, "percent"), "12.5 %");
    assert.equal(kit.tickText(0.5, 0.1, "percent"), "50 %");
    assert.equal(kit.tickText(0.02, undefined, "percent"), "2 %");
    assert.equal(kit.tickText(2e6, 5e5, "number"), "2e+6");
    assert.equal(kit.tickText(0.0005, undefined, "number"), "5e-4");
    assert.equal(kit.tickText(-1e-12, 0.5, "number"), "0");
  });
  test("a value is said with three digits, a share in percent, and what is no number as that", () => {
    const texts = [1234.5, 0.000123, 0, NaN, 100000].map(kit.plain);
    assert.deepEqual(texts, ["1230", "1.2e-4", "0", "no number", "1e+5"]);
    assert.equal(kit.worded(0.12345, "percent"), "12.3 %");
    assert.equal(kit.worded(0.12345, "number"), "0.123");
  });
});

describe("each view behind the kit", () => {
  const own = /createElement\("|createObjectURL|navigator\.clipboard|console\.warn|new Blob/;
  // what is no element of the page: a canvas to draw on
  const canvas = /createElement\("canvas"\)/;
  const exceptions = { "image_input.js": canvas, "mosaic.js": canvas };
  const shared = ["kit.js", "plane.js"];                // come in front of the others
  const inFront = (name) => (/shares="(\w+)"/.exec(read(name.replace(".js", ".py"))) ?? []).slice(1).map((one) => `${one}.js`);
  const views = [...readdirSync(parts), ...readdirSync(shares)];
  for (const name of views.filter((file) => file.endsWith(".js") && !shared.includes(file))) {
    test(`${name} is a module that anywidget can load`, async () => {
      const { default: view } = await load(["kit.js", ...inFront(name), name].map(read).join("\n"));
      assert.equal(typeof view.render, "function");
      const model = new Model();
      view.initialize({ model });
      assert.deepEqual(model.sent, [{ kind: "ready" }]);
    });
    test(`${name} writes nothing again that the kit has`, () => {
      const lines = read(name).split("\n").filter((line) => own.test(line) && !exceptions[name]?.test(line));
      assert.deepEqual(lines, []);
    });
  }
});
