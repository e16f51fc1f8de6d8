import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import t, { type Test } from 'tap';
import type { Profile } from '../../src/profile/model.js';
import { type FlamegraphOptions, toFlamegraphHtml } from '../../src/report/flamegraph.js';
import { openBrowser, openPage, textOf } from '../helpers/browser.js';
import { ADDON_STACK, BUFFER_STACK, Maker, REFERENCE_STACK, START_STACK } from '../profile/made.js';

const HOSTILE = '<img src=x onerror="document.title=\'taken\'">';
const HOSTILE_STACK = [
  `/app/node_modules/<b>bold/x.node!${HOSTILE}`,
  `/app/${HOSTILE}.js:1:1!</script><script>alert(1)`,
];

const maker = new Maker();
const profile = maker.profile([
  [1, START_STACK, 300_000],
  [2, ADDON_STACK, 4_000_000],
  [2, BUFFER_STACK, 500_000],
  [2, REFERENCE_STACK, 250_000],
  [2, HOSTILE_STACK, 200_000],
  [3, ADDON_STACK, 2_000_000],
]);
const baseline = maker.profile([
  [1, START_STACK, 300_000],
  [2, ADDON_STACK, 1_000_000],
  [2, BUFFER_STACK, 900_000],
]);

let browser: Browser;
t.before(async () => {
  browser = await openBrowser(t);
});

// Where to put pictures of the page for people to look at.
const shots = process.env.FORKHEAP_SCREENSHOTS;

interface Look extends FlamegraphOptions {
  colorScheme?: 'dark';
}

/** A test of the page that shows `from`. */
function shown(
  title: string,
  from: Profile,
  { colorScheme, ...options }: Look,
  body: (t: Test, page: Page) => unknown,
) {
  t.test(title, async (t) => {
    const file = join(t.testdir({}), 'report.html');
    writeFileSync(file, toFlamegraphHtml(from, options));
    const { page, complaints } = await openPage(browser, { colorScheme: colorScheme ?? 'light' });
    page.setDefaultTimeout(30_000);
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector('html[data-ready]');
    try {
      await body(t, page);
    } finally {
      await page.close();
    }
    t.same(complaints, [], 'nothing was refused, nothing went wrong');
  });
}

async function shoot(page: Page, name: string): Promise<void> {
  if (shots === undefined) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

const names = (page: Page) =>
  page.locator('g.frame').evaluateAll((all) => all.map((frame) => frame.getAttribute('name')));
const rows = (page: Page) => page.locator('tbody tr').allInnerTexts();
const chosen = async (page: Page, label: string, option: string | RegExp) => {
  const select = page.locator(`#${label}`);
  const value = await select.locator('option', { hasText: option }).first().getAttribute('value');
  await select.selectOption(value as string);
};

shown('first the packages, then the stacks', profile, { title: 'a service' }, async (t, page) => {
  t.match(await page.title(), 'a service');
  t.match(await rows(page), [/^leveldown[\s\S]*5\.72 MiB[\s\S]*82\.8%/, /^\(program\)/, /^node/]);
  t.match(
    await textOf(page.locator('header')),
    /6\.91 MiB[\s\S]*node worker\.js 1[\s\S]*2026-01-02 03:04:05Z[\s\S]*20\.20\.2/,
  );
  const drawn = await names(page);
  t.ok(drawn.includes('db_get_many') && drawn.includes('handleRequest  server.js:25'), 'JavaScript with its line');
  t.notOk(
    drawn.some((name) => name?.startsWith('v8::') || name === 'main'),
    'inner frames are folded',
  );
  await shoot(page, 'light');
});

shown('choose a process, a value, a package', profile, {}, async (t, page) => {
  await chosen(page, 'process', /^3 /);
  t.match(await textOf(page.locator('.total')), '1.91 MiB');
  t.match(await rows(page), [/^leveldown/]);
  await chosen(page, 'process', 'all');
  await chosen(page, 'value', 'Allocated, objects');
  t.equal(await textOf(page.locator('.total')), '12');
  await chosen(page, 'value', 'In use, bytes');
  await page.getByRole('button', { name: '@scope/canvas' }).click();
  t.match(await names(page), ['all', 'handleRequest', 'createCanvas', 'Canvas::Canvas']);
  await page.getByRole('button', { name: '@scope/canvas' }).click();
  await page.getByRole('tab', { name: 'Processes' }).click();
  t.match(await rows(page), [/^2 +node worker\.js 2/, /^3 /, /^1 /]);
  await page.locator('tbody tr').first().click();
  t.match(await textOf(page.locator('.total')), '4.72 MiB');
});

shown('search, zoom, invert', profile, {}, async (t, page) => {
  await page.keyboard.press('/');
  await page.keyboard.type('leveldown');
  await page.locator('.found', { hasText: '82.8%' }).waitFor();
  await shoot(page, 'search');
  await page.keyboard.press('Escape');
  await page.locator('g.frame[name^="createCanvas"]').click();
  t.match(await names(page), ['all', 'handleRequest', 'createCanvas', 'Canvas::Canvas']);
  const width = (name: string) =>
    page.locator(`g.frame[name^="${name}"] rect`).evaluate((rect) => rect.getBoundingClientRect().width);
  t.ok((await width('Canvas::Canvas')) > 1000, 'it fills the width');
  t.match(await textOf(page.locator('.path')), /handleRequest/);
  await page.keyboard.press('Escape');
  t.ok((await width('Canvas::Canvas')) < 100);
  await page.keyboard.press('i');
  const first = await page
    .locator('g.frame')
    .evaluateAll((all) =>
      all
        .filter((frame) => frame.getAttribute('transform')?.endsWith(',20)'))
        .map((frame) => frame.getAttribute('name')),
    );
  t.match(String(first[0]), /^std::vector/, 'the function that allocated');
  await shoot(page, 'inverted');
});

shown('the keyboard goes everywhere', profile, {}, async (t, page) => {
  await page.locator('.chart').focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown']) await page.keyboard.press(key);
  const said = () => textOf(page.locator('[aria-live]'));
  const deep = await said();
  t.match(deep, /leveldown/);
  await page.keyboard.press('ArrowRight');
  t.not(await said(), deep);
  await page.keyboard.press('Enter');
  t.ok(await page.getByRole('button', { name: 'Reset zoom' }).isEnabled());
  await page.locator('.chart').focus();
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Escape');
  t.ok(await page.getByRole('button', { name: 'Reset zoom' }).isDisabled());
});

shown('against a baseline', profile, { baseline }, async (t, page) => {
  t.match(await textOf(page.locator('.change')), /\+4\.82 MiB/);
  t.match(await rows(page), [/^leveldown[\s\S]*\+4\.77 MiB/, /^\(program\)[\s\S]*−391 KiB/]);
  const color = (name: string) => page.locator(`g.frame[name^="${name}"] rect`).first().getAttribute('fill');
  t.match(await color('db_get_many'), /^hsl\(8 /, 'grown');
  t.match(await color('readAll'), /^hsl\(215 /, 'shrunk');
  await shoot(page, 'diff');
  await chosen(page, 'process', /^3 /);
  t.match(await textOf(page.locator('.notice').last()), /baseline has nothing/);
});

shown(
  'names are text, whatever is in them',
  { ...profile, warnings: [HOSTILE] },
  { title: HOSTILE },
  async (t, page) => {
    t.ok((await names(page)).includes(HOSTILE));
    t.equal(await page.title(), `${HOSTILE} · forkheap`);
    await page.getByRole('tab', { name: 'Functions' }).click();
    t.ok((await rows(page)).some((row) => row.includes(HOSTILE)));
    await page.locator('g.frame').nth(2).hover();
    await page.locator(`g.frame[name^="<img"]`).hover({ force: true });
    t.match(await textOf(page.locator('.tooltip')), HOSTILE);
    t.equal(await page.locator('img, b, iframe').count(), 0);
    t.equal(await page.evaluate('document.scripts.length'), 2);
  },
);

shown('in the dark', profile, { colorScheme: 'dark' }, async (t, page) => {
  const back = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
  t.equal(await back(), 'rgb(20, 24, 29)');
  await shoot(page, 'dark');
  await page.getByRole('button', { name: 'Dark / light' }).click();
  t.equal(await back(), 'rgb(255, 255, 255)');
});

/** Stacks as a large service has them: a few hold most. */
function manyStacks(): Profile {
  let state = 1;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return Math.floor((state / 2147483647) ** 2 * below);
  };
  const stacks = Array.from({ length: 50_000 }, (_, i): [number, string[], number] => {
    const depth = 8 + random(18);
    const stack = Array.from(
      { length: depth },
      (_, level) => `/app/node_modules/p${random(9)}/x.node!f${level}_${random(12)}`,
    );
    return [1 + (i % 4), [`/app/x.node!leaf${i % 5000}`, ...stack], 16 + random(100_000)];
  });
  return new Maker().profile(stacks);
}

shown('50,000 stacks', manyStacks(), {}, async (t, page) => {
  const took = async (act: () => Promise<unknown>): Promise<number> => {
    const before = performance.now();
    await act();
    await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))');
    return performance.now() - before;
  };
  t.ok((await took(() => chosen(page, 'process', /^2 /))) < 10_000, 'a process');
  t.ok((await took(() => page.keyboard.press('i'))) < 10_000, 'inverted');
  await page.keyboard.press('i');
  t.ok((await took(() => page.locator('g.frame').nth(3).click())) < 10_000, 'zoom');
  t.ok((await page.locator('g.frame').count()) <= 12_000);
  await shoot(page, 'large');
});
