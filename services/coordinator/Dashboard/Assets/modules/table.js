import { element, setText } from './dom.js';

/**
 * A table that is updated in place, so that focus and selection stay where they are. On a narrow screen its rows are shown as cards, which
 * would take the table's meaning away in some browsers; the roles keep it.
 * A column is { title, number?, wide? }; the first column names the row. A cell is a text, or { text, href?, badge?, progress? }.
 */
export class Table {
  #columns;
  #body;
  #empty;
  #scroller;

  constructor(parent, caption, columns, empty) {
    this.#columns = columns;
    this.#body = element('tbody', { role: 'rowgroup' });
    const head = element('tr', { role: 'row' }, ...columns.map((column) =>
      element('th', { scope: 'col', role: 'columnheader', ...kindOf(column) }, column.title)));
    const table = element('table', { role: 'table' },
      element('caption', {}, caption), element('thead', { role: 'rowgroup' }, head), this.#body);
    this.#scroller = element('div', { class: 'scroller', role: 'region', tabindex: '0', 'aria-label': caption }, table);
    this.#scroller.hidden = true;
    this.#empty = element('p', { class: 'empty' }, empty);
    parent.replaceChildren(this.#scroller, this.#empty);
  }

  /** Shows these rows, each an array of cells in the order of the columns. */
  show(rows) {
    this.#scroller.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    while (this.#body.children.length > rows.length) {
      this.#body.lastElementChild.remove();
    }

    rows.forEach((cells, index) => {
      const row = this.#body.children[index] ?? this.#body.appendChild(this.#row());
      cells.forEach((cell, column) => fill(row.children[column], cell));
    });
  }

  #row() {
    return element('tr', { role: 'row' }, ...this.#columns.map((column, index) => {
      const kind = { 'data-label': column.title, ...kindOf(column) };
      return index === 0
        ? element('th', { scope: 'row', role: 'rowheader', ...kind })
        : element('td', { role: 'cell', ...kind });
    }));
  }
}

const kindOf = ({ number, wide }) => (number || wide ? { class: number ? 'number' : 'wide' } : {});

function fill(node, cell) {
  const value = typeof cell === 'object' ? cell : { text: cell };
  if (value.progress !== undefined) {
    const bar = node.querySelector('progress') ?? node.appendChild(element('progress', { max: '1' }));
    bar.value = value.progress;
    bar.setAttribute('aria-label', value.label);
    setText(node.querySelector('span') ?? node.appendChild(element('span')), value.text);
  } else if (value.href) {
    const link = node.querySelector('a') ?? node.appendChild(element('a'));
    link.href = value.href;
    setText(link, value.text);
  } else if (value.badge) {
    const badge = node.querySelector('span') ?? node.appendChild(element('span'));
    badge.className = `badge ${value.badge}`;
    setText(badge, value.text);
  } else {
    setText(node, value.text);
  }
}
