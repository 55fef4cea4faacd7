// What the page /inspect is made of: elements, lists that stay in place, times, and the form that answers an agent.

/** An element with a text. Never with HTML: an agent writes what it likes. */
export function make(tag, text = "", props = {}) {
  const made = Object.assign(document.createElement(tag), props);
  if (text !== "") made.textContent = text;
  return made;
}

/** Sets a text only when it is another one: what a person has selected in it stays so. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of a list those of `items`, in their order. What is there stays the same element, so that neither
 * focus nor scroll position is lost; of one that has to move the focus is given back.
 */
export function arrange(list, items, show) {
  const focused = document.activeElement;
  const had = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(items.map(({ key }) => key));
  for (const [key, child] of had) if (!wanted.has(key)) child.remove();
  let next = list.firstElementChild;
  for (const item of items) {
    const child = had.get(item.key) ?? make("li");
    child.dataset.key = item.key;
    show(child, item);
    if (child === next) next = next.nextElementSibling;
    else list.insertBefore(child, next);
  }
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

/** A time of today, or with its day; the whole of it is in the title. */
export function showTime(element, iso) {
  const at = new Date(iso);
  const isToday = at.toDateString() === new Date().toDateString();
  element.dateTime = iso;
  element.title = at.toLocaleString();
  write(element, isToday ? at.toLocaleTimeString() : at.toLocaleString());
  return element;
}

/** Does a piece of work soon: once for many calls, and never twice at a time. */
export function soon(work, afterMs) {
  let wanted = false;
  let busy = false;
  const run = async () => {
    if (busy) return;
    busy = true;
    while (wanted) {
      await pause(afterMs);
      wanted = false;
      await work();
    }
    busy = false;
  };
  return () => {
    wanted = true;
    void run();
  };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What an agent asks, and the controls that answer it; `send` is given the body of the answer. */
export function answerForm(pending, send) {
  const form = make("form");
  if (pending.kind === "permission") {
    form.append(make("strong", pending.title), make("pre", JSON.stringify(pending.input, null, 2)));
    form.append(...decisions(pending, send));
    form.onsubmit = (event) => event.preventDefault();
    return form;
  }
  const { title, options } = pending;
  // What was asked before questions had keys of their own is one question.
  const { questions = [{ id: title, question: title, options, freeText: true, required: true }] } = pending;
  const parts = questions.map(questionPart);
  form.append(...parts.map(({ element }) => element), make("button", "Answer", { type: "submit" }));
  form.onsubmit = (event) => {
    event.preventDefault();
    const given = parts.map(({ id, read }) => [id, read()]).filter(([, answer]) => answer !== undefined);
    void send({ pendingId: pending.id, answers: Object.fromEntries(given) });
  };
  return form;
}

function decisions({ id, options }, send) {
  const button = (decision, label, more = () => ({})) =>
    make("button", options.find((one) => one.id === decision)?.label ?? label, {
      type: "button",
      onclick: () => send({ pendingId: id, decision, ...more() }),
    });
  const reason = make("input", "", { autocomplete: "off", placeholder: "Why not, or what to do instead" });
  reason.setAttribute("aria-label", reason.placeholder);
  const row = make("p");
  row.append(button("allow", "Allow"));
  if (options.some((one) => one.id === "allow_always")) row.append(button("allow_always", "Allow always"));
  const message = () => (reason.value.trim() === "" ? {} : { message: reason.value.trim() });
  const refusal = make("p");
  refusal.append(reason, button("deny", "Deny", message));
  return [row, refusal];
}

let questionsMade = 0;

/** A question with its options and a free text, as far as it takes them; `read` gives what is answered. */
function questionPart({ id, header, question, options, multiSelect, freeText, required }) {
  questionsMade += 1;
  const element = make("fieldset");
  const text = [header, question].filter((one, at, all) => one && all.indexOf(one) === at).join(": ");
  element.append(make("legend", required ? text : `${text} (may be left out)`));
  const name = `question-${questionsMade}`;
  const boxes = options.map((option) => {
    const box = make("input", "", { type: multiSelect ? "checkbox" : "radio", name, value: option.id });
    const label = make("label");
    label.append(box, make("span", option.label));
    if (option.description) label.append(make("small", option.description));
    element.append(label);
    return box;
  });
  const own = make("input", "", { autocomplete: "off" });
  if (freeText || options.length === 0) {
    const label = make("label", options.length === 0 ? "Answer" : "Or in your own words");
    label.append(own);
    element.append(label);
  }
  const clear = () => {
    for (const box of boxes) box.checked = false;
  };
  // One answer: the last of the two that was given counts.
  if (!multiSelect) {
    own.oninput = clear;
    for (const box of boxes) box.onchange = () => (own.value = "");
  }
  const read = () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    const all = own.value.trim() === "" ? chosen : [...chosen, own.value];
    return multiSelect && all.length > 0 ? all : all[0];
  };
  return { id, element, read };
}
