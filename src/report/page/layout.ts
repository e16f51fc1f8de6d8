import type { PageData, PageProcess } from '../page-data.js';

/** Makes an element; what is in it is text, whatever it looks like. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  text = '',
  className = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (text !== '') made.textContent = text;
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** The parts of the page that change. */
export interface Page {
  root: HTMLElement;
  process: HTMLSelectElement;
  value: HTMLSelectElement;
  owner: HTMLSelectElement;
  inverted: HTMLInputElement;
  search: HTMLInputElement;
  found: HTMLElement;
  reset: HTMLButtonElement;
  theme: HTMLButtonElement;
  total: HTMLElement;
  change: HTMLElement;
  notice: HTMLElement;
  path: HTMLElement;
  chart: HTMLElement;
  tooltip: HTMLElement;
  table: HTMLTableElement;
  tabs: HTMLButtonElement[];
  live: HTMLElement;
}

function labelled<T extends HTMLElement>(text: string, control: T, id: string): HTMLElement {
  control.id = id;
  const label = element('label', '', 'control', element('span', text), control);
  label.htmlFor = id;
  return label;
}

function processLabel({ pid, command, kind, baselineOnly }: PageProcess): string {
  return `${pid || '?'}  ${command}  (${kind}${baselineOnly ? ', baseline' : ''})`;
}

function distinct(values: string[]): string {
  return [...new Set(values.filter((value) => value !== ''))].join(', ');
}

/** Command, times, versions. */
function facts(data: PageData): HTMLElement {
  const own = data.processes.filter((process) => !process.baselineOnly);
  const root = own.find((process) => process.kind === 'root') ?? own[0];
  const times = own.map((process) => process.startTime ?? '').sort();
  const list = element('dl', '', 'facts');
  const fact = (name: string, value: string): void => {
    if (value === '') return;
    const pair = element('div');
    pair.append(element('dt', name), element('dd', value));
    list.append(pair);
  };
  fact('command', root?.command ?? '');
  fact('processes', String(own.length));
  fact('started', (times.find((time) => time !== '') ?? '').replace('T', ' ').replace(/\.\d+/, ''));
  fact('mode', distinct(own.map((process) => process.mode)));
  fact('node', distinct(own.map((process) => process.node)));
  fact('gperftools', distinct(own.map((process) => process.gperftools.replace(/^.*\//, ''))));
  fact('forkheap', data.forkheap);
  return list;
}

function tab(name: string, text: string): HTMLButtonElement {
  const button = element('button', text, 'tab');
  button.dataset.table = name;
  button.setAttribute('role', 'tab');
  return button;
}

function legend(data: PageData): HTMLElement {
  if (!data.hasBaseline) return element('span');
  return element(
    'span',
    '',
    'legend',
    element('span', '', 'swatch shrunk'),
    'less than the baseline',
    element('span', '', 'swatch grown'),
    'more',
  );
}

/** Builds the page. */
export function layout(data: PageData): Page {
  const process = element('select');
  process.append(new Option(`all (${data.processes.length})`, '-1'));
  for (const [i, entry] of data.processes.entries()) process.append(new Option(processLabel(entry), String(i)));
  const owner = element('select');
  owner.append(new Option('all', '-1'));
  const value = element('select');
  const inverted = element('input');
  inverted.type = 'checkbox';
  const search = element('input');
  search.type = 'search';
  search.placeholder = 'function, file or package';
  const found = element('output', '', 'found');
  const reset = element('button', 'Reset zoom', 'button');
  const theme = element('button', 'Dark / light', 'button theme');
  const total = element('strong', '', 'total');
  const change = element('span', '', 'change');
  const notice = element('p', 'The baseline has nothing of this process: everything here counts as new.', 'notice');
  notice.hidden = true;
  const path = element('nav', '', 'path');
  path.setAttribute('aria-label', 'zoom');
  const chart = element('div', '', 'chart');
  chart.tabIndex = 0;
  chart.setAttribute('role', 'group');
  chart.setAttribute('aria-label', 'Flame graph: arrow keys go from frame to frame, Enter zooms, Backspace zooms out');
  const tooltip = element('div', '', 'tooltip');
  tooltip.hidden = true;
  const live = element('div', '', 'visually-hidden');
  live.setAttribute('aria-live', 'polite');
  const table = element('table');
  const tabs = [tab('owners', 'Packages'), tab('functions', 'Functions'), tab('processes', 'Processes')];
  const tabList = element('div', '', 'tabs', ...tabs);
  tabList.setAttribute('role', 'tablist');
  const controls = element(
    'div',
    '',
    'controls',
    labelled('Process', process, 'process'),
    labelled('Value', value, 'value'),
    labelled('Package', owner, 'owner'),
    labelled('Search', search, 'search'),
    labelled('Inverted', inverted, 'inverted'),
    reset,
    found,
  );
  const root = element(
    'main',
    '',
    '',
    element(
      'header',
      '',
      '',
      element('div', '', 'title', element('h1', data.title || 'Native heap'), total, change, theme),
      facts(data),
    ),
    ...data.warnings.map((warning) => element('p', warning, 'notice')),
    element('section', '', 'tables', tabList, element('div', '', 'scroll', table)),
    controls,
    notice,
    element('div', '', 'above', path, legend(data)),
    chart,
    element('footer', '', '', '/ search · arrows and Enter in the graph · Backspace out · i inverted · Esc reset'),
    tooltip,
    live,
  );
  return {
    ...{ root, process, value, owner, inverted, search, found, reset, theme, total, change, notice },
    ...{ path, chart, tooltip, table, tabs, live },
  };
}
