// Shows the shapes of messages that no template matched, each with an example that can be tried.

import { count, element } from './element.js';
import { layOut } from './layout.js';

/** Elements for the shapes; `tryOut` takes the text of an example. */
export function show({ shapes, others }, tryOut) {
  if (shapes.length === 0) return [element('li', { class: 'about' }, 'Every message so far matched a template.')];
  const items = shapes.map((shape) => item(shape, tryOut));
  if (others > 0) items.push(element('li', { class: 'about' }, `${count(others, 'message')} of further shapes`));
  return items;
}

function item({ shape, example, count: times, last, templates }, tryOut) {
  const button = element('button', { type: 'button' }, 'Try an example');
  button.addEventListener('click', () => tryOut(layOut(JSON.stringify(example))));
  const lack = ({ typeName, reason }) => element('li', {}, element('b', {}, typeName), ` ${reason}`);
  return element(
    'li',
    { class: 'card' },
    element('code', {}, shape),
    element('p', { class: 'about' }, `${count(times, 'time')}, last ${last}`),
    element('ul', {}, ...templates.map(lack)),
    button,
  );
}
