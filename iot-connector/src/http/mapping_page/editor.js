// A text area with numbered lines, and findings at their lines: marked in the text, listed below it.

import { count, element } from './element.js';

const TAB = 2;
/** So many findings are shown. */
const SHOWN = 100;

export class Editor {
  /** `id` is the text area's; `ID-findings` is the list. */
  constructor(id) {
    this.area = document.getElementById(id);
    this.list = document.getElementById(`${id}-findings`);
    const box = document.getElementById(`${id}-editor`);
    this.numbers = box.querySelector('.numbers');
    this.marks = box.querySelector('.marks');
    this.box = box;
    this.lines = 0;
    this.saved = '';
    this.area.addEventListener('input', () => this.#number());
    this.area.addEventListener('scroll', () => this.#follow(), { passive: true });
    this.#number();
  }

  get text() {
    return this.area.value;
  }

  /** Another text, which somebody has elsewhere. */
  replace(text) {
    this.area.value = text;
    this.area.setSelectionRange(0, 0);
    this.area.scrollTo(0, 0);
    this.saved = this.text;
    this.show([]);
    this.#number();
  }

  /** Another text by our own hand: it isn't saved anywhere. */
  rewrite(text) {
    if (text === this.text) return;
    this.area.value = text;
    this.area.setSelectionRange(0, 0);
    this.#number();
  }

  /** Whether there is something in it that is nowhere else. */
  get isEdited() {
    return this.text !== this.saved;
  }

  markSaved() {
    this.saved = this.text;
  }

  /** Findings: `{message, line?, position?, isWarning}`. */
  show(all) {
    const findings = all.slice(0, SHOWN);
    const lines = findings.some(({ line }) => line) ? this.text.split('\n') : [];
    const byLine = new Map();
    for (const finding of findings) {
      if (finding.line && !byLine.has(finding.line)) byLine.set(finding.line, finding);
    }
    this.marks.replaceChildren(
      ...Array.from(byLine.values(), ({ line, message }) => {
        const note = element('span', {}, message);
        const mark = element('div', { class: 'mark' }, element('div', {}, note));
        mark.style.setProperty('--at', line - 1);
        note.style.setProperty('--columns', columns(lines[line - 1] ?? ''));
        return mark;
      }),
    );
    const isWrong = all.some(({ isWarning }) => !isWarning);
    this.area.setAttribute('aria-invalid', isWrong);
    const items = findings.map((finding) => this.#item(finding));
    if (all.length > SHOWN) {
      items.push(element('li', { class: 'about' }, `${count(all.length - SHOWN, 'further finding')}: not shown`));
    }
    const { fine } = this.list.dataset;
    if (all.length === 0 && fine && this.text.trim()) items.push(element('li', { class: 'about' }, fine));
    this.list.replaceChildren(...items);
  }

  /** Puts the cursor at a line (from 1) and a byte in it (from 1). */
  goTo(line, position = 1) {
    const lines = this.text.split('\n');
    const start = lines.slice(0, line - 1).reduce((length, line) => length + line.length + 1, 0);
    const at = start + characters(lines[line - 1] ?? '', position - 1);
    this.area.focus();
    this.area.setSelectionRange(at, at);
    const height = Number.parseFloat(getComputedStyle(this.area).lineHeight);
    this.area.scrollTo(0, Math.max(0, (line - 4) * height));
    this.box.scrollIntoView({ block: 'nearest' });
  }

  #item({ message, line, position, isWarning }) {
    const kind = isWarning ? 'Warning' : 'Error';
    const item = element('li', { class: isWarning ? 'warning' : 'error' });
    if (line) {
      const button = element('button', { type: 'button', class: 'place' }, `Line ${line}`);
      button.addEventListener('click', () => this.goTo(line, position));
      item.append(button, ' ');
    }
    item.append(element('strong', {}, `${kind}:`), ` ${message}`);
    return item;
  }

  #number() {
    const lines = this.text.split('\n').length;
    if (lines !== this.lines) {
      this.lines = lines;
      this.numbers.textContent = Array.from({ length: lines }, (_, index) => index + 1).join('\n');
      this.box.style.setProperty('--digits', String(lines).length);
    }
    this.#follow();
  }

  #follow() {
    this.box.style.setProperty('--top', `${-this.area.scrollTop}px`);
    this.box.style.setProperty('--left', `${-this.area.scrollLeft}px`);
  }
}

/** How wide a line is. */
function columns(line) {
  let width = 0;
  for (const character of line) width += character === '\t' ? TAB - (width % TAB) : 1;
  return width;
}

/** How many UTF-16 units the first bytes of a line are: the connector counts in bytes. */
function characters(line, bytes) {
  const { read } = new TextEncoder().encodeInto(line, new Uint8Array(Math.max(0, bytes)));
  return read;
}
