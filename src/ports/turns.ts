/** The event loop, as far as the broker needs it: a way to let others go first. */
export interface Turns {
  /**
   * Calls `f` once in a later turn, after the I/O that is ready now was served; never before this method has returned. Calls
   * keep their order. For gathering what one turn brings, and for cutting long work into slices.
   */
  next(f: () => void): void;
}
