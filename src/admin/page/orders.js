// What the page can change: the order of a backend, and the configuration. Each asks first.

import { call, keepToken } from "./link.js";
import { parts } from "./nodes.js";
import { many, word } from "./words.js";

/** A dialog that asks, calls, and says what came of it. */
class Question {
  constructor(id) {
    this.dialog = document.getElementById(id);
    this.form = this.dialog.querySelector("form");
    this.parts = parts(this.dialog);
    this.button = this.form.querySelector("[type=submit]");
    this.parts.cancel.addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
  }

  open() {
    this.parts.error.textContent = "";
    this.parts.token.hidden = true;
    this.button.disabled = false;
    this.dialog.showModal();
  }

  async apply() {
    const { token } = this.form.elements;
    if (!this.parts.token.hidden && token.value) {
      keepToken(token.value);
      token.value = "";
    }
    this.button.disabled = true;
    this.parts.error.textContent = "";
    try {
      const answer = await this.send();
      if (answer.status === 401) {
        this.parts.token.hidden = false;
        this.parts.error.textContent = `${answer.said.error}.`;
        token.focus();
      } else {
        this.answered(answer);
      }
    } catch (error) {
      this.parts.error.textContent = `The balancer did not answer: ${error.message}`;
    } finally {
      this.button.disabled = false;
    }
  }
}

/** Asks what a backend shall be. */
export class Order extends Question {
  constructor() {
    super("order");
    this.form.addEventListener("change", () => this.warn());
  }

  /** `others`: how many other backends of its pool are up. */
  ask(pool, backend, others) {
    Object.assign(this, { pool, backend, others });
    const flight = many(backend.in_flight, "request");
    this.parts.title.textContent = `${backend.name} of pool ${pool}`;
    this.parts.now.textContent = `It is ${word(backend.state)}: ${backend.reason}. ${flight} in flight.`;
    this.parts.file.textContent = `the file says ${backend.configured_weight}; 0: no new requests`;
    this.form.elements.state.value = backend.order;
    this.form.elements.weight.value = backend.weight;
    this.warn();
    this.open();
  }

  warn() {
    const { state, weight } = this.form.elements;
    const leaves = state.value !== "ready" || weight.value === "0";
    this.parts.warning.hidden = !(leaves && this.others === 0);
  }

  send() {
    const { state, weight } = this.form.elements;
    const wanted = Number(weight.value);
    const path = `/api/v1/pools/${encodeURIComponent(this.pool)}/backends/${encodeURIComponent(this.backend.name)}`;
    // The file's own weight is ordered as such, so that a reload may change it.
    const body = { state: state.value, weight: wanted === this.backend.configured_weight ? null : wanted };
    return call("PUT", path, body);
  }

  answered(answer) {
    if (answer.ok) {
      this.dialog.close();
    } else {
      this.parts.error.textContent = answer.said.error ?? `The balancer answered ${answer.status}.`;
    }
  }
}

/** Asks whether the configuration shall be read again. */
export class Reload extends Question {
  constructor() {
    super("again");
    document.getElementById("reload").addEventListener("click", () => {
      this.parts.text.hidden = true;
      this.button.hidden = false;
      this.parts.cancel.textContent = "Cancel";
      this.open();
    });
  }

  send() {
    return call("POST", "/-/reload");
  }

  answered({ ok, status, said }) {
    if (ok && !said.text) {
      this.dialog.close();
      return;
    }
    this.parts.text.textContent = said.text ?? "";
    this.parts.text.hidden = !said.text;
    this.button.hidden = ok;
    this.parts.cancel.textContent = "Close";
    const why = status === 422 ? "Refused: nothing has changed." : said.error ?? `The balancer answered ${status}.`;
    this.parts.error.textContent = ok ? "In force, with warnings." : why;
  }
}
