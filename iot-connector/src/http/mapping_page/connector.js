// What the page asks the connector. Addresses are relative, so that the page works behind a proxy's path, too.

/** `{compatibility, inForce, refused}`: the texts of both pairs, where there are some. */
export const mappings = () => ask('mappings');

/** `{shapes, others}` of messages that no template matched. */
export const unmatched = () => ask('unmatched');

/** What mappings make of messages; `request` is the JSON text. */
export const dryRun = (request, signal) =>
  ask('dry-run', { method: 'POST', headers: { 'content-type': 'application/json' }, body: request, signal });

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The connector doesn’t answer: is the port still forwarded?');
  }
  if (answer.ok) return answer.json();
  throw new Error(`The connector answers ${answer.status}: ${await answer.text()}`);
}
