/**
 * The dialog that exports what was used in any days. The browser downloads the file itself, so it may have any length.
 */
import { h } from './build.js';
import { openDialog } from './dialog.js';
import { field, select } from './form.js';

const DAY_MS = 86_400_000;
const DAYS = 30;

/** @param {import('./view.js').ViewContext} context */
export async function exportUsage(context) {
  const now = Date.now();
  const from = field('First day', day('from', now - (DAYS - 1) * DAY_MS), 'Days are in UTC.');
  const to = field('Last day', day('to', now));
  const by = field(
    'One row for each',
    select('by', [
      ['user', 'User'],
      ['key', 'Service key'],
      ['team', 'Team'],
      ['profile', 'Profile'],
      ['model', 'Model'],
      ['day', 'Day'],
    ]),
  );
  const format = field(
    'Format',
    select('format', [
      ['csv', 'CSV'],
      ['jsonl', 'JSON lines'],
    ]),
  );
  await openDialog(context, {
    title: 'Export usage',
    body: [h('p', {}, 'Sessions, seconds, tokens, cost and refusals, for any number of users.')],
    fields: [from, to, by, format],
    action: 'Export',
    act: async (form) => {
      const asked = Object.fromEntries([...form].map(([name, value]) => [name, String(value)]));
      if (asked.from > asked.to) {
        throw { fields: [{ field: 'from', problem: 'must not be after the last day' }] };
      }
      download(context.api.usageExportUrl(asked));
      context.announce('The export has started.');
    },
  });
}

/** @param {string} name @param {number} moment */
function day(name, moment) {
  return h('input', { name, type: 'date', required: true, value: new Date(moment).toISOString().slice(0, 10) });
}

/** The broker names the file. @param {string} href */
function download(href) {
  h('a', { href, download: '' }).click();
}
