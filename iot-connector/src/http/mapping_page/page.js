// The page: what is typed is tried after a short pause; nothing happens while nothing changes.

import * as connector from './connector.js';
import { Editor } from './editor.js';
import { count } from './element.js';
import { recognise } from './import.js';
import { layOut, readable } from './layout.js';
import * as report from './report.js';
import * as shapes from './shapes.js';

/** Milliseconds without typing before the mappings are tried. */
const PAUSE = 250;

const SIDES = {
  device: { name: 'device mapping', category: 'NORMALIZATION', file: 'devicecontent.json' },
  fhir: { name: 'FHIR mapping', category: 'FHIR_TRANSFORMATION', file: 'fhirmapping.json' },
};
const id = (name) => document.getElementById(name);
const editors = { device: new Editor('device'), fhir: new Editor('fhir') };
const message = new Editor('message');

// ---- trying out

let timer;
let tried;
let running;

function changed() {
  clearTimeout(timer);
  timer = setTimeout(tryOut, PAUSE);
}

/** Asks what the mappings make of the message, unless that was asked just now. */
async function tryOut({ again = false } = {}) {
  clearTimeout(timer);
  const request = requestText();
  if (request === undefined || (request === tried && !again)) return;
  tried = request;
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  id('result').setAttribute('aria-busy', true);
  try {
    show(await connector.dryRun(request, signal));
  } catch (error) {
    if (error.name === 'AbortError') return;
    tried = undefined;
    tell(id('summary'), error.message);
    id('report').replaceChildren();
  }
  id('result').setAttribute('aria-busy', false);
}

/** The request as JSON; mappings and message travel as they are typed. Nothing while a part of it isn't JSON. */
function requestText() {
  const [properties, systemProperties] = ['properties', 'system-properties'].map(members);
  if (!properties || !systemProperties) return undefined;
  const text = (editor) => (editor.text.trim() ? editor.text : undefined);
  return JSON.stringify({
    deviceMapping: text(editors.device),
    fhirMapping: text(editors.fhir),
    messages: text(message),
    properties,
    systemProperties,
    compatibility: id('compatibility').value,
  });
}

/** The object in a field, `{}` for an empty one; what is wrong is said there. */
function members(name) {
  const field = id(name);
  let found = {};
  let wrong = '';
  if (field.value.trim()) {
    try {
      found = JSON.parse(field.value);
      if (found === null || typeof found !== 'object' || Array.isArray(found)) wrong = 'This has to be an object.';
    } catch (error) {
      wrong = `This isn’t JSON: ${error.message}`;
    }
  }
  tell(id(`${name}-error`), wrong);
  field.setAttribute('aria-invalid', wrong !== '');
  if (!wrong) return found;
  tell(id('summary'), 'Not tried: Properties or SystemProperties are wrong.');
  tried = undefined;
  return undefined;
}

function show({ templateErrors, templateWarnings, messages }) {
  const findings = [...templateErrors, ...templateWarnings.map((warning) => ({ ...warning, isWarning: true }))];
  for (const [side, { category }] of Object.entries(SIDES)) {
    editors[side].show(findings.filter((finding) => finding.category === category).map(withoutPlace));
  }
  const errors = messages.flatMap((tried) => tried.errors);
  message.show(errors.filter(({ line }) => line).map(withoutOwnPlace));
  tell(id('summary'), summary(templateErrors, messages));
  id('report').replaceChildren(...report.show(messages, goToTemplate));
}

function summary(templateErrors, messages) {
  const parts = Object.values(SIDES).map(({ name, category }) => {
    const errors = templateErrors.filter((error) => error.category === category).length;
    return errors ? `${count(errors, 'error')} in the ${name}. ` : '';
  });
  const wrong = parts.join('');
  if (messages.length > 0) return wrong + report.summary(messages);
  if (!editors.device.text.trim()) return `${wrong}Write or import a device mapping.`;
  if (!message.text.trim()) return `${wrong || 'The mappings are valid. '}Write a test message to see what they make of it.`;
  return `${wrong}The message is tried as soon as the device mapping can be used.`;
}

/** The place is shown before the message. */
function withoutPlace(finding) {
  const place = `, line ${finding.line}, position ${finding.position})`;
  const { message } = finding;
  return message.endsWith(place) ? { ...finding, message: `${message.slice(0, -place.length)})` } : finding;
}

/** A message says where it is wrong in itself; what is shown is the place in the text of all. */
function withoutOwnPlace(finding) {
  return { ...finding, message: finding.message.replace(/ at line \d+, position \d+$/, '') };
}

function goToTemplate(name) {
  const lines = editors.device.text.split('\n');
  const named = (line) => /"typename"\s*:/i.test(line) && line.includes(JSON.stringify(name));
  editors.device.goTo(Math.max(0, lines.findIndex(named)) + 1);
}

/** A live region is told only what is new. */
function tell(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// ---- mappings from elsewhere

/** Replaces what is given; asks before edits are lost. */
function take(mappings, from) {
  const sides = Object.keys(SIDES).filter((side) => mappings[side] !== undefined);
  const lost = sides.filter((side) => editors[side].isEdited && editors[side].text.trim());
  const names = (list) => list.map((side) => SIDES[side].name).join(' and ');
  if (lost.length > 0 && !confirm(`Replace your ${names(lost)}? The changes since the last download are lost.`)) return;
  for (const side of sides) editors[side].replace(readable(mappings[side]));
  tell(id('notice'), `Took ${names(sides)} from ${from}.`);
  tryOut();
}

const pair = (texts) => ({ device: texts.deviceMapping, fhir: texts.fhirMapping });

async function look() {
  try {
    const known = await connector.mappings();
    id('take-in-force').disabled = !known.inForce;
    id('take-refused').hidden = !known.refused;
    return known;
  } catch (error) {
    tell(id('notice'), error.message);
    return undefined;
  }
}

async function takeKnown(which, from) {
  const known = await look();
  if (known?.[which]) take(pair(known[which]), from);
}

async function importFiles(chosen) {
  // the picker's own list empties with it
  const files = Array.from(chosen);
  if (files.length === 0) return;
  try {
    const found = await recogniseFiles(files);
    closeImport();
    take(found, files.length === 1 ? `“${files[0].name}”` : count(files.length, 'file'));
  } catch (error) {
    openImport();
    tell(id('import-error'), error.message);
  }
}

/** What is in the files together; of each mapping there may be one. */
async function recogniseFiles(files) {
  const found = {};
  for (const file of files) {
    const own = recognise(await file.text(), `“${file.name}”`);
    for (const [side, text] of Object.entries(own)) {
      if (found[side] !== undefined) throw new Error(`“${file.name}” has another ${SIDES[side].name}: import one of them`);
      found[side] = text;
    }
  }
  return found;
}

function importText() {
  try {
    const found = recognise(id('import-text').value);
    closeImport();
    take(found, 'the pasted text');
  } catch (error) {
    tell(id('import-error'), error.message);
  }
}

function openImport() {
  if (!id('import').open) id('import').showModal();
}

function closeImport() {
  id('import').close();
  id('import-text').value = '';
  id('import-files').value = '';
  tell(id('import-error'), '');
}

/** Whole JSON that is pasted over everything may be of the other side, or be wrapped: it goes where it belongs. */
function pasteInto(side, event) {
  const { area } = editors[side];
  const isOverAll = area.selectionStart === 0 && area.selectionEnd === area.value.length;
  const text = event.clipboardData.getData('text/plain');
  if (!isOverAll) return;
  try {
    const found = recognise(text);
    if (found[side] === text) return;
    event.preventDefault();
    take(found, 'the pasted text');
  } catch {
    // an ordinary paste
  }
}

// ---- what people do

for (const [side, { file }] of Object.entries(SIDES)) {
  const editor = editors[side];
  editor.area.addEventListener('input', changed);
  editor.area.addEventListener('paste', (event) => pasteInto(side, event));
  id(`${side}-download`).addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([editor.text], { type: 'application/json' }));
    link.download = file;
    link.click();
    URL.revokeObjectURL(link.href);
    editor.markSaved();
  });
  id(`${side}-lay-out`).addEventListener('click', () => {
    editor.rewrite(layOut(editor.text));
    tryOut();
  });
}
for (const field of [message.area, id('properties'), id('system-properties')]) field.addEventListener('input', changed);
id('compatibility').addEventListener('change', () => tryOut());
id('try').addEventListener('click', () => tryOut({ again: true }));
id('take-in-force').addEventListener('click', () => takeKnown('inForce', 'the connector'));
id('take-refused').addEventListener('click', () => takeKnown('refused', 'the connector, which can’t use them'));
id('open-import').addEventListener('click', openImport);
id('import-cancel').addEventListener('click', closeImport);
id('import-do').addEventListener('click', importText);
id('import-files').addEventListener('change', () => importFiles(id('import-files').files));
id('look-again').addEventListener('click', () => showShapes());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) tryOut({ again: true });
});
document.addEventListener('dragover', (event) => {
  if (event.dataTransfer.types.includes('Files')) event.preventDefault();
});
document.addEventListener('drop', (event) => {
  if (event.dataTransfer.files.length === 0) return;
  event.preventDefault();
  importFiles(event.dataTransfer.files);
});
addEventListener('beforeunload', (event) => {
  if (Object.values(editors).some((editor) => editor.isEdited)) event.preventDefault();
});

async function showShapes() {
  try {
    const known = await connector.unmatched();
    const total = known.shapes.length;
    tell(id('unmatched-count'), total ? `(${count(total, 'shape')})` : '');
    id('shapes').replaceChildren(...shapes.show(known, tryMessage));
  } catch (error) {
    tell(id('notice'), error.message);
  }
}

function tryMessage(text) {
  message.replace(text);
  message.area.focus();
  tryOut();
}

const known = await look();
if (known) {
  id('compatibility').value = known.compatibility;
  const start = known.inForce ?? known.refused;
  if (start) take(pair(start), known.inForce ? 'the connector: they are in force' : 'the connector, which can’t use them');
}
await Promise.all([showShapes(), tryOut()]);
