import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { packageRoot } from '#root';
import type { Profile } from '../profile/model.js';
import { pageData } from './flamegraph-data.js';
import { packData } from './page-data.js';

/** How {@link toFlamegraphHtml} makes the page. */
export interface FlamegraphOptions {
  /** What to compare with: functions that grew are red, those that shrank blue. */
  baseline?: Profile;
  /** Keep frames inside Node and V8. */
  internals?: boolean;
  title?: string;
}

/** The page's script and style, built from src/report/page. */
function asset(name: string): string {
  return readFileSync(join(packageRoot, 'lib', 'report', 'assets', name), 'utf8');
}

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const escapeText = (text: string): string =>
  text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char] as string);

/**
 * The profile as one HTML file: a flame graph with tables, that needs no network and runs nothing but its own script, whatever
 * the functions of the profiled program are called.
 *
 * @param profile symbolized.
 * @since 0.1.0
 */
export function toFlamegraphHtml(profile: Profile, options: FlamegraphOptions = {}): string {
  const script = asset('flamegraph.js');
  const style = asset('flamegraph.css');
  const json = JSON.stringify(packData(pageData(profile, options)));
  // Base64 has no character that could end the element.
  const data = gzipSync(json, { level: 6 }).toString('base64');
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const title = options.title === undefined ? 'forkheap' : `${options.title} · forkheap`;
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${escapeText(title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<noscript>This report needs JavaScript.</noscript>',
    `<script type="application/gzip" id="data">${data}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}
