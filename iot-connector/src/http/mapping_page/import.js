// Finds mappings in JSON from elsewhere: a mapping itself, the Azure portal's JSON view, an ARM template, a ConfigMap.
// A device mapping's templates are of types that end in `Content`, a FHIR mapping's of types that end in `Fhir`.

import { layOut } from './layout.js';

const KINDS = [
  { kind: 'device', type: /content(template)?$/i, collection: 'CollectionContent', name: 'device mapping' },
  { kind: 'fhir', type: /fhir(template)?$/i, collection: 'CollectionFhir', name: 'FHIR mapping' },
];

/** `{device, fhir}`: the texts of the mappings in a text, one or both; `from` names the text. Throws an `Error` that says why there is none. */
export function recognise(text, from = 'This text') {
  let json;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`${from} isn’t JSON: ${error.message}`);
  }
  const found = [];
  collect(json, found);
  const mappings = {};
  for (const { kind, collection, name } of KINDS) {
    const own = found.filter((one) => one.kind === kind);
    const whole = own.filter((one) => one.isCollection);
    if (whole.length > 1) throw new Error(`${from} has more than one ${name}: import them one by one`);
    if (whole.length === 1) {
      // as it is written, if it is all there is
      mappings[kind] = whole[0].value === json ? text : layOut(JSON.stringify(whole[0].value));
    } else if (own.length > 0) {
      mappings[kind] = layOut(JSON.stringify({ templateType: collection, template: own.map((one) => one.value) }));
    }
  }
  if (!mappings.device && !mappings.fhir) {
    throw new Error(`${from} has no mapping: a mapping has a \`templateType\` that ends in \`Content\` or \`Fhir\``);
  }
  return mappings;
}

function collect(value, found) {
  if (typeof value === 'string' && /^\s*[{[]/.test(value)) {
    // a text in a ConfigMap or a parameter
    try {
      collect(JSON.parse(value), found);
    } catch {
      return;
    }
  }
  if (value === null || typeof value !== 'object') return;
  const type = member(value, 'templatetype');
  const known = typeof type === 'string' && KINDS.find((one) => one.type.test(type));
  if (known) {
    found.push({ kind: known.kind, value, isCollection: /^collection/i.test(type) });
    return;
  }
  for (const child of Object.values(value)) collect(child, found);
}

function member(object, name) {
  const key = Object.keys(object).find((key) => key.toLowerCase() === name);
  return key === undefined ? undefined : object[key];
}
