// Something a person does to the server: whether it is under way, and what went wrong.
import { Problem } from './api';

/** One act at a time. */
export class Attempt {
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);

  /** Does it; `null` if it went wrong. */
  async try<T>(act: () => Promise<T>): Promise<T | null> {
    [this.busy, this.problem] = [true, null];
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.problem = error;
      return null;
    } finally {
      this.busy = false;
    }
  }
}
