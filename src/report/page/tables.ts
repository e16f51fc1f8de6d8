import { format, share, type TableRow } from './model.js';

const ROWS = 200;

export interface TableOptions {
  rows: TableRow[];
  /** What a row is. */
  title: string;
  /** Which of the four values. */
  value: number;
  hasBaseline: boolean;
  /** The row chosen; -1 for none. */
  chosen: number;
  /** Colour of a row's mark; empty for none. */
  color: (row: TableRow) => string;
  choose: ((row: TableRow) => void) | null;
}

function element<K extends keyof HTMLElementTagNameMap>(name: K, text = '', className = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  if (className !== '') made.className = className;
  return made;
}

/** Fills `table`. Names of the profiled program only ever become text. */
export function fillTable(table: HTMLTableElement, options: TableOptions): void {
  const { rows, title, value, hasBaseline, chosen } = options;
  const whole = rows.reduce((sum, row) => sum + row.value, 0);
  const most = rows.reduce((max, row) => Math.max(max, row.value), 0);
  const head = element('tr');
  head.append(element('th', title), element('th', '', 'bar-cell'), element('th', 'value', 'number'));
  head.append(element('th', hasBaseline ? 'change' : 'share', 'number'));
  const body = rows.slice(0, ROWS).map((row) => {
    const line = element('tr');
    const name = element('td', '', 'name');
    const mark = options.color(row);
    if (mark !== '') {
      const dot = element('span', '', 'dot');
      dot.style.background = mark;
      name.append(dot);
    }
    const label = options.choose === null ? element('span', row.name) : element('button', row.name, 'link');
    label.title = row.name;
    name.append(label);
    if (row.detail !== '') name.append(element('span', row.detail, 'detail'));
    const bar = element('td', '', 'bar-cell');
    const fill = element('div', '', 'bar');
    fill.style.width = `${most === 0 ? 0 : (100 * row.value) / most}%`;
    if (mark !== '') fill.style.background = mark;
    bar.append(fill);
    const change = row.value - row.base;
    const last = hasBaseline ? format(change, value, true) : share(row.value, whole);
    const tone = hasBaseline && change !== 0 ? (change > 0 ? ' grown' : ' shrunk') : '';
    line.append(name, bar, element('td', format(row.value, value), 'number'), element('td', last, `number${tone}`));
    if (row.key === chosen) line.className = 'chosen';
    const { choose } = options;
    if (choose !== null) {
      line.classList.add('choice');
      line.addEventListener('click', () => choose(row));
    }
    return line;
  });
  const thead = element('thead');
  thead.append(head);
  const tbody = element('tbody');
  tbody.append(...body);
  table.replaceChildren(thead, tbody);
  if (rows.length > ROWS) table.createCaption().textContent = `${rows.length - ROWS} more rows are not shown`;
}
