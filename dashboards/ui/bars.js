// Values come from outside: they are set as text, never as markup.
function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function changeOf(bar) {
  const made = element("span", `change ${bar.tone}`);
  const shown = element("span", "", bar.change);
  shown.setAttribute("aria-hidden", "true");
  made.append(shown, element("span", "spoken", bar.spoken));
  return made;
}

function row(bar, chosen, pick) {
  const button = element("button", "row");
  button.type = "button";
  button.style.setProperty("--share", bar.share);
  button.title = bar.hint;
  button.setAttribute("aria-pressed", String(bar.value === chosen));
  button.append(element("span", bar.value === "" ? "label unknown" : "label", bar.label), element("span", "text", bar.text));
  if (bar.change) button.append(changeOf(bar));
  button.onclick = () => pick(bar.value);
  return button;
}

export default function ({ data, parentElement, setTriggerValue }) {
  let list = parentElement.querySelector(".bars");
  if (!list) {
    list = element("div", "bars");
    parentElement.append(list);
  }
  // A refresh must not take the focus from a row that somebody has reached by keyboard.
  const active = parentElement.activeElement ?? document.activeElement;
  const focused = [...list.querySelectorAll(".row")].indexOf(active);
  const head = element("div", "head");
  head.append(element("span", "label", data.title), element("span", "text", data.unit));
  if (data.rows.some((bar) => bar.change)) head.append(element("span", "change", "Change"));
  const rows = data.rows.map((bar) => row(bar, data.chosen, (value) => setTriggerValue("picked", value)));
  list.replaceChildren(...(rows.length ? [head, ...rows] : [element("div", "empty", data.empty)]));
  if (focused >= 0 && rows[focused]) rows[focused].focus();
}
