// Builds elements. Text is always text: nothing that came over the wire is ever parsed as HTML.

/**
 * An element. `on…` attributes are listeners; true sets an empty attribute; null, undefined and false set none.
 * Children are nodes, strings, numbers, lists of them, or null for nothing.
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value);
  element.append(...present(children));
  return element;
}

/** Puts `children` in place of whatever `parent` holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else element.setAttribute(name, value === true ? "" : String(value));
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
