// The list of cases, newest first.
import { h, said } from '../dom.js';
import { clock, size, t } from '../texts.js';
import { screen } from './parts.js';

/** @typedef {import('../portal.js').Entry} Entry */

/** @param {{entries: Entry[], level: string, offline: boolean, lost: boolean, full: number|null, opened: (delivery: string) => boolean, name: (delivery: string) => string|null,
 *   open: (entry: Entry) => void, settings: () => void, push: HTMLElement|null}} how */
export function casesScreen({ entries, level, offline, lost, full, opened, name, open, settings, push }) {
  const row = (/** @type {Entry} */ entry) => {
    const who = name(entry.delivery), fresh = !opened(entry.delivery);
    return h('li', {}, h('button', { disabled: level === 'list', 'data-delivery': entry.delivery, 'aria-label': `${fresh ? '● ' : ''}${t('case from', entry.site, clock(entry.received_at))} ${who ?? ''}`, click: () => open(entry) },
      h('span', {}, h('strong', { class: fresh ? 'new' : '' }, said(who ?? entry.site)), h('span', { class: 'soft' }, said(who ? `${entry.site} · ${size(entry.bytes)}` : size(entry.bytes)))),
      h('time', {}, clock(entry.received_at))));
  };
  const element = screen(t('cases'), null,
    level === 'list' ? h('p', { class: 'notice' }, t('list only')) : null,
    offline ? h('p', { class: 'notice', role: 'status' }, t('offline')) : lost ? h('p', { class: 'notice', role: 'status' }, t('lost link')) : null,
    full === null ? null : h('p', { class: 'notice bad', role: 'status' }, t('mailbox full', full)),
    push,
    entries.length ? h('ul', { class: 'cases' }, ...entries.map(row)) : h('p', { class: 'soft' }, t('no cases')));
  element.querySelector('header')?.append(h('button', { class: 'quiet', click: settings }, t('menu')));
  return element;
}
