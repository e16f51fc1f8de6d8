import { type PageData, unpackData } from '../page-data.js';
import { Chart } from './chart.js';
import { ownerColor } from './colors.js';
import { element, layout } from './layout.js';
import { format, functionRows, Model, ownerRows, processRows, share, VALUE_NAMES, type View } from './model.js';
import './style.css';
import { fillTable } from './tables.js';

async function readData(): Promise<PageData> {
  const text = document.getElementById('data')?.textContent ?? '';
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return unpackData((await new Response(stream).json()) as PageData);
}

function start(data: PageData): void {
  const model = new Model(data);
  const view: View = { process: -1, value: 0, owner: -1, inverted: false, zoom: [], search: '' };
  const page = layout(data);
  document.body.append(page.root);
  let table: 'owners' | 'functions' | 'processes' = 'owners';
  let sums = model.sums(view);

  const isDark = (): boolean => {
    const { theme } = document.documentElement.dataset;
    return theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
  };

  const chart = new Chart(page.chart, page.tooltip, model, {
    zoom: (path) => {
      view.zoom = path;
      draw();
    },
    point: (text) => {
      page.live.textContent = text;
    },
  });

  const draw = (): void => {
    chart.draw(view, sums, isDark());
    const whole = sums.total[0] ?? 0;
    const found = chart.matches();
    page.found.textContent = view.search === '' ? '' : `${format(found, view.value)} (${share(found, whole)})`;
    page.reset.disabled = view.zoom.length === 0;
    const names = ['all', ...view.zoom.map((frame) => model.name(frame))];
    page.path.replaceChildren(
      ...names.map((name, i) => {
        const step = element('button', name, 'link');
        step.addEventListener('click', () => {
          view.zoom = view.zoom.slice(0, i);
          draw();
        });
        return step;
      }),
    );
  };

  const drawTable = (): void => {
    const common = { value: view.value, hasBaseline: data.hasBaseline };
    for (const tab of page.tabs) tab.setAttribute('aria-selected', String(tab.dataset.table === table));
    if (table === 'owners') {
      fillTable(page.table, {
        ...common,
        rows: ownerRows(model, view),
        title: 'package',
        chosen: view.owner,
        color: (row) => ownerColor(row.name, '', isDark()),
        choose: (row) => {
          view.owner = view.owner === row.key ? -1 : row.key;
          page.owner.value = String(view.owner);
          change();
        },
      });
    } else if (table === 'functions') {
      fillTable(page.table, {
        ...common,
        rows: functionRows(model, view),
        title: 'function that allocated',
        chosen: -1,
        color: (row) => ownerColor(row.detail, '', isDark()),
        choose: (row) => search(row.name),
      });
    } else {
      fillTable(page.table, {
        ...common,
        rows: processRows(model, view),
        title: 'process',
        chosen: view.process,
        color: () => '',
        choose: (row) => {
          view.process = view.process === row.key ? -1 : row.key;
          page.process.value = String(view.process);
          change();
        },
      });
    }
  };

  /** Something else is counted now. */
  const change = (): void => {
    sums = model.sums(view);
    const [now, before] = [sums.total[0] ?? 0, sums.baseTotal[0] ?? 0];
    page.total.textContent = format(now, view.value);
    page.change.textContent = data.hasBaseline ? `${format(now - before, view.value, true)} against the baseline` : '';
    page.notice.hidden = !(data.hasBaseline && view.process >= 0 && before === 0);
    draw();
    drawTable();
  };

  const search = (text: string): void => {
    page.search.value = text;
    view.search = text.trim().toLowerCase();
    draw();
  };

  const owners = [...new Set(data.samples.owner)].sort((a, b) =>
    (data.strings[a] as string) < (data.strings[b] as string) ? -1 : 1,
  );
  for (const owner of owners) page.owner.append(new Option(data.strings[owner], String(owner)));
  for (const [i, name] of VALUE_NAMES.entries()) page.value.append(new Option(name, String(i)));

  page.process.addEventListener('change', () => {
    view.process = Number(page.process.value);
    change();
  });
  page.value.addEventListener('change', () => {
    view.value = Number(page.value.value);
    change();
  });
  page.owner.addEventListener('change', () => {
    view.owner = Number(page.owner.value);
    change();
  });
  page.inverted.addEventListener('change', () => {
    view.inverted = page.inverted.checked;
    view.zoom = [];
    draw();
  });
  let typing = 0;
  page.search.addEventListener('input', () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => search(page.search.value), 120);
  });
  page.reset.addEventListener('click', () => {
    view.zoom = [];
    draw();
  });
  for (const tab of page.tabs) {
    tab.addEventListener('click', () => {
      table = tab.dataset.table as typeof table;
      drawTable();
    });
  }
  page.theme.addEventListener('click', () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    draw();
    drawTable();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    draw();
    drawTable();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (page.chart.clientWidth === width) return;
    width = page.chart.clientWidth;
    draw();
  }).observe(page.chart);

  document.addEventListener('keydown', (event) => {
    const inField = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') {
      if (view.search !== '') search('');
      else if (view.zoom.length > 0) page.reset.click();
      if (inField) page.chart.focus();
    } else if (inField) {
      return;
    } else if (event.key === '/') {
      event.preventDefault();
      page.search.focus();
      page.search.select();
    } else if (event.key === 'i') {
      page.inverted.click();
    } else if (event.key === 'Backspace' && view.zoom.length > 0) {
      event.preventDefault();
      view.zoom = view.zoom.slice(0, -1);
      draw();
    }
  });
  change();
  document.documentElement.dataset.ready = 'true';
}

readData().then(start, (error: unknown) => {
  document.body.append(element('p', `This report cannot be shown: ${error instanceof Error ? error.message : error}`));
});
