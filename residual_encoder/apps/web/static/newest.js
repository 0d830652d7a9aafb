// Runs one piece of work at a time, and of those that came meanwhile the newest alone.

export class Newest {
  #busy = false;
  #next = null;

  // -> whether this call did all the work that there was, so that nothing is left
  async run(work) {
    this.#next = work;
    if (this.#busy) return false;
    this.#busy = true;
    try {
      while (this.#next) {
        const now = this.#next;
        this.#next = null;
        await now();
      }
    } finally {
      this.#busy = false;
    }
    return true;
  }
}
