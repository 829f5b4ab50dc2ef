// The page's nodes. What comes from the server is put in as text and as nothing else: names come from files.

/** The parts of a node, by their data-part. */
export function parts(root) {
  const found = {};
  for (const node of root.querySelectorAll("[data-part]")) {
    found[node.dataset.part] = node;
  }
  return found;
}

/** A copy of what a template holds. */
export function copy(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Remembers what was put into nodes, so that only what differs is touched. */
export class Slots {
  constructor(root) {
    this.nodes = parts(root);
    this.last = new Map();
  }

  /** Puts a text into a part. */
  text(part, value) {
    if (this.last.get(part) !== value) {
      this.last.set(part, value);
      this.nodes[part].textContent = value;
    }
  }

  /** Sets an attribute of a part. */
  attribute(part, name, value) {
    const key = `${part} ${name}`;
    if (this.last.get(key) !== value) {
      this.last.set(key, value);
      this.nodes[part].setAttribute(name, value);
    }
  }

  /** Shows a part, or not. */
  show(part, shown) {
    if (this.nodes[part].hidden === shown) {
      this.nodes[part].hidden = !shown;
    }
  }
}

/** An element with a text. */
export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  return made;
}

/** An element of SVG. */
export function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  return made;
}

/** Brings children into an order and takes out those that are not among them; who stands right is not touched. */
export function arrange(parent, children) {
  const focused = document.activeElement;
  const kept = new Set(children);
  for (const child of [...parent.children]) {
    if (!kept.has(child)) {
      child.remove();
    }
  }
  children.forEach((child, at) => {
    if (parent.children[at] !== child) {
      parent.insertBefore(child, parent.children[at] ?? null);
    }
  });
  if (focused && focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}
