// Values come from outside: they are set as text, never as markup.
function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tag(mark) {
  const made = element("span", `tag ${mark.tone}`);
  made.append(element("span", "dot"), element("span", "", mark.text));
  return made;
}

function row(each, pick) {
  const button = element("button", "row");
  button.type = "button";
  const what = element("span", "what");
  what.append(element("span", "title", each.title), element("span", "detail", each.detail));
  const tags = element("span", "tags");
  tags.append(...each.tags.map(tag));
  const amount = element("span", "amount");
  amount.append(element("span", "number", each.amount), element("span", "detail", each.note));
  button.append(what, tags, amount);
  button.onclick = () => pick(each.value);
  const item = element("li", "");
  item.append(button);
  return item;
}

export default function ({ data, parentElement, setTriggerValue }) {
  let list = parentElement.querySelector(".rows");
  if (!list) {
    list = element("ul", "rows");
    parentElement.append(list);
  }
  list.setAttribute("aria-label", data.label);
  // A refresh replaces only what has changed, so that it takes neither the focus nor a click that is under way.
  const known = new Map([...list.children].map((item) => [item.dataset.value, item]));
  const items = data.rows.map((each) => {
    const drawn = JSON.stringify(each);
    const before = known.get(each.value);
    if (before?.dataset.drawn === drawn) return before;
    const item = row(each, (value) => setTriggerValue("picked", value));
    Object.assign(item.dataset, { value: each.value, drawn });
    return item;
  });
  const active = parentElement.activeElement ?? parentElement.getRootNode().activeElement ?? document.activeElement;
  const focused = active?.closest?.("li")?.dataset.value;
  if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at])) {
    list.replaceChildren(...items);
    if (focused !== undefined) items.find((item) => item.dataset.value === focused)?.querySelector("button").focus();
  }
}
