// Lays JSON out on lines. Names, strings and numbers stay as they are written; what isn't JSON stays as a whole.

const WIDTH = 100;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The same JSON on lines; what fits on one stays on one. */
export function layOut(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(TOKEN);
  let next = 0;
  const read = () => {
    const token = tokens[next++];
    if (token !== '{' && token !== '[') return token;
    const close = token === '{' ? '}' : ']';
    const members = [];
    while (tokens[next] !== close) {
      const name = token === '{' ? `${tokens[next]}: ` : '';
      if (name) next += 2;
      members.push({ name, value: read() });
      if (tokens[next] === ',') next++;
    }
    next++;
    return { open: token, close, members };
  };
  return `${write(read(), '', 0)}\n`;
}

/** A text on a single line that is too long to be read there, laid out; any other as it is. */
export function readable(text) {
  const line = text.trim();
  return line.length > WIDTH && !line.includes('\n') ? layOut(text) : text;
}

function write(value, indent, before) {
  if (typeof value === 'string') return value;
  const short = onOneLine(value);
  if (indent.length + before + short.length <= WIDTH) return short;
  const inner = `${indent}  `;
  const members = value.members.map(({ name, value }) => `${inner}${name}${write(value, inner, name.length)}`);
  return `${value.open}\n${members.join(',\n')}\n${indent}${value.close}`;
}

function onOneLine(value) {
  if (typeof value === 'string') return value;
  return value.open + value.members.map(({ name, value }) => name + onOneLine(value)).join(', ') + value.close;
}
