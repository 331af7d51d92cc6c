/**
 * The page /docs: loads /openapi.json, shows it, and handles the filter and the copy buttons.
 */

import { byId, create } from '../common/dom.js';
import { article, badge, credentials, routesOf, withoutBackticks } from './render.js';

const lead = byId('lead', HTMLElement);
const links = byId('links', HTMLElement);
const filter = byId('filter', HTMLInputElement);

/** @param {import('./schema.js').Schema} spec */
function show(spec) {
  byId('version', HTMLElement).textContent = spec.info.version;
  lead.textContent = withoutBackticks(`${spec.info.summary} ${spec.info.description}`);
  byId('credentials', HTMLElement).append(credentials(spec));
  const routes = routesOf(spec);
  for (const { name } of spec.tags) {
    const section = create('section', '');
    const list = create('ul', '');
    section.append(create('h2', name));
    for (const route of routes.filter((one) => one.group === name)) {
      section.append(article(route, spec, location.origin));
      list.append(link(route));
    }
    byId('groups', HTMLElement).append(section);
    links.append(create('p', name, 'group'), list);
  }
  // The browser looked for the target before it existed.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** @param {import('./render.js').Route} route */
function link(route) {
  const item = create('li', '');
  const anchor = create('a', '');
  anchor.href = `#${route.operation.operationId}`;
  const path = create('span', '');
  // A long path breaks between its segments.
  path.append(...route.path.split(/(?=\/)/).flatMap((part) => [document.createElement('wbr'), part]));
  anchor.append(badge(route.method), ' ', path);
  item.append(anchor);
  return item;
}

filter.addEventListener('input', () => {
  const wanted = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const item of links.querySelectorAll('li')) {
    item.hidden = !(item.textContent ?? '').toLowerCase().includes(wanted);
    shown += Number(!item.hidden);
  }
  for (const list of links.querySelectorAll('ul')) {
    const isEmpty = !list.querySelector('li:not([hidden])');
    list.hidden = isEmpty;
    if (list.previousElementSibling instanceof HTMLElement) list.previousElementSibling.hidden = isEmpty;
  }
  byId('none', HTMLElement).textContent = shown ? '' : 'No matching routes.';
});

document.addEventListener('click', async (event) => {
  const button = event.target instanceof Element ? event.target.closest('.copy') : null;
  const text = button?.previousElementSibling?.textContent;
  if (!button || !text) return;
  const done = await navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
  button.textContent = done ? 'Copied' : 'Select and copy';
  byId('copied', HTMLElement).textContent = done ? 'Copied.' : 'Copying failed. Select the text and copy it.';
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 2000);
});

// On a phone the open list would fill the screen.
const menu = byId('menu', HTMLDetailsElement);
const narrow = matchMedia('(max-width: 60rem)');
menu.open = !narrow.matches;
narrow.addEventListener('change', () => {
  menu.open = !narrow.matches;
});
links.addEventListener('click', () => {
  if (narrow.matches) menu.open = false;
});

try {
  const answer = await fetch('/openapi.json', { credentials: 'omit' });
  if (!answer.ok) throw new Error(String(answer.status));
  show(await answer.json());
} catch {
  lead.textContent = 'The routes could not be loaded. Reload the page to try again.';
}
