// Elements made in code: whatever a message says goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. Keys of `set` that start with "on" are listeners, the rest attributes. */
export function el(name, set = {}, ...children) {
  return filled(document.createElement(name), set, children);
}

/** Make an SVG element. */
export function svg(name, set = {}, ...children) {
  return filled(document.createElementNS(SVG, name), set, children);
}

function filled(node, set, children) {
  for (const [key, value] of Object.entries(set)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...there(children));
  return node;
}

const there = (children) => children.filter((child) => child !== null && child !== undefined);

/** Replace all that is in a node; what is null is left out. */
export function fill(node, ...children) {
  node.replaceChildren(...there(children));
}

/** Find by id. */
export const byId = (id) => document.getElementById(id);

/** Set a node's text only where it differs, so that a screen reader isn't told twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Call `draw` once before the next frame, however often it is asked for. */
export function coalesced(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Read what this browser remembers of a choice. */
export function remembered(key, fallback) {
  try {
    return localStorage.getItem(`rainwatch.${key}`) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Remember a choice; a browser that keeps nothing forgets it. */
export function remember(key, value) {
  try {
    localStorage.setItem(`rainwatch.${key}`, value);
  } catch {
    // Private windows may refuse; the choice then holds until the page is closed.
  }
}
