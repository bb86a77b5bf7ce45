// Shows what a dry run found of the messages: templates, measurements, Observations, and what is wrong.

import { count, element } from './element.js';
import { layOut } from './layout.js';

/** So many messages are shown. */
const SHOWN = 50;

/** Elements for the messages of a report; `goToTemplate` shows a device template by its type name. */
export function show(messages, goToTemplate) {
  const shown = messages.slice(0, SHOWN).map((message) => one(message, messages.length > 1, goToTemplate));
  if (messages.length > SHOWN) {
    shown.push(element('p', { class: 'about' }, `${count(messages.length - SHOWN, 'further message')}: not shown`));
  }
  return shown;
}

/** A sentence for what came out. */
export function summary(messages) {
  const sum = (list) => messages.reduce((sum, message) => sum + message[list].length, 0);
  const [measurements, observations, errors] = ['measurements', 'observations', 'errors'].map(sum);
  const parts = [count(measurements, 'measurement'), count(observations, 'Observation')];
  if (errors) parts.push(count(errors, 'error'));
  const of = messages.length > 1 ? ` from ${messages.length} messages` : '';
  return `${parts.join(', ')}${of}.`;
}

function one(message, isNumbered, goToTemplate) {
  const parts = [];
  if (isNumbered) parts.push(element('h3', { class: 'number' }, `Message ${message.message}`));
  parts.push(findings(message.errors, 'Error', 'error'), findings(message.warnings, 'Warning', 'warning'));
  for (const observation of message.observations) parts.push(shownObservation(observation));
  for (const measurement of message.measurements) parts.push(shownMeasurement(measurement));
  if (message.templates.length > 0) parts.push(templates(message.templates, goToTemplate));
  return element('article', {}, ...parts.filter(Boolean));
}

function findings(list, kind, style) {
  if (list.length === 0) return null;
  const side = { NORMALIZATION: 'device mapping', FHIR_TRANSFORMATION: 'FHIR mapping' };
  const item = ({ message, category }) =>
    element('li', { class: style }, element('strong', {}, `${kind}, ${side[category]}:`), ` ${message}`);
  return element('ul', { class: 'findings' }, ...list.map(item));
}

function shownObservation(observation) {
  const code = observation.code?.coding?.[0];
  const name = observation.code?.text ?? code?.display ?? code?.code ?? '';
  return element(
    'section',
    { class: 'card observation' },
    element('h3', {}, 'Observation', element('span', { class: 'about' }, name)),
    element('pre', {}, layOut(JSON.stringify(observation))),
  );
}

function shownMeasurement(measurement) {
  const facts = [
    ['Time', measurement.occurrenceTimeUtc],
    ['Device', measurement.deviceId],
    ['Patient', measurement.patientId],
    ['Encounter', measurement.encounterId],
    ['Correlation', measurement.correlationId],
    ...measurement.properties.map(({ name, value }) => [name, value]),
  ];
  const row = ([name, value]) => [element('dt', {}, name), element('dd', {}, String(value))];
  return element(
    'section',
    { class: 'card' },
    element('h3', {}, 'Measurement', element('span', { class: 'about' }, measurement.type)),
    element('dl', {}, ...facts.filter(([, value]) => value !== null && value !== undefined).flatMap(row)),
  );
}

function templates(list, goToTemplate) {
  const row = ({ typeName, typeMatchExpression, matched, reason }) => {
    const name = element('button', { type: 'button', class: 'place', title: 'Go to this template' }, typeName);
    name.addEventListener('click', () => goToTemplate(typeName));
    const verdict = matched ? `matches ${count(matched, 'time')}` : `doesn’t match${reason ? `: ${reason}` : ''}`;
    return element(
      'li',
      { class: matched ? 'matched' : 'unmatched' },
      name,
      ` ${verdict}`,
      element('code', {}, typeMatchExpression),
    );
  };
  return element(
    'section',
    { class: 'card' },
    element('h3', {}, 'Device templates'),
    element('ul', { class: 'templates' }, ...list.map(row)),
  );
}
