// Something fetched: what is there, whether newer is on its way, and what went wrong.
import { Problem } from './api';

/** How long nothing is shown before the page says that it is fetching. */
const PATIENCE_MS = 400;

/** Holds the newest answer to a question that is asked again and again. Old data stay meanwhile. */
export class Loaded<T> {
  data = $state.raw<T | null>(null);
  problem = $state.raw<Problem | null>(null);
  /** It takes long enough to be said. */
  slow = $state(false);

  #turn = 0;
  #again: (() => Promise<T>) | null = null;

  /** Asks; an answer that a later question has overtaken is dropped. */
  async load(question: () => Promise<T>): Promise<void> {
    this.#again = question;
    this.#turn += 1;
    const turn = this.#turn;
    const patience = setTimeout(() => {
      if (turn === this.#turn) this.slow = true;
    }, PATIENCE_MS);
    try {
      const data = await question();
      if (turn !== this.#turn) return;
      this.data = data;
      this.problem = null;
    } catch (error) {
      if (turn !== this.#turn) return;
      if (!(error instanceof Problem)) throw error;
      this.problem = error;
    } finally {
      clearTimeout(patience);
      if (turn === this.#turn) this.slow = false;
    }
  }

  /** Forgets what is shown: the next data are about something else. */
  forget(): void {
    this.#turn += 1;
    this.data = null;
    this.problem = null;
    this.slow = false;
  }

  /** Asks the last question again. */
  retry(): void {
    if (this.#again) void this.load(this.#again);
  }
}
