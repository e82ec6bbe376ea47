// Everything that comes from outside is set as text, never as markup.

/** The element of this id, which the page is known to have. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is no node becomes text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    made.setAttribute(attribute, value);
  }

  made.append(...children);
  return made;
}

/** Sets text only where it has changed, so that a screen reader is not told the same thing again. */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Fills a description list with [term, description] pairs, in place. */
export function fillFigures(list, figures) {
  while (list.children.length > figures.length) {
    list.lastElementChild.remove();
  }

  figures.forEach(([term, description], index) => {
    const group = list.children[index] ?? list.appendChild(element('div', {}, element('dt'), element('dd')));
    setText(group.firstElementChild, term);
    setText(group.lastElementChild, description);
  });
}
