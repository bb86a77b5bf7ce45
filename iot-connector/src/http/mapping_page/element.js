// Makes elements. Texts are always text: there is no way to markup.

/** An element with properties (`class`, `aria-…` and the like are attributes) and children, which are nodes or texts. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** `1 line`, `2 lines`. */
export function count(number, one, several = `${one}s`) {
  return `${number} ${number === 1 ? one : several}`;
}
